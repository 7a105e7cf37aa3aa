//! A running agent, and what can be asked of it.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::{AgentError, AgentInfo, AgentProcess, AgentSessionId, AgentSpec, Events, Exit, Replay, StartOptions};

/// A session that the agent opened or resumed.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The agent's id of it.
    pub agent_session: AgentSessionId,
    /// The whole answer as received (modes, configuration options).
    pub raw: Box<RawValue>,
}

/// A handle to a running agent. Clones are the same agent; when the last is dropped, the process is ended.
#[derive(Debug, Clone)]
pub struct Agent {}

impl Agent {
    /// Starts the process and agrees on the protocol: [`Agent::spawn`] and [`Agent::initialize`] in one.
    pub async fn start(spec: &AgentSpec, options: StartOptions) -> Result<(Self, Events), AgentError> {
        let (agent, events) = Self::spawn(spec, options)?;
        agent.initialize().await?;
        Ok((agent, events))
    }

    /// Starts the process and says nothing yet, so that [`Agent::process`] can be recorded first. Needs a runtime.
    pub fn spawn(spec: &AgentSpec, options: StartOptions) -> Result<(Self, Events), AgentError> {
        let _ = options;
        Err(AgentError::NotFound { command: spec.command.clone() })
    }

    /// Agrees on the protocol and learns what the agent can do.
    pub async fn initialize(&self) -> Result<AgentInfo, AgentError> {
        Err(self.todo("initialize"))
    }

    /// What the agent said of itself, once initialized.
    pub fn info(&self) -> Option<AgentInfo> {
        None
    }

    /// The process.
    pub fn process(&self) -> &AgentProcess {
        unreachable!()
    }

    /// Opens a new session of the agent in a folder. Updates may come before the answer: keep reading the events.
    pub async fn new_session(&self, cwd: &Path) -> Result<Opened, AgentError> {
        let _ = cwd;
        Err(self.todo("session/new"))
    }

    /// Has the agent load a session of its own. What it replays comes in the answer and not as events.
    pub async fn load_session(&self, id: &AgentSessionId, cwd: &Path) -> Result<Replay, AgentError> {
        let _ = (id, cwd);
        Err(self.todo("session/load"))
    }

    /// Has the agent go on with a session of its own without a replay.
    pub async fn resume_session(&self, id: &AgentSessionId, cwd: &Path) -> Result<Opened, AgentError> {
        let _ = (id, cwd);
        Err(self.todo("session/resume"))
    }

    /// Sends a prompt (ACP content blocks). Its end comes as [`crate::AgentEvent::PromptEnded`], whatever happens to the agent.
    /// An error means that nothing was sent and no such event comes.
    pub fn prompt(&self, id: &AgentSessionId, content: &[Value]) -> Result<(), AgentError> {
        let _ = (id, content);
        Err(self.todo("session/prompt"))
    }

    /// Asks the agent to stop its turn. The prompt's end still comes as an event; open permissions are the caller's to answer.
    pub fn cancel(&self, id: &AgentSessionId) -> Result<(), AgentError> {
        let _ = id;
        Err(self.todo("session/cancel"))
    }

    /// Tells the agent that the session is not needed for now.
    pub async fn close_session(&self, id: &AgentSessionId) -> Result<(), AgentError> {
        let _ = id;
        Err(self.todo("session/close"))
    }

    /// Any other request (`session/set_mode`, `session/set_config_option`, `authenticate`, an extension).
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, AgentError> {
        let _ = params;
        Err(self.todo(method))
    }

    /// Closes the agent's input, waits for it to exit, and ends it and its descendants after `grace`.
    pub async fn stop(&self, grace: Duration) -> Exit {
        let _ = grace;
        unreachable!()
    }

    /// Ends it and its descendants now.
    pub async fn kill(&self) -> Exit {
        self.stop(Duration::ZERO).await
    }

    /// Waits until the process is gone.
    pub async fn exited(&self) -> Exit {
        unreachable!()
    }

    /// The end of what it wrote to standard error.
    pub fn stderr_tail(&self) -> String {
        String::new()
    }

    fn todo(&self, method: &str) -> AgentError {
        AgentError::BadAnswer { method: method.into(), detail: "not built yet".into() }
    }
}
