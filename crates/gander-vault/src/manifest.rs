//! A manifest: what makes a pile of objects a snapshot. It is written last, under a new name, with its own hash as
//! its last line, and read back.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use gander_model::{Hash, JournalId, StoreRoot, hash::content_hash};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::VaultError;
use crate::objects::Objects;
use crate::page::LargeRecord;
pub use crate::page::PageRef;

pub(crate) const MANIFEST_VERSION: u32 = 1;
pub(crate) const SNAPSHOTS: &str = "snapshots";
pub(crate) const FORGOTTEN: &str = "forgotten";

/// One snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotId(Uuid);

impl SnapshotId {
    /// A new id (UUIDv7) from a time in milliseconds and ten random bytes.
    pub fn from_parts(at_ms: i64, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(u64::try_from(at_ms).unwrap_or(0), random).into_uuid())
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotId({self})")
    }
}

impl FromStr for SnapshotId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

/// Why a snapshot was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Somebody asked.
    Hand,
    /// The timer, with changes since the last.
    Timer,
    /// At quit.
    Quit,
    /// Before an upgrade.
    Upgrade,
    /// Before a migration.
    Migration,
    /// Before a restore.
    Restore,
}

/// What a snapshot is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    gander: String,
    v: u32,
    /// The snapshot.
    pub id: SnapshotId,
    /// When it was begun, in milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Why.
    pub reason: Reason,
    /// The journal that it is of.
    pub journal: JournalId,
    /// Its writer's epoch.
    pub epoch: u64,
    /// Its revision.
    pub revision: u64,
    /// Its store root.
    pub root: StoreRoot,
    /// How many sessions.
    pub sessions: u64,
    /// How many entries of their own these have.
    pub entries: u64,
    /// Compressed bytes that this snapshot added.
    pub new_bytes: u64,
    /// The snapshot that it builds on.
    pub base: Option<SnapshotId>,
    /// The machine that made it, as it calls itself.
    pub machine: String,
    /// The version of Gander that made it.
    pub version: String,
    /// Hash of the documents, to see that windows, drafts, queue and open items are the same.
    pub documents_digest: Hash,
    /// Segments that hold the documents.
    pub documents: Vec<Hash>,
    /// Large contents that documents name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large: Vec<LargeRecord>,
    /// The pages of its sessions, by ascending id.
    pub pages: Vec<PageRef>,
    /// What could not be saved whole, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Manifest {
    #[expect(clippy::too_many_arguments, reason = "one call, all of it plain facts")]
    pub(crate) fn new(
        id: SnapshotId,
        at_ms: i64,
        reason: Reason,
        sealed: &crate::Sealed,
        machine: &str,
        version: &str,
        documents_digest: Hash,
        documents: Vec<Hash>,
        pages: Vec<PageRef>,
    ) -> Self {
        Self {
            gander: "snapshot".into(),
            v: MANIFEST_VERSION,
            id,
            at_ms,
            reason,
            journal: sealed.journal,
            epoch: sealed.epoch,
            revision: sealed.revision,
            root: sealed.root,
            sessions: pages.iter().map(|page| page.sessions).sum(),
            entries: 0,
            new_bytes: 0,
            base: None,
            machine: machine.to_owned(),
            version: version.to_owned(),
            documents_digest,
            documents,
            large: Vec::new(),
            pages,
            notes: Vec::new(),
        }
    }

    /// The file: the JSON, a line end, the hash of the JSON, a line end.
    pub(crate) fn to_bytes(&self) -> Result<Bytes, VaultError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| VaultError::damaged("a new manifest", e))?;
        let hash = content_hash(&text);
        text.extend_from_slice(format!("\n{hash}\n").as_bytes());
        Ok(text.into())
    }

    pub(crate) fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, VaultError> {
        let torn = || VaultError::damaged(name, "it is torn: it does not end with the hash of what it says");
        let text = bytes.strip_suffix(b"\n").ok_or_else(torn)?;
        let end = memchr::memrchr(b'\n', text).ok_or_else(torn)?;
        let (text, hash) = (&text[..end], std::str::from_utf8(&text[end + 1..]).map_err(|_| torn())?);
        if hash.parse() != Ok(content_hash(text)) {
            return Err(torn());
        }
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Version { v } = serde_json::from_slice(text).map_err(|e| VaultError::damaged(name, e))?;
        if v > MANIFEST_VERSION {
            return Err(VaultError::Newer { name: name.to_owned(), found: v, known: MANIFEST_VERSION });
        }
        let manifest: Self = serde_json::from_slice(text).map_err(|e| VaultError::damaged(name, e))?;
        if !name.contains(&manifest.id.to_string()) {
            return Err(VaultError::damaged(name, format!("it is the manifest of snapshot {}", manifest.id)));
        }
        Ok(manifest)
    }
}

pub(crate) fn name(folder: &str, id: SnapshotId) -> String {
    format!("{folder}/{id}.json")
}

pub(crate) fn load(objects: &Objects, folder: &str, id: SnapshotId) -> Result<Manifest, VaultError> {
    let name = name(folder, id);
    Manifest::from_bytes(&name, &objects.get(&name)?)
}
