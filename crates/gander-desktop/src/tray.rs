//! The tray: how many turns run, and the way to the windows.

use std::panic::AssertUnwindSafe;

use tauri::menu::{MenuItem, MenuItemBuilder};
use tauri::tray::TrayIconBuilder;
use tauri::{AppHandle, Manager as _, Wry};

const ID: &str = "gander";
const IDLE: &str = "No agent is working";

struct Status(MenuItem<Wry>);

/// Shows it, where the desktop has a place for it. Everything works without one.
pub fn show(app: &AppHandle) {
    // The library behind it is looked for when it is used, and a missing one is a panic.
    let shown = std::panic::catch_unwind(AssertUnwindSafe(|| build(app)));
    match shown {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!(%error, "no tray"),
        Err(_) => tracing::info!("no tray: its library is not installed"),
    }
}

fn build(app: &AppHandle) -> tauri::Result<()> {
    let status = MenuItemBuilder::with_id("status", IDLE).enabled(false).build(app)?;
    let menu = crate::menu::of_tray(app, &status)?;
    let mut tray = TrayIconBuilder::with_id(ID).menu(&menu).tooltip("Gander");
    if let Some(icon) = app.default_window_icon() {
        tray = tray.icon(icon.clone());
    }
    tray.build(app)?;
    app.manage(Status(status));
    Ok(())
}

/// Says how many turns run, and how many of them wait for the user.
pub fn say(app: &AppHandle, running: usize, asking: usize) {
    let (Some(tray), Some(status)) = (app.tray_by_id(ID), app.try_state::<Status>()) else { return };
    let words = words(running, asking);
    let _ = status.0.set_text(&words);
    let _ = tray.set_tooltip(Some(format!("Gander: {words}")));
    // Beside the icon, where the platform shows text there.
    let _ = tray.set_title(beside(running, asking));
}

fn beside(running: usize, asking: usize) -> Option<String> {
    match (running, asking) {
        (0, _) => None,
        (_, 0) => Some(running.to_string()),
        (_, 1) => Some("1 waits".to_owned()),
        (_, many) => Some(format!("{many} wait")),
    }
}

fn words(running: usize, asking: usize) -> String {
    let working = match running {
        0 => return IDLE.to_owned(),
        1 => "1 agent is working".to_owned(),
        many => format!("{many} agents are working"),
    };
    match asking {
        0 => working,
        1 => format!("{working}, 1 waits for you"),
        many => format!("{working}, {many} wait for you"),
    }
}

#[cfg(test)]
mod tests {
    use super::{beside, words};

    #[test]
    fn it_says_who_works_and_who_waits() {
        assert_eq!(words(0, 0), "No agent is working");
        assert_eq!(words(1, 0), "1 agent is working");
        assert_eq!(words(3, 1), "3 agents are working, 1 waits for you");
        let said =
            [(0, 0), (3, 0), (3, 1), (3, 2)].map(|(running, asking)| beside(running, asking).unwrap_or_default());
        assert_eq!(said, ["", "3", "1 waits", "2 wait"]);
    }
}
