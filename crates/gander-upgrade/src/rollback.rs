//! The way back before a commit: the journal as it was sealed, where it may have been migrated, and the pointer as it was.
//! It can be cut off and done again any number of times: what it copies from stays.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use crate::file;
use crate::lock::{Holder, Lock, Taken};
use crate::place::Place;
use crate::pointer::Pointer;
use crate::state::{Phase, State, StateError};

/// Why the way back is not done yet. It can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// Somebody holds the journal.
    #[error("the journal is held by {0}; it must end first")]
    Held(String),
    /// A file failed.
    #[error("{} cannot be put back", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Carries a rollback out that the state has recorded. Whoever calls drives the upgrade.
pub fn carry_out(place: &Place, state: &State, now_ms: i64) -> Result<State, RollbackError> {
    let path = place.journal_lock();
    let lock = match Lock::try_take(&path, &Holder::this(now_ms)) {
        Ok(Taken::Ours(lock)) => lock,
        Ok(Taken::Theirs(holder)) => {
            return Err(RollbackError::Held(holder.map_or_else(|| "another process".to_owned(), |h| h.to_string())));
        }
        Err(source) => return Err(RollbackError::Io { path, source }),
    };
    if state.sealed_copy && state.from.format != state.to.format {
        put_back(place).map_err(|source| RollbackError::Io { path: place.sealed_journal(), source })?;
    }
    crate::faults::point("rollback:journal");
    Pointer::set(place, state.pointer_before.as_ref())
        .map_err(|source| RollbackError::Io { path: place.pointer(), source })?;
    crate::faults::point("rollback:pointer");
    drop(lock);
    Ok(State::advance(place, state.id, &[Phase::Rollback], Phase::RolledBack, now_ms, |_| {})?)
}

/// The sealed journal in the place of the one that is there. Its log goes first: it belongs to no other file.
fn put_back(place: &Place) -> io::Result<()> {
    let dir = place.data_dir();
    let beside = dir.join("journal.db.sealed");
    fs::copy(place.sealed_journal(), &beside)?;
    File::open(&beside)?.sync_all()?;
    crate::faults::point("rollback:copied");
    file::remove(&dir.join("journal.db-wal"))?;
    file::remove(&dir.join("journal.db-shm"))?;
    crate::faults::point("rollback:log");
    fs::rename(&beside, dir.join("journal.db"))?;
    file::sync_folder(dir)
}
