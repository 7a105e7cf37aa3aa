//! The durable store of sessions, windows, drafts, queue and turns: one SQLite database, one writer, entries that
//! are never changed. It refuses to know agents, ACP, HTTP and what an update means: it keeps raw updates as they
//! came, and is told what a turn did.
//!
//! Read [`Journal`] first, then [`Tx::append`], then [`Reader::entries`]. The tables are in `schema.sql` and
//! docs/FORMAT.md; what the entries' hashes cover is in `gander_model::entry`.
#![deny(missing_docs)]

mod ahead;
mod append;
mod audit;
mod bell;
mod beside;
mod blobs;
mod carry;
mod changes;
mod checkpoint;
mod connect;
mod copies;
mod digest;
mod drafts;
mod entries;
mod erase;
mod error;
mod findings;
mod group;
mod guards;
mod heal;
mod inspect;
mod items;
mod journal;
mod keeper;
mod kept;
mod links;
mod listing;
pub mod lock;
mod mend;
mod migrate;
mod names;
mod options;
mod permissions;
pub mod place;
mod project;
mod put_back;
mod queue;
mod read;
mod read_only;
mod recover;
mod repair;
pub mod rows;
pub mod sealed;
mod search;
mod session_list;
mod sessions;
mod settings;
mod startup;
mod tail;
mod turns;
mod tx;
mod verified;
mod verify;
mod view;
mod windows;
pub mod witness;
mod writer;

pub use ahead::Ahead;
pub use audit::Audit;
pub use blobs::{CHUNK_BYTES as CONTENT_CHUNK_BYTES, ContentInfo, NewContent};
pub use carry::{CarriedDocument, CarriedSession};
pub use changes::{Change, Changes, Cursor, CursorError, Part, What};
pub use connect::sqlite_version;
pub use drafts::REV_MAX;
pub use entries::{Bounds, PAGE_MAX as ENTRY_PAGE_MAX};
pub use erase::Erased;
pub use error::{Fault, OpenError, ReadError, StoreError, WriteError};
pub use findings::NewFinding;
pub use inspect::{Facts, Inspected};
pub use items::ItemPart;
pub use journal::Journal;
pub use links::NewLink;
pub use mend::Mended;
pub use migrate::FORMAT;
pub use options::{Clock, Faults, NoFaults, Options, Random, SystemClock, SystemRandom};
pub use put_back::CutItem;
pub use queue::QUEUE_MAX;
pub use read::Reader;
pub use recover::Recovered;
pub use repair::Rebuilt;
pub use search::{Hit, PAGE_MAX as SEARCH_PAGE_MAX, SearchPage};
pub use session_list::{After, Counts, Filter, PAGE_MAX as SESSION_PAGE_MAX, SessionPage};
pub use sessions::NewSession;
pub use settings::Announcement;
pub use turns::{Continues, Send, Sent, TurnEnd, WhenBusy};
pub use tx::Tx;
pub use verify::Report;
pub use view::{
    AgentProcess, Bucket, Draft, EntryPage, EntryView, Finding, Grant, Link, OpenItem, PermissionView, Queue,
    QueueItem, SessionView, TurnPhase, TurnRecord, TurnView, WindowView,
};
pub use windows::{ORDINAL_MAX, WindowPatch};
pub use writer::Saving;
