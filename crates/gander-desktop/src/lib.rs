//! `gander-desktop`: native windows on the web UI of the running Gander, over the same HTTP as any browser or program.
//!
//! It refuses to know the journal: it finds the server of the data folder, or starts `gander serve` as a process of its own,
//! shows each window that is open in the journal as a native one, and writes down where it is. So a crash of the toolkit or of
//! the web engine cuts no answer off, and this program can be killed and started again at any moment.
//!
//! Reading order: [`events`] and [`driver`] (what happens), [`panes`] (the windows), [`link`] and [`host`] (the server), [`successor`] (which
//! version shows them), [`native`] (the platform).

mod arguments;
mod displays;
mod driver;
mod dropped;
mod events;
mod folder;
mod geometry;
mod host;
mod http;
mod journal;
mod link;
mod menu;
mod named;
mod native;
mod panes;
mod returning;
mod successor;
mod tray;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tauri::RunEvent;
use tokio::sync::mpsc;
use tokio::time::Instant;

use arguments::{Arguments, Print, USAGE};
use driver::{Driver, Parts};
use events::{Event, Told};
use folder::Lock;
use host::Host;

/// Events that wait; a person makes a few a second.
const EVENTS: usize = 4096;
/// The version: that of the server which it belongs to.
const VERSION: &str = env!("GANDER_VERSION");
/// How long a second start waits for the first one's server.
const SECOND_PATIENCE: Duration = Duration::from_secs(60);

/// The program.
pub fn main() -> ExitCode {
    native::before_anything();
    match run() {
        Ok(code) => code,
        Err(words) => {
            let _ = writeln!(std::io::stderr(), "gander-desktop: {words}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let program = successor::ProgramFile::this();
    let arguments = Arguments::read(std::env::args_os().skip(1)).map_err(|what| format!("{what}.\n\n{USAGE}"))?;
    if let Some(print) = arguments.print {
        let text = match print {
            Print::Usage => USAGE.to_owned(),
            Print::Version => format!("gander-desktop {VERSION}\n"),
        };
        let printed = std::io::stdout().write_all(text.as_bytes());
        return printed.map(|()| ExitCode::SUCCESS).map_err(|error| error.to_string());
    }
    let filter = tracing_subscriber::EnvFilter::try_from_env("GANDER_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();

    if !native::has_display() {
        return Err(
            "There is no display to show windows on. Use a browser elsewhere with `gander serve` and `gander open`."
                .into(),
        );
    }
    let data_dir = folder::choose(arguments.data_dir)?;
    let own = folder::own(&data_dir).map_err(|error| format!("{} cannot be used: {error}.", data_dir.display()))?;
    let what = arguments.what.map(|what| what.to_string_lossy().into_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("Threads could not be started: {error}."))?;
    let lock = runtime.block_on(alone_or_told(&data_dir, &own, what.as_deref().unwrap_or_default()))?;
    let Some(lock) = lock else { return Ok(ExitCode::SUCCESS) };
    if let Some(program) = &program
        && let Some(next) = runtime.block_on(successor::before_any_window(program, &data_dir, &own))
    {
        successor::become_it(program, &next, &data_dir, what.as_deref());
    }
    let code = first(&runtime, program, &data_dir, &own, what);
    lock.release();
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The lock, if this process is the one that shows the windows. Else the one that does is told, through the server, what to
/// show.
async fn alone_or_told(data_dir: &Path, own: &Path, what: &str) -> Result<Option<Lock>, String> {
    let until = Instant::now() + SECOND_PATIENCE;
    loop {
        let lock = Lock::take(own).map_err(|error| format!("{} cannot be locked: {error}.", own.display()))?;
        if lock.is_some() {
            return Ok(lock);
        }
        // A killed process holds the lock until the last of its threads is gone, and shows nothing any more.
        let shows = folder::holder(own).is_some_and(host::alive);
        if shows && let Some(server) = Host::find(data_dir).await {
            match named::show(&server, what).await {
                Ok(()) => return Ok(None),
                Err(words) if server.answers().await => return Err(words),
                // It is ending, with the windows: then this process shows them.
                Err(_) => {}
            }
        }
        if Instant::now() > until {
            let holder = folder::holder(own).map(|pid| format!(" (process {pid})")).unwrap_or_default();
            return Err(format!("Gander's windows are open already{holder}, but its server does not answer."));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Shows the windows, until they are quit; gives the exit status.
fn first(
    runtime: &tokio::runtime::Runtime,
    program: Option<successor::ProgramFile>,
    data_dir: &Path,
    own: &Path,
    what: Option<String>,
) -> i32 {
    tauri::async_runtime::set(runtime.handle().clone());
    let (events, heard) = mpsc::channel(EVENTS);
    let (stops, stopped) = mpsc::channel(1);
    runtime.spawn(link::run(data_dir.to_owned(), own.to_owned(), events.clone(), stopped));
    runtime.spawn(signals(events.clone()));

    #[cfg(target_os = "macos")]
    let links = (runtime.handle().clone(), data_dir.to_owned());
    let web = native::WebFolder(own.join("web"));
    let (menu_events, window_events, setup_events) = (events.clone(), events.clone(), events);
    let (handle, data_dir) = (runtime.handle().clone(), data_dir.to_owned());
    let app = tauri::Builder::default()
        .manage(web)
        .menu(menu::bar)
        .on_menu_event(move |_, event| {
            if let Some(action) = menu::action(&event.id().0) {
                panes::tell(&menu_events, Told::Action(action, panes::focused()));
            }
        })
        .setup(move |app| {
            tray::show(app.handle());
            native::watch_displays(&setup_events);
            let parts = Parts { app: app.handle().clone(), data_dir, program, events: setup_events, stops, what };
            handle.spawn(Driver::new(parts).run(heard));
            Ok(())
        })
        .build(tauri::generate_context!());
    let app = match app {
        Ok(app) => app,
        Err(error) => {
            tracing::error!(%error, "the windows cannot be shown here");
            return 2;
        }
    };
    app.run_return(move |_, event| match event {
        RunEvent::WindowEvent { label, event, .. } => panes::heard(&label, &event, &window_events),
        // The last native window's end is not the application's: the driver decides that.
        RunEvent::ExitRequested { code: None, api, .. } => api.prevent_exit(),
        #[cfg(target_os = "macos")]
        RunEvent::Opened { urls } => {
            let (runtime, data_dir) = &links;
            for url in urls {
                runtime.spawn(open_link(data_dir.clone(), url.to_string()));
            }
        }
        _ => {}
    })
}

/// Where links are no arguments: one that was opened, as soon as somebody serves.
#[cfg(target_os = "macos")]
async fn open_link(data_dir: std::path::PathBuf, link: String) {
    let until = Instant::now() + SECOND_PATIENCE;
    while Instant::now() < until {
        if let Some(server) = Host::find(&data_dir).await {
            if let Err(words) = named::show(&server, &link).await {
                tracing::warn!(link, words, "a link was not opened");
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The end of the operating system's session, or somebody's wish: this process ends in order, in time.
async fn signals(events: mpsc::Sender<Event>) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut terminate), Ok(mut hang_up)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup()))
        else {
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
    let _ = events.send(Event::Signal).await;
}
