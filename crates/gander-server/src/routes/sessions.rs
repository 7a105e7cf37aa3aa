//! Sessions and what is in them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gander_api::dto::{
    Commands, Drafts, Entries, EntriesQuery, ForkBody, NewChat, Problem as ProblemBody, Purged, RedactBody, SearchPage,
    SearchQuery, SessionBody, SessionPatch, Sessions, SessionsQuery,
};

use crate::headers::DATA_POLICY;
use crate::problem::{Ask, Body, Problem, Reply, id, reply};
use crate::server::App;

/// A page of sessions, last turn first, and how many the filter hides.
#[utoipa::path(get, path = "/sessions", tag = "sessions", operation_id = "listSessions", params(SessionsQuery),
    responses((status = 200, body = Sessions), (status = 400, body = ProblemBody)))]
pub async fn list(State(app): State<App>, Ask(query): Ask<SessionsQuery>) -> Reply<Sessions> {
    reply(app.gander.sessions(query).await)
}

/// A session without a window, which a program sends to at once.
#[utoipa::path(post, path = "/sessions", tag = "sessions", operation_id = "newSession", request_body = NewChat,
    responses((status = 201, body = SessionBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn create(State(app): State<App>, Body(body): Body<NewChat>) -> Result<Response, Problem> {
    Ok((StatusCode::CREATED, Json(app.gander.new_session(body).await?)).into_response())
}

/// Searches inside sessions, newest first.
#[utoipa::path(get, path = "/search", tag = "sessions", operation_id = "search", params(SearchQuery),
    responses((status = 200, body = SearchPage), (status = 400, body = ProblemBody)))]
pub async fn search(State(app): State<App>, Ask(query): Ask<SearchQuery>) -> Reply<SearchPage> {
    reply(app.gander.search(query).await)
}

/// One session.
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions", operation_id = "getSession", params(("id" = String, Path)),
    responses((status = 200, body = SessionBody), (status = 404, body = ProblemBody)))]
pub async fn get(State(app): State<App>, Path(session): Path<String>) -> Reply<SessionBody> {
    reply(app.gander.session(id("session", &session)?).await)
}

/// Renames, archives, trashes, brings back, relinks the folder, pins, or marks as seen.
#[utoipa::path(patch, path = "/sessions/{id}", tag = "sessions", operation_id = "patchSession", params(("id" = String, Path)), request_body = SessionPatch,
    responses((status = 200, body = SessionBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn patch(
    State(app): State<App>,
    Path(session): Path<String>,
    Body(body): Body<SessionPatch>,
) -> Reply<SessionBody> {
    reply(app.gander.patch_session(id("session", &session)?, body).await)
}

/// A verified page of entries, and what is still being streamed. Without a bound: the last ones.
#[utoipa::path(get, path = "/sessions/{id}/entries", tag = "sessions", operation_id = "listEntries", params(("id" = String, Path), EntriesQuery),
    responses((status = 200, body = Entries), (status = 404, body = ProblemBody), (status = 423, body = ProblemBody)))]
pub async fn entries(
    State(app): State<App>,
    Path(session): Path<String>,
    Ask(query): Ask<EntriesQuery>,
) -> Reply<Entries> {
    reply(app.gander.entries(id("session", &session)?, query).await)
}

/// The `data` of an entry where it lies beside it: the stored bytes.
#[utoipa::path(get, path = "/sessions/{id}/entries/{seq}/data", tag = "sessions", operation_id = "getEntryData",
    params(("id" = String, Path), ("seq" = u64, Path)),
    responses((status = 200, content_type = "application/json", body = Object), (status = 404, body = ProblemBody)))]
pub async fn entry_data(
    State(app): State<App>,
    Path((session, seq)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let bytes = app.gander.entry_data(id("session", &session)?, id("entry", &seq)?).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DATA_POLICY)),
    ];
    Ok((headers, bytes).into_response())
}

/// The drafts of all windows for this session.
#[utoipa::path(get, path = "/sessions/{id}/drafts", tag = "sessions", operation_id = "listDrafts", params(("id" = String, Path)),
    responses((status = 200, body = Drafts), (status = 404, body = ProblemBody)))]
pub async fn drafts(State(app): State<App>, Path(session): Path<String>) -> Reply<Drafts> {
    reply(app.gander.session_drafts(id("session", &session)?).await)
}

/// The slash commands that the session's agent offers.
#[utoipa::path(get, path = "/sessions/{id}/commands", tag = "sessions", operation_id = "listCommands", params(("id" = String, Path)),
    responses((status = 200, body = Commands), (status = 404, body = ProblemBody)))]
pub async fn commands(State(app): State<App>, Path(session): Path<String>) -> Reply<Commands> {
    reply(app.gander.commands(id("session", &session)?).await)
}

/// A new session that goes on from the end of a turn of this one.
#[utoipa::path(post, path = "/sessions/{id}/fork", tag = "sessions", operation_id = "forkSession", params(("id" = String, Path)), request_body = ForkBody,
    responses((status = 200, body = SessionBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn fork(
    State(app): State<App>,
    Path(session): Path<String>,
    Body(body): Body<ForkBody>,
) -> Reply<SessionBody> {
    reply(app.gander.fork(id("session", &session)?, body).await)
}

/// Erases one entry's body for good; its hash stays.
#[utoipa::path(post, path = "/sessions/{id}/redact", tag = "sessions", operation_id = "redactEntry", params(("id" = String, Path)), request_body = RedactBody,
    responses((status = 200, body = SessionBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn redact(
    State(app): State<App>,
    Path(session): Path<String>,
    Body(body): Body<RedactBody>,
) -> Reply<SessionBody> {
    reply(app.gander.redact(id("session", &session)?, body).await)
}

/// Erases the bodies of a trashed session for good, and says what its agents keep of it themselves.
#[utoipa::path(post, path = "/sessions/{id}/purge", tag = "sessions", operation_id = "purgeSession", params(("id" = String, Path)),
    responses((status = 200, body = Purged), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn purge(State(app): State<App>, Path(session): Path<String>) -> Reply<Purged> {
    reply(app.gander.purge(id("session", &session)?).await)
}
