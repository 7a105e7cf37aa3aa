//! Trying an agent out: does it start, and does it speak the protocol?

use std::path::PathBuf;
use std::time::Duration;

use crate::{Agent, AgentError, AgentInfo, AgentSpec, StartOptions, process};

/// How long the agent may take to exit after it has answered.
const GRACE: Duration = Duration::from_secs(2);

/// What `agents check` reports.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AgentCheck {
    /// The agent's name as it says it, else the id in the configuration.
    pub name: String,
    /// Its version, if it says one.
    pub version: Option<String>,
    /// The protocol version.
    pub protocol: u16,
    /// The program that was started.
    pub program: Option<PathBuf>,
    /// What it says of itself.
    pub info: AgentInfo,
    /// One line for people: what it is, and what it can and cannot do.
    pub detail: String,
}

/// Starts the agent, says `initialize`, and stops it again. It opens no session, so it leaves nothing in the agent's
/// store. The caller's folder is not touched: the agent starts in the system's folder for temporary files.
pub async fn check(spec: &AgentSpec, timeout: Duration) -> Result<AgentCheck, AgentError> {
    let mut options = StartOptions::new(std::env::temp_dir(), format!("check-{}", uuid::Uuid::now_v7()));
    options.timeouts.initialize = timeout;
    options.files = false;
    options.terminals = false;
    let (agent, events) = Agent::start(spec, options).await?;
    // Nobody looks at what else it prints.
    drop(events);
    agent.stop(GRACE).await;
    let info = agent
        .info()
        .ok_or_else(|| AgentError::BadAnswer { method: "initialize".into(), detail: "there is no answer".into() })?;
    let name = info.title.clone().or_else(|| info.name.clone()).unwrap_or_else(|| spec.id.clone());
    Ok(AgentCheck {
        detail: detail(&name, &info),
        name,
        version: info.version.clone(),
        protocol: info.protocol,
        program: process::find_program(&spec.command),
        info,
    })
}

fn detail(name: &str, info: &AgentInfo) -> String {
    let version = info.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let memory = match (info.load, info.resume) {
        (true, _) => "its sessions can be loaded and compared after a restart",
        (false, true) => "its sessions can be resumed after a restart, but not compared",
        (false, false) => "it does not remember sessions across restarts: a new one is handed the transcript",
    };
    format!("{name}{version} speaks ACP version {}; {memory}", info.protocol)
}
