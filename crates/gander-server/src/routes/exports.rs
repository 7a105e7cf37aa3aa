//! Sessions as files, out and in.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use gander_api::dto::{ExportQuery, ExportsBody, Job, Problem as ProblemBody, RestoreReport};

use gander_api::{ApiError, Code};

use crate::headers::DATA_POLICY;
use crate::problem::{Ask, Body, Problem, Reply, id, reply};
use crate::server::App;

/// How long an import may say nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// A session as a file: `format` is `json`, `jsonl`, `markdown` or `html`. Data, whatever it says: sandboxed, and as an attachment.
#[utoipa::path(get, path = "/sessions/{id}/export", tag = "sessions", operation_id = "exportSession",
    params(("id" = String, Path), ExportQuery),
    responses((status = 200, content_type = "application/octet-stream", body = inline(Vec<u8>)),
        (status = 400, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn export(
    State(app): State<App>,
    Path(session): Path<String>,
    Ask(query): Ask<ExportQuery>,
) -> Result<Response, Problem> {
    let file = app.gander.export_session(id("session", &session)?, query.format).await?;
    let disposition = format!("attachment; filename=\"{}\"", file.file_name);
    let disposition = HeaderValue::from_str(&disposition).map_err(|error| Problem(ApiError::internal(error)))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(file.mime)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DATA_POLICY)),
    ];
    Ok((headers, file.bytes).into_response())
}

/// Writes every open session as JSON and Markdown into a dated folder below the data folder, beside the work.
#[utoipa::path(post, path = "/exports", tag = "sessions", operation_id = "startExports", request_body = ExportsBody,
    responses((status = 200, body = Job), (status = 400, body = ProblemBody)))]
pub async fn open_sessions(State(app): State<App>, Body(body): Body<ExportsBody>) -> Reply<Job> {
    reply(app.gander.start_exports(body).await)
}

/// Takes an export in JSON Lines in: the request's body as it is. Verified whole first; only ever adds.
#[utoipa::path(post, path = "/import", tag = "sessions", operation_id = "importSessions",
    request_body(content_type = "application/x-ndjson", content = inline(Vec<u8>)),
    responses((status = 200, body = RestoreReport), (status = 400, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn import(State(app): State<App>, body: axum::body::Body) -> Reply<RestoreReport> {
    let mut incoming = app.gander.new_import().await?;
    let mut pieces = body.into_data_stream();
    loop {
        let piece = tokio::time::timeout(SILENCE, pieces.next())
            .await
            .map_err(|_| ApiError::new(Code::TimedOut, "The import said nothing for 30 s."))?;
        match piece {
            Some(Ok(piece)) => incoming.write(&piece).await?,
            Some(Err(error)) => return Err(ApiError::bad(format!("The import was cut off: {error}.")).into()),
            None => break,
        }
    }
    reply(incoming.finish().await)
}
