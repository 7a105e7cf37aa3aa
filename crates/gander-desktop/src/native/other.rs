//! Where the toolkit is not GTK: windows and menus work, what has no portable form is left out and said so.

use tauri::webview::{WebviewWindow, WebviewWindowBuilder};
use tauri::{AppHandle, LogicalPosition, LogicalSize, Manager as _, Wry};
use tokio::sync::mpsc;

use super::{QuitAnswer, label};
use crate::driver::{Event, Leaving, Told};
use crate::panes::tell;

/// What only WebKitGTK reads.
pub const ENGINE_MEMORY: &str = "Malloc";

pub fn before_anything() {}

/// The engines of these platforms share their processes by themselves.
pub struct View;

pub fn view_of(_window: &WebviewWindow) -> Option<View> {
    Some(View)
}

pub fn beside<'a>(
    builder: WebviewWindowBuilder<'a, Wry, AppHandle>,
    _view: View,
) -> WebviewWindowBuilder<'a, Wry, AppHandle> {
    builder
}

pub fn user_agent() -> String {
    format!("Mozilla/5.0 AppleWebKit/605.1.15 (KHTML, like Gecko) {}", label())
}

pub fn dress(_window: &WebviewWindow, _id: &str, _events: &mpsc::Sender<Event>) {}

pub fn failed(_window: &WebviewWindow) -> bool {
    false
}

pub fn place(window: &WebviewWindow) -> Option<(f64, f64, f64, f64)> {
    let scale = window.scale_factor().ok()?;
    let place: LogicalPosition<f64> = window.outer_position().ok()?.to_logical(scale);
    let size: LogicalSize<f64> = window.inner_size().ok()?.to_logical(scale);
    Some((place.x, place.y, size.width, size.height))
}

pub fn mime_of(_name: &str) -> String {
    "application/octet-stream".to_owned()
}

pub fn say(_app: &AppHandle, title: &str, words: &str) {
    tracing::error!("{title} {words}");
}

pub fn say_last(app: &AppHandle, title: &str, words: &str) {
    say(app, title, words);
    app.exit(2);
}

/// Without a dialog turns are interrupted, which loses nothing.
pub fn ask_quit(_app: &AppHandle, _running: usize, _unsaved: usize, leaving: Leaving, events: mpsc::Sender<Event>) {
    tell(&events, Told::Answered(QuitAnswer::Interrupt, leaving));
}

pub fn choose_folder(_app: &AppHandle, _events: mpsc::Sender<Event>) {}

/// On the dock's icon, where there is one.
pub fn badge(app: &AppHandle, count: usize) {
    let shown = (count > 0).then(|| i64::try_from(count).unwrap_or(i64::MAX));
    if let Some(window) = app.webview_windows().values().next()
        && let Err(error) = window.set_badge_count(shown)
    {
        tracing::debug!(%error, "no badge");
    }
}

pub fn notify(_app: &AppHandle, _session: &str, _title: &str, _words: &str, _events: &mpsc::Sender<Event>) {}
