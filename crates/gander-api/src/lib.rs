//! One function for each thing that a user can do, over the journal and the agents, which meet here and nowhere below.
//! It refuses to know HTTP, browsers and the terminal: whoever serves takes a request apart, calls one operation, and
//! gives out what it returns ([`dto`]) or its [`ApiError`].
//!
//! Reading order: [`Gander`] (open and stop), `ops` (the operations), `live` (the task that runs a session's turns),
//! [`Feed`] (how windows learn what happened).
#![deny(missing_docs)]

mod agents;
mod attach;
mod backups;
mod carrier;
mod commands;
mod config;
mod convert;
pub mod dto;
mod error;
mod feed;
mod gander;
mod gate;
mod handover;
mod installed;
mod jobs;
mod live;
mod ops;
mod place;
mod readable;
mod repair;
pub mod seal;
mod secret;
mod standing;
mod way_back;

pub use agents::BUILTIN;
pub use attach::Attachment;
pub use error::{ApiError, Code};
pub use feed::{Feed, Push};
pub use gander::{Gander, OpenError, Options};
/// The journal's format that this version writes.
pub use gander_journal::FORMAT;
pub use gate::put_back_sealed;
pub use ops::{BLOB_MAX_BYTES, Download, Exported, Incoming, StoredGrant, Upload, upgrade_keys, upgrade_status};
pub use place::SafePlace;
pub use way_back::{put_back, set_journal_aside};
