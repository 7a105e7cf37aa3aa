//! What can go wrong. A variant exists only where somebody branches on it; none names the engine's own types.

use std::path::PathBuf;

use gander_model::{Head, NamedBy, Seq, SessionId, TurnId, WindowId, chain::Damage};

use crate::view::Draft;

/// The engine failed. `fault` says in which way; the source says in its own words.
#[derive(Debug, thiserror::Error)]
#[error("the database failed ({fault})")]
pub struct StoreError {
    /// In which way.
    pub fault: Fault,
    #[source]
    source: rusqlite::Error,
}

/// The ways in which the engine fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A read, write or sync failed.
    Io,
    /// No space is left, or a quota or file-size limit was reached.
    Full,
    /// The files or the file system may not be written.
    ReadOnly,
    /// The database's own structure is damaged.
    Corrupt,
    /// A trigger, a unique index or a foreign key refused.
    Refused,
    /// Another connection holds what was needed for too long.
    Busy,
    /// Anything else: a bug of ours.
    Other,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fault::Io => "a read, write or sync failed",
            Fault::Full => "the disk is full",
            Fault::ReadOnly => "it cannot be written",
            Fault::Corrupt => "its structure is damaged",
            Fault::Refused => "a rule of the journal refused it",
            Fault::Busy => "it stayed busy for too long",
            Fault::Other => "unexpectedly",
        })
    }
}

impl Fault {
    /// Whether nothing can be trusted to be saved after it until the files were opened again and verified.
    pub fn stops_writing(self) -> bool {
        matches!(self, Fault::Io | Fault::Full | Fault::ReadOnly)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let fault = match source.sqlite_error_code() {
            Some(Code::SystemIoFailure | Code::CannotOpen | Code::FileLockingProtocolFailed) => Fault::Io,
            Some(Code::DiskFull) => Fault::Full,
            Some(Code::ReadOnly | Code::PermissionDenied) => Fault::ReadOnly,
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Fault::Corrupt,
            Some(Code::ConstraintViolation) => Fault::Refused,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Fault::Busy,
            _ => Fault::Other,
        };
        Self { fault, source }
    }
}

/// A journal that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the journal in {dir} is open elsewhere: {holder}")]
    Held {
        /// The data folder.
        dir: PathBuf,
        /// Who holds it, in words: pid, program, since when.
        holder: String,
    },
    /// A newer Gander wrote it and an older one may not write to it any more.
    #[error(
        "the journal has format {found}, which gander {by} wrote; this version writes format {known} and must not touch it"
    )]
    Newer {
        /// The format found.
        found: u32,
        /// The newest format that this version knows.
        known: u32,
        /// The version that wrote it last.
        by: String,
    },
    /// It could not be brought to this version's format, and is as it was.
    #[error("the journal could not be brought from format {found} to format {known}; it is as it was")]
    Migration {
        /// The format found.
        found: u32,
        /// The format that this version writes.
        known: u32,
        /// Why not.
        source: Box<OpenError>,
    },
    /// The engine linked at run time is older than the one that is safe.
    #[error("SQLite {found} can lose commits in WAL mode; at least {wanted} is needed")]
    OldEngine {
        /// Version number found.
        found: i32,
        /// Version number needed.
        wanted: i32,
    },
    /// The data folder cannot hold a journal, and why.
    #[error("{dir} cannot hold the journal: {why}")]
    Place {
        /// The data folder.
        dir: PathBuf,
        /// The reason.
        why: String,
    },
    /// The database is missing or empty, and something says that it was not always. Nothing new is made in its place.
    #[error("{path} is missing or empty, but {why}; put it back or restore a backup (nothing was written)")]
    Lost {
        /// The database.
        path: PathBuf,
        /// What says so.
        why: String,
    },
    /// What a start looks at could not be written down.
    #[error("the journal could not be checked: {why}")]
    Check {
        /// Why.
        why: String,
    },
    /// A file or folder failed.
    #[error("{path}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// How.
        source: std::io::Error,
    },
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for OpenError {
    fn from(source: rusqlite::Error) -> Self {
        OpenError::Store(source.into())
    }
}

/// A write that did not happen. Whatever the variant, nothing of the closure was kept.
///
/// One exception: after [`WriteError::NotSaving`] it is unknown whether the last commit reached the disk, so a
/// caller repeats with the same ids, never with new ones.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The journal cannot save at present; it heals by itself.
    #[error("not saving: {0}")]
    NotSaving(String),
    /// The journal is frozen for a handover: nothing is written until it is thawed, or another process has it.
    #[error("the journal is handed over")]
    Frozen,
    /// The journal is being closed, or another process has taken it over.
    #[error("the journal no longer takes writes: {0}")]
    Closed(String),
    /// The conversation went on since the send was composed.
    #[error("the conversation has moved on to entry {head}", head = .head.seq)]
    HeadMoved {
        /// Where it stands now.
        head: Head,
    },
    /// The draft is older than the one that is kept.
    #[error("the draft is older than revision {rev}", rev = .current.rev)]
    DraftStale {
        /// The draft that is kept.
        current: Box<Draft>,
    },
    /// The turn id was used before, with other content.
    #[error("turn {turn} was used before with other content")]
    TurnIdReused {
        /// The turn.
        turn: TurnId,
    },
    /// A turn is running, and the caller did not want to wait for it.
    #[error("turn {turn} is running")]
    TurnRunning {
        /// The turn that runs.
        turn: TurnId,
    },
    /// The queued prompt has started, so it cannot be changed any more.
    #[error("turn {turn} has started")]
    TurnStarted {
        /// The turn.
        turn: TurnId,
    },
    /// The turn is in another state than the operation needs.
    #[error("turn {turn} is {state}")]
    TurnState {
        /// The turn.
        turn: TurnId,
        /// Its state, as a word.
        state: String,
    },
    /// Another name was given meanwhile, or the user gave one.
    #[error("the session was named by the {named_by}")]
    NameTaken {
        /// Who gave the name that stands.
        named_by: NamedBy,
        /// Its `named` entry.
        named_seq: Seq,
    },
    /// A window does not show that session (any more), or cannot show another one now.
    #[error("window {window} {why}")]
    WindowState {
        /// The window.
        window: WindowId,
        /// In which state it is, in words that follow its name.
        why: &'static str,
    },
    /// There is no such thing.
    #[error("no {what} {id}")]
    NotFound {
        /// A session, window, turn, item ...
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The session is damaged; its entries are kept as they are until it is repaired.
    #[error("session {session} is quarantined: {detail}")]
    Quarantined {
        /// The session.
        session: SessionId,
        /// What is wrong with it.
        detail: String,
    },
    /// What was asked makes no sense, and why.
    #[error("{0}")]
    Invalid(String),
    /// Entries that the write builds on do not verify.
    #[error("session {session} is damaged")]
    Damaged {
        /// The session.
        session: SessionId,
        /// How.
        #[source]
        damage: Damage,
    },
    /// The engine refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The closure panicked: a bug of ours, confined to this write.
    #[error("a write panicked: {0}")]
    Panicked(String),
}

impl From<rusqlite::Error> for WriteError {
    fn from(source: rusqlite::Error) -> Self {
        WriteError::Store(source.into())
    }
}

impl WriteError {
    pub(crate) fn not_found(what: &'static str, id: impl ToString) -> Self {
        WriteError::NotFound { what, id: id.to_string() }
    }
}

/// A read that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such thing.
    #[error("no {what} {id}")]
    NotFound {
        /// A session, window, blob ...
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// What was read does not verify, so it is not shown.
    #[error("session {session} is damaged")]
    Damaged {
        /// The session.
        session: SessionId,
        /// How.
        #[source]
        damage: Damage,
    },
    /// Large content whose bytes do not match its name.
    #[error("content {hash} is damaged or incomplete")]
    ContentDamaged {
        /// Its name.
        hash: gander_model::Hash,
    },
    /// The search index, a separate file, cannot be used right now.
    #[error("the search index cannot be read: {0}")]
    Index(String),
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reading task was cancelled or panicked.
    #[error("the read was cut off")]
    CutOff,
}

impl From<rusqlite::Error> for ReadError {
    fn from(source: rusqlite::Error) -> Self {
        ReadError::Store(source.into())
    }
}

impl ReadError {
    pub(crate) fn not_found(what: &'static str, id: impl ToString) -> Self {
        ReadError::NotFound { what, id: id.to_string() }
    }
}

/// Reads inside a write fail as the write.
impl From<ReadError> for WriteError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound { what, id } => WriteError::NotFound { what, id },
            ReadError::Damaged { session, damage } => WriteError::Damaged { session, damage },
            ReadError::Store(store) => WriteError::Store(store),
            other => WriteError::Invalid(other.to_string()),
        }
    }
}
