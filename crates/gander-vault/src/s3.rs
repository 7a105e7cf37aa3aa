//! A vault in an S3-compatible bucket. Requests go over one small HTTP/1.1 client with the operating system's
//! certificates; nothing of the environment or of a cloud's metadata service is asked for credentials.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::{Vault, VaultError};

use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::TokioExecutor;

/// No connection after this long: the bucket cannot be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// No answer after this long: the request is lost. The slowest line that is of use sends a segment in it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Where the bucket is and how to be let in.
#[derive(Clone, Deserialize)]
pub struct Bucket {
    /// The service's address; the provider's own when it is not given.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The region, where the service has such.
    #[serde(default)]
    pub region: Option<String>,
    /// The bucket's name.
    pub bucket: String,
    /// A folder within the bucket.
    #[serde(default)]
    pub prefix: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The access key's secret; comes from the keyring or the environment, never from a file of ours.
    #[serde(skip)]
    pub secret_access_key: String,
    /// A file with the secret, readable by its owner alone.
    #[serde(default)]
    pub secret_file: Option<std::path::PathBuf>,
    /// Whether an `http://` endpoint may be used (a server on this machine or a private network).
    #[serde(default)]
    pub allow_http: bool,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket").field("endpoint", &self.endpoint).field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Vault {
    /// The vault in a bucket.
    pub fn bucket(bucket: &Bucket, runtime: Handle) -> Result<Self, VaultError> {
        let place = |source: Box<dyn std::error::Error + Send + Sync>| VaultError::Place {
            place: format!("bucket {}", bucket.bucket),
            source,
        };
        let connector = Connector::new(bucket.allow_http).map_err(place)?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.bucket)
            .with_region(bucket.region.as_deref().unwrap_or("us-east-1"))
            .with_access_key_id(&bucket.access_key_id)
            .with_secret_access_key(&bucket.secret_access_key)
            .with_allow_http(bucket.allow_http)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(retry())
            .with_http_connector(connector);
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let store = builder.build().map_err(|e| place(e.into()))?;
        Self::over(Arc::new(store), &bucket.prefix, runtime)
    }
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: 4, retry_timeout: Duration::from_secs(180) }
}

/// `object_store`'s door to the network, over the HTTP client that is in the build anyway.
#[derive(Debug, Clone)]
struct Connector(Client<HttpsConnector<TcpConnector>, HttpRequestBody>);

impl Connector {
    fn new(allow_http: bool) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider)?;
        let schemes = if allow_http { tls.https_or_http() } else { tls.https_only() };
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let https = schemes.enable_http1().wrap_connector(tcp);
        Ok(Self(Client::builder(TokioExecutor::new()).build(https)))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.0.request(request));
        let answer = answer.await.map_err(|e| HttpError::new(HttpErrorKind::Timeout, e))?;
        let answer = answer.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })?;
        let (parts, body) = answer.into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}
