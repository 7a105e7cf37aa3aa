//! The way back before a commit: the journal as it was sealed, where it may have been migrated, and the pointer as it was.
//! It can be cut off and done again any number of times: what it copies from stays.

use std::io;
use std::path::PathBuf;

use crate::host::Trouble;
use crate::lock;
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
    /// The journal could not be put back.
    #[error("the journal cannot be put back")]
    Journal(#[from] Trouble),
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Carries a rollback out that the state has recorded. Whoever calls drives the upgrade. `put_back` puts the journal back as
/// it was sealed; it is asked only where the journal may have been migrated.
pub fn carry_out(
    place: &Place,
    state: &State,
    now_ms: i64,
    put_back: impl FnOnce() -> Result<(), Trouble>,
) -> Result<State, RollbackError> {
    let path = place.journal_lock();
    match lock::look(&path) {
        Ok(None) => {}
        Ok(Some(holder)) => return Err(RollbackError::Held(holder.to_string())),
        Err(source) => return Err(RollbackError::Io { path, source }),
    }
    if state.sealed_copy && state.from.format != state.to.format {
        put_back()?;
    }
    crate::faults::point("rollback:journal");
    Pointer::set(place, state.pointer_before.as_ref())
        .map_err(|source| RollbackError::Io { path: place.pointer(), source })?;
    crate::faults::point("rollback:pointer");
    Ok(State::advance(place, state.id, &[Phase::Rollback], Phase::RolledBack, now_ms, |_| {})?)
}
