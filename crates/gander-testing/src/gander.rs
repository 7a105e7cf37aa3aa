//! The built `gander` binary as a child process: started, waited for, killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::TempHome;

/// A limit for waiting, far above what anything takes: reaching it is a failure, not a measurement.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Why a child did not come up.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    #[error("{program} could not start")]
    Spawn { program: PathBuf, source: std::io::Error },
    #[error("gander ended ({status}) before it served: {stderr}")]
    Ended { status: ExitStatus, stderr: String },
    #[error("no usable runtime file at {path} after {PATIENCE:?}")]
    NotServing { path: PathBuf },
}

/// A binary together with the home that it runs in.
pub struct Gander<'home> {
    program: PathBuf,
    home: &'home TempHome,
    environment: Vec<(String, String)>,
}

impl<'home> Gander<'home> {
    /// `program`: `env!("CARGO_BIN_EXE_gander")` in the binary's own tests.
    pub fn new(program: impl Into<PathBuf>, home: &'home TempHome) -> Self {
        Self { program: program.into(), home, environment: Vec::new() }
    }

    /// A variable for every command from now on.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command with the home's environment and nothing to type into.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.home.project())
            .env("HOME", self.home.path())
            .env("GANDER_HOME", self.home.gander_home())
            .env("NO_COLOR", "1")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Output, ChildError> {
        self.command(arguments).output().map_err(|source| ChildError::Spawn { program: self.program.clone(), source })
    }

    /// Starts `gander serve` and waits until it serves.
    pub fn serve(&self, arguments: &[&str]) -> Result<Serving, ChildError> {
        let arguments: Vec<&str> = ["serve"].into_iter().chain(arguments.iter().copied()).collect();
        let errors = self.home.path().join("serve.stderr");
        let file = std::fs::File::create(&errors)
            .map_err(|source| ChildError::Spawn { program: self.program.clone(), source })?;
        let mut child = self
            .command(&arguments)
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|source| ChildError::Spawn { program: self.program.clone(), source })?;
        let path = self.home.gander_home().join("runtime.json");
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(runtime) = runtime(&path, child.id()) {
                return Ok(Serving { child, runtime });
            }
            if let Ok(Some(status)) = child.try_wait() {
                let stderr = std::fs::read_to_string(&errors).unwrap_or_default();
                return Err(ChildError::Ended { status, stderr });
            }
            if Instant::now() > until {
                let _ = child.kill();
                let _ = child.wait();
                return Err(ChildError::NotServing { path });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The runtime file, when this process wrote it (one of a killed process may still lie there).
fn runtime(path: &Path, pid: u32) -> Option<Value> {
    let runtime: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    (runtime["pid"] == pid).then_some(runtime)
}

/// A serving child; killed when dropped.
pub struct Serving {
    child: Child,
    runtime: Value,
}

impl Serving {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The runtime file as it was when serving began: `url`, `token`, `pid`, `version`, `epoch`.
    pub fn runtime(&self) -> &Value {
        &self.runtime
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Waits for an end that something else brings about.
    pub fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
