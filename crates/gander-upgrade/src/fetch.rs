//! Getting a package from an address: HTTPS, or HTTP from this machine itself. It is bounded in size and time and is
//! written to a file of ours; nothing of it is believed before its signature was found good.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::package::{PACKAGE_MAX, PackageError, SIGNATURE, create, signature_of};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Nothing for so long: the line is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often an address may send us on.
const REDIRECTS: usize = 5;
/// A signature is a few hundred bytes.
const SIGNATURE_MAX: u64 = 64 * 1024;

/// Why nothing was got.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not an address that packages are taken from.
    #[error("{0} is no https address (http only from this machine itself)")]
    Address(String),
    /// No connection, or it broke off.
    #[error("{url} could not be got")]
    Broken {
        /// What.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing came for too long.
    #[error("{0} did not answer, or stopped in the middle")]
    Timeout(String),
    /// An answer that is not the file.
    #[error("{url} answered with status {status}")]
    Status {
        /// What.
        url: String,
        /// Its status.
        status: u16,
    },
    /// It ended before its end, or goes on for ever.
    #[error("{url} gave {got} bytes, and {said} were to come")]
    Length {
        /// What.
        url: String,
        /// What came.
        got: u64,
        /// What was said, or may be at most.
        said: u64,
    },
    /// It could not be kept.
    #[error(transparent)]
    Package(#[from] PackageError),
}

/// Whether a source is an address rather than a file.
pub fn is_address(source: &str) -> bool {
    source.starts_with("https://") || source.starts_with("http://")
}

/// Gets a package and its signature (the address with `.minisig` added) into `path` and the file beside it.
pub async fn fetch(url: &str, path: &Path, mut progress: impl FnMut(u64, Option<u64>)) -> Result<(), FetchError> {
    let signature = match url.split_once('?') {
        Some((address, query)) => format!("{address}.{SIGNATURE}?{query}"),
        None => format!("{url}.{SIGNATURE}"),
    };
    // The small one first: without it the other is of no use.
    get(&signature, &signature_of(path), SIGNATURE_MAX, &mut |_, _| {}).await.map_err(|error| match error {
        FetchError::Status { status: 404, url } => PackageError::NotSigned { path: url.into() }.into(),
        other => other,
    })?;
    get(url, path, PACKAGE_MAX, &mut progress).await
}

async fn get(
    url: &str,
    path: &Path,
    limit: u64,
    progress: &mut impl FnMut(u64, Option<u64>),
) -> Result<(), FetchError> {
    let (url, response) = follow(url).await?;
    let said = response.headers().get("content-length").and_then(|said| said.to_str().ok()?.parse::<u64>().ok());
    if let Some(said) = said.filter(|said| *said > limit) {
        return Err(FetchError::Length { url, got: said, said: limit });
    }
    let mut file = create(path).map_err(PackageError::io(path))?;
    let (mut body, mut got) = (response.into_body(), 0_u64);
    loop {
        let frame = tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await;
        let Some(frame) = frame.map_err(|_| FetchError::Timeout(url.clone()))? else { break };
        let frame = frame.map_err(|error| FetchError::Broken { url: url.clone(), source: error.into() })?;
        let Ok(data) = frame.into_data() else { continue };
        got += data.len() as u64;
        if got > limit {
            return Err(FetchError::Length { url, got, said: limit });
        }
        file.write_all(&data).map_err(PackageError::io(path))?;
        progress(got, said);
    }
    match said {
        Some(said) if said != got => Err(FetchError::Length { url, got, said }),
        _ => Ok(()),
    }
}

/// Asks, and follows where it is sent on to; each address must be one that may be asked.
async fn follow(url: &str) -> Result<(String, Response<Incoming>), FetchError> {
    let broken = |url: &str, source: Box<dyn std::error::Error + Send + Sync>| FetchError::Broken {
        url: url.to_owned(),
        source,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider);
    let tls = tls.map_err(|error| broken(url, error.into()))?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS {
        let uri = allowed(&url)?;
        let request = Request::get(uri.clone())
            .header("user-agent", concat!("gander/", env!("CARGO_PKG_VERSION")))
            .header("accept", "application/octet-stream, */*")
            .body(Empty::new())
            .map_err(|error| broken(&url, error.into()))?;
        let answer = tokio::time::timeout(IDLE_TIMEOUT, client.request(request)).await;
        let answer = answer.map_err(|_| FetchError::Timeout(url.clone()))?;
        let answer = answer.map_err(|error| broken(&url, error.into()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok((url, answer));
        }
        let on = answer.headers().get("location").and_then(|on| on.to_str().ok()).filter(|_| status.is_redirection());
        let Some(on) = on else { return Err(FetchError::Status { url, status: status.as_u16() }) };
        url = if on.starts_with('/') {
            let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
            format!("{}://{authority}{on}", uri.scheme_str().unwrap_or("https"))
        } else {
            on.to_owned()
        };
    }
    Err(broken(&url, "it sends on and on".into()))
}

/// HTTPS anywhere; HTTP only where no wire is between: this machine.
fn allowed(url: &str) -> Result<Uri, FetchError> {
    let refused = || FetchError::Address(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| refused())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => Ok(uri),
        (Some("http"), Some("127.0.0.1" | "[::1]" | "localhost")) => Ok(uri),
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for good in
            ["https://example.org/x.gander", "http://127.0.0.1:8000/x", "http://localhost/x", "http://[::1]:80/x"]
        {
            assert!(allowed(good).is_ok(), "{good}");
        }
        for bad in [
            "http://example.org/x",
            "http://127.0.0.1.example.org/x",
            "http://localhost.example.org/",
            "ftp://127.0.0.1/x",
            "file:///etc/passwd",
            "https:///x",
        ] {
            assert!(allowed(bad).is_err(), "{bad}");
        }
    }
}
