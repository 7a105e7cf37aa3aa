//! What to start, and within which bounds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How an agent is started: the `[[agents]]` table of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AgentSpec {
    /// The agent's id in the configuration, for example `goose`.
    pub id: String,
    /// The program: an absolute path, or a name that is looked up on `PATH`.
    pub command: PathBuf,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables beside the inherited ones.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The process's own working folder. Without it the session's folder is used; the session's folder is told to
    /// the agent in the protocol in any case.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
}

impl AgentSpec {
    /// A spec with an id, a program and its arguments.
    pub fn new<A: Into<String>>(
        id: impl Into<String>,
        command: impl Into<PathBuf>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            id: id.into(),
            command: command.into(),
            args: args.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            cwd: None,
        }
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }
}

/// How one agent process is hosted.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// The session's folder: file and terminal requests of the agent stay below it.
    pub folder: PathBuf,
    /// Further folders that the user allowed.
    pub extra_roots: Vec<PathBuf>,
    /// Whether the agent may ask us to read and write files.
    pub files: bool,
    /// Whether the agent may ask us to run commands.
    pub terminals: bool,
    /// A token, unique per process, put into the agent's environment. Every descendant inherits it, so that a child
    /// which left the process group is still found. Record it before the start, and an agent that outlives us can be
    /// ended by [`crate::process::end_earlier`].
    pub mark: String,
    /// How much is buffered.
    pub bounds: Bounds,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How we introduce ourselves.
    pub client: ClientName,
}

impl StartOptions {
    /// The defaults, for a session's folder and a mark that no other process has.
    pub fn new(folder: impl AsRef<Path>, mark: impl Into<String>) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            extra_roots: Vec::new(),
            files: true,
            terminals: true,
            mark: mark.into(),
            bounds: Bounds::default(),
            timeouts: Timeouts::default(),
            client: ClientName::default(),
        }
    }
}

/// What is buffered of one agent, at most.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Events that wait to be taken.
    pub events: usize,
    /// Bytes of the events that wait to be taken. One longer event is let through when nothing else waits.
    pub event_bytes: usize,
    /// The longest line that is taken from the agent. A longer one is skipped and reported.
    pub line_bytes: usize,
    /// The most that a `session/load` may replay.
    pub replay_bytes: usize,
    /// How many lines that are not messages end the agent, without a message between them.
    pub garbage_lines: u64,
    /// Requests of the agent that we work on at once; further ones wait in the pipe.
    pub requests: usize,
    /// The largest file that is read or written for the agent.
    pub file_bytes: u64,
    /// Terminals of the agent at once.
    pub terminals: usize,
    /// Output bytes kept per terminal for `terminal/output`.
    pub terminal_bytes: usize,
    /// Output bytes per terminal that are reported as events; the rest is counted.
    pub terminal_report_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            events: 256,
            event_bytes: 8 << 20,
            line_bytes: 128 << 20,
            replay_bytes: 256 << 20,
            garbage_lines: 10_000,
            requests: 32,
            file_bytes: 16 << 20,
            terminals: 32,
            terminal_bytes: 1 << 20,
            terminal_report_bytes: 4 << 20,
        }
    }
}

/// How long an agent may take. A prompt has no limit: the user stops it.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// For `initialize`: `npx` and friends may have to download first.
    pub initialize: Duration,
    /// For `session/new`, `session/resume`, `session/close` and the like.
    pub request: Duration,
    /// For `session/load`: while updates arrive, the time starts anew.
    pub load: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { initialize: Duration::from_secs(60), request: Duration::from_secs(60), load: Duration::from_secs(60) }
    }
}

/// The name that an agent is told.
#[derive(Debug, Clone)]
pub struct ClientName {
    /// A program's name.
    pub name: String,
    /// A name for people.
    pub title: String,
    /// Our version.
    pub version: String,
}

impl Default for ClientName {
    fn default() -> Self {
        Self { name: "gander".into(), title: "Gander".into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}
