//! Starting and stopping. `serve` and the desktop both call [`Server::start`] and keep what it gives.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use gander_api::{ApiError, Gander, Options};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::grant::Grants;
use crate::runtime::RuntimeFile;
use crate::{headers, listen, routes};

/// How long a stop waits for answers that are being written.
const DRAIN: Duration = Duration::from_secs(5);
/// How long a version that takes over waits for the port.
const TAKE_OVER: Duration = Duration::from_secs(10);

/// What to serve.
pub struct ServeOptions {
    /// The data folder.
    pub data_dir: PathBuf,
    /// The port; the kept one when left out. 0 is any free one, for this once.
    pub port: Option<u16>,
    /// Of the layers below.
    pub gander: Options,
}

impl ServeOptions {
    /// The defaults for a data folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        ServeOptions { data_dir: data_dir.into(), port: None, gander: Options::default() }
    }
}

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The journal could not be opened.
    #[error("the data folder {} could not be opened", path.display())]
    Open {
        /// The data folder.
        path: PathBuf,
        /// Why not.
        source: gander_api::OpenError,
    },
    /// Another program listens there.
    #[error(
        "port {port} of 127.0.0.1 is taken or cannot be used; the data is untouched; stop what listens there, or choose another with --port"
    )]
    Port {
        /// The port.
        port: u16,
        /// Why not.
        source: std::io::Error,
    },
    /// The runtime file could not be written.
    #[error("the runtime file in {} could not be written", path.display())]
    Runtime {
        /// The data folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Something else of the store.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// What routes share.
#[derive(Clone)]
pub struct App(Arc<AppInner>);

pub struct AppInner {
    pub gander: Gander,
    pub grants: Grants,
    /// `127.0.0.1:PORT`
    pub address: String,
    /// `http://127.0.0.1:PORT`
    pub origin: String,
    pub page_policy: HeaderValue,
    pub stopping: watch::Receiver<bool>,
    pub streams: Arc<tokio::sync::Semaphore>,
    pub requests: Arc<tokio::sync::Semaphore>,
}

impl std::ops::Deref for App {
    type Target = AppInner;

    fn deref(&self) -> &AppInner {
        &self.0
    }
}

/// The server.
pub struct Server;

impl Server {
    /// Opens the journal, listens, and says where. Everything is up when this returns.
    pub async fn start(options: ServeOptions) -> Result<Running, ServeError> {
        let data_dir = options.data_dir;
        // A version that takes over must be able to serve before it says that it does. The one before lets go of the
        // port just after it let go of the journal.
        let early = match (options.gander.upgrade, options.port) {
            (Some(_), Some(port)) => {
                let bound = listen::bind_within(port, TAKE_OVER).await;
                Some(bound.map_err(|source| ServeError::Port { port, source })?)
            }
            _ => None,
        };
        let gander = Gander::open(&data_dir, options.gander)
            .await
            .map_err(|source| ServeError::Open { path: data_dir.clone(), source })?;
        match Self::listen(gander.clone(), data_dir, options.port, early).await {
            Ok(running) => Ok(running),
            Err(error) => {
                gander.stop().await;
                Err(error)
            }
        }
    }

    async fn listen(
        gander: Gander,
        data_dir: PathBuf,
        asked: Option<u16>,
        early: Option<TcpListener>,
    ) -> Result<Running, ServeError> {
        let kept = gander.kept_port().await?;
        let listener = match (early, asked.or(kept)) {
            (Some(listener), _) => listener,
            (None, Some(port)) => listen::bind(port).await.map_err(|source| ServeError::Port { port, source })?,
            (None, None) => listen::bind_first().await.map_err(|source| ServeError::Port { port: 0, source })?,
        };
        let port = listener.local_addr().map_err(|source| ServeError::Port { port: 0, source })?.port();
        // Any port that is free, for this once: pages come back to the kept one.
        let once = kept.is_some() && asked == Some(0);
        if kept != Some(port) && !once {
            gander.keep_port(port).await?;
        }
        let address = format!("127.0.0.1:{port}");
        let origin = format!("http://{address}");
        let grants = Grants::load(gander.clone()).await?;
        let runtime = RuntimeFile {
            url: origin.clone(),
            token: grants.token().to_owned(),
            pid: std::process::id(),
            version: gander_model::VERSION.to_owned(),
            epoch: gander.epoch(),
        };
        let (stop, stopping) = watch::channel(false);
        let page_policy = HeaderValue::from_str(&headers::page_policy(&address, false))
            .map_err(|error| ServeError::Api(ApiError::internal(error)))?;
        let app = App(Arc::new(AppInner {
            gander: gander.clone(),
            grants,
            address,
            origin,
            page_policy,
            stopping: stopping.clone(),
            streams: Arc::new(tokio::sync::Semaphore::new(256)),
            requests: Arc::new(tokio::sync::Semaphore::new(256)),
        }));
        let task = tokio::spawn(listen::run(listener, routes::router(app.clone()), stopping));
        // Last: who finds the file finds a server that answers.
        let runtime_file =
            runtime.write(&data_dir).map_err(|source| ServeError::Runtime { path: data_dir.clone(), source })?;
        tracing::info!(
            pid = runtime.pid,
            version = runtime.version,
            epoch = runtime.epoch,
            port,
            read_only = gander.journal().read_only().is_some(),
            "serving"
        );
        Ok(Running { app, runtime, runtime_file, data_dir, stop, task })
    }
}

/// A server that serves. Dropping it without [`Running::stop`] is like a crash: safe, and the next start recovers.
pub struct Running {
    app: App,
    runtime: RuntimeFile,
    runtime_file: PathBuf,
    data_dir: PathBuf,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.runtime.url
    }

    /// This launch's bearer token.
    pub fn token(&self) -> &str {
        &self.runtime.token
    }

    /// What the runtime file says.
    pub fn runtime(&self) -> &RuntimeFile {
        &self.runtime
    }

    /// Where the runtime file lies: in the data folder, or outside of one that cannot be written.
    pub fn runtime_file(&self) -> &std::path::Path {
        &self.runtime_file
    }

    /// Why nothing can be saved since the start; reading works.
    pub fn read_only(&self) -> Option<&str> {
        self.app.gander.journal().read_only()
    }

    /// The data folder.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.data_dir
    }

    /// The operations behind it.
    pub fn gander(&self) -> &Gander {
        &self.app.gander
    }

    /// A URL that lets one browser in, once, within a minute. `to` is a path of this server.
    pub fn browser_url(&self, to: Option<&str>) -> Result<String, ApiError> {
        crate::pages::browser_url(&self.app, to)
    }

    /// Resolves when somebody asked this server to stop (`POST /api/v1/stop`).
    pub async fn stop_requested(&self) {
        self.app.gander.stop_requested().await;
    }

    /// Signal, drain, done: no new requests, answers are finished, turns are stopped and recorded, agents are ended, the journal
    /// is closed, the runtime file removed.
    pub async fn stop(self) {
        let Running { app, runtime, runtime_file, stop, mut task, .. } = self;
        // Turns end while streams still run, so that a page sees what became of them.
        app.gander.stop().await;
        let _ = stop.send(true);
        if tokio::time::timeout(DRAIN, &mut task).await.is_err() {
            task.abort();
        }
        runtime.remove(&runtime_file);
        tracing::info!(pid = runtime.pid, "stopped");
    }
}
