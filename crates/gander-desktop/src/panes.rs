//! The native windows. All of it runs on the main thread, as the toolkit wants it.
//!
//! A window shows the server's page at `/w/{id}` and nothing else: other addresses are not navigated to, and what a page opens
//! on purpose (after its reader confirmed it) goes to the browser. Pages have no way into this process: no command is
//! registered and no capability names them; what they want, they ask of the server.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::RwLock;

use tauri::webview::{Cookie, NewWindowResponse, WebviewWindow, WebviewWindowBuilder};
use tauri::{AppHandle, LogicalPosition, LogicalSize, Url, WebviewUrl, WindowEvent};
use tokio::sync::{mpsc, oneshot};

use crate::displays;
use crate::events::{Event, Told};
use crate::geometry::{Display, Geometry, LEAST, sane_zoom};
use crate::menu::OfTheWindow;
use crate::native;

/// Where pages come from now. One value for all windows, because the port of a journal can change under them.
static ORIGIN: RwLock<String> = RwLock::new(String::new());

/// Pages come from here from now on.
pub fn serve_from(url: &str) {
    let mut origin = ORIGIN.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    url.trim_end_matches('/').clone_into(&mut origin);
}

fn origin() -> String {
    ORIGIN.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

fn address(id: &str) -> Option<Url> {
    format!("{}/w/{id}", origin()).parse().ok()
}

/// Whether an address is one of our own pages.
fn is_own(url: &Url) -> bool {
    let local = url.scheme() == "tauri" || (url.scheme() == "about" && url.path() == "blank");
    local || url.origin().ascii_serialization() == origin()
}

/// One native window.
struct Pane {
    window: WebviewWindow,
    /// Which web process its page shares.
    engine: usize,
    /// Where it was when it was looked at last.
    place: Geometry,
    /// The journal has this place.
    kept: bool,
    /// It was opened maximised or in full screen, so the window manager does not know the place below that.
    put_back: bool,
}

/// All of them.
#[derive(Default)]
pub struct Panes {
    all: HashMap<String, Pane>,
    /// The window that has, or had last, the keyboard.
    focused: Option<String>,
    /// Displays have come or gone: until the window manager has had its way, where windows are says nothing of where they belong.
    unsettled: bool,
}

/// A window to open.
pub struct New {
    pub id: String,
    pub title: String,
    pub geometry: Option<Geometry>,
    /// Its place in the order: new windows lie beside each other.
    pub nth: u32,
    /// How many windows there will be.
    pub of: usize,
    /// Somebody asked for it just now, so it gets the keyboard.
    pub wanted: bool,
    pub events: mpsc::Sender<Event>,
}

/// How a window was opened.
pub enum Opened {
    /// The web engine has no page yet: let it in, then load.
    First,
    /// The web engine is let in already: it loads by itself.
    Other,
    /// It was there.
    There,
}

thread_local! {
    static PANES: RefCell<Panes> = RefCell::default();
}

/// Does something with the windows on the main thread. Nothing when the application is ending.
pub async fn on_main<T: Send + 'static>(
    app: &AppHandle,
    what: impl FnOnce(&AppHandle, &mut Panes) -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = oneshot::channel();
    let handle = app.clone();
    let asked = app.run_on_main_thread(move || {
        let value = PANES.with_borrow_mut(|panes| what(&handle, panes));
        let _ = done.send(value);
    });
    asked.ok()?;
    result.await.ok()
}

/// Displays have come or gone: until they are [settled](Panes::settle), windows belong where they were.
#[cfg(target_os = "linux")]
pub fn displays_changed(events: &mpsc::Sender<Event>) {
    PANES.with_borrow_mut(|panes| panes.unsettled = true);
    tell(events, Told::DisplaysChanged);
}

/// The window that a menu's choice is for.
pub fn focused() -> Option<String> {
    PANES.with_borrow(Panes::last_focused)
}

const LABEL: &str = "w-";
/// What a page is named while it is loading.
const UNNAMED: &str = "Gander";

/// The window that a native label names.
pub fn id_of(label: &str) -> Option<&str> {
    label.strip_prefix(LABEL)
}

/// What happened to a native window.
pub fn heard(label: &str, event: &WindowEvent, events: &mpsc::Sender<Event>) {
    let Some(id) = id_of(label) else { return };
    let told = match event {
        WindowEvent::CloseRequested { api, .. } => {
            // The journal closes it; its native side goes when the change comes.
            api.prevent_close();
            Told::CloseAsked(id.to_owned())
        }
        WindowEvent::Focused(true) => {
            PANES.with_borrow_mut(|panes| panes.focused = Some(id.to_owned()));
            return;
        }
        WindowEvent::Moved(_) | WindowEvent::Resized(_) | WindowEvent::ScaleFactorChanged { .. } => {
            Told::Touched(id.to_owned())
        }
        _ => return,
    };
    tell(events, told);
}

/// Tells the driver. It takes events faster than a person can make them; one too many is not worth blocking the toolkit.
pub fn tell(events: &mpsc::Sender<Event>, told: Told) {
    // Where nobody listens any more, this process is ending.
    if let Err(error @ mpsc::error::TrySendError::Full(_)) = events.try_send(Event::Told(told)) {
        tracing::warn!(%error, "an event of the windows was dropped");
    }
}

impl Panes {
    /// Opens a native window for one of the journal.
    pub fn open(&mut self, app: &AppHandle, new: New) -> tauri::Result<Opened> {
        if self.all.contains_key(&new.id) {
            return Ok(Opened::There);
        }
        let displays = displays::all(app);
        let place = match new.geometry.clone() {
            Some(kept) => kept.onto(&displays),
            None => Geometry::fresh(new.nth, &displays),
        };
        let kept = new.geometry.as_ref() == Some(&place);
        let first = self.all.is_empty();
        let engine = engine_for(self.all.values().map(|pane| pane.engine), new.of);
        let related =
            self.all.values().find(|pane| pane.engine == engine).and_then(|pane| native::view_of(&pane.window));
        // Without a cookie the server would refuse the first one. From `about:blank` the engine goes on in the same process; any
        // other page would cost each window a process of its own.
        let blank = "about:blank".parse().ok();
        let url = if first { blank } else { address(&new.id) };
        let url = url.map_or_else(|| WebviewUrl::App("index.html".into()), WebviewUrl::External);
        let mut builder = WebviewWindowBuilder::new(app, format!("{LABEL}{}", new.id), url)
            .title(&new.title)
            .position(place.x, place.y)
            .inner_size(place.width, place.height)
            .min_inner_size(LEAST.0, LEAST.1)
            .maximized(place.maximized)
            .fullscreen(place.fullscreen)
            .focused(new.wanted)
            .user_agent(&native::user_agent())
            .data_directory(native::web_folder(app))
            // Files that are dropped are the page's, as in a browser.
            .disable_drag_drop_handler()
            .on_navigation(is_own)
            .on_new_window(|url, _| {
                if ["http", "https", "mailto"].contains(&url.scheme()) && !is_own(&url) {
                    native::open_outside(url.as_str());
                }
                NewWindowResponse::Deny
            })
            .on_document_title_changed(|window, title| {
                let _ = window.set_title(if title.is_empty() { UNNAMED } else { &title });
                // A page is named after what it shows once it shows it.
                if ![UNNAMED, ""].contains(&title.as_str()) {
                    native::uncover(&window);
                }
            });
        if let Some(view) = related {
            builder = native::beside(builder, view);
        }
        let window = builder.build()?;
        native::dress(&window, &new.id, &new.events);
        native::cover(&window);
        if place.zoom != 1.0 {
            window.set_zoom(place.zoom)?;
        }
        if place.minimized {
            window.minimize()?;
        }
        let put_back = place.maximized || place.fullscreen;
        self.all.insert(new.id, Pane { window, engine, place, kept, put_back });
        Ok(if first { Opened::First } else { Opened::Other })
    }

    /// The window that has, or had last, the keyboard.
    pub fn last_focused(&self) -> Option<String> {
        self.focused.clone().filter(|id| self.all.contains_key(id))
    }

    /// Any window, to reach the web engine that all share.
    pub fn any(&self) -> Option<WebviewWindow> {
        self.all.values().next().map(|pane| pane.window.clone())
    }

    /// Loads a window's page (again).
    pub fn load(&mut self, id: &str) {
        if let (Some(pane), Some(url)) = (self.all.get(id), address(id))
            && let Err(error) = pane.window.navigate(url)
        {
            tracing::warn!(%error, window = id, "a page was not loaded");
        }
    }

    /// After the server came back: pages find back by themselves, except those that could not be loaded.
    pub fn bring_back(&mut self, all: bool) {
        let ids: Vec<String> = self.all.keys().cloned().collect();
        for id in ids {
            if all || native::failed(&self.all[&id].window) {
                self.load(&id);
            }
        }
    }

    pub fn close(&mut self, id: &str) {
        if let Some(pane) = self.all.remove(id) {
            let _ = pane.window.destroy();
        }
    }

    /// Closes those that the journal does not have open.
    pub fn keep_only(&mut self, ids: &[String]) {
        let gone: Vec<String> = self.all.keys().filter(|id| !ids.contains(id)).cloned().collect();
        for id in gone {
            self.close(&id);
        }
    }

    /// Out of sight, while what is behind them ends.
    pub fn hide_all(&self) {
        for pane in self.all.values() {
            let _ = pane.window.hide();
        }
    }

    pub fn focus(&mut self, id: &str) {
        if let Some(pane) = self.all.get(id)
            && !pane.place.minimized
        {
            let _ = pane.window.set_focus();
        }
    }

    /// To the front, wherever it is.
    pub fn raise(&mut self, id: &str) {
        if let Some(pane) = self.all.get(id) {
            let _ = pane.window.unminimize();
            let _ = pane.window.show();
            let _ = pane.window.set_focus();
            self.focused = Some(id.to_owned());
        }
    }

    pub fn is_looked_at(&self, id: &str) -> bool {
        self.all.get(id).is_some_and(|pane| pane.window.is_focused().unwrap_or(false))
    }

    /// Puts all windows where they belong on the displays that there are now; gives which there are.
    pub fn settle(&mut self, app: &AppHandle) -> Vec<String> {
        let displays = displays::all(app);
        if !displays.is_empty() {
            self.unsettled = false;
            for (id, pane) in &mut self.all {
                let frame = native::frame(&pane.window);
                let room =
                    |of: &Display| Display { width: of.width - frame.0, height: of.height - frame.1, ..of.clone() };
                let rooms: Vec<Display> = displays.iter().map(room).collect();
                if let Err(error) = pane.put(pane.place.clone().onto(&rooms)) {
                    tracing::warn!(%error, window = id, "a window was not put onto a display");
                }
            }
        }
        self.all.keys().cloned().collect()
    }

    /// Where a window is now, if that is another place than before.
    pub fn look(&mut self, id: &str) -> Option<Geometry> {
        if self.unsettled {
            return None;
        }
        let pane = self.all.get_mut(id)?;
        let window = &pane.window;
        let mut place = pane.place.clone();
        place.maximized = window.is_maximized().ok()?;
        place.fullscreen = window.is_fullscreen().ok()?;
        place.minimized = window.is_minimized().ok()?;
        if !(place.maximized || place.fullscreen || place.minimized) {
            if std::mem::take(&mut pane.put_back) {
                let _ = window.set_size(LogicalSize::new(place.width, place.height));
                let _ = window.set_position(LogicalPosition::new(place.x, place.y));
            } else {
                let (x, y, width, height) = native::place(window)?;
                place = Geometry { x, y, width, height, ..place };
            }
        }
        if let Some(display) = window.current_monitor().ok().flatten().as_ref().map(displays::of) {
            (place.display, place.display_at) = (display.name, Some((display.x, display.y)));
        }
        if pane.kept && place == pane.place {
            return None;
        }
        pane.kept = true;
        pane.place = place.clone();
        Some(place)
    }

    /// The journal did not take a window's place: the next look gives it again.
    pub fn not_kept(&mut self, id: &str) {
        if let Some(pane) = self.all.get_mut(id) {
            pane.kept = false;
        }
    }

    /// What a menu says to one window.
    pub fn act(&mut self, id: &str, of: OfTheWindow) {
        let Some(pane) = self.all.get_mut(id) else { return };
        let window = &pane.window;
        let done = match of {
            OfTheWindow::Reload => window.reload(),
            OfTheWindow::Print => window.print(),
            OfTheWindow::FullScreen => window.set_fullscreen(!window.is_fullscreen().unwrap_or(false)),
            OfTheWindow::Minimise => window.minimize(),
            OfTheWindow::Page(hash) => window.eval(format!("location.hash = '{hash}'")),
            OfTheWindow::Zoom(step) => {
                let zoom = sane_zoom(if step == 0 { 1.0 } else { pane.place.zoom * 1.1_f64.powi(step) });
                pane.place.zoom = (zoom * 100.0).round() / 100.0;
                // Known here already, so a look alone would find nothing new to write down.
                pane.kept = false;
                window.set_zoom(pane.place.zoom)
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, window = id, "a window did not do what its menu said");
        }
    }

    /// Tells a page of what was dropped onto its window: for which session, and what of it is in the store by now.
    pub fn give(&self, id: &str, dropped: &serde_json::Value) {
        let Some(pane) = self.all.get(id) else { return };
        let given =
            pane.window.eval(format!("dispatchEvent(new CustomEvent('gander-dropped', {{ detail: {dropped} }}))"));
        if let Err(error) = given {
            tracing::warn!(%error, window = id, "a page was not given what was dropped onto it");
        }
    }

    /// Has pages save their drafts; each answers whether it has.
    pub fn ask_drafts(&self, of: Option<&str>) -> Vec<oneshot::Receiver<bool>> {
        let asked = self.all.iter().filter(|(id, _)| of.is_none_or(|of| of == id.as_str()));
        asked.map(|(_, pane)| ask_draft(&pane.window)).collect()
    }
}

impl Pane {
    /// Puts a window somewhere else. One that fills a display does so on the one where it belongs.
    fn put(&mut self, place: Geometry) -> tauri::Result<()> {
        let window = &self.window;
        let there =
            window.current_monitor()?.as_ref().map(displays::of).map(|there| (there.name, Some((there.x, there.y))));
        let fills = place.maximized || place.fullscreen;
        let is_there = if fills {
            there == Some((place.display.clone(), place.display_at))
        } else {
            native::place(window) == Some((place.x, place.y, place.width, place.height))
        };
        if !is_there {
            if fills {
                window.set_fullscreen(false)?;
                window.unmaximize()?;
            }
            window.set_size(LogicalSize::new(place.width, place.height))?;
            window.set_position(LogicalPosition::new(place.x, place.y))?;
            if place.maximized {
                window.maximize()?;
            }
            window.set_fullscreen(place.fullscreen)?;
        }
        self.kept = self.kept && self.place == place;
        self.place = place;
        Ok(())
    }
}

/// The page saves at once when it is told that it goes away.
const SAVE_DRAFT: &str = "(() => { const state = document.querySelector('[data-testid=draft-state]')?.dataset.state ?? 'saved'; \
     if (state !== 'saved') dispatchEvent(new Event('pagehide')); return state === 'saved'; })()";

fn ask_draft(window: &WebviewWindow) -> oneshot::Receiver<bool> {
    let (answer, answered) = oneshot::channel();
    let answer = RefCell::new(Some(answer));
    let asked = window.eval_with_callback(SAVE_DRAFT, move |value| {
        if let Some(answer) = answer.take() {
            let _ = answer.send(value.trim() == "true");
        }
    });
    if let Err(error) = asked {
        tracing::warn!(%error, "a page was not asked for its draft");
    }
    answered
}

/// So many windows share a web process. One more process costs 110 MB; with many windows it halves the time until all are there,
/// because a process draws its pages one after the other.
const SHARE: usize = 16;

/// How many web processes so many windows have.
pub fn engines(windows: usize) -> usize {
    windows.div_ceil(SHARE).max(1)
}

/// The web process for one more of so many windows: the one with the fewest.
fn engine_for(taken: impl Iterator<Item = usize> + Clone, windows: usize) -> usize {
    let share = |engine: &usize| taken.clone().filter(|other| other == engine).count();
    (0..engines(windows)).min_by_key(share).unwrap_or_default()
}

/// Gives the web engine its grant for as long as this process lives. Not on the main thread, which it waits for.
pub fn set_cookie(window: &WebviewWindow, set: &str) -> tauri::Result<()> {
    let Ok(mut cookie) = Cookie::parse(set.to_owned()) else { return Ok(()) };
    // Without an age it is kept nowhere: each process of ours gets a grant of its own.
    cookie.set_max_age(None);
    cookie.unset_expires();
    cookie.set_domain("127.0.0.1");
    window.set_cookie(cookie)
}

#[cfg(test)]
mod tests {
    use super::engine_for;

    /// How many windows each web process has, when so many are opened at once.
    fn shares(windows: usize) -> Vec<usize> {
        let mut taken: Vec<usize> = Vec::new();
        for _ in 0..windows {
            taken.push(engine_for(taken.iter().copied(), windows));
        }
        let most = taken.iter().max().map_or(0, |most| most + 1);
        (0..most).map(|engine| taken.iter().filter(|other| **other == engine).count()).collect()
    }

    #[test]
    fn few_windows_share_one_web_process_and_many_are_spread() {
        assert_eq!(shares(5), [5]);
        assert_eq!(shares(16), [16]);
        assert_eq!(shares(17), [9, 8]);
        assert_eq!(shares(32), [16, 16]);
    }

    #[test]
    fn a_window_that_is_opened_later_goes_where_there_are_fewest() {
        assert_eq!(engine_for([0; 16].into_iter(), 17), 1);
        assert_eq!(engine_for([0, 0, 1].into_iter(), 4), 0);
        assert_eq!(engine_for([1, 1].into_iter(), 3), 0);
    }
}
