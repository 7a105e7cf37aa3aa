//! Opening a page in the user's browser, where there is one to see.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Whether a person sits before a screen of this machine.
pub fn has_display() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(target_os = "macos", windows)) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// How long an opener may take to say that it found no browser. One that still runs then is taken at its word: some
/// stay until the browser ends.
const OPENER_GIVES_UP: Duration = Duration::from_secs(1);

/// Asks the system to show a page; false when it could not be asked, or soon says that it has no browser.
pub fn open(url: &str) -> bool {
    let mut command = match std::env::var_os("BROWSER").filter(|browser| !browser.is_empty()) {
        Some(browser) => Command::new(browser),
        None if cfg!(target_os = "macos") => Command::new("open"),
        None if cfg!(windows) => Command::new("explorer"),
        None => Command::new("xdg-open"),
    };
    let opener = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut opener) = opener else { return false };
    let (ended, opened) = mpsc::sync_channel(1);
    thread::spawn(move || ended.send(opener.wait()));
    match opened.recv_timeout(OPENER_GIVES_UP) {
        // Windows' explorer says 1 when all went well.
        Ok(Ok(status)) => status.success() || cfg!(windows),
        Ok(Err(_)) | Err(_) => true,
    }
}
