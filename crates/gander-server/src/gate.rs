//! The gate before every route, static files and streams included: Host, Origin, fetch site, credential.
//!
//! A page of another site can make a browser send requests here; a name of another site can be made to point here.
//! So Host must be this very address, an Origin that is present must be this very origin, and a cookie is taken only
//! where the browser itself says that the request comes from one of our pages.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use gander_api::{ApiError, Code};

use crate::grant::Caller;
use crate::problem::Problem;
use crate::server::App;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The one value of a header. `Err` when it is there more than once, or is not text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    match (values.next(), first.to_str()) {
        (None, Ok(text)) => Ok(Some(text)),
        _ => Err(forbidden(format!("The header {name} is there more than once or is not text."))),
    }
}

fn forbidden(detail: impl Into<String>) -> ApiError {
    ApiError::new(Code::Forbidden, detail)
}

fn unauthorized(detail: &str) -> ApiError {
    ApiError::new(Code::Unauthorized, detail)
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Checks the two names that a browser cannot be made to lie about. Gives whether an Origin was there.
pub fn check_place(headers: &HeaderMap, uri: &Uri, app: &App) -> Result<bool, ApiError> {
    // An absolute-form target would carry a host of its own beside the header.
    if uri.authority().is_some_and(|authority| authority.as_str() != app.address) {
        return Err(forbidden("The request's target names another host."));
    }
    match only(headers, &header::HOST)? {
        Some(host) if host == app.address => {}
        Some(host) => return Err(forbidden(format!("This server is {}, not {host:.100}.", app.address))),
        None => return Err(forbidden("The header Host is missing.")),
    }
    match only(headers, &header::ORIGIN)? {
        None => Ok(false),
        Some(origin) if origin == app.origin => Ok(true),
        Some(origin) => Err(forbidden(format!("A page of {origin:.100} may not ask here."))),
    }
}

/// Finds who asks, or says why that is not known.
pub fn check_caller(method: &Method, headers: &HeaderMap, has_origin: bool, app: &App) -> Result<Caller, ApiError> {
    if let Some(value) = only(headers, &header::AUTHORIZATION)? {
        let token = value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer "));
        return token
            .and_then(|token| app.grants.bearer(token.trim()))
            .ok_or_else(|| unauthorized("This token is not the one of the running instance."));
    }
    let Some(cookie) = cookie(headers, app.grants.cookie_name()) else {
        return Err(unauthorized("There is no credential with this request."));
    };
    let caller =
        app.grants.cookie(cookie).ok_or_else(|| unauthorized("This browser's grant is not known (any more)."))?;
    if is_upgrade(headers) {
        // Browsers send no fetch metadata with a WebSocket, but always its origin.
        return if has_origin { Ok(caller) } else { Err(forbidden("A WebSocket with a cookie needs its Origin.")) };
    }
    let navigates = only(headers, &SEC_FETCH_MODE)? == Some("navigate") && method.is_safe();
    match only(headers, &SEC_FETCH_SITE)? {
        Some("same-origin") => {}
        Some("none") if navigates => {}
        Some(site) => return Err(forbidden(format!("A request from {site:.20} may not use this browser's grant."))),
        None => return Err(forbidden("A cookie is taken from browsers that say where a request comes from.")),
    }
    if !method.is_safe() && !has_origin {
        return Err(forbidden("A request that changes something needs its Origin with a cookie."));
    }
    Ok(caller)
}

/// The value of the cookie of this name, if there is exactly one.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The layer itself.
pub async fn gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let page = !request.uri().path().starts_with("/api/");
    let native = crate::headers::is_native(request.headers());
    let mut response = match admit(&app, &mut request) {
        Ok(()) => next.run(request).await,
        Err(error) if page => refusal(&error),
        Err(error) => Problem(error).into_response(),
    };
    crate::headers::harden(response.headers_mut(), &app.page_policy, native);
    response
}

fn admit(app: &App, request: &mut Request) -> Result<(), ApiError> {
    let has_origin = check_place(request.headers(), request.uri(), app)?;
    // A code is its own credential.
    if request.uri().path() == "/auth" {
        return Ok(());
    }
    match check_caller(request.method(), request.headers(), has_origin, app) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            Ok(())
        }
        Err(error) => {
            app.grants.note_failure()?;
            Err(error)
        }
    }
}

/// A page for a person whose browser was not let in.
pub fn refusal(error: &ApiError) -> Response {
    let status = axum::http::StatusCode::from_u16(error.code.status()).unwrap_or(axum::http::StatusCode::FORBIDDEN);
    let text = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Gander</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<h1>{}</h1>\n<p>{}</p>\n<p>{}</p>\n<p>{}</p>\n</html>\n",
        text(error.code.title()),
        text(&error.detail),
        text(&error.safe),
        text(&error.todo)
    );
    (status, Html(page)).into_response()
}
