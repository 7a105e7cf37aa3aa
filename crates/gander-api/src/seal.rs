//! The seal: what a store was at the moment it was handed over, so that whoever opens it next can prove that it still
//! is. `upgrade/seal.json` is one JSON object whose last member, `hash`, is the BLAKE3 of the object without it. It is
//! replaced as a whole (written beside, synced, renamed, the folder synced) and kept until the next one: a journal that
//! lacks what was sealed is noticed at every start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gander_journal::{CarriedDocument, Facts, ReadError, Reader};
use gander_model::{Hash, JournalId, Seq, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dto;
use crate::dto::rfc3339;

/// The seal's file in the data folder.
pub const FILE: &str = "upgrade/seal.json";
/// The database as it was sealed, kept while a newer version migrates it.
pub const COPY: &str = "upgrade/sealed/journal.db";

/// A seal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seal {
    v: u32,
    /// Its id: the upgrade's, where there is one.
    pub id: String,
    /// When, RFC 3339.
    pub at: String,
    /// The version that sealed.
    pub version: String,
    /// The journal's format.
    pub format: u32,
    /// The journal.
    pub journal: JournalId,
    /// The epoch of the process that sealed.
    pub epoch: u64,
    /// The last revision.
    pub revision: u64,
    /// The store root.
    pub root: Hash,
    /// How many sessions.
    pub sessions: u64,
    /// Every session's id, seq and hash.
    pub heads: Vec<(SessionId, Seq, Hash)>,
    /// The digest of the documents.
    pub documents_digest: Hash,
    /// Windows, as a snapshot has them.
    pub windows: Vec<Box<RawValue>>,
    /// Drafts.
    pub drafts: Vec<Box<RawValue>>,
    /// Queued prompts.
    pub queue: Vec<Box<RawValue>>,
    /// Open items.
    pub open_items: Vec<Box<RawValue>>,
    /// The snapshot in the vault that holds all of it and was read back.
    pub snapshot: String,
}

/// A seal that is there and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file failed.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not match its own hash.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error("{} has form {found}, which this version does not know", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// The form found.
        found: u32,
    },
}

impl Seal {
    /// What a journal is at this moment. `snapshot` is the one that holds it.
    pub(crate) fn of(
        reader: &Reader<'_>,
        facts: (String, String, u64, i64),
        snapshot: String,
    ) -> Result<Seal, ReadError> {
        let (id, version, epoch, now_ms) = facts;
        let heads = reader.heads()?;
        let documents = reader.documents()?;
        let of = |kind: &str| -> Vec<Box<RawValue>> {
            let these = documents.iter().filter(|document: &&CarriedDocument| document.kind == kind);
            these.filter_map(|document| RawValue::from_string(document.json.clone()).ok()).collect()
        };
        Ok(Seal {
            v: 1,
            id,
            at: rfc3339(now_ms),
            version,
            format: gander_journal::FORMAT,
            journal: reader.journal_id()?,
            epoch,
            revision: reader.revision()?,
            root: reader.root()?,
            sessions: heads.len() as u64,
            heads: heads.into_iter().map(|(session, head)| (session, head.seq, head.hash)).collect(),
            documents_digest: reader.documents_digest()?,
            windows: of("window"),
            drafts: of("draft"),
            queue: of("queue"),
            open_items: of("open_item"),
            snapshot,
        })
    }

    /// Reads the seal of a data folder; `None` when nothing was ever sealed.
    pub fn read(data_dir: &Path) -> Result<Option<Seal>, SealError> {
        let path = data_dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) if source.kind() == io::ErrorKind::InvalidData => return Err(SealError::Damaged { path }),
            Err(source) => return Err(SealError::Io { path, source }),
        };
        let damaged = || SealError::Damaged { path: path.clone() };
        let (statement, rest) = text.trim_end().rsplit_once(",\"hash\":\"").ok_or_else(damaged)?;
        let hash: Hash = rest.strip_suffix("\"}").and_then(|hash| hash.parse().ok()).ok_or_else(damaged)?;
        let statement = format!("{statement}}}");
        if gander_model::content_hash(statement.as_bytes()) != hash {
            return Err(damaged());
        }
        #[derive(Deserialize)]
        struct Form {
            v: u32,
        }
        match serde_json::from_str::<Form>(&statement) {
            Ok(Form { v: 1 }) => serde_json::from_str(&statement).map(Some).map_err(|_| damaged()),
            Ok(Form { v }) => Err(SealError::Newer { path, found: v }),
            Err(_) => Err(damaged()),
        }
    }

    /// Puts it into a data folder; on return it is on the disk.
    pub(crate) fn write(&self, data_dir: &Path) -> Result<(), SealError> {
        let path = data_dir.join(FILE);
        self.put(&path).map_err(|source| SealError::Io { path, source })
    }

    fn put(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let statement = serde_json::to_string(self)?;
        let hash = gander_model::content_hash(statement.as_bytes());
        let open = statement.strip_suffix('}').unwrap_or(&statement);
        let fresh = path.with_extension("json.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(format!("{open},\"hash\":\"{hash}\"}}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(folder)?.sync_all()
    }

    /// Whether a journal is what was sealed: the same entries, and the same windows, drafts, queue and open items.
    pub fn is(&self, facts: &Facts) -> bool {
        self.root == facts.root && self.documents_digest == facts.documents && self.sessions == facts.sessions
    }

    /// In short.
    pub fn summary(&self, data_dir: &Path) -> dto::SealSummary {
        dto::SealSummary {
            id: self.id.clone(),
            at: self.at.clone(),
            version: self.version.clone(),
            format: self.format,
            root: self.root.to_string(),
            documents_digest: self.documents_digest.to_string(),
            sessions: self.sessions,
            windows: self.windows.len() as u64,
            drafts: self.drafts.len() as u64,
            queue: self.queue.len() as u64,
            open_items: self.open_items.len() as u64,
            snapshot: self.snapshot.clone(),
            file: data_dir.join(FILE).display().to_string(),
        }
    }
}
