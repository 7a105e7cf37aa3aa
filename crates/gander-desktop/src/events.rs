//! Everything that the driver reacts to.

use std::path::PathBuf;

use crate::link::Heard;
use crate::menu::Action;
use crate::native::QuitAnswer;

/// From the server, the native side or the system.
pub enum Event {
    Heard(Heard),
    Told(Told),
    /// The operating system wants this process to end.
    Signal,
}

/// What comes from the native side.
#[derive(Debug)]
pub enum Told {
    /// A window was moved, resized or changed its state.
    Touched(String),
    /// Displays came or went.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "other platforms bring windows back by themselves")
    )]
    DisplaysChanged,
    /// A person wants to close a window.
    CloseAsked(String),
    /// A menu or the tray, with the window that has the focus.
    Action(Action, Option<String>),
    /// A notification was clicked.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "other platforms' have no portable form here"))]
    Clicked(String),
    /// What is to become of running turns.
    Answered(QuitAnswer, Leaving),
    /// A folder was chosen.
    Folder(PathBuf),
    /// Files were dropped onto a window. Where the page itself takes them, nobody says so.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "the engines of other platforms give pages the files")
    )]
    Dropped(String, Vec<PathBuf>),
    /// A web process died, and with it these pages; or a page could not be loaded.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the engines of other platforms load them again"))]
    PageGone(String),
}

/// What is being left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// All of it; windows stay open in the journal.
    Quit,
    /// The last window, by closing it.
    LastWindow(String),
}
