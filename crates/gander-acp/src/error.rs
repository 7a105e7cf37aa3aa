//! What can go wrong with an agent. Nothing here ever ends the server: each is confined to its agent.

use std::path::PathBuf;
use std::time::Duration;

/// Why an agent could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The program is not there.
    #[error("the agent's program {} was not found", command.display())]
    NotFound {
        /// What was looked for.
        command: PathBuf,
    },
    /// The program could not be started.
    #[error("the agent's program {} could not be started", command.display())]
    Spawn {
        /// What was started.
        command: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The folder to work in is gone or is not a folder.
    #[error("the folder {} is not there", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The process ended, so nothing more can be asked of it.
    #[error("the agent {exit}{}", .stderr.as_deref().map(|tail| format!("; it last wrote: {tail}")).unwrap_or_default())]
    Exited {
        /// How.
        exit: Exit,
        /// The end of its standard error.
        stderr: Option<String>,
    },
    /// No answer in time. The agent may be hung.
    #[error("the agent did not answer {method} within {} s", after.as_secs_f32())]
    Timeout {
        /// What was asked.
        method: String,
        /// How long was waited.
        after: Duration,
    },
    /// The agent answered with a protocol error.
    #[error("the agent refused {method}: {message} ({code})")]
    Refused {
        /// What was asked.
        method: String,
        /// The JSON-RPC error code.
        code: i64,
        /// Its message.
        message: String,
        /// Its data, as JSON.
        data: Option<Box<serde_json::Value>>,
    },
    /// The agent answered with something that is not what the protocol says.
    #[error("the agent's answer to {method} was not understood: {detail}")]
    BadAnswer {
        /// What was asked.
        method: String,
        /// What was wrong with it.
        detail: String,
    },
    /// The session has a prompt running already.
    #[error("the agent's session {agent_session} is working on a prompt already")]
    Prompting {
        /// The session.
        agent_session: crate::AgentSessionId,
    },
    /// The agent speaks no protocol version that we speak.
    #[error("the agent speaks protocol version {version}; this program speaks 1")]
    Version {
        /// What it offered.
        version: String,
    },
    /// The agent printed too much that is not a message.
    #[error("the agent printed {lines} lines that are not messages and was ended")]
    Babble {
        /// How many lines.
        lines: u64,
    },
    /// A replay was larger than the bound.
    #[error("the agent's replay of the session is larger than {limit} bytes")]
    ReplayTooLarge {
        /// The bound.
        limit: usize,
    },
}

impl AgentError {
    /// JSON-RPC's "method not found".
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// ACP's "resource not found": an unknown session, for example.
    pub const NOT_FOUND: i64 = -32002;
    /// ACP's "authentication required".
    pub const AUTH_REQUIRED: i64 = -32000;

    /// The agent does not have this method.
    pub fn is_method_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: Self::METHOD_NOT_FOUND, .. })
    }

    /// The agent does not know this session.
    pub fn is_unknown_session(&self) -> bool {
        matches!(self, Self::Refused { code: Self::NOT_FOUND, .. })
    }

    /// The user has to log in to the agent first.
    pub fn is_auth_required(&self) -> bool {
        matches!(self, Self::Refused { code: Self::AUTH_REQUIRED, .. })
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Exit {
    /// Its exit status, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Whether we ended it.
    pub asked: bool,
}

impl Exit {
    pub(crate) fn of(status: Option<std::process::ExitStatus>, asked: bool) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self { code: status.and_then(|s| s.code()), signal: status.and_then(|s| s.signal()), asked }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.asked, self.code, self.signal) {
            (true, ..) => write!(f, "was ended"),
            (_, Some(code), _) => write!(f, "exited with status {code}"),
            (_, _, Some(signal)) => write!(f, "was ended by signal {signal}"),
            _ => write!(f, "is gone"),
        }
    }
}
