//! Handing the store over to another version.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use gander_api::dto::{Handover, HandoverBody, Problem as ProblemBody};
use gander_api::{ApiError, Code};

use crate::grant::Caller;
use crate::problem::{Body, Problem, Reply, reply};
use crate::server::App;

/// How far a handover is; `state` is `none` where there is none.
#[utoipa::path(get, path = "/handover", tag = "store", operation_id = "getHandover", responses((status = 200, body = Handover)))]
pub async fn get(State(app): State<App>) -> Reply<Handover> {
    reply(app.gander.handover().await)
}

/// Begins to hand the store over to another version: no new turns, running ones end (or are interrupted at the deadline),
/// everything is backed up and sealed, and the process ends. For programs only.
#[utoipa::path(post, path = "/handover", tag = "store", operation_id = "beginHandover", request_body = HandoverBody,
    responses((status = 202, body = Handover), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn begin(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<HandoverBody>,
) -> Result<(StatusCode, Json<Handover>), Problem> {
    if caller != Caller::Program {
        return Err(ApiError::new(Code::Forbidden, "Only a program with the token takes the store over.").into());
    }
    Ok((StatusCode::ACCEPTED, Json(app.gander.begin_handover(body).await?)))
}

/// Calls a handover off while turns are waited for: everything goes on as if it had not been.
#[utoipa::path(delete, path = "/handover", tag = "store", operation_id = "cancelHandover",
    responses((status = 200, body = Handover), (status = 409, body = ProblemBody)))]
pub async fn cancel(State(app): State<App>) -> Reply<Handover> {
    reply(app.gander.cancel_handover().await)
}

/// Interrupts the turns that a handover waits for; each can be continued afterwards.
#[utoipa::path(post, path = "/handover/interrupt", tag = "store", operation_id = "interruptHandover",
    responses((status = 200, body = Handover), (status = 409, body = ProblemBody)))]
pub async fn interrupt(State(app): State<App>) -> Reply<Handover> {
    reply(app.gander.interrupt_handover().await)
}
