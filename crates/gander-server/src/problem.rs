//! Errors as RFC 9457 problem documents, and extractors whose refusals are such documents too.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use gander_api::{ApiError, Code};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest JSON body. A draft or prompt with pasted text fits; an attachment is a blob.
pub const JSON_MAX_BYTES: usize = 8 << 20;

/// An [`ApiError`] on its way out.
#[derive(Debug)]
pub struct Problem(pub ApiError);

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Problem(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self.0.code == Code::Internal {
            tracing::error!(detail = %self.0.detail, "an operation failed");
        }
        let mut response = (status, Json(self.0.problem())).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// What a route gives back.
pub type Reply<T> = Result<Json<T>, Problem>;

/// `Ok` as JSON.
pub fn reply<T: Serialize>(result: Result<T, ApiError>) -> Reply<T> {
    Ok(Json(result?))
}

/// A JSON body. Wants `Content-Type: application/json`, which no plain form of another site can send.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
                value.split(';').next().is_some_and(|mime| mime.trim().eq_ignore_ascii_case("application/json"))
            });
        if !json {
            return Err(ApiError::bad("The body must have Content-Type application/json.").into());
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem(ApiError::new(Code::TooLarge, format!("The body is larger than {JSON_MAX_BYTES} bytes.")))
            } else {
                Problem(ApiError::bad(format!("The body could not be read: {rejection}.")))
            }
        })?;
        // An operation whose fields are all optional may be called without a body.
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let value = serde_json::from_slice(bytes)
            .map_err(|error| Problem(ApiError::bad(format!("The body is not what this operation takes: {error}."))))?;
        Ok(Body(value))
    }
}

/// A JSON body that may be left out, its type and all.
pub struct MaybeBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let empty = axum::body::HttpBody::is_end_stream(request.body());
        if empty && !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(MaybeBody(T::default()));
        }
        Body::from_request(request, state).await.map(|Body(value)| MaybeBody(value))
    }
}

/// The query of a URL.
pub struct Ask<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Ask<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(value) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem(ApiError::bad(format!("The query is not understood: {rejection}."))))?;
        Ok(Ask(value))
    }
}

/// An id in a path. One that cannot be an id names nothing.
pub fn id<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem(ApiError::not_found(what, format_args!("{text:.80}"))))
}
