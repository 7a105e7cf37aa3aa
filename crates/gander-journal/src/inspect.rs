//! A journal that is looked at before it is started: its lock is held, and not a byte of it is written. Whoever must
//! know first (the start-up gate, an upgrade's check) reads here, then turns it into an open journal without letting
//! go of the lock.

use std::path::{Path, PathBuf};

use gander_model::{Hash, JournalId, StoreRoot};
use rusqlite::backup::{Backup, StepResult};

use crate::connect::Access;
use crate::error::{OpenError, ReadError};
use crate::journal::{self, Journal};
use crate::lock::Lock;
use crate::options::Options;
use crate::read::Reader;
use crate::{changes, connect, migrate, place, read_only, sealed, startup};

/// What a journal says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its format.
    pub format: u32,
    /// The version that opened it for writing last.
    pub written_by: String,
    /// Whether that one closed it.
    pub clean: bool,
    /// Its id.
    pub journal: JournalId,
    /// The epoch of the last writer.
    pub epoch: u64,
    /// The last revision.
    pub revision: u64,
    /// How many sessions there are.
    pub sessions: u64,
    /// The store root.
    pub root: StoreRoot,
    /// The digest of windows, drafts, queue and open items.
    pub documents: Hash,
}

impl Facts {
    pub(crate) fn read(reader: &Reader<'_>) -> Result<Facts, ReadError> {
        let number = |key: &str| Ok::<_, ReadError>(migrate::meta::<i64>(reader.conn, key)?.unwrap_or(0));
        let heads = reader.heads()?;
        let sessions = heads.len() as u64;
        Ok(Facts {
            format: migrate::meta(reader.conn, "format")?.unwrap_or(0),
            written_by: migrate::meta(reader.conn, "written_by")?.unwrap_or_default(),
            clean: number("clean")? != 0,
            journal: reader.journal_id()?,
            epoch: number("epoch")?.cast_unsigned(),
            revision: changes::last_revision(reader.conn)?,
            sessions,
            root: gander_model::store_root(sessions, heads),
            documents: reader.documents_digest()?,
        })
    }
}

/// A journal that is looked at. Dropping it lets go of the lock and leaves everything as it was.
pub struct Inspected {
    dir: PathBuf,
    options: Options,
    lock: Lock,
    /// What reads it, and what it says; not for one that is new or cannot be read.
    shown: Option<(Journal, Facts)>,
    is_new: bool,
    newer: bool,
}

impl Journal {
    /// Takes the lock of the journal in `dir` and reads what it says of itself, without writing anything: no epoch,
    /// no witness, no recovery. A journal that cannot be read gives no facts; [`Inspected::open`] says why.
    pub fn inspect(dir: impl AsRef<Path>, options: Options) -> Result<Inspected, OpenError> {
        let dir = dir.as_ref().to_owned();
        connect::check_engine()?;
        journal::make_private(&dir)?;
        place::check(&dir)?;
        let lock = Lock::take(&dir, &options.version, options.clock.now_ms())?;
        let path = dir.join("journal.db");
        startup::guard(&dir, &path)?;
        let is_new = !std::fs::metadata(&path).is_ok_and(|about| about.len() > 0);
        let newer = !is_new && migrate::is_newer(&path).unwrap_or(false);
        let mut inspected = Inspected { dir, options, lock, shown: None, is_new, newer };
        if !is_new && let Err(error) = inspected.look() {
            tracing::warn!(%error, "the journal cannot be read before it is opened");
        }
        Ok(inspected)
    }
}

impl Inspected {
    fn path(&self) -> PathBuf {
        self.dir.join("journal.db")
    }

    fn look(&mut self) -> Result<(), ReadError> {
        self.shown = None;
        let reason = "it is being looked at before it is opened".to_owned();
        let (journal, facts) =
            Journal::shown(self.dir.clone(), &self.options, reason, None, Access::Shared, Facts::read)?;
        self.shown = Some((journal, facts));
        Ok(())
    }

    /// Whether there is no journal yet.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether a newer version wrote it in a format that this one may not write: it opens for reading only.
    pub fn is_newer(&self) -> bool {
        self.newer
    }

    /// What it says of itself; `None` for a new one, or one that cannot be read.
    pub fn facts(&self) -> Option<&Facts> {
        self.shown.as_ref().map(|(_, facts)| facts)
    }

    /// The journal, to be read only. Clones of it do not keep the lock.
    pub fn journal(&self) -> Option<&Journal> {
        self.shown.as_ref().map(|(journal, _)| journal)
    }

    /// The formats that opening it migrates from and to.
    pub fn migrates(&self) -> Option<(u32, u32)> {
        let format = self.facts().map(|facts| facts.format)?;
        (format < migrate::FORMAT && !self.newer).then_some((format, migrate::FORMAT))
    }

    /// Copies the database as it is into the file `to`, which appears whole and synced or not at all.
    pub fn copy_to(&self, to: &Path) -> Result<(), OpenError> {
        sealed::copy(&self.path(), to)
    }

    /// Brings it to this version's format and does nothing else: one transaction, in which the store root and the
    /// digest of documents are compared before it is committed. When it fails, the journal is as it was.
    pub fn migrate(&mut self) -> Result<(), OpenError> {
        if self.migrates().is_none() {
            return Ok(());
        }
        self.shown = None;
        let migrated = connect::writer(&self.path()).map_err(OpenError::from).and_then(|mut conn| {
            connect::settle_log(&conn)?;
            migrate::ensure(&mut conn, &self.options)
        });
        let looked = self.look();
        migrated?;
        looked.map_err(|error| OpenError::Check { why: error.to_string() })
    }

    /// Opens it for writing, migrating it first where that is left to do. The lock is not let go of in between.
    /// What cannot be written is opened for reading, as with [`Journal::open`].
    pub fn open(self) -> Result<Journal, OpenError> {
        let Inspected { dir, options, lock, shown, .. } = self;
        drop(shown);
        Journal::open_to_write(dir.clone(), options.clone(), lock).or_else(|error| match read_only::reason(&error) {
            Some(reason) => Journal::open_to_read(dir, options, reason).unwrap_or(Err(error)),
            None => Err(error),
        })
    }
}

/// Steps a copy to its end.
pub(crate) fn run(backup: &Backup<'_, '_>) -> rusqlite::Result<()> {
    const PAGES: std::ffi::c_int = 4_096;
    loop {
        match backup.step(PAGES)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // Nobody else has the files: this passes.
            _ => std::thread::sleep(std::time::Duration::from_millis(2)),
        }
    }
}
