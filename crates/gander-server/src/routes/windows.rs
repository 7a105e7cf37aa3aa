//! Windows, and the drafts in them.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use gander_api::dto::{
    Draft, DraftBody, MoveSession, Moved, NewChat, NewWindow, Problem as ProblemBody, SessionBody, ShowBody, Window,
    WindowPatch, WindowSession, Windows,
};

use crate::problem::{Body, Problem, Reply, id, reply};
use crate::server::App;

/// All windows, open ones in order first.
#[utoipa::path(get, path = "/windows", tag = "windows", operation_id = "listWindows", responses((status = 200, body = Windows)))]
pub async fn list(State(app): State<App>) -> Reply<Windows> {
    reply(app.gander.windows().await)
}

/// Opens a window: on a session, or with a new chat.
#[utoipa::path(post, path = "/windows", tag = "windows", operation_id = "openWindow", request_body = NewWindow,
    responses((status = 200, body = Window), (status = 404, body = ProblemBody)))]
pub async fn open(State(app): State<App>, Body(body): Body<NewWindow>) -> Reply<Window> {
    reply(app.gander.new_window(body).await)
}

/// One window, with the cursor from which its changes go on.
#[utoipa::path(get, path = "/windows/{id}", tag = "windows", operation_id = "getWindow", params(("id" = String, Path)),
    responses((status = 200, body = Window), (status = 404, body = ProblemBody)))]
pub async fn get(State(app): State<App>, Path(window): Path<String>) -> Reply<Window> {
    reply(app.gander.window(id("window", &window)?).await)
}

/// Keeps a window's place, order and scroll.
#[utoipa::path(patch, path = "/windows/{id}", tag = "windows", operation_id = "patchWindow", params(("id" = String, Path)), request_body = WindowPatch,
    responses((status = 200, body = Window), (status = 404, body = ProblemBody)))]
pub async fn patch(State(app): State<App>, Path(window): Path<String>, Body(body): Body<WindowPatch>) -> Reply<Window> {
    reply(app.gander.patch_window(id("window", &window)?, body).await)
}

/// Closes a window. Its session and draft stay; Reopen brings it back.
#[utoipa::path(delete, path = "/windows/{id}", tag = "windows", operation_id = "closeWindow", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn close(State(app): State<App>, Path(window): Path<String>) -> Result<StatusCode, Problem> {
    app.gander.close_window(id("window", &window)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Opens a closed window again, on what it showed.
#[utoipa::path(post, path = "/windows/{id}/reopen", tag = "windows", operation_id = "reopenWindow", params(("id" = String, Path)),
    responses((status = 200, body = Window), (status = 404, body = ProblemBody)))]
pub async fn reopen(State(app): State<App>, Path(window): Path<String>) -> Reply<Window> {
    reply(app.gander.reopen_window(id("window", &window)?).await)
}

/// Brings this window to the front: it has the focus from now on, and who shows it natively raises it (the change `raise`).
#[utoipa::path(post, path = "/windows/{id}/focus", tag = "windows", operation_id = "focusWindow", params(("id" = String, Path)),
    responses((status = 200, body = Window), (status = 404, body = ProblemBody)))]
pub async fn focus(State(app): State<App>, Path(window): Path<String>) -> Reply<Window> {
    reply(app.gander.raise_window(id("window", &window)?).await)
}

/// A new chat in this window. Only this window's own empty session is used again.
#[utoipa::path(post, path = "/windows/{id}/new-chat", tag = "windows", operation_id = "newChat", params(("id" = String, Path)), request_body = NewChat,
    responses((status = 200, body = SessionBody), (status = 404, body = ProblemBody)))]
pub async fn new_chat(
    State(app): State<App>,
    Path(window): Path<String>,
    Body(body): Body<NewChat>,
) -> Reply<SessionBody> {
    reply(app.gander.new_chat(id("window", &window)?, body).await)
}

/// Shows a session in this window.
#[utoipa::path(put, path = "/windows/{id}/session", tag = "windows", operation_id = "showSession", params(("id" = String, Path)), request_body = ShowBody,
    responses((status = 200, body = WindowSession), (status = 404, body = ProblemBody), (status = 423, body = ProblemBody)))]
pub async fn show(
    State(app): State<App>,
    Path(window): Path<String>,
    Body(body): Body<ShowBody>,
) -> Reply<WindowSession> {
    reply(app.gander.show(id("window", &window)?, body).await)
}

/// Moves the session that this window shows to another open window, or to a new one, and brings that to the front. What was typed
/// for it goes along, unless the other window has a draft of its own for it; this window shows a new chat of its own.
#[utoipa::path(post, path = "/windows/{id}/move-session", tag = "windows", operation_id = "moveSession", params(("id" = String, Path)), request_body = MoveSession,
    responses((status = 200, body = Moved), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn move_session(
    State(app): State<App>,
    Path(window): Path<String>,
    Body(body): Body<MoveSession>,
) -> Reply<Moved> {
    reply(app.gander.move_session(id("window", &window)?, body).await)
}

/// Saves a draft. A revision that is lower than the kept one, or equal with another text, is refused with the kept one.
#[utoipa::path(put, path = "/windows/{id}/draft", tag = "windows", operation_id = "saveDraft", params(("id" = String, Path)), request_body = DraftBody,
    responses((status = 200, body = Draft), (status = 409, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn draft(State(app): State<App>, Path(window): Path<String>, Body(body): Body<DraftBody>) -> Reply<Draft> {
    reply(app.gander.save_draft(id("window", &window)?, body).await)
}
