//! What the toolkits do not do alike. Each platform has the same functions.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(not(target_os = "linux"))]
mod other;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[cfg(not(target_os = "linux"))]
pub use other::*;
use tauri::{AppHandle, Manager as _};

/// How the windows call themselves to the server; pages know by it that they are in a native window.
pub const LABEL: &str = "GanderDesktop/";

/// With the version: what the list of grants shows.
pub fn label() -> String {
    format!("{LABEL}{}", crate::VERSION)
}

/// Whether there is a screen.
pub fn has_display() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(target_os = "macos", windows)) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// Where the web engine keeps what pages store: per data folder, as the pages are.
pub struct WebFolder(pub PathBuf);

/// See [`WebFolder`].
pub fn web_folder(app: &AppHandle) -> PathBuf {
    app.state::<WebFolder>().0.clone()
}

/// What is to become of running turns when Gander quits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuitAnswer {
    /// Let them end, then quit.
    Finish,
    /// Interrupt them now; they can be continued.
    Interrupt,
    /// Stay.
    Cancel,
}

/// What is asked before quitting.
pub fn quit_words(running: usize, unsaved: usize) -> (String, String) {
    let turns = match running {
        0 => String::new(),
        1 => "An agent is working.".to_owned(),
        many => format!("{many} agents are working."),
    };
    let drafts = match unsaved {
        0 => String::new(),
        1 => "What is typed in one window is not saved yet.".to_owned(),
        many => format!("What is typed in {many} windows is not saved yet."),
    };
    let title = if running > 0 { "Quit while agents are working?" } else { "Quit before everything is saved?" };
    let safe = match running {
        0 => "The text stays with its window; it is tried again at the next start.",
        _ => "What was said so far is kept either way. An interrupted turn can be continued later.",
    };
    let words = [turns, drafts, safe.to_owned()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    (title.to_owned(), words.join(" "))
}

/// Opens an address in the user's browser, or mail program.
pub fn open_outside(url: &str) {
    let mut command = match std::env::var_os("BROWSER").filter(|browser| !browser.is_empty()) {
        Some(browser) => Command::new(browser),
        None if cfg!(target_os = "macos") => Command::new("open"),
        None if cfg!(windows) => Command::new("explorer"),
        None => Command::new("xdg-open"),
    };
    let opener = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match opener {
        // It is waited for, so that it does not stay in the list of processes.
        Ok(mut opener) => drop(std::thread::spawn(move || opener.wait())),
        Err(error) => tracing::warn!(%error, "no browser was opened"),
    }
}

/// Runs another program in this one's place; returns only when that failed.
pub fn replace_this_process(command: &mut Command) -> std::io::Error {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        command.exec()
    }
    #[cfg(not(unix))]
    match command.spawn() {
        Ok(_) => std::process::exit(0),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::quit_words;

    #[test]
    fn quitting_says_what_is_at_stake_and_what_is_safe() {
        let (title, words) = quit_words(2, 1);
        assert_eq!(title, "Quit while agents are working?");
        assert_eq!(
            words,
            "2 agents are working. What is typed in one window is not saved yet. What was said so far is kept either way. \
             An interrupted turn can be continued later."
        );
        assert!(quit_words(0, 1).1.ends_with("it is tried again at the next start."));
    }
}
