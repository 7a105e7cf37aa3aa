//! Attachments: raw bytes in, raw bytes out.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use gander_api::dto::{Blob, Problem as ProblemBody};
use gander_api::{ApiError, BLOB_MAX_BYTES, Code};

use crate::headers::DATA_POLICY;
use crate::problem::{Problem, Reply};
use crate::server::App;

/// How long an upload may say nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// Keeps an attachment: the request's body as it is, at most 64 MiB. One that nothing names is kept for a day.
#[utoipa::path(post, path = "/blobs", tag = "blobs", operation_id = "putBlob",
    request_body(content_type = "application/octet-stream", content = inline(Vec<u8>)),
    responses((status = 200, body = Blob), (status = 413, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn put(State(app): State<App>, headers: HeaderMap, body: Body) -> Reply<Blob> {
    let mime = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    let mut upload = app.gander.new_blob(mime, announced).await?;
    let mut pieces = body.into_data_stream();
    loop {
        let piece = tokio::time::timeout(SILENCE, pieces.next())
            .await
            .map_err(|_| ApiError::new(Code::TimedOut, "The upload said nothing for 30 s."))?;
        match piece {
            Some(Ok(piece)) => upload.write(&piece).await?,
            Some(Err(error)) => return Err(ApiError::bad(format!("The upload was cut off: {error}.")).into()),
            None => break,
        }
    }
    debug_assert!(upload.bytes() <= BLOB_MAX_BYTES);
    Ok(Json(upload.finish().await?))
}

/// An attachment's bytes. Whatever they are, they are data: sandboxed, and as an attachment.
#[utoipa::path(get, path = "/blobs/{hash}", tag = "blobs", operation_id = "getBlob", params(("hash" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = inline(Vec<u8>)), (status = 404, body = ProblemBody)))]
pub async fn get(State(app): State<App>, Path(hash): Path<String>) -> Result<Response, Problem> {
    let download = app.gander.blob(&hash).await?;
    let mime =
        HeaderValue::from_str(&download.blob().mime).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (header::CONTENT_TYPE, mime),
        (header::CONTENT_LENGTH, HeaderValue::from(download.blob().bytes)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DATA_POLICY)),
        // The address names the content, so it never changes; but it may be erased, so it is not kept for long.
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=600")),
    ];
    // What goes wrong from here on cuts the answer short of its length.
    let chunks = futures::stream::try_unfold(download, |mut download| async {
        let chunk = download.next().await.map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok::<_, std::io::Error>(chunk.map(|chunk| (chunk, download)))
    });
    Ok((headers, Body::from_stream(chunks)).into_response())
}
