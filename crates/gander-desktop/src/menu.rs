//! The menu, the same in every window, and what its items mean.

use tauri::AppHandle;
use tauri::menu::{Menu, MenuBuilder, MenuItem, MenuItemBuilder, SubmenuBuilder};

/// What a person can say to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    NewChat,
    NewWindow,
    OpenFolder,
    Reopen,
    /// What the window shows, into a window of its own.
    MoveToNewWindow,
    /// Bring the windows to the front.
    Show,
    Close,
    Quit,
    OfTheWindow(OfTheWindow),
}

/// What a person can say to one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfTheWindow {
    Reload,
    Print,
    FullScreen,
    Minimise,
    /// Larger or smaller by steps; 0 is the actual size.
    Zoom(i32),
    /// One of the page's own places.
    Page(&'static str),
}

/// A menu's item: its id, words, keys and meaning.
struct Item(&'static str, &'static str, Option<&'static str>, Action);

const CHAT: &[Item] = &[
    Item("new-chat", "New _Chat", Some("CmdOrCtrl+N"), Action::NewChat),
    Item("new-window", "New _Window", Some("CmdOrCtrl+Shift+N"), Action::NewWindow),
    Item("open-folder", "New Chat in _Folder…", Some("CmdOrCtrl+O"), Action::OpenFolder),
    Item("reopen", "_Reopen Closed Window", Some("CmdOrCtrl+Shift+T"), Action::Reopen),
    Item("print", "_Print…", Some("CmdOrCtrl+P"), Action::OfTheWindow(OfTheWindow::Print)),
    Item("close", "C_lose Window", Some("CmdOrCtrl+W"), Action::Close),
    Item("quit", "_Quit Gander", Some("CmdOrCtrl+Q"), Action::Quit),
];

const VIEW: &[Item] = &[
    Item("zoom-in", "Zoom _In", Some("CmdOrCtrl+="), Action::OfTheWindow(OfTheWindow::Zoom(1))),
    Item("zoom-out", "Zoom _Out", Some("CmdOrCtrl+-"), Action::OfTheWindow(OfTheWindow::Zoom(-1))),
    Item("zoom-actual", "_Actual Size", Some("CmdOrCtrl+0"), Action::OfTheWindow(OfTheWindow::Zoom(0))),
    Item("full-screen", "_Full Screen", Some("F11"), Action::OfTheWindow(OfTheWindow::FullScreen)),
    Item("reload", "_Reload", Some("CmdOrCtrl+R"), Action::OfTheWindow(OfTheWindow::Reload)),
];

const WINDOW: &[Item] = &[
    Item("windows", "_All Windows", Some("CmdOrCtrl+Shift+A"), Action::OfTheWindow(OfTheWindow::Page("#/windows"))),
    Item("move", "Mo_ve Chat to New Window", Some("CmdOrCtrl+Shift+M"), Action::MoveToNewWindow),
    Item("minimise", "_Minimise", Some("CmdOrCtrl+M"), Action::OfTheWindow(OfTheWindow::Minimise)),
    Item("settings", "_Settings", None, Action::OfTheWindow(OfTheWindow::Page("#/settings"))),
];

/// Only in the tray.
const TRAY: &[Item] = &[Item("show", "Show Gander", None, Action::Show)];

/// What an item means.
pub fn action(id: &str) -> Option<Action> {
    [CHAT, VIEW, WINDOW, TRAY].into_iter().flatten().find(|item| item.0 == id).map(|item| item.3)
}

fn made(app: &AppHandle, items: &[Item]) -> tauri::Result<Vec<MenuItem<tauri::Wry>>> {
    let one = |item: &Item| {
        let mut builder = MenuItemBuilder::with_id(item.0, item.1.replace('_', "&"));
        if let Some(keys) = item.2 {
            builder = builder.accelerator(keys);
        }
        builder.build(app)
    };
    items.iter().map(one).collect()
}

/// The menu bar. Its menus have no letters: Alt with a letter is the page's.
pub fn bar(app: &AppHandle) -> tauri::Result<Menu<tauri::Wry>> {
    let mut bar = MenuBuilder::new(app);
    for (name, items) in [("Chat", CHAT), ("View", VIEW), ("Window", WINDOW)] {
        let mut menu = SubmenuBuilder::new(app, name);
        for item in made(app, items)? {
            if ["print", "quit", "full-screen", "settings"].contains(&item.id().0.as_str()) {
                menu = menu.separator();
            }
            menu = menu.item(&item);
        }
        bar = bar.item(&menu.build()?);
    }
    // There the keys for copying and pasting are the menu's.
    #[cfg(target_os = "macos")]
    {
        let edit = SubmenuBuilder::new(app, "Edit").undo().redo().separator().cut().copy().paste().select_all();
        bar = bar.item(&edit.build()?);
    }
    bar.build()
}

/// The tray's menu.
pub fn of_tray(app: &AppHandle, status: &MenuItem<tauri::Wry>) -> tauri::Result<Menu<tauri::Wry>> {
    let mut menu = MenuBuilder::new(app).item(status).separator();
    for item in made(app, TRAY)? {
        menu = menu.item(&item);
    }
    let new_window = MenuItemBuilder::with_id("new-window", "New Window").build(app)?;
    let quit = MenuItemBuilder::with_id("quit", "Quit Gander").build(app)?;
    menu.item(&new_window).separator().item(&quit).build()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Action, CHAT, TRAY, VIEW, WINDOW, action};

    #[test]
    fn every_item_means_something_and_no_two_have_the_same_keys() {
        let all: Vec<_> = [CHAT, VIEW, WINDOW, TRAY].into_iter().flatten().collect();
        let ids: HashSet<_> = all.iter().map(|item| item.0).collect();
        let keys: Vec<_> = all.iter().filter_map(|item| item.2).collect();
        assert_eq!(ids.len(), all.len());
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        assert_eq!(action("quit"), Some(Action::Quit));
        assert_eq!(action("what"), None);
    }
}
