//! What can go wrong with a vault, told apart where somebody acts on the difference.

use std::error::Error as StdError;

use gander_model::SessionId;

use crate::SnapshotId;
use crate::source::SourceError;

/// Why a vault operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// An object that a snapshot names is not there.
    #[error("the object {name} is missing from the vault")]
    Missing {
        /// The object.
        name: String,
    },
    /// An object's bytes are not what was written.
    #[error("the object {name} is damaged: {why}")]
    Damaged {
        /// The object.
        name: String,
        /// What does not fit.
        why: String,
    },
    /// Written by a later version.
    #[error("{name} has vault format {found}; this version reads up to {known}")]
    Newer {
        /// The object.
        name: String,
        /// Its format.
        found: u32,
        /// The newest format that is understood here.
        known: u32,
    },
    /// The disk or the quota is full.
    #[error("there is no room left to write {name}")]
    Full {
        /// The object that did not fit.
        name: String,
        /// What the storage said.
        source: Box<object_store::Error>,
    },
    /// The storage did not do it: not reachable, not allowed, broken.
    #[error("the vault's storage failed to {doing} {name}")]
    Storage {
        /// read, write, list or delete.
        doing: &'static str,
        /// The object or folder.
        name: String,
        /// What the storage said.
        source: Box<object_store::Error>,
    },
    /// The vault's place cannot be used at all.
    #[error("the vault at {place} cannot be opened")]
    Place {
        /// Folder or bucket.
        place: String,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Somebody wrote this name before.
    #[error("{name} exists already")]
    Exists {
        /// The object.
        name: String,
    },
    /// What was written reads back differently.
    #[error("{name} reads back differently from what was written")]
    ReadBack {
        /// The object.
        name: String,
    },
    /// No snapshot has this id.
    #[error("there is no snapshot {0}")]
    NoSnapshot(SnapshotId),
    /// The snapshot does not hold this session.
    #[error("the snapshot does not hold session {0}")]
    NoSession(SessionId),
    /// Making the snapshot took so long that a prune may have removed what it builds on.
    #[error("the snapshot took too long to be safe beside a prune; nothing was recorded")]
    TookTooLong,
    /// A retention policy that keeps nothing.
    #[error("the retention policy keeps nothing; it must keep at least one snapshot")]
    EmptyPolicy,
    /// Removing and erasing need every snapshot to be readable, to know what is still used.
    #[error("not everything could be removed: {name} cannot be read, so what it uses is not known")]
    Unsure {
        /// The unreadable manifest or page.
        name: String,
        /// Why.
        source: Box<VaultError>,
    },
    /// The journal could not be read.
    #[error("what was to be saved could not be read")]
    Source(#[source] SourceError),
    /// The store that is restored into refused.
    #[error("the restored entries could not be stored")]
    Target(#[source] SourceError),
}

impl VaultError {
    /// Whether the bytes in the vault are at fault, rather than the way to them.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Damaged { .. } | Self::ReadBack { .. })
    }

    pub(crate) fn storage(doing: &'static str, name: &str, source: object_store::Error) -> Self {
        if matches!(source, object_store::Error::NotFound { .. }) {
            return Self::Missing { name: name.to_owned() };
        }
        let source = Box::new(source);
        if is_full(source.as_ref()) {
            return Self::Full { name: name.to_owned(), source };
        }
        Self::Storage { doing, name: name.to_owned(), source }
    }

    pub(crate) fn damaged(name: &str, why: impl ToString) -> Self {
        Self::Damaged { name: name.to_owned(), why: why.to_string() }
    }
}

fn is_full(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(kind, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        next = error.source();
    }
    false
}
