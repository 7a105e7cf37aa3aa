use gander_model::{SessionId, TurnId, WindowId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A session's last entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// Its sequence number, from 1.
    pub seq: u64,
    /// Its hash, 64 lowercase hexadecimal digits.
    pub hash: String,
}

/// One conversation, as lists and headers show it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its id.
    #[schema(value_type = String)]
    pub id: SessionId,
    /// Its name; empty while `named_by` is `none`.
    pub name: String,
    /// `user`, `agent`, `auto` or `none`.
    pub named_by: String,
    /// The id of its agent.
    pub agent: String,
    /// Its folder.
    pub cwd: String,
    /// `active`, `archived`, `trashed` or `quarantined`.
    pub status: String,
    /// How many entries are its own.
    pub entries: u64,
    /// Its last entry.
    pub head: Head,
    /// When it was created, RFC 3339.
    pub created_at: String,
    /// Where it stands in lists: pinned sessions first, then the greatest. Grows with every turn; no clock moves it.
    pub place: i64,
    /// When its last turn started or ended, RFC 3339.
    pub last_turn_at: Option<String>,
    /// Whether a turn runs.
    pub running: bool,
    /// The running turn.
    pub turn: Option<Turn>,
    /// What waits for its turn.
    pub queue: QueueBrief,
    /// The last line of text, at most 120 characters.
    pub preview: String,
    /// Kept on top of the list.
    pub pinned: bool,
    /// Something came in since it was last seen.
    pub unseen: bool,
    /// The interrupted turn that offers Continue.
    #[schema(value_type = Option<String>)]
    pub interrupted: Option<TurnId>,
    /// The window that owns it while it is empty.
    #[schema(value_type = Option<String>)]
    pub owner_window: Option<WindowId>,
    /// No prompt, no queue, no user-given name, no draft.
    pub empty: bool,
    /// Where it came from, when it is a fork, a copy or an import.
    #[schema(value_type = Option<Object>)]
    pub origin: Option<Value>,
    /// Bytes of its bodies and large content.
    pub bytes: u64,
    /// Some window has a draft for it.
    pub draft: bool,
    /// What this damage is, when it is quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<super::Finding>,
}

/// A turn that has not ended.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Turn {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TurnId,
    /// `starting`, `running` or `cancelling`.
    pub state: String,
    /// Requests of the agent that wait for an answer.
    pub permissions: Vec<OpenPermission>,
}

/// A request of the agent that waits for an answer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OpenPermission {
    /// What an answer names.
    pub id: String,
    /// Its open item.
    pub item: String,
    /// The agent's options, as it sent them.
    #[schema(value_type = Vec<Object>)]
    pub options: Value,
}

/// How much waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct QueueBrief {
    /// How many prompts wait.
    pub count: u64,
    /// They wait until somebody resumes them.
    pub held: bool,
}

/// `{"session": SESSION}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionBody {
    /// The session.
    pub session: Session,
    /// From where its changes go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A purged session, and what became of what its agents keep themselves.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Purged {
    /// The session.
    pub session: Session,
    /// From where its changes go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// One for each agent session that this session was bound to.
    pub agents: Vec<AgentMemory>,
}

/// What an agent keeps of a session in a store of its own.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AgentMemory {
    /// The agent.
    pub agent: String,
    /// Its store, where the settings name one.
    pub store: String,
    /// Its own id of the session.
    pub agent_session_id: String,
    /// It has forgotten it.
    pub erased: bool,
    /// What was done, or what stays and where, for people.
    pub detail: String,
}

/// What the list of sessions is asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SessionsQuery {
    /// Words that the name or the text holds.
    pub q: Option<String>,
    /// `active` (the default), `archived`, `trashed`, `quarantined`, `empty` or `all`.
    pub status: Option<String>,
    /// Only sessions of this agent.
    pub agent: Option<String>,
    /// The `next` of the page before.
    pub after: Option<String>,
    /// From 1 to 500; 50 when left out.
    pub limit: Option<u32>,
}

/// One page of sessions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    /// Last turn first.
    pub sessions: Vec<Session>,
    /// How many the filter hides.
    pub hidden: u64,
    /// How many the filter shows, over all pages.
    pub total: u64,
    /// By status.
    pub counts: Counts,
    /// Where the next page starts.
    pub next: Option<String>,
    /// From where changes go on.
    pub cursor: String,
}

/// How many sessions there are, by status. Empty ones are counted as `empty` only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Active ones.
    pub active: u64,
    /// Archived ones.
    pub archived: u64,
    /// In the trash.
    pub trashed: u64,
    /// Damaged ones.
    pub quarantined: u64,
    /// Empty ones.
    pub empty: u64,
}

/// What of a session is changed. A field that is left out stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionPatch {
    /// A new name, by the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `active`, `archived` or `trashed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Another folder: an existing one, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Keep on top of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// Seen up to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<bool>,
    /// Another agent, while the session is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// From where a fork goes on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkBody {
    /// A seq inside a turn means that turn's end.
    pub at_seq: u64,
    /// Show the fork in this window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub window_id: Option<WindowId>,
}

/// Which entry's body is erased.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedactBody {
    /// The entry.
    pub seq: u64,
}

/// What the search is asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Words.
    pub q: String,
    /// The `next` of the page before.
    pub after: Option<String>,
    /// From 1 to 500; 50 when left out.
    pub limit: Option<u32>,
}

/// One page of what was found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchPage {
    /// Newest first.
    pub results: Vec<SearchResult>,
    /// Where the next page starts.
    pub next: Option<String>,
    /// When the newest entry in the index was recorded; null while nothing is in it.
    pub indexed_through: Option<String>,
    /// Whether every entry is in the index.
    pub complete: bool,
}

/// One entry that was found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchResult {
    /// Its session.
    pub session: Session,
    /// Its session's id.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// Its place.
    pub seq: u64,
    /// Its kind.
    pub kind: String,
    /// The text around, with U+0002 and U+0003 around what matched.
    pub snippet: String,
    /// When it was recorded.
    pub at: String,
}
