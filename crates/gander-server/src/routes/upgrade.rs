//! How the last upgrade went.

use axum::extract::State;
use axum::http::StatusCode;
use gander_api::dto::{NativeWindows, Problem as ProblemBody, UpgradeSeen, UpgradeStatus};

use crate::problem::{Body, Problem, Reply, reply};
use crate::server::App;

/// Which version serves, the upgrade that is under way, and the last one with what was checked.
#[utoipa::path(get, path = "/upgrade", tag = "store", operation_id = "getUpgrade", responses((status = 200, body = UpgradeStatus)))]
pub async fn get(State(app): State<App>) -> Reply<UpgradeStatus> {
    reply(app.gander.upgrade().await)
}

/// The native windows that belong to the version that serves.
#[utoipa::path(get, path = "/upgrade/windows", tag = "store", operation_id = "getUpgradeWindows", responses((status = 200, body = NativeWindows)))]
pub async fn windows(State(app): State<App>) -> Reply<NativeWindows> {
    reply(Ok(app.gander.upgrade_windows().await))
}

/// A person has seen the result.
#[utoipa::path(post, path = "/upgrade/seen", tag = "store", operation_id = "upgradeSeen", request_body = UpgradeSeen,
    responses((status = 204)))]
pub async fn seen(State(app): State<App>, Body(body): Body<UpgradeSeen>) -> Result<StatusCode, Problem> {
    app.gander.upgrade_seen(body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The version in the installed program's place takes over now: running turns may end for a while, then they are interrupted.
#[utoipa::path(post, path = "/upgrade/installed/now", tag = "store", operation_id = "takeOverNow",
    responses((status = 202), (status = 409, body = ProblemBody)))]
pub async fn now(State(app): State<App>) -> Result<StatusCode, Problem> {
    app.gander.take_over_now().await?;
    Ok(StatusCode::ACCEPTED)
}

/// It is left alone until somebody says otherwise, or Gander is started again.
#[utoipa::path(post, path = "/upgrade/installed/later", tag = "store", operation_id = "takeOverLater",
    responses((status = 204), (status = 409, body = ProblemBody)))]
pub async fn later(State(app): State<App>) -> Result<StatusCode, Problem> {
    app.gander.take_over_later().await?;
    Ok(StatusCode::NO_CONTENT)
}
