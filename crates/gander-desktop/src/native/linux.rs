//! GTK and WebKitGTK.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use gtk::gio;
use gtk::glib::{self, ToVariant as _};
use gtk::prelude::*;
use tauri::webview::{WebviewWindow, WebviewWindowBuilder};
use tauri::{AppHandle, Wry};
use tokio::sync::mpsc;
use webkit2gtk::{SettingsExt as _, WebContextExt as _, WebView, WebViewExt as _};

use super::{QuitAnswer, label, quit_words};
use crate::events::{Event, Leaving, Told};
use crate::panes::{displays_changed, tell};

/// What a new window shares the web process of.
pub type View = WebView;

thread_local! {
    /// The windows whose page could not be loaded, by their native labels.
    static FAILED: RefCell<HashSet<String>> = RefCell::default();
    /// The session of each notification that is shown.
    static NOTIFIED: RefCell<HashMap<u32, String>> = RefCell::default();
    static LISTENING: RefCell<bool> = const { RefCell::new(false) };
}

/// What WebKit reads from the environment in each of its processes: the shell's own, not the server's or an agent's.
///
/// - Memory comes from the C library. The engine's own allocator gives up now and then while many pages load (seen with WebKitGTK
///   2.50: "pas panic: deallocation did fail"), which takes the pages of all windows with it.
/// - Pages are drawn without compositing layers, which text does not need. A setting says the same, but only once a page exists, and
///   by then the engine has started its threads and surfaces for it: 12 MB and a fifth of the time for each window.
/// - A page's code is compiled with all optimisations after ten times as many runs as usual. With many windows each has the same
///   code compiled for itself while it starts, which took a quarter of all the time and 40 MB; what runs hot gets there all the same.
///   An engine that does not know these options says so and goes on.
pub const ENGINE: [(&str, &str); 4] = [
    ("Malloc", "1"),
    ("WEBKIT_DISABLE_COMPOSITING_MODE", "1"),
    ("JSC_thresholdForOptimizeAfterWarmUp", "10000"),
    ("JSC_thresholdForOptimizeAfterLongWarmUp", "10000"),
];

/// To be called before anything else runs.
pub fn before_anything() {
    for (name, value) in ENGINE {
        if std::env::var_os(name).is_none() {
            // SAFETY: no other thread runs yet that could read the environment meanwhile.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

/// Says when displays come and go.
pub fn watch_displays(events: &mpsc::Sender<Event>) {
    let events = events.clone();
    if let Some(screen) = gtk::gdk::Screen::default() {
        screen.connect_monitors_changed(move |_| displays_changed(&events));
    }
}

/// The web view of a window.
pub fn view_of(window: &WebviewWindow) -> Option<View> {
    thread_local! { static VIEW: RefCell<Option<WebView>> = const { RefCell::new(None) }; }
    // On the main thread it runs at once.
    window.with_webview(|webview| VIEW.set(Some(webview.inner()))).ok()?;
    VIEW.take()
}

/// A web process that windows share.
pub fn beside<'a>(
    builder: WebviewWindowBuilder<'a, Wry, AppHandle>,
    view: View,
) -> WebviewWindowBuilder<'a, Wry, AppHandle> {
    builder.with_related_view(view)
}

/// The engine's own name, and ours.
pub fn user_agent() -> String {
    let engine = webkit2gtk::Settings::new().user_agent().map(String::from).unwrap_or_default();
    format!("{engine} {}", label())
}

/// A page that has said nothing for so long is shown as it is.
const COVERED: Duration = Duration::from_secs(4);

/// Keeps a new window's page out of sight until it says that it has something to show. Each step on its way there would be painted,
/// and with many windows that takes longer than all the rest.
pub fn cover(window: &WebviewWindow) {
    let Some(view) = view_of(window) else { return };
    // Hidden for the engine, but not for the window's layout: the page has its size meanwhile.
    view.set_child_visible(false);
    let covered = view.downgrade();
    glib::timeout_add_local_once(COVERED, move || {
        if let Some(view) = covered.upgrade() {
            show_page(&view);
        }
    });
}

/// Shows a window's page.
pub fn uncover(window: &WebviewWindow) {
    if let Some(view) = view_of(window) {
        show_page(&view);
    }
}

fn show_page(view: &WebView) {
    if !view.is_child_visible() {
        view.set_child_visible(true);
        // It was lost with the sight of it.
        view.grab_focus();
    }
}

/// What a new window needs beside what the builder knows.
pub fn dress(window: &WebviewWindow, id: &str, events: &mpsc::Sender<Event>) {
    let Some(view) = view_of(window) else { return };
    if let Some(context) = view.context() {
        let languages: Vec<String> = glib::language_names()
            .iter()
            .map(ToString::to_string)
            .filter(|name| name.contains('_') && !name.contains('.'))
            .collect();
        context.set_spell_checking_languages(&languages.iter().map(String::as_str).collect::<Vec<_>>());
        context.set_spell_checking_enabled(true);
    }
    let (gone, told) = (events.clone(), id.to_owned());
    // All pages share the process; each hears of its end and loads again. What was typed is in the journal or in the page's store.
    view.connect_local("web-process-terminated", false, move |_| {
        tracing::warn!(window = told, "the web process ended");
        tell(&gone, Told::PageGone(told.clone()));
        None
    });
    take_files(&view, id, events);
    let label = window.label().to_owned();
    let failing = label.clone();
    view.connect_load_failed(move |view, _, address, error| {
        // A load that another one replaced is no failure.
        if !error.matches(webkit2gtk::NetworkError::Cancelled) {
            tracing::info!(address, %error, "a page could not be loaded");
            FAILED.with_borrow_mut(|failed| failed.insert(failing.clone()));
            show_page(view);
        }
        false
    });
    view.connect_load_changed(move |_, event| {
        if event == webkit2gtk::LoadEvent::Started {
            FAILED.with_borrow_mut(|failed| failed.remove(&label));
        }
    });
    let (touched, id) = (events.clone(), id.to_owned());
    if let Ok(native) = window.gtk_window() {
        native.connect_window_state_event(move |_, _| {
            tell(&touched, Told::Touched(id.clone()));
            glib::Propagation::Proceed
        });
    }
}

/// A drag over a window, and the files in it.
type Carried = (gtk::gdk::DragContext, Vec<PathBuf>);

/// Files that are dropped onto a window. WebKitGTK tells its pages only their addresses, which no page may read: so the shell takes
/// them, and the page, which has said that it wants them, is given them as attachments.
fn take_files(view: &WebView, id: &str, events: &mpsc::Sender<Event>) {
    // What a drag carries is known before it is dropped.
    let carried: Rc<RefCell<Option<Carried>>> = Rc::default();
    let known = carried.clone();
    view.connect_drag_data_received(move |_, drag, _, _, data, _, _| {
        let uris = data.uris();
        let files: Vec<_> =
            uris.iter().filter_map(|uri| glib::filename_from_uri(uri).ok()).map(|found| found.0).collect();
        if !files.is_empty() {
            known.replace(Some((drag.clone(), files)));
        }
    });
    let (events, id) = (events.clone(), id.to_owned());
    view.connect_drag_drop(move |_, drag, _, _, time| {
        let Some((_, files)) = carried.take().filter(|(of, _)| of == drag) else { return false };
        drag.drop_finish(true, time);
        tell(&events, Told::Dropped(id.clone(), files));
        true
    });
}

/// What a file is, by its name.
pub fn mime_of(name: &str) -> String {
    gio::content_type_guess(Some(name), &[]).0.into()
}

/// Whether a window's page could not be loaded.
pub fn failed(window: &WebviewWindow) -> bool {
    FAILED.with_borrow(|failed| failed.contains(window.label()))
}

/// Position and size in logical pixels, the position being the frame's.
pub fn place(window: &WebviewWindow) -> Option<(f64, f64, f64, f64)> {
    let native = window.gtk_window().ok()?;
    let ((x, y), (width, height)) = (native.position(), native.size());
    Some((x.into(), y.into(), width.into(), height.into()))
}

/// What a window's frame adds to its width and height.
pub fn frame(window: &WebviewWindow) -> (f64, f64) {
    let framed = window.gtk_window().ok().and_then(|native| Some((native.window()?.frame_extents(), native.size())));
    framed.map_or((0.0, 0.0), |(outer, (width, height))| {
        ((outer.width() - width).max(0).into(), (outer.height() - height).max(0).into())
    })
}

fn dialog(kind: gtk::MessageType, title: &str, words: &str) -> gtk::MessageDialog {
    let dialog =
        gtk::MessageDialog::new(None::<&gtk::Window>, gtk::DialogFlags::MODAL, kind, gtk::ButtonsType::None, title);
    dialog.set_secondary_text(Some(words));
    dialog.set_title("Gander");
    dialog.set_keep_above(true);
    dialog.set_position(gtk::WindowPosition::Center);
    dialog
}

/// Says something that went wrong.
pub fn say(_app: &AppHandle, title: &str, words: &str) {
    said(title, words, || {});
}

/// Says why this program ends, and ends it when that was read.
pub fn say_last(app: &AppHandle, title: &str, words: &str) {
    let app = app.clone();
    said(title, words, move || app.exit(2));
}

fn said(title: &str, words: &str, then: impl Fn() + 'static) {
    let dialog = dialog(gtk::MessageType::Warning, title, words);
    dialog.add_button("_Close", gtk::ResponseType::Close);
    dialog.connect_response(move |dialog, _| {
        dialog.close();
        then();
    });
    dialog.show_all();
}

/// Asks what is to become of running turns.
pub fn ask_quit(_app: &AppHandle, running: usize, unsaved: usize, leaving: Leaving, events: mpsc::Sender<Event>) {
    let (title, words) = quit_words(running, unsaved);
    let dialog = dialog(gtk::MessageType::Question, &title, &words);
    dialog.add_button("_Cancel", gtk::ResponseType::Cancel);
    if running > 0 {
        dialog.add_button("_Finish, then quit", gtk::ResponseType::Accept);
        dialog.add_button("_Interrupt and quit", gtk::ResponseType::Reject);
        dialog.set_default_response(gtk::ResponseType::Accept);
    } else {
        dialog.add_button("_Quit", gtk::ResponseType::Reject);
        dialog.set_default_response(gtk::ResponseType::Cancel);
    }
    let answered = RefCell::new(Some(leaving));
    dialog.connect_response(move |dialog, response| {
        // Closing the dialog responds once more.
        let Some(leaving) = answered.take() else { return };
        let answer = match response {
            gtk::ResponseType::Accept => QuitAnswer::Finish,
            gtk::ResponseType::Reject => QuitAnswer::Interrupt,
            _ => QuitAnswer::Cancel,
        };
        tell(&events, Told::Answered(answer, leaving));
        dialog.close();
    });
    dialog.show_all();
    dialog.present();
}

/// Has a folder chosen for a new chat.
pub fn choose_folder(_app: &AppHandle, events: mpsc::Sender<Event>) {
    let chooser = gtk::FileChooserNative::new(
        Some("A new chat in this folder"),
        None::<&gtk::Window>,
        gtk::FileChooserAction::SelectFolder,
        Some("_Open"),
        Some("_Cancel"),
    );
    // The signal holds the chooser for as long as it is shown.
    let held = RefCell::new(Some(chooser.clone()));
    chooser.connect_response(move |chooser, response| {
        if response == gtk::ResponseType::Accept
            && let Some(folder) = chooser.filename()
        {
            tell(&events, Told::Folder(folder));
        }
        drop(held.take());
    });
    chooser.show();
}

/// The launcher's interface, which began with Unity and outlived it. The path only has to be our own.
const BADGE: (&str, &str) = ("/com/canonical/unity/launcherentry/1", "com.canonical.Unity.LauncherEntry");
const NOTIFICATIONS: (&str, &str) = ("org.freedesktop.Notifications", "/org/freedesktop/Notifications");

/// Shows a notification that leads to a session, or, where it is about none, to the findings. Without a notification service
/// nothing is shown: the window's title and the tray say it as well.
pub fn notify(app: &AppHandle, session: &str, title: &str, words: &str, events: &mpsc::Sender<Event>) {
    let (session, title, words, events) = (session.to_owned(), title.to_owned(), words.to_owned(), events.clone());
    let _ = app.run_on_main_thread(move || {
        gio::bus_get(gio::BusType::Session, gio::Cancellable::NONE, move |bus| {
            let Ok(bus) = bus else { return };
            listen(&bus, &events);
            let hints = glib::VariantDict::new(None);
            hints.insert("desktop-entry", "chat.gander.Gander");
            let asked = (
                "Gander",
                0u32,
                "chat.gander.Gander",
                title.as_str(),
                glib::markup_escape_text(&words).as_str(),
                vec!["default", "Show"],
                hints.end().get::<HashMap<String, glib::Variant>>().unwrap_or_default(),
                -1i32,
            )
                .to_variant();
            bus.call(
                Some(NOTIFICATIONS.0),
                NOTIFICATIONS.1,
                NOTIFICATIONS.0,
                "Notify",
                Some(&asked),
                None,
                gio::DBusCallFlags::NONE,
                5_000,
                gio::Cancellable::NONE,
                move |answer| match answer {
                    Ok(answer) => {
                        if let Some((number,)) = answer.get::<(u32,)>() {
                            NOTIFIED.with_borrow_mut(|all| all.insert(number, session));
                        }
                    }
                    Err(error) => tracing::debug!(%error, "no notification was shown"),
                },
            );
        });
    });
}

/// Says on the launcher's icon how many chats wait for an answer: docks and task bars listen to this signal, whichever desktop
/// they belong to, and take the number away when this process ends.
pub fn badge(_app: &AppHandle, count: usize) {
    thread_local! { static SAID: Cell<Option<usize>> = const { Cell::new(None) }; }
    if SAID.replace(Some(count)) == Some(count) {
        return;
    }
    gio::bus_get(gio::BusType::Session, gio::Cancellable::NONE, move |bus| {
        let Ok(bus) = bus else { return };
        let properties = glib::VariantDict::new(None);
        properties.insert("count", i64::try_from(count).unwrap_or(i64::MAX));
        properties.insert("count-visible", count > 0);
        let said =
            glib::Variant::tuple_from_iter(["application://chat.gander.Gander.desktop".to_variant(), properties.end()]);
        let told = bus.emit_signal(None, BADGE.0, BADGE.1, "Update", Some(&said));
        if let Err(error) = told {
            tracing::debug!(%error, "no badge");
        }
    });
}

/// Hears of clicks, from the first notification on.
fn listen(bus: &gio::DBusConnection, events: &mpsc::Sender<Event>) {
    if LISTENING.replace(true) {
        return;
    }
    let clicked = events.clone();
    bus.signal_subscribe(
        Some(NOTIFICATIONS.0),
        Some(NOTIFICATIONS.0),
        Some("ActionInvoked"),
        Some(NOTIFICATIONS.1),
        None,
        gio::DBusSignalFlags::NONE,
        move |_, _, _, _, _, said| {
            let Some((number, _action)) = said.get::<(u32, String)>() else { return };
            if let Some(session) = NOTIFIED.with_borrow_mut(|all| all.remove(&number)) {
                tell(&clicked, Told::Clicked(session));
            }
        },
    );
    bus.signal_subscribe(
        Some(NOTIFICATIONS.0),
        Some(NOTIFICATIONS.0),
        Some("NotificationClosed"),
        Some(NOTIFICATIONS.1),
        None,
        gio::DBusSignalFlags::NONE,
        move |_, _, _, _, _, said| {
            if let Some((number, _why)) = said.get::<(u32, u32)>() {
                NOTIFIED.with_borrow_mut(|all| all.remove(&number));
            }
        },
    );
}
