//! Prompts, the queue, and what an agent asks for.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gander_api::dto::{
    ContinueBody, PermissionAnswer, Problem as ProblemBody, Queue, QueuePatch, SendBody, Sent, SessionBody,
};

use crate::problem::{Body, Problem, Reply, id, reply};
use crate::server::App;

/// Sends a prompt. 202 means that it is on disk; only then is the agent asked. Repeating a turn id gets the first answer.
#[utoipa::path(post, path = "/sessions/{id}/turns", tag = "turns", operation_id = "sendPrompt", params(("id" = String, Path)), request_body = SendBody,
    responses((status = 202, body = Sent), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn send(
    State(app): State<App>,
    Path(session): Path<String>,
    Body(body): Body<SendBody>,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(app.gander.send(id("session", &session)?, body).await?)))
}

/// Cancels a turn; the agent is ended when it has not stopped after 10 s. A queued prompt is taken out of the queue.
#[utoipa::path(post, path = "/sessions/{id}/turns/{turn_id}/cancel", tag = "turns", operation_id = "cancelTurn",
    params(("id" = String, Path), ("turn_id" = String, Path)),
    responses((status = 200, body = SessionBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn cancel(State(app): State<App>, Path((session, turn)): Path<(String, String)>) -> Reply<SessionBody> {
    reply(app.gander.cancel(id("session", &session)?, id("turn", &turn)?).await)
}

/// Goes on after an interrupted turn: with the same prompt, from where it was cut off, or with a new agent session.
#[utoipa::path(post, path = "/sessions/{id}/turns/{turn_id}/continue", tag = "turns", operation_id = "continueTurn",
    params(("id" = String, Path), ("turn_id" = String, Path)), request_body = ContinueBody,
    responses((status = 202, body = Sent), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn go_on(
    State(app): State<App>,
    Path((session, turn)): Path<(String, String)>,
    Body(body): Body<ContinueBody>,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let sent = app.gander.continue_turn(id("session", &session)?, id("turn", &turn)?, body).await?;
    Ok((StatusCode::ACCEPTED, Json(sent)))
}

/// The prompts that wait.
#[utoipa::path(get, path = "/sessions/{id}/queue", tag = "turns", operation_id = "getQueue", params(("id" = String, Path)),
    responses((status = 200, body = Queue), (status = 404, body = ProblemBody)))]
pub async fn queue(State(app): State<App>, Path(session): Path<String>) -> Reply<Queue> {
    reply(app.gander.queue(id("session", &session)?).await)
}

/// Changes a waiting prompt or its place.
#[utoipa::path(patch, path = "/sessions/{id}/queue/{turn_id}", tag = "turns", operation_id = "patchQueued",
    params(("id" = String, Path), ("turn_id" = String, Path)), request_body = QueuePatch,
    responses((status = 200, body = Queue), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn queue_patch(
    State(app): State<App>,
    Path((session, turn)): Path<(String, String)>,
    Body(body): Body<QueuePatch>,
) -> Reply<Queue> {
    reply(app.gander.queue_patch(id("session", &session)?, id("turn", &turn)?, body).await)
}

/// Takes a waiting prompt out.
#[utoipa::path(delete, path = "/sessions/{id}/queue/{turn_id}", tag = "turns", operation_id = "deleteQueued",
    params(("id" = String, Path), ("turn_id" = String, Path)),
    responses((status = 200, body = Queue), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn queue_delete(State(app): State<App>, Path((session, turn)): Path<(String, String)>) -> Reply<Queue> {
    reply(app.gander.queue_delete(id("session", &session)?, id("turn", &turn)?).await)
}

/// Lets a held queue go on.
#[utoipa::path(post, path = "/sessions/{id}/queue/resume", tag = "turns", operation_id = "resumeQueue", params(("id" = String, Path)),
    responses((status = 200, body = Queue), (status = 404, body = ProblemBody)))]
pub async fn queue_resume(State(app): State<App>, Path(session): Path<String>) -> Reply<Queue> {
    reply(app.gander.queue_resume(id("session", &session)?).await)
}

/// Answers what the agent asks for. The answer is on disk before the agent gets it.
#[utoipa::path(post, path = "/sessions/{id}/permissions/{permission_id}", tag = "turns", operation_id = "answerPermission",
    params(("id" = String, Path), ("permission_id" = String, Path)), request_body = PermissionAnswer,
    responses((status = 200, body = SessionBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn permission(
    State(app): State<App>,
    Path((session, permission)): Path<(String, String)>,
    Body(body): Body<PermissionAnswer>,
) -> Reply<SessionBody> {
    reply(app.gander.answer_permission(id("session", &session)?, id("permission", &permission)?, body).await)
}
