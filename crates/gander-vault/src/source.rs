//! What a snapshot is made of, as its maker sees it: the journal behind a small interface.

use gander_model::{Body, Data, DataRef, Entry, Hash, Head, JournalId, Kind, Seq, SessionId};
use serde::{Deserialize, Serialize};

use crate::erase::ErasedBody;

/// Whatever the journal says went wrong.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The point in the journal's life that a snapshot records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The journal.
    pub journal: JournalId,
    /// Its writer's epoch.
    pub epoch: u64,
    /// Its last revision.
    pub revision: u64,
    /// Its store root over all heads, quarantined sessions' witnessed heads included.
    pub root: Hash,
}

/// The entry of another session that a fork continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The parent.
    pub session: SessionId,
    /// The last inherited entry.
    pub head: Head,
}

/// A session as the journal's heads show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSession {
    /// The session.
    pub id: SessionId,
    /// Its witnessed head.
    pub head: Head,
    /// What it was forked from.
    pub pin: Option<Origin>,
    /// Its status, for lists of what a snapshot holds.
    pub status: String,
}

/// A window, draft, queue or open item: JSON that belongs to no chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// `window`, `draft`, `queue`, `open_item`, or a word of a later version.
    pub kind: String,
    /// Its id within its kind.
    pub key: String,
    /// The session that it belongs to: it goes when that is purged.
    pub session: Option<SessionId>,
    /// The document.
    pub json: String,
    /// Large contents that it names (attachments).
    pub large: Vec<DataRef>,
}

/// A journal at one moment. Entries up to the heads never change afterwards (bodies may be erased), so this needs no
/// long read transaction.
pub trait Source {
    /// The moment.
    fn sealed(&self) -> Result<Sealed, SourceError>;

    /// Every session ever created, whatever its status, with its head at that moment.
    fn sessions(&self) -> Result<Vec<SourceSession>, SourceError>;

    /// A session's own entries after `after` up to `through`, in order. `take` answers `false` to stop.
    fn entries(
        &self,
        session: SessionId,
        after: Seq,
        through: Seq,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), SourceError>;

    /// A large content in pieces, in order; `false` when there is none with this hash.
    fn large(&self, hash: Hash, take: &mut dyn FnMut(&[u8])) -> Result<bool, SourceError>;

    /// Windows, drafts, queue and open items at that moment.
    fn documents(&self) -> Result<Vec<Document>, SourceError>;
}

/// The large contents that an entry needs: its own data, or the blobs that its prompt names.
pub fn large_refs(kind: &Kind, body: &[u8]) -> Vec<DataRef> {
    // Almost every body names none; looking for the words is far cheaper than parsing it.
    let named = memchr::memmem::find(body, b"\"data_ref\"").is_some();
    let blobs = *kind == Kind::PROMPT && memchr::memmem::find(body, b"\"blob\"").is_some();
    if !named && !blobs {
        return Vec::new();
    }
    let Ok(parsed) = Body::parse(body) else { return Vec::new() };
    match &parsed.data {
        Data::Ref(reference) => vec![*reference],
        Data::Inline(_) if blobs => blob_refs(&parsed),
        _ => Vec::new(),
    }
}

#[derive(Deserialize)]
struct PromptData {
    #[serde(default)]
    content: Vec<serde_json::Value>,
}

fn blob_refs(body: &Body) -> Vec<DataRef> {
    let content = body.data_as::<PromptData>().map(|data| data.content).unwrap_or_default();
    let blobs = content.into_iter().filter(|block| block.get("type").is_some_and(|kind| kind == "blob"));
    blobs.filter_map(|block| serde_json::from_value(block).ok()).collect()
}

#[derive(Deserialize)]
struct RedactedData {
    #[serde(default)]
    erased: Vec<ErasedBody>,
    #[serde(default)]
    why: String,
}

/// The bodies that a `redacted` entry says were erased, and whether its session was purged.
pub(crate) fn redacted(kind: &Kind, body: &[u8]) -> Option<(Vec<ErasedBody>, bool)> {
    if *kind != Kind::REDACTED {
        return None;
    }
    let data: RedactedData = Body::parse(body).ok()?.data_as()?;
    Some((data.erased, data.why == "purge"))
}
