//! Every address of this server. The OpenAPI document is made from the same list, so neither can be without the other.

mod agents;
mod auth;
mod backups;
mod blobs;
mod exports;
mod handover;
mod sessions;
mod store;
mod turns;
mod upgrade;
mod windows;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gander_api::{ApiError, Code};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{JSON_MAX_BYTES, Problem};
use crate::server::App;
use crate::{assets, gate, pages, stream};

/// How long an operation may take. Streams and uploads have bounds of their own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(OpenApi)]
#[openapi(
    info(title = "Gander", description = "Sessions, windows and turns of one journal. Errors are RFC 9457 problem documents with a stable `code`."),
    components(schemas(gander_api::dto::Problem, gander_api::dto::Change)),
    security(("token" = []), ("browser" = []))
)]
struct Document;

fn api() -> OpenApiRouter<App> {
    let mut document = Document::openapi();
    // Generated clients compare equal over patch releases, which change no shape.
    document.info.version = "1".to_owned();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.add_security_scheme(
        "browser",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            "gander-…",
            "The browser grant; its name has a part that is the journal's own.",
        ))),
    );
    let bounded = OpenApiRouter::new()
        .routes(routes!(store::health))
        .routes(routes!(openapi_json))
        .routes(routes!(store::findings))
        .routes(routes!(store::verify))
        .routes(routes!(store::rebuild))
        .routes(routes!(backups::drill))
        .routes(routes!(store::repair))
        .routes(routes!(exports::open_sessions))
        .routes(routes!(store::job))
        .routes(routes!(store::stop))
        .routes(routes!(handover::get, handover::begin, handover::cancel))
        .routes(routes!(handover::interrupt))
        .routes(routes!(upgrade::get))
        .routes(routes!(upgrade::windows))
        .routes(routes!(upgrade::seen))
        .routes(routes!(upgrade::now))
        .routes(routes!(upgrade::later))
        .routes(routes!(auth::new_code))
        .routes(routes!(auth::grants))
        .routes(routes!(auth::revoke))
        .routes(routes!(windows::list, windows::open))
        .routes(routes!(windows::get, windows::patch, windows::close))
        .routes(routes!(windows::reopen))
        .routes(routes!(windows::focus))
        .routes(routes!(windows::new_chat))
        .routes(routes!(windows::show))
        .routes(routes!(windows::move_session))
        .routes(routes!(windows::draft))
        .routes(routes!(sessions::list, sessions::create))
        .routes(routes!(sessions::search))
        .routes(routes!(sessions::get, sessions::patch))
        .routes(routes!(sessions::entries))
        .routes(routes!(sessions::entry_data))
        .routes(routes!(sessions::drafts))
        .routes(routes!(sessions::commands))
        .routes(routes!(sessions::fork))
        .routes(routes!(sessions::redact))
        .routes(routes!(sessions::purge))
        .routes(routes!(turns::send))
        .routes(routes!(turns::cancel))
        .routes(routes!(turns::go_on))
        .routes(routes!(turns::queue))
        .routes(routes!(turns::queue_patch, turns::queue_delete))
        .routes(routes!(turns::queue_resume))
        .routes(routes!(turns::permission))
        .routes(routes!(blobs::get))
        .routes(routes!(agents::list, agents::add))
        .routes(routes!(agents::remove))
        .routes(routes!(agents::check))
        .routes(routes!(agents::config, agents::patch_config))
        .routes(routes!(agents::folders))
        .layer(DefaultBodyLimit::max(JSON_MAX_BYTES))
        .layer(from_fn(in_time));
    let open_ended = OpenApiRouter::new()
        .routes(routes!(stream::changes))
        .routes(routes!(blobs::put))
        .layer(DefaultBodyLimit::disable());
    // As long as the store is large.
    let long = OpenApiRouter::new()
        .routes(routes!(backups::list, backups::create))
        .routes(routes!(backups::verify))
        .routes(routes!(backups::prune))
        .routes(routes!(backups::restore))
        .routes(routes!(exports::export))
        .layer(DefaultBodyLimit::max(JSON_MAX_BYTES));
    let files = OpenApiRouter::new().routes(routes!(exports::import)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::with_openapi(document).nest("/api/v1", bounded.merge(open_ended).merge(long).merge(files))
}

/// The OpenAPI document of this version.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api().into_openapi()
}

/// The OpenAPI document.
#[utoipa::path(get, path = "/openapi.json", tag = "store", operation_id = "getOpenapi", responses((status = 200, body = Object)))]
async fn openapi_json() -> Response {
    match openapi().to_json() {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => Problem(ApiError::internal(error)).into_response(),
    }
}

/// All routes behind the gate.
pub fn router(app: App) -> Router {
    let (api, _) = api().split_for_parts();
    api.route("/api/{*rest}", axum::routing::any(no_route))
        .route("/", get(pages::home))
        .route("/auth", get(pages::auth))
        .route("/w/{id}", get(pages::window))
        .route("/{*path}", get(assets::file))
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(app.clone(), bounded))
        .layer(from_fn_with_state(app.clone(), gate::gate))
        .with_state(app)
}

async fn no_route(request: Request) -> Problem {
    Problem(ApiError::not_found("operation", format_args!("{:.200}", request.uri().path())))
}

async fn no_method(request: Request) -> Response {
    let detail = format!("{} is not an operation on {:.200}.", request.method(), request.uri().path());
    (axum::http::StatusCode::METHOD_NOT_ALLOWED, axum::Json(ApiError::bad(detail).problem())).into_response()
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem(ApiError::new(Code::TimedOut, "The operation took longer than a minute.")).into_response(),
    }
}

/// Requests at once. Beyond the bound they wait a while, then are told so.
async fn bounded(State(app): State<App>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(Duration::from_secs(10), app.requests.clone().acquire_owned()).await {
        Ok(Ok(_permit)) => next.run(request).await,
        _ => Problem(ApiError::new(Code::TooMany, "More than 256 requests are being worked on.")).into_response(),
    }
}
