use gander_model::{SessionId, TurnId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a handover is asked with.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct HandoverBody {
    /// The upgrade that it is for.
    pub upgrade: Option<String>,
    /// The version that comes.
    pub to: Option<String>,
    /// The format that it writes.
    pub to_format: Option<u32>,
    /// How long running turns may go on; then they are interrupted and can be continued. Without it they are waited
    /// for, until somebody says otherwise.
    pub deadline_ms: Option<u64>,
    /// Interrupt running turns at once.
    pub interrupt: bool,
}

/// How far a handover is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Handover {
    /// `none`, `waiting` (no new turns; running ones go on), `frozen` (nothing is written), `sealed` (the process ends).
    pub state: String,
    /// The upgrade that it is for.
    pub upgrade: Option<String>,
    /// This version.
    pub from: String,
    /// The version that comes.
    pub to: Option<String>,
    /// The turns that are waited for.
    pub turns: Vec<HandoverTurn>,
    /// Windows in which somebody is typing.
    pub drafts: u64,
    /// When running turns are interrupted.
    pub deadline_at: Option<String>,
    /// Whether it can still be called off.
    pub can_cancel: bool,
    /// Why the last one was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// What is safe at this moment.
    pub safe: String,
    /// What was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<SealSummary>,
}

/// A turn that a handover waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HandoverTurn {
    /// Its session.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// The turn.
    #[schema(value_type = String)]
    pub turn_id: TurnId,
    /// The session's name.
    pub name: Option<String>,
}

/// A seal, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SealSummary {
    /// Its id: the upgrade's, where there is one.
    pub id: String,
    /// When.
    pub at: String,
    /// The version that sealed.
    pub version: String,
    /// The journal's format.
    pub format: u32,
    /// The store root.
    pub root: String,
    /// The digest of windows, drafts, queue and open items.
    pub documents_digest: String,
    /// How many sessions.
    pub sessions: u64,
    /// How many windows, open and closed.
    pub windows: u64,
    /// How many drafts.
    pub drafts: u64,
    /// How many prompts wait.
    pub queue: u64,
    /// How many items were open.
    pub open_items: u64,
    /// The snapshot that holds all of it.
    pub snapshot: String,
    /// The file.
    pub file: String,
}
