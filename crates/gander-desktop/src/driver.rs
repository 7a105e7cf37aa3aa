//! What happens: the journal's windows become native ones, and what a person does to a native one goes into the journal.
//!
//! The journal decides. A native window is closed by saying so to the server, like a page's; its native side goes when the
//! change comes back. So windows are the same for everybody who looks at them, and nothing is known here alone.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tauri::AppHandle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::dropped;
use crate::events::{Event, Leaving, Told};
use crate::geometry::Geometry;
use crate::http::{Change, Server, encode};
use crate::journal::{Known, News};
use crate::link::{Heard, Stop};
use crate::menu::{Action, OfTheWindow};
use crate::named;
use crate::native::{self, QuitAnswer};
use crate::panes::{self, on_main};
use crate::returning::Returning;
use crate::successor::{self, ProgramFile};

/// A window that is moved is written down when it rests, and at least so often.
const REST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_millis(900);
/// So long after displays came or went the window manager has moved what it wants to move.
const SETTLED: Duration = Duration::from_secs(1);
/// How long windows may take to have their drafts saved before they go.
const DRAFTS: Duration = Duration::from_millis(1500);
/// What is left to the server when the session of the operating system ends; it goes on ending by itself after that.
const LOG_OUT: Duration = Duration::from_secs(4);
const QUIT: Duration = Duration::from_secs(30);
/// What could not be saved before another version shows the windows is tried again so much later.
const AGAIN: Duration = Duration::from_secs(2);

/// A moved window that is not written down yet.
struct Moved {
    first: Instant,
    last: Instant,
}

impl Moved {
    fn due(&self) -> Instant {
        (self.last + REST).min(self.first + LONGEST)
    }
}

pub struct Driver {
    app: AppHandle,
    data_dir: PathBuf,
    program: Option<ProgramFile>,
    events: mpsc::Sender<Event>,
    stops: mpsc::Sender<Stop>,
    what: Option<String>,
    server: Option<Server>,
    is_ours: bool,
    known: Known,
    cookie: Option<String>,
    moved: HashMap<String, Moved>,
    /// When displays that came or went are settled.
    settled: Option<Instant>,
    returning: Returning,
    /// Told to end when no turn runs any more.
    finishing: Option<Leaving>,
    asking: bool,
    /// The program that is to show the windows, and when.
    successor: Option<(PathBuf, Instant)>,
}

/// What the driver is made of.
pub struct Parts {
    pub app: AppHandle,
    pub data_dir: PathBuf,
    pub program: Option<ProgramFile>,
    pub events: mpsc::Sender<Event>,
    pub stops: mpsc::Sender<Stop>,
    pub what: Option<String>,
}

impl Driver {
    pub fn new(parts: Parts) -> Self {
        let Parts { app, data_dir, program, events, stops, what } = parts;
        Self {
            app,
            data_dir,
            program,
            events,
            stops,
            what,
            server: None,
            is_ours: false,
            known: Known::default(),
            cookie: None,
            moved: HashMap::new(),
            settled: None,
            returning: Returning::default(),
            finishing: None,
            asking: false,
            successor: None,
        }
    }

    /// Runs until it has ended the application.
    pub async fn run(mut self, mut heard: mpsc::Receiver<Event>) {
        loop {
            let due = self.moved.values().map(Moved::due).min();
            let next = self.successor.as_ref().map(|(_, at)| *at);
            let (more, settled) = (self.returning.due(), self.settled);
            let event = tokio::select! {
                event = heard.recv() => event,
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                    self.write_down_moved(false).await;
                    continue;
                }
                () = async { sleep_until(settled.unwrap_or_else(Instant::now)).await }, if settled.is_some() => {
                    self.settle().await;
                    continue;
                }
                () = async { sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {
                    self.give_way().await;
                    continue;
                }
                () = async { sleep_until(more.unwrap_or_else(Instant::now)).await }, if more.is_some() => {
                    self.show_more().await;
                    continue;
                }
            };
            let go_on = match event {
                None => false,
                Some(Event::Signal) => {
                    self.leave(LOG_OUT).await;
                    false
                }
                Some(Event::Heard(heard)) => self.heard(heard).await,
                Some(Event::Told(told)) => self.told(told).await,
            };
            if !go_on {
                return;
            }
        }
    }

    async fn heard(&mut self, heard: Heard) -> bool {
        match heard {
            Heard::Attached { server, windows, sessions, is_ours } => {
                self.is_ours = is_ours;
                self.attached(server, &windows, &sessions).await;
            }
            Heard::Change(change) => return self.changed(change).await,
            Heard::Lost => self.server = None,
            Heard::Stopped => {
                self.app.exit(0);
                return false;
            }
            Heard::Failed(words) => {
                tracing::error!("{words}");
                // It is read before it goes; then the application ends.
                let _ = on_main(&self.app, move |app, _| native::say_last(app, "Gander could not be started.", &words))
                    .await;
                return false;
            }
        }
        true
    }

    async fn attached(&mut self, server: Server, windows: &Value, sessions: &Value) {
        self.successor = match &self.program {
            Some(program) => successor::of(program, &server).await.map(|next| (next, Instant::now())),
            None => None,
        };
        let moved = self.server.as_ref().is_some_and(|before| before.url != server.url);
        panes::serve_from(&server.url);
        self.known.read(windows, sessions);
        self.server = Some(server.clone());
        self.give_way().await;
        let let_in = match &self.cookie {
            Some(cookie) => server.lets_in(cookie.split(';').next().unwrap_or_default()).await,
            None => false,
        };
        if !let_in {
            self.cookie = grant(&server).await;
            self.give_cookie().await;
        }
        let reload_all = moved || !let_in;
        let _ = on_main(&self.app, move |_, panes| panes.bring_back(reload_all)).await;
        if let Some(what) = self.what.take() {
            // The windows that were there come back all the same; the change feed brings the new one.
            if let Err(words) = named::show(&server, &what).await {
                self.say("Gander could not open that.", words);
            }
        }
        self.show_all().await;
        self.count_turns();
    }

    /// Makes the native windows those that are open in the journal.
    async fn show_all(&mut self) {
        let ids: Vec<String> = self.known.open().iter().map(|window| window.id.clone()).collect();
        if ids.is_empty() && self.reopen_last().await {
            // It comes with the changes.
            return;
        }
        let keep = ids.clone();
        let _ = on_main(&self.app, move |_, panes| panes.keep_only(&keep)).await;
        // The one that somebody looked at last is there first.
        let focused = self.known.focused.clone().filter(|id| ids.contains(id));
        let others = ids.into_iter().filter(|id| focused.as_ref() != Some(id));
        let all: Vec<String> = focused.iter().cloned().chain(others).collect();
        let ahead = panes::engines(all.len());
        self.returning = Returning::of(all, ahead);
        self.show_more().await;
    }

    /// Goes on with the windows that come back.
    async fn show_more(&mut self) {
        if self.returning.is_over() {
            return;
        }
        let (mut shown, focused) = (Vec::new(), self.known.focused.clone());
        while let Some(id) = self.returning.next(Instant::now()) {
            let Some(window) = self.known.get(&id) else { continue };
            let (is_open, minimized) = (window.open, Geometry::read(&window.geometry).is_some_and(|at| at.minimized));
            // Nobody waits for a minimised one, whose page is drawn when it comes up.
            if is_open && self.show(&id, false).await && !minimized {
                self.returning.loads(id.clone(), Instant::now());
            }
            shown.push(id);
        }
        let Some(focused) = focused.filter(|_| !shown.is_empty()) else { return };
        // A window that came later may have taken the keyboard from the first; one that somebody went to keeps it.
        let _ = on_main(&self.app, move |_, panes| {
            if panes.last_focused().is_none_or(|last| last == focused || shown.contains(&last)) {
                panes.focus(&focused);
            }
        })
        .await;
    }

    /// Where no window is open, the one that was closed last comes back, so that nobody starts with an empty screen or another
    /// untouched chat.
    async fn reopen_last(&self) -> bool {
        let Some(server) = &self.server else { return false };
        let closed = server.get("windows").await.ok().and_then(|all| {
            all["windows"].as_array()?.iter().find(|window| window["open"] == false)?["id"].as_str().map(str::to_owned)
        });
        let opened = match closed {
            Some(id) => server.post(&format!("windows/{id}/reopen"), &json!({})).await,
            None => server.post("windows", &json!({})).await,
        };
        if let Err(error) = &opened {
            self.say("No window could be opened.", error.to_string());
        }
        opened.is_ok()
    }

    /// One native window, where there is none yet; whether there is a new one.
    async fn show(&mut self, id: &str, wanted: bool) -> bool {
        let Some(window) = self.known.get(id).cloned() else { return false };
        let title = self.known.title(&window);
        let (nth, of) = (u32::try_from(window.ordinal).unwrap_or_default(), self.known.open().len());
        let (events, geometry) = (self.events.clone(), Geometry::read(&window.geometry));
        let made = on_main(&self.app, move |app, panes| {
            panes.open(app, panes::New { id: window.id, title, geometry, nth, of, wanted, events })
        });
        match made.await {
            Some(Ok(panes::Opened::First)) => {
                self.give_cookie().await;
                let id = id.to_owned();
                let _ = on_main(&self.app, move |_, panes| panes.load(&id)).await;
                true
            }
            Some(Ok(panes::Opened::Other)) => true,
            Some(Ok(panes::Opened::There)) | None => false,
            Some(Err(error)) => {
                self.say("A window could not be opened.", format!("{error}. Its chat is kept."));
                false
            }
        }
    }

    /// Lets the web engine in: its cookies are all windows'.
    async fn give_cookie(&self) {
        let Some(cookie) = self.cookie.clone() else { return };
        let window = on_main(&self.app, |_, panes| panes.any()).await.flatten();
        let Some(window) = window else { return };
        let given = tokio::task::spawn_blocking(move || panes::set_cookie(&window, &cookie)).await;
        if !matches!(given, Ok(Ok(()))) {
            self.say("The windows could not be let in.", "Quit Gander and start it again; everything is kept.".into());
        }
    }

    async fn changed(&mut self, change: Change) -> bool {
        match change.kind.as_str() {
            "window" => {
                let Some(window) = self.known.window(&change.data) else { return true };
                if !window.open || change.data["attached"] == true {
                    self.returning.settled(&window.id);
                }
                self.show_more().await;
                if window.open {
                    self.show(&window.id, true).await;
                } else {
                    self.moved.remove(&window.id);
                    let _ = on_main(&self.app, move |_, panes| panes.close(&window.id)).await;
                    if self.known.open().is_empty() {
                        return self.ask_or_leave(Leaving::Quit).await;
                    }
                }
            }
            "raise" => {
                if let Some(id) = change.window_id {
                    let _ = on_main(&self.app, move |_, panes| panes.raise(&id)).await;
                }
            }
            "session" => {
                if let Some((session, news)) = self.known.session(&change.data) {
                    if let Some(news) = news {
                        self.notify(&session.id, session.title().to_owned(), news).await;
                    }
                    self.count_turns();
                    if self.known.running().is_empty()
                        && let Some(leaving) = self.finishing.take()
                    {
                        return self.go(leaving).await;
                    }
                }
            }
            "finding" if change.data["severity"] != "info" => {
                let words = change.data["detail"].as_str().unwrap_or("Gander found something.").to_owned();
                let session = change.session_id.unwrap_or_default();
                native::notify(&self.app, &session, "Something was found", &words, &self.events);
            }
            _ => {}
        }
        true
    }

    async fn notify(&self, session: &str, title: String, news: News) {
        let shown = self.known.showing(session).map(|window| window.id.clone());
        let looked_at = on_main(&self.app, move |_, panes| shown.is_some_and(|id| panes.is_looked_at(&id))).await;
        if looked_at == Some(true) {
            return;
        }
        let words = match news {
            News::Done => "The agent is done.",
            News::Interrupted => "The turn was interrupted. It can be continued.",
            News::AsksPermission => "The agent asks for permission.",
        };
        native::notify(&self.app, session, &title, words, &self.events);
    }

    fn count_turns(&self) {
        let running = self.known.running();
        let asking =
            running.iter().filter(|session| session.turn.as_ref().is_some_and(|turn| !turn.permissions.is_empty()));
        let (running, asking) = (running.len(), asking.count());
        let app = self.app.clone();
        let _ = self.app.run_on_main_thread(move || {
            crate::tray::say(&app, running, asking);
            native::badge(&app, asking);
        });
    }

    async fn told(&mut self, told: Told) -> bool {
        match told {
            Told::Touched(id) => self.touched(id),
            Told::DisplaysChanged => self.settled = Some(Instant::now() + SETTLED),
            Told::CloseAsked(id) => {
                if self.known.open().len() == 1 && self.known.open()[0].id == id {
                    return self.ask_or_leave(Leaving::LastWindow(id)).await;
                }
                self.close(&id).await;
            }
            Told::Action(action, window) => return self.act(action, window).await,
            Told::Clicked(session) => self.go_to(&session).await,
            Told::Answered(answer, leaving) => {
                self.asking = false;
                match answer {
                    QuitAnswer::Cancel => self.finishing = None,
                    QuitAnswer::Finish if !self.known.running().is_empty() => self.finishing = Some(leaving),
                    QuitAnswer::Finish | QuitAnswer::Interrupt => return self.go(leaving).await,
                }
            }
            Told::Folder(folder) => {
                self.ask(|server| async move { server.post("windows", &json!({"cwd": folder})).await.map(drop) }).await
            }
            Told::Dropped(id, files) => self.attach(id, files),
            Told::PageGone(id) => {
                if self.server.is_some() {
                    let _ = on_main(&self.app, move |_, panes| panes.load(&id)).await;
                }
            }
        }
        true
    }

    async fn act(&mut self, action: Action, window: Option<String>) -> bool {
        tracing::info!(?action, window, "chosen");
        match action {
            Action::NewWindow => {
                self.ask(|server| async move { server.post("windows", &json!({})).await.map(drop) }).await
            }
            Action::NewChat => {
                let Some(id) = window else { return Box::pin(self.act(Action::NewWindow, None)).await };
                self.save_drafts(Some(&id)).await;
                self.ask(
                    |server| async move { server.post(&format!("windows/{id}/new-chat"), &json!({})).await.map(drop) },
                )
                .await;
            }
            Action::MoveToNewWindow => {
                let shown = window.and_then(|id| Some((self.known.get(&id)?.session_id.clone()?, id)));
                let Some((session, id)) = shown else { return true };
                self.save_drafts(Some(&id)).await;
                let path = format!("windows/{id}/move-session");
                self.ask(|server| async move { server.post(&path, &json!({"session_id": session})).await.map(drop) })
                    .await;
            }
            Action::Reopen => {
                self.ask(|server| async move {
                    let all = server.get("windows").await?;
                    let windows = all["windows"].as_array().cloned().unwrap_or_default();
                    let closed =
                        windows.iter().find(|window| window["open"] == false).and_then(|window| window["id"].as_str());
                    match closed {
                        Some(id) => server.post(&format!("windows/{id}/reopen"), &json!({})).await.map(drop),
                        None => Ok(()),
                    }
                })
                .await
            }
            Action::Show => {
                let id = window.or_else(|| self.known.open().first().map(|window| window.id.clone()));
                match id {
                    Some(id) => drop(on_main(&self.app, move |_, panes| panes.raise(&id)).await),
                    None => drop(self.reopen_last().await),
                }
            }
            Action::OpenFolder => {
                let events = self.events.clone();
                let _ = on_main(&self.app, move |app, _| native::choose_folder(app, events)).await;
            }
            Action::Close => {
                if let Some(id) = window {
                    return Box::pin(self.told(Told::CloseAsked(id))).await;
                }
            }
            Action::Quit => return self.ask_or_leave(Leaving::Quit).await,
            Action::OfTheWindow(of) => {
                if let Some(id) = window {
                    let asked = id.clone();
                    let _ = on_main(&self.app, move |_, panes| panes.act(&asked, of)).await;
                    self.touched(id);
                }
            }
        }
        true
    }

    /// Puts files into the store and gives them to a window's page, while everything else goes on.
    fn attach(&self, id: String, files: Vec<PathBuf>) {
        let Some(server) = self.server.clone() else {
            return self.say("Gander is starting.", "Drop the files again in a moment.".into());
        };
        let app = self.app.clone();
        // They are for the session that the window shows now; nothing is sent there before they are.
        let session = self.known.get(&id).and_then(|window| window.session_id.clone());
        tokio::spawn(async move {
            let (begun, to) = (json!({"session_id": session}), id.clone());
            let _ = on_main(&app, move |_, panes| panes.give(&to, &begun)).await;
            let (mut attached, mut refused) = (Vec::new(), Vec::new());
            for file in files {
                match dropped::put(&server, file).await {
                    Ok(attachment) => attached.push(attachment),
                    Err(words) => refused.push(words),
                }
            }
            let stored = json!({"session_id": session, "attachments": attached});
            let _ = on_main(&app, move |app, panes| {
                panes.give(&id, &stored);
                if !refused.is_empty() {
                    native::say(app, "Not everything was attached.", &refused.join(" "));
                }
            })
            .await;
        });
    }

    /// Asks the server for something, and says why when it was refused.
    async fn ask<F>(&self, what: impl FnOnce(Server) -> F)
    where
        F: Future<Output = Result<(), crate::http::Error>>,
    {
        let Some(server) = self.server.clone() else {
            return self.say("Gander is starting.", "Try again in a moment; everything is kept.".into());
        };
        if let Err(error) = what(server).await {
            self.say("That was not done.", error.to_string());
        }
    }

    async fn go_to(&self, session: &str) {
        if session.is_empty() {
            // What was found in no session of ours stands on a page of its own.
            let window = self.known.open().first().map(|window| window.id.clone());
            let _ = on_main(&self.app, move |_, panes| {
                let Some(id) = panes.last_focused().or(window) else { return };
                panes.raise(&id);
                panes.act(&id, OfTheWindow::Page("#/findings"));
            })
            .await;
            return;
        }
        let session = session.to_owned();
        self.ask(|server| async move { named::open_session(&server, &session).await.map(drop) }).await;
    }

    fn say(&self, title: &'static str, words: String) {
        tracing::warn!("{title} {words}");
        let app = self.app.clone();
        let _ = self.app.run_on_main_thread(move || native::say(&app, title, &words));
    }

    /// Closes a window, its draft saved first.
    async fn close(&mut self, id: &str) {
        self.save_drafts(Some(id)).await;
        self.write_down_moved(true).await;
        let path = format!("windows/{id}");
        self.ask(|server| async move { server.delete(&path).await.map(drop) }).await;
    }

    fn touched(&mut self, id: String) {
        let now = Instant::now();
        self.moved.entry(id).or_insert(Moved { first: now, last: now }).last = now;
    }

    /// Windows of displays that are gone come onto those that there are, and go home when they are back.
    async fn settle(&mut self) {
        self.settled = None;
        for id in on_main(&self.app, |app, panes| panes.settle(app)).await.unwrap_or_default() {
            self.touched(id);
        }
    }

    /// Writes down where windows are now: those whose time has come, or all.
    async fn write_down_moved(&mut self, all: bool) {
        let now = Instant::now();
        let due: Vec<String> =
            self.moved.iter().filter(|(_, moved)| all || moved.due() <= now).map(|(id, _)| id.clone()).collect();
        for id in due {
            self.moved.remove(&id);
            let asked = id.clone();
            let place = on_main(&self.app, move |_, panes| panes.look(&asked)).await.flatten();
            let (Some(place), Some(server)) = (place, &self.server) else { continue };
            if let Err(error) = server.patch(&format!("windows/{id}"), &json!({"geometry": place})).await {
                // It is tried again with the next move, and it is only a place.
                tracing::warn!(%error, window = id, "a window's place was not kept");
                let _ = on_main(&self.app, move |_, panes| panes.not_kept(&id)).await;
            }
        }
    }

    /// Has pages save what is being typed; gives how many could not.
    async fn save_drafts(&self, of: Option<&str>) -> usize {
        let until = Instant::now() + DRAFTS;
        let of = of.map(str::to_owned);
        loop {
            let of = of.clone();
            let asked = on_main(&self.app, move |_, panes| panes.ask_drafts(of.as_deref())).await.unwrap_or_default();
            let mut unsaved = 0;
            for answer in asked {
                // A dead web process answers nothing; what was typed is in the journal or in the web engine's own store.
                let answer = timeout(Duration::from_millis(400), answer).await;
                unsaved += usize::from(matches!(answer, Ok(Ok(false))));
            }
            if unsaved == 0 || Instant::now() > until {
                return unsaved;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// Leaves, if nothing is lost by it; else asks. False when it has left.
    async fn ask_or_leave(&mut self, leaving: Leaving) -> bool {
        if self.asking {
            return true;
        }
        let unsaved = self.save_drafts(None).await;
        let running = if self.is_ours { self.known.running().len() } else { 0 };
        if running == 0 && unsaved == 0 {
            return self.go(leaving).await;
        }
        tracing::info!(running, unsaved, ?leaving, "asking before quitting");
        self.asking = true;
        let events = self.events.clone();
        let _ = on_main(&self.app, move |app, _| native::ask_quit(app, running, unsaved, leaving, events)).await;
        true
    }

    async fn go(&mut self, leaving: Leaving) -> bool {
        if let Leaving::LastWindow(id) = &leaving {
            self.close(id).await;
        }
        self.leave(QUIT).await;
        false
    }

    /// Ends this process. Windows stay open in the journal; a server of ours is stopped, which interrupts turns.
    async fn leave(&mut self, patience: Duration) {
        self.save_drafts(None).await;
        self.write_down_moved(true).await;
        // An agent that does not react when it is told to stop has three seconds; nobody needs to watch that.
        let _ = on_main(&self.app, |_, panes| panes.hide_all()).await;
        let (done, stopped) = oneshot::channel();
        if self.stops.send(Stop { patience, done }).await.is_ok() {
            // A little more than the server gets, because it may not even be attached.
            let _ = timeout(patience + Duration::from_secs(1), stopped).await;
        }
        self.app.exit(0);
    }

    /// Another version serves: the windows go on in its own program, once everything that is only here is written down.
    async fn give_way(&mut self) {
        let Some((next, _)) = self.successor.take() else { return };
        let Some(program) = self.program.clone() else { return };
        let unsaved = self.save_drafts(None).await;
        if unsaved > 0 || self.asking || self.finishing.is_some() || self.server.is_none() {
            tracing::info!(unsaved, "the windows wait before they go on in another version");
            self.successor = Some((next, Instant::now() + AGAIN));
            return;
        }
        self.write_down_moved(true).await;
        successor::become_it(&program, &next, &self.data_dir, self.what.as_deref());
    }
}

/// A grant of this process: the ones of earlier processes, which nobody uses any more, are revoked.
async fn grant(server: &Server) -> Option<String> {
    let label = native::label();
    let earlier = server.get("auth/grants").await.unwrap_or_default();
    let cookie = match server.let_in(&label).await {
        Ok(cookie) => cookie,
        Err(error) => {
            tracing::error!(%error, "no grant for the windows");
            return None;
        }
    };
    for grant in earlier["grants"].as_array().into_iter().flatten() {
        let ours = grant["label"].as_str().is_some_and(|label| label.starts_with(native::LABEL));
        if let Some(id) = grant["id"].as_str().filter(|_| ours) {
            let _ = server.delete(&format!("auth/grants/{}", encode(id))).await;
        }
    }
    Some(cookie)
}
