//! A page: the records of a stretch of sessions, by ascending id. Pages begin at ids that say so themselves, so a new
//! or changed session touches one page only, and unchanged pages are shared between snapshots.

use gander_model::{Hash, Head, SessionId, StoreRoot, root::store_root};
use serde::{Deserialize, Serialize};

use crate::objects::{Content, Objects};
use crate::segment::{self, BEGINNING};
use crate::source::{Origin, SourceSession};
use crate::{SnapshotId, VaultError};

pub(crate) const PAGE_VERSION: u32 = 1;

/// One session in 64 begins a page.
const PAGE_MASK: u8 = 0x3f;

/// A stretch of a session's entries in one segment: those after `after`, up to and with `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The segment.
    pub segment: Hash,
    /// The head before the stretch (seq 0 and zeros at the beginning).
    pub after: Head,
    /// The stretch's last entry.
    pub to: Head,
}

impl Run {
    /// How many entries it holds.
    pub fn count(&self) -> u64 {
        self.to.seq.0.saturating_sub(self.after.seq.0)
    }
}

/// A large content and the segments that hold its parts, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeRecord {
    /// The content's own hash.
    pub hash: Hash,
    /// Its length.
    pub bytes: u64,
    /// Where its parts are.
    pub parts: Vec<Hash>,
}

/// What a snapshot holds of one session. Nothing that somebody said stands in here, not even a name: an erasure does
/// not reach pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The session.
    pub id: SessionId,
    /// The head that the journal witnessed.
    pub head: Head,
    /// The last entry that is held here; differs from `head` only with `damage`.
    pub held: Head,
    /// The parent's entry that a fork continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Origin>,
    /// Its status then.
    pub status: String,
    /// Why not all of it could be saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Its own entries, in order and without gaps.
    pub runs: Vec<Run>,
    /// Large contents that its entries name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large: Vec<LargeRecord>,
}

impl SessionRecord {
    /// The head before its first own entry.
    pub fn beginning(&self) -> Head {
        self.pin.map_or(BEGINNING, |pin| pin.head)
    }

    /// How many own entries its head counts.
    pub fn entries(&self) -> u64 {
        self.head.seq.0.saturating_sub(self.beginning().seq.0)
    }

    /// The runs must lead from the beginning to the held head.
    pub(crate) fn check(&self, page: &str) -> Result<(), VaultError> {
        let mut at = self.beginning();
        for run in &self.runs {
            if run.after != at || run.to.seq <= run.after.seq {
                return Err(VaultError::damaged(page, format!("the runs of session {} have a gap", self.id)));
            }
            at = run.to;
        }
        if at != self.held || (self.damage.is_none() && self.held != self.head) {
            return Err(VaultError::damaged(page, format!("the runs of session {} end elsewhere", self.id)));
        }
        Ok(())
    }
}

/// A page as a manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRef {
    /// The page's object.
    pub object: Hash,
    /// Its first session.
    pub first: SessionId,
    /// How many sessions it holds.
    pub sessions: u64,
    /// The store root of its sessions alone: equal means unchanged.
    pub root: StoreRoot,
    /// Whether all of its sessions are whole.
    pub whole: bool,
}

#[derive(Serialize, Deserialize)]
struct PageText {
    gander: String,
    v: u32,
    /// Makes the name unique to its writer, so that a prune elsewhere cannot meet it.
    snapshot: SnapshotId,
    sessions: Vec<SessionRecord>,
}

pub(crate) fn encode(snapshot: SnapshotId, sessions: &[SessionRecord]) -> Result<Vec<u8>, VaultError> {
    let page = PageText { gander: "page".into(), v: PAGE_VERSION, snapshot, sessions: sessions.to_vec() };
    serde_json::to_vec(&page).map_err(|e| VaultError::damaged("a new page", e))
}

pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Vec<SessionRecord>, VaultError> {
    let text = segment::decompress(name, bytes)?;
    let page: PageText = serde_json::from_slice(&text).map_err(|e| VaultError::damaged(name, e))?;
    if page.gander != "page" {
        return Err(VaultError::damaged(name, "it is no page"));
    }
    if page.v != PAGE_VERSION {
        return Err(VaultError::Newer { name: name.to_owned(), found: page.v, known: PAGE_VERSION });
    }
    for record in &page.sessions {
        record.check(name)?;
    }
    if page.sessions.windows(2).any(|pair| pair[0].id >= pair[1].id) {
        return Err(VaultError::damaged(name, "its sessions are out of order"));
    }
    Ok(page.sessions)
}

pub(crate) fn load(objects: &Objects, object: &Hash) -> Result<Vec<SessionRecord>, VaultError> {
    let bytes = objects.get_content(Content::Page, object)?;
    decode(&Content::Page.name(object), &bytes)
}

/// Cuts sessions (by ascending id) into pages.
pub(crate) fn shard(sessions: &[SourceSession]) -> Vec<&[SourceSession]> {
    sessions.chunk_by(|_, next| next.id.as_bytes()[15] & PAGE_MASK != 0).collect()
}

pub(crate) fn page_root<'a>(sessions: impl ExactSizeIterator<Item = (SessionId, &'a Head)>) -> StoreRoot {
    store_root(sessions.len() as u64, sessions.map(|(id, head)| (id, *head)))
}
