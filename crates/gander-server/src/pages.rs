//! What a browser opens: the way in, and the UI's places.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use gander_api::{ApiError, Code};
use gander_model::WindowId;
use serde::Deserialize;

use crate::server::App;
use crate::{assets, gate, headers};

/// A path of this server, or nothing: `//host`, `/\host` and whole URLs lead elsewhere.
fn own_path(to: &str) -> Option<&str> {
    let plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (to.starts_with('/') && !to.starts_with("//") && plain).then_some(to)
}

/// A URL with a new code.
pub fn browser_url(app: &App, to: Option<&str>) -> Result<String, ApiError> {
    let code = app.grants.new_code()?;
    let to = match to {
        None => String::new(),
        Some(to) => {
            let to = own_path(to).ok_or_else(|| ApiError::bad("`to` must be a path of this server."))?;
            format!("&to={}", to.replace('%', "%25").replace('&', "%26").replace('#', "%23").replace('+', "%2B"))
        }
    };
    Ok(format!("{}/auth?code={code}{to}", app.origin))
}

#[derive(Deserialize)]
pub struct AuthQuery {
    code: Option<String>,
    to: Option<String>,
}

/// Takes a code and gives this browser its cookie.
pub async fn auth(State(app): State<App>, Query(query): Query<AuthQuery>, headers: HeaderMap) -> Response {
    let label = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("a browser");
    let cookie = match app.grants.redeem(query.code.as_deref().unwrap_or_default(), label).await {
        Ok(cookie) => cookie,
        Err(error) => return gate::refusal(&error),
    };
    let to = query.to.as_deref().and_then(own_path).unwrap_or("/");
    // Loopback is plain HTTP, so `Secure` would keep some browsers from ever sending it back.
    let cookie = format!("{}={cookie}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict", app.grants.cookie_name());
    let Ok(cookie) = HeaderValue::from_str(&cookie) else {
        return gate::refusal(&ApiError::internal("The cookie could not be written."));
    };
    let mut response = Redirect::to(to).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

/// The window that had the focus last; one is opened where there is none.
pub async fn home(State(app): State<App>) -> Response {
    match app.gander.home_window().await {
        Ok(window) => Redirect::to(&format!("/w/{window}")).into_response(),
        // Nothing can be made now (NOT SAVING): the UI shows that.
        Err(error) if error.code == Code::NotSaving => assets::index(),
        Err(error) => gate::refusal(&error),
    }
}

/// A window's page. Whether there is such a window is asked by the page, which can then say so.
pub async fn window(State(app): State<App>, Path(id): Path<String>) -> Response {
    if id.parse::<WindowId>().is_err() {
        return (StatusCode::NOT_FOUND, "There is no such page.\n").into_response();
    }
    let mut response = assets::index();
    let remote_images = app.gander.config().await.is_ok_and(|config| config.remote_images);
    if remote_images && let Ok(policy) = HeaderValue::from_str(&headers::page_policy(&app.address, true)) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
