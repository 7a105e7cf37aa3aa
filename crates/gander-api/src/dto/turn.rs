use gander_model::{SessionId, TurnId, WindowId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A prompt.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendBody {
    /// Made by the client; repeating it is not a second prompt.
    #[schema(value_type = String)]
    pub turn_id: TurnId,
    /// The window whose draft this was.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub window_id: Option<WindowId>,
    /// The draft revision that becomes the prompt.
    #[serde(default)]
    pub draft_rev: Option<u64>,
    /// The conversation that it was composed against.
    pub expected_head: super::Head,
    /// ACP content blocks, or `{type:"blob",hash,name}`.
    #[schema(value_type = Vec<Object>)]
    pub content: Vec<Value>,
    /// `queue` (the default) or `refuse`.
    #[serde(default)]
    pub when_busy: Option<String>,
}

/// What became of a prompt.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Sent {
    /// Its turn.
    #[schema(value_type = String)]
    pub turn_id: TurnId,
    /// `running` or `queued`.
    pub state: String,
    /// The session's head with it.
    pub head: super::Head,
    /// This turn id was accepted before; nothing was done again.
    #[serde(default)]
    pub repeated: bool,
}

/// How an interrupted turn goes on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContinueBody {
    /// Made by the client.
    #[schema(value_type = String)]
    pub new_turn_id: TurnId,
    /// `resend`, `continue` or `hand_over`.
    pub how: String,
    /// Hand over to this agent, when it is another one.
    #[serde(default)]
    pub agent: Option<String>,
}

/// The prompts that wait.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// First one first.
    pub items: Vec<QueueItem>,
    /// They wait until somebody resumes them.
    pub held: bool,
    /// From where changes go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A prompt that waits.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueItem {
    /// Its turn.
    #[schema(value_type = String)]
    pub turn_id: TurnId,
    /// Content blocks.
    #[schema(value_type = Vec<Object>)]
    pub content: Value,
    /// From 0.
    pub position: u64,
}

/// What of a waiting prompt is changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueuePatch {
    /// New content.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub content: Option<Vec<Value>>,
    /// A new place, from 0.
    #[serde(default)]
    pub position: Option<u64>,
}

/// The answer to a permission request.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionAnswer {
    /// One of the request's options.
    pub option_id: String,
}

/// Unsent text of one window for one session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Draft {
    /// For which session.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// Grows with each save, per window and session.
    pub rev: u64,
    /// The text.
    pub text: String,
    /// Content blocks beside the text.
    #[schema(value_type = Vec<Object>)]
    pub attachments: Value,
    /// Of which window, where that is not said by the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub window_id: Option<WindowId>,
}

/// A draft to save.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftBody {
    /// For which session.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// Higher than the one kept.
    pub rev: u64,
    /// The text.
    pub text: String,
    /// Content blocks beside the text.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub attachments: Vec<Value>,
}

/// All windows' drafts for one session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Drafts {
    /// One per window.
    pub drafts: Vec<Draft>,
}

/// A stored attachment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Blob {
    /// Its content's hash.
    pub hash: String,
    /// Its size.
    pub bytes: u64,
    /// Its type, as it was sent or as its first bytes say.
    pub mime: String,
}
