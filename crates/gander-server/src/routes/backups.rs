//! Snapshots of the store.

use axum::extract::{Path, State};
use gander_api::dto::{
    BackupBody, BackupList, BackupMade, BackupReport, DrillBody, Job, Problem as ProblemBody, PruneBody, PruneReport,
    RestoreBody, RestoreReport,
};

use crate::problem::{Body, MaybeBody, Reply, id, reply};
use crate::server::App;

/// Every snapshot, newest first.
#[utoipa::path(get, path = "/backups", tag = "backups", operation_id = "listBackups",
    responses((status = 200, body = BackupList)))]
pub async fn list(State(app): State<App>) -> Reply<BackupList> {
    reply(app.gander.backups().await)
}

/// Makes a snapshot and reads back what it added. Without a body it is one by hand.
#[utoipa::path(post, path = "/backups", tag = "backups", operation_id = "createBackup", request_body = BackupBody,
    responses((status = 200, body = BackupMade), (status = 400, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn create(State(app): State<App>, body: MaybeBody<BackupBody>) -> Reply<BackupMade> {
    reply(app.gander.create_backup(body.0).await)
}

/// Restores a snapshot into a scratch store and compares store roots, beside the work.
#[utoipa::path(post, path = "/jobs/drill", tag = "backups", operation_id = "startDrill", request_body = DrillBody,
    responses((status = 200, body = Job), (status = 404, body = ProblemBody)))]
pub async fn drill(State(app): State<App>, body: MaybeBody<DrillBody>) -> Reply<Job> {
    reply(app.gander.start_drill(body.0).await)
}

/// Reads everything in the vault and recomputes every hash.
#[utoipa::path(post, path = "/backups/verify", tag = "backups", operation_id = "verifyBackups",
    responses((status = 200, body = BackupReport)))]
pub async fn verify(State(app): State<App>) -> Reply<BackupReport> {
    reply(app.gander.verify_backups().await)
}

/// Forgets snapshots that the policy does not keep; never the only copy of anything.
#[utoipa::path(post, path = "/backups/prune", tag = "backups", operation_id = "pruneBackups", request_body = PruneBody,
    responses((status = 200, body = PruneReport), (status = 400, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn prune(State(app): State<App>, Body(body): Body<PruneBody>) -> Reply<PruneReport> {
    reply(app.gander.prune_backups(body).await)
}

/// Restores from a snapshot: only ever adds. With `dry_run` it only says what would happen.
#[utoipa::path(post, path = "/backups/{id}/restore", tag = "backups", operation_id = "restoreBackup",
    params(("id" = String, Path)), request_body = RestoreBody,
    responses((status = 200, body = RestoreReport), (status = 404, body = ProblemBody)))]
pub async fn restore(
    State(app): State<App>,
    Path(snapshot): Path<String>,
    Body(body): Body<RestoreBody>,
) -> Reply<RestoreReport> {
    reply(app.gander.restore_backup(id("snapshot", &snapshot)?, body).await)
}
