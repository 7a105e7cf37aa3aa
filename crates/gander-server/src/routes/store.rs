//! The store as a whole.

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use gander_api::dto::{Findings, Health, Job, Problem as ProblemBody, RepairBody};
use gander_api::{ApiError, Code};

use crate::grant::Caller;
use crate::problem::{MaybeBody, Problem, Reply, reply};
use crate::server::App;

/// How the store is.
#[utoipa::path(get, path = "/health", tag = "store", operation_id = "getHealth", responses((status = 200, body = Health)))]
pub async fn health(State(app): State<App>) -> Reply<Health> {
    reply(app.gander.health().await)
}

/// What verification, turns and the guard have to report.
#[utoipa::path(get, path = "/findings", tag = "store", operation_id = "listFindings", responses((status = 200, body = Findings)))]
pub async fn findings(State(app): State<App>) -> Reply<Findings> {
    reply(app.gander.findings().await)
}

/// Recomputes everything, beside the work.
#[utoipa::path(post, path = "/jobs/verify", tag = "store", operation_id = "startVerify", responses((status = 200, body = Job)))]
pub async fn verify(State(app): State<App>) -> Reply<Job> {
    reply(app.gander.start_verify().await)
}

/// Makes lists and search index anew from the entries, beside the work, and verifies everything afterwards.
#[utoipa::path(post, path = "/jobs/rebuild", tag = "store", operation_id = "startRebuild",
    responses((status = 200, body = Job)))]
pub async fn rebuild(State(app): State<App>) -> Reply<Job> {
    reply(app.gander.start_rebuild().await)
}

/// Heals damaged sessions from the newest snapshots that fit; everything else stays as it is.
#[utoipa::path(post, path = "/jobs/repair", tag = "store", operation_id = "startRepair", request_body = RepairBody,
    responses((status = 200, body = Job), (status = 404, body = ProblemBody)))]
pub async fn repair(State(app): State<App>, body: MaybeBody<RepairBody>) -> Reply<Job> {
    reply(app.gander.start_repair(body.0).await)
}

/// How far a job is, and what came of it.
#[utoipa::path(get, path = "/jobs/{id}", tag = "store", operation_id = "getJob", params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = 404, body = ProblemBody)))]
pub async fn job(State(app): State<App>, Path(job): Path<String>) -> Reply<Job> {
    reply(app.gander.job(&job).await)
}

/// Asks the process to stop: turns are stopped and recorded first. For programs only.
#[utoipa::path(post, path = "/stop", tag = "store", operation_id = "stop", responses((status = 202), (status = 403, body = ProblemBody)))]
pub async fn stop(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<StatusCode, Problem> {
    if caller != Caller::Program {
        return Err(ApiError::new(Code::Forbidden, "Only a program with the token stops Gander.").into());
    }
    app.gander.request_stop();
    Ok(StatusCode::ACCEPTED)
}
