//! Codes for browsers, and the grants that came of them.

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use gander_api::dto::{AuthCode, Grants, NewAuthCode, Problem as ProblemBody};
use gander_api::{ApiError, Code};

use crate::grant::Caller;
use crate::pages::browser_url;
use crate::problem::{Body, Problem, Reply, reply};
use crate::server::App;

/// A one-time URL that lets a browser in. For programs only: a page cannot let others in.
#[utoipa::path(post, path = "/auth/codes", tag = "auth", operation_id = "newAuthCode", request_body = NewAuthCode, responses((status = 200, body = AuthCode)))]
pub async fn new_code(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<NewAuthCode>,
) -> Reply<AuthCode> {
    if caller != Caller::Program {
        return Err(ApiError::new(Code::Forbidden, "Only a program with the token makes codes.").into());
    }
    let url = browser_url(&app, body.to.as_deref())?;
    let code = url.split("code=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default().to_owned();
    Ok(axum::Json(AuthCode { code, url }))
}

/// Browsers that were let in.
#[utoipa::path(get, path = "/auth/grants", tag = "auth", operation_id = "listGrants", responses((status = 200, body = Grants)))]
pub async fn grants(State(app): State<App>) -> Reply<Grants> {
    reply(app.gander.grants_list().await)
}

/// Lets a browser in no more.
#[utoipa::path(delete, path = "/auth/grants/{id}", tag = "auth", operation_id = "revokeGrant", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn revoke(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    app.grants.revoke(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
