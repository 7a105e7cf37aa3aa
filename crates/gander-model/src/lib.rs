//! The words of the journal: ids, entries, their canonical bytes and hash chain, the store root, and the
//! projection of entries into a session. It refuses to know I/O, the clock, randomness and async: times, ids and
//! salts come in as arguments, so everything here can be recomputed by anyone from the same bytes.
//!
//! Read [`entry`] first: it holds the one format that can never change (docs/FORMAT.md has its test vectors).
#![deny(missing_docs)]

pub mod body;
pub mod chain;
pub mod documents;
pub mod entry;
pub mod hash;
pub mod ids;
pub mod kind;
pub mod project;
pub mod root;
pub mod text;
pub mod updates;

/// Gander's version: what the journal, the runtime file and packages are marked with.
pub const VERSION: &str = env!("GANDER_VERSION");

pub use body::{Body, BodyError, By, Data, DataRef};
pub use documents::{Document, DocumentsDigest};
pub use entry::{Entry, EntryHeader, Head, Seq};
pub use hash::{Hash, Salt, content_hash};
pub use ids::{FindingId, ItemId, JournalId, PermissionId, SessionId, TurnId, UpgradeId, WindowId};
pub use kind::Kind;
pub use project::{NamedBy, Origin, SessionState, Status};
pub use root::{StoreRoot, store_root};
