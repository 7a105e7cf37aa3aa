//! Where the toolkit is not GTK: windows, menus and dialogs work, what has no portable form is left out and said so. It is compiled on
//! macOS and Windows alone.

use rfd::{AsyncFileDialog, AsyncMessageDialog, MessageButtons, MessageDialogResult, MessageLevel};
use tauri::async_runtime::spawn;
use tauri::webview::{WebviewWindow, WebviewWindowBuilder};
use tauri::{AppHandle, LogicalPosition, LogicalSize, Manager as _, Wry};
use tokio::sync::mpsc;

use super::{QuitAnswer, label, quit_words};
use crate::events::{Event, Leaving, Told};
use crate::panes::tell;

/// What only WebKitGTK reads.
pub const ENGINE: [(&str, &str); 0] = [];

pub fn before_anything() {}

/// These platforms bring windows back by themselves.
pub fn watch_displays(_events: &mpsc::Sender<Event>) {}

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

pub fn cover(_window: &WebviewWindow) {}

pub fn uncover(_window: &WebviewWindow) {}

pub fn failed(_window: &WebviewWindow) -> bool {
    false
}

pub fn place(window: &WebviewWindow) -> Option<(f64, f64, f64, f64)> {
    let scale = window.scale_factor().ok()?;
    let place: LogicalPosition<f64> = window.outer_position().ok()?.to_logical(scale);
    let size: LogicalSize<f64> = window.inner_size().ok()?.to_logical(scale);
    Some((place.x, place.y, size.width, size.height))
}

pub fn frame(window: &WebviewWindow) -> (f64, f64) {
    let (Ok(scale), Ok(outer), Ok(inner)) = (window.scale_factor(), window.outer_size(), window.inner_size()) else {
        return (0.0, 0.0);
    };
    let (outer, inner): (LogicalSize<f64>, LogicalSize<f64>) = (outer.to_logical(scale), inner.to_logical(scale));
    ((outer.width - inner.width).max(0.0), (outer.height - inner.height).max(0.0))
}

pub fn mime_of(_name: &str) -> String {
    "application/octet-stream".to_owned()
}

fn dialog(title: &str, words: &str) -> AsyncMessageDialog {
    AsyncMessageDialog::new().set_level(MessageLevel::Warning).set_title(title).set_description(words)
}

/// Says something that went wrong.
pub fn say(_app: &AppHandle, title: &str, words: &str) {
    tracing::error!("{title} {words}");
    let said = dialog(title, words).show();
    spawn(async move { drop(said.await) });
}

/// Says why this program ends, and ends it when that was read.
pub fn say_last(app: &AppHandle, title: &str, words: &str) {
    let (app, said) = (app.clone(), dialog(title, words).show());
    spawn(async move {
        said.await;
        app.exit(2);
    });
}

const FINISH: &str = "Finish, then quit";
const INTERRUPT: &str = "Interrupt and quit";
const QUIT: &str = "Quit";
const CANCEL: &str = "Cancel";

/// Asks what is to become of running turns.
pub fn ask_quit(_app: &AppHandle, running: usize, unsaved: usize, leaving: Leaving, events: mpsc::Sender<Event>) {
    let (title, words) = quit_words(running, unsaved);
    let buttons = if running > 0 {
        MessageButtons::YesNoCancelCustom(FINISH.to_owned(), INTERRUPT.to_owned(), CANCEL.to_owned())
    } else {
        MessageButtons::OkCancelCustom(QUIT.to_owned(), CANCEL.to_owned())
    };
    let asked = dialog(&title, &words).set_buttons(buttons).show();
    spawn(async move {
        let answer = match asked.await {
            MessageDialogResult::Custom(said) if said == FINISH => QuitAnswer::Finish,
            MessageDialogResult::Custom(said) if said == INTERRUPT || said == QUIT => QuitAnswer::Interrupt,
            // So the first two are called where a button cannot have words of ours.
            MessageDialogResult::Yes => QuitAnswer::Finish,
            MessageDialogResult::No | MessageDialogResult::Ok => QuitAnswer::Interrupt,
            _ => QuitAnswer::Cancel,
        };
        tell(&events, Told::Answered(answer, leaving));
    });
}

/// Has a folder chosen for a new chat.
pub fn choose_folder(_app: &AppHandle, events: mpsc::Sender<Event>) {
    let chosen = AsyncFileDialog::new().set_title("A new chat in this folder").pick_folder();
    spawn(async move {
        if let Some(folder) = chosen.await {
            tell(&events, Told::Folder(folder.path().to_owned()));
        }
    });
}

/// On the dock's icon, where there is one.
pub fn badge(app: &AppHandle, count: usize) {
    let shown = (count > 0).then(|| i64::try_from(count).unwrap_or(i64::MAX));
    if let Some(window) = app.webview_windows().values().next()
        && let Err(error) = window.set_badge_count(shown)
    {
        tracing::debug!(%error, "no badge");
    }
}

/// Nothing is shown: the window's title and the tray say it as well.
pub fn notify(_app: &AppHandle, _session: &str, _title: &str, _words: &str, _events: &mpsc::Sender<Event>) {}
