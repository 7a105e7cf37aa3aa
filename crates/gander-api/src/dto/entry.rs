use gander_model::{SessionId, TurnId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// One immutable record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Whose it is: another session's in a fork's inherited part.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// Its place, from 1.
    pub seq: u64,
    /// When it was recorded, RFC 3339. It orders nothing.
    pub at: String,
    /// Its kind.
    pub kind: String,
    /// The stored bytes: JSON in a string, so that its hash can be computed again. Null when erased.
    pub body: Option<String>,
    /// 32 random bytes in hexadecimal. Null when erased.
    pub salt: Option<String>,
    /// The body's hash.
    pub body_hash: String,
    /// The entry's hash.
    pub hash: String,
    /// Redacted or purged.
    pub erased: bool,
    /// Size of `data` where it lies beside the entry; `GET .../entries/{seq}/data` gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_bytes: Option<u64>,
}

/// A message or tool call that is still being streamed. Durable, not yet an entry.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OpenItem {
    /// Its id; the entry that it becomes carries it in its body.
    pub item: String,
    /// Order within the turn.
    pub ord: u64,
    /// The kind of entry that it becomes.
    pub kind: String,
    /// Its turn.
    #[schema(value_type = String)]
    pub turn: TurnId,
    /// When it began.
    pub at: String,
    /// The agent's updates as it sent them, text joined; a permission's request.
    #[schema(value_type = Object)]
    pub data: Value,
    /// UTF-8 bytes of its text so far (the number of updates, for other kinds).
    pub bytes: u64,
    /// Bytes of `data` that are left out here because they are many; the entry that it becomes has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large: Option<u64>,
}

/// Which entries are asked for. Without a bound: the last ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EntriesQuery {
    /// Entries after this seq.
    pub after: Option<u64>,
    /// Entries before this seq.
    pub before: Option<u64>,
    /// From 1 to 500; 200 when left out.
    pub limit: Option<u32>,
}

/// One verified page of a session, ascending.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Entries {
    /// The session.
    pub session: super::Session,
    /// Ascending.
    pub entries: Vec<Entry>,
    /// What is still being streamed.
    pub open_items: Vec<OpenItem>,
    /// A seq: pass it as `after` (reading forward) or as `before` (reading back from the end) for more.
    pub next: Option<String>,
    /// From where changes go on.
    pub cursor: String,
    /// The page's bodies match their hashes and its headers link to the witnessed head.
    pub verified: bool,
    /// What does not, and what still does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<super::Finding>,
}
