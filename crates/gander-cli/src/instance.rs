//! Which instance answers a command: the one that runs on the data folder, else this process for as long as the command takes.

use std::path::{Path, PathBuf};

use gander_server::{RuntimeFile, ServeError, ServeOptions, Server};

use crate::client::{Client, NoAnswer};
use crate::failure::Failure;

/// Something that answers.
pub struct Instance {
    pub client: Client,
    pub data_dir: PathBuf,
    /// What the instance that runs said of itself.
    runtime: Option<RuntimeFile>,
    /// Set when this process serves.
    own: Option<gander_server::Running>,
}

impl Instance {
    /// Finds the running instance, or serves.
    pub async fn find_or_serve(data_dir: &Path) -> Result<Self, Failure> {
        if let Some(running) = Self::find(data_dir).await? {
            return Ok(running);
        }
        let mut options = ServeOptions::new(data_dir);
        // A command that only passes by changes no format.
        options.gander.may_migrate = false;
        match Server::start(options).await {
            Ok(own) => Ok(Self {
                client: Client::new(own.url(), own.token()),
                data_dir: data_dir.to_owned(),
                runtime: None,
                own: Some(own),
            }),
            Err(error) => Err(not_serving(data_dir, &error)),
        }
    }

    /// The instance that runs on this data folder, if one does.
    pub async fn find(data_dir: &Path) -> Result<Option<Self>, Failure> {
        for runtime in RuntimeFile::all(data_dir) {
            let client = Client::new(&runtime.url, &runtime.token);
            match client.answers().await {
                Ok(true) => {
                    let runtime = Some(runtime);
                    return Ok(Some(Self { client, data_dir: data_dir.to_owned(), runtime, own: None }));
                }
                // The file of a killed process: its port is free, or belongs to another program by now.
                Ok(false) | Err(NoAnswer::Gone(_) | NoAnswer::Broken(_) | NoAnswer::Malformed(_)) => {}
            }
        }
        Ok(None)
    }

    /// What the instance that runs said of itself; nothing where this process serves.
    pub fn runtime(&self) -> Option<&RuntimeFile> {
        self.runtime.as_ref()
    }

    /// Whether this process serves, so that nothing goes on after the command.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Ends what this process serves, in order; leaves a running instance alone.
    pub async fn release(self) {
        if let Some(own) = self.own {
            own.stop().await;
        }
    }
}

/// Why this process cannot serve.
pub fn not_serving(data_dir: &Path, error: &ServeError) -> Failure {
    let todo = match error {
        ServeError::Port { .. } => "Stop what listens there, or choose another port: gander serve --port N.",
        ServeError::Open { source, .. } => source.todo(),
        _ => "Look at it with `gander doctor`; nothing was changed.",
    };
    Failure::new(format!("Gander could not be started on {}.", data_dir.display()), todo).because(error)
}
