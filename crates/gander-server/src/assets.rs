//! The web UI's files: embedded in a release build, read from `web/dist` in a debug build.

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "../../web/dist"]
struct Dist;

/// The UI's page, for every address that is one of its places.
pub fn index() -> Response {
    match Dist::get("index.html") {
        Some(file) => answer("index.html", of_this_version(file)),
        None => (StatusCode::NOT_FOUND, "The web UI is not built: run `make web`.\n").into_response(),
    }
}

/// The page says which version served it: one that another version answers later has to be loaded again.
fn of_this_version(mut file: EmbeddedFile) -> EmbeddedFile {
    let page = String::from_utf8_lossy(&file.data);
    let meta = format!("<head><meta name=\"gander-version\" content=\"{}\">", gander_model::VERSION);
    file.data = page.replacen("<head>", &meta, 1).into_bytes().into();
    file
}

/// A file of the UI. What is not there is 404 and never the page, so that a missing script is not taken for one.
pub async fn file(Path(path): Path<String>) -> Response {
    match Dist::get(&path) {
        Some(file) => answer(&path, file),
        None => (StatusCode::NOT_FOUND, "There is no such file.\n").into_response(),
    }
}

fn answer(path: &str, file: EmbeddedFile) -> Response {
    // The build puts a content hash into the names below assets/.
    let cache = if path.starts_with("assets/") { "private, max-age=31536000, immutable" } else { "no-store" };
    let mime = match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8".to_owned(),
        Some("js" | "mjs") => "text/javascript; charset=utf-8".to_owned(),
        _ => file.metadata.mimetype().to_owned(),
    };
    let mut response = Response::new(Body::from(file.data.into_owned()));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_str(&mime).unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    response
}
