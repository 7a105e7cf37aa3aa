//! The backup repository: snapshots over compressed, content-named segments, their restore, retention and erasing,
//! and the readable exports. It refuses to know the journal's tables, HTTP and the clock: entries come from a
//! [`Source`], go to a [`Target`], and times and ids are arguments. docs/VAULT.md describes what it writes, well
//! enough to restore a session by hand.
//!
//! The interface is blocking and waits on a [`tokio::runtime::Handle`] for its storage: call it from a blocking
//! thread, never from a task.

mod compare;
mod create;
mod discard;
mod drill;
mod erase;
mod error;
pub mod export;
mod manifest;
mod objects;
mod packer;
mod page;
mod prune;
mod read;
mod restore;
mod retention;
#[cfg(feature = "s3")]
pub mod s3;
mod segment;
mod source;
mod vault;
mod verify;

pub use compare::Standing;
pub use create::{CreateRequest, Created};
pub use drill::Drilled;
pub use erase::{ErasedBody, Erasure};
pub use error::VaultError;
pub use manifest::{Manifest, Reason, SnapshotId};
pub use page::{LargeRecord, Run, SessionRecord};
pub use prune::{Pruned, SWEEP_GRACE_MS};
pub use read::SnapshotReader;
pub use restore::{Action, Counts, Held, Plan, Restored, Step, Target, Wanted, plan};
pub use retention::{Keep, Policy, keep};
pub use source::{Document, Origin, Sealed, Source, SourceError, SourceSession, large_refs};
pub use vault::{Listing, Vault};
pub use verify::{Finding, Progress, Report, Severity, Subject};
