//! One `session/update`, as received. The JSON is kept byte for byte; what Gander needs to know of it is read beside.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::AgentSessionId;

/// An update of a session, in the order in which the agent printed it.
#[derive(Debug, Clone)]
pub struct Update {
    /// The agent's id of the session. It is whatever the agent said: check it.
    pub agent_session: AgentSessionId,
    /// What kind of update it is.
    pub kind: UpdateKind,
    /// The `update` object exactly as received, unknown fields included.
    pub update: Box<RawValue>,
    /// What its item is known by within its kind: the tool call's id, or the message's id if the agent gives one.
    pub item_key: Option<String>,
    /// Where its text stands in `update`, if this is a chunk whose content is text: the bytes between the quotes of the
    /// JSON string. Two chunks whose bytes before and after it are equal differ only in text, and joining what is
    /// between the quotes joins them exactly.
    pub text_at: Option<Range<usize>>,
    /// A tool call's status, if this update has one.
    pub status: Option<ToolStatus>,
    /// A title that the agent proposes for the session ([`UpdateKind::SessionInfo`]).
    pub title: Option<String>,
    /// The agent repeats the prompt that it is working on. It is in the journal already: note it, do not add it.
    pub echo: bool,
}

/// The kinds of updates that Gander tells apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UpdateKind {
    /// `user_message_chunk`
    UserMessage,
    /// `agent_message_chunk`
    Message,
    /// `agent_thought_chunk`
    Thought,
    /// `tool_call`
    ToolCall,
    /// `tool_call_update`
    ToolCallUpdate,
    /// `plan`, and the plan operations that are not stable yet
    Plan,
    /// `available_commands_update`
    Commands,
    /// `current_mode_update`
    Mode,
    /// `config_option_update`
    ConfigOptions,
    /// `session_info_update`
    SessionInfo,
    /// `usage_update`
    Usage,
    /// `notice`
    Notice,
    /// `compaction_update`, `compaction_summary_chunk`
    Compaction,
    /// Anything else, by its name (empty if it has none). Kept and shown.
    Other(String),
}

/// A tool call's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolStatus {
    /// Not started yet.
    Pending,
    /// Running.
    InProgress,
    /// Done. Final.
    Completed,
    /// Failed. Final.
    Failed,
}

impl ToolStatus {
    /// No further update is expected after this one.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

impl UpdateKind {
    fn of(name: &str) -> Self {
        match name {
            "user_message_chunk" => Self::UserMessage,
            "agent_message_chunk" => Self::Message,
            "agent_thought_chunk" => Self::Thought,
            "tool_call" => Self::ToolCall,
            "tool_call_update" => Self::ToolCallUpdate,
            "plan" | "plan_update" | "plan_removed" => Self::Plan,
            "available_commands_update" => Self::Commands,
            "current_mode_update" => Self::Mode,
            "config_option_update" => Self::ConfigOptions,
            "session_info_update" => Self::SessionInfo,
            "usage_update" => Self::Usage,
            "notice" => Self::Notice,
            "compaction_update" | "compaction_summary_chunk" => Self::Compaction,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Every field raw, so that one of an unexpected type does not hide the others.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Shape<'a> {
    #[serde(borrow)]
    session_update: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

fn string(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

impl Update {
    /// Reads what is known of an `update` object.
    pub fn read(agent_session: AgentSessionId, update: Box<RawValue>) -> Self {
        let shape: Shape<'_> = serde_json::from_str(update.get()).unwrap_or_default();
        let kind = UpdateKind::of(&string(shape.session_update).unwrap_or_default());
        let item_key = match kind {
            UpdateKind::ToolCall | UpdateKind::ToolCallUpdate => string(shape.tool_call_id),
            _ => string(shape.message_id),
        };
        let chunk = matches!(kind, UpdateKind::UserMessage | UpdateKind::Message | UpdateKind::Thought);
        let literal = shape
            .content
            .filter(|_| chunk)
            .and_then(|content| serde_json::from_str::<Content<'_>>(content.get()).ok())
            .filter(|content| content.r#type.as_deref() == Some("text"))
            .and_then(|content| content.text);
        let text_at = literal.filter(|literal| literal.get().starts_with('"')).map(|literal| {
            // `literal` borrows from `update`, so the distance between them is its place.
            let start = literal.get().as_ptr() as usize - update.get().as_ptr() as usize;
            start + 1..start + literal.get().len() - 1
        });
        let status = match string(shape.status).as_deref() {
            Some("pending") => Some(ToolStatus::Pending),
            Some("in_progress") => Some(ToolStatus::InProgress),
            Some("completed") => Some(ToolStatus::Completed),
            Some("failed") => Some(ToolStatus::Failed),
            _ => None,
        }
        .filter(|_| matches!(kind, UpdateKind::ToolCall | UpdateKind::ToolCallUpdate));
        let title = string(shape.title).filter(|_| kind == UpdateKind::SessionInfo);
        Self { agent_session, kind, update, item_key, text_at, status, title, echo: false }
    }

    /// The text, if this is a chunk whose content is text. Decoded at each call, so that a large one is held once.
    pub fn text(&self) -> Option<String> {
        let at = self.text_at.as_ref()?;
        serde_json::from_str(self.update.get().get(at.start - 1..at.end + 1)?).ok()
    }
}
