//! Making again what can be made again from the entries: rows of the projection, and a head that was lost. Entries
//! are never touched.

use gander_model::{FindingId, Head, SessionId, SessionState};
use rusqlite::{OptionalExtension, params};

use crate::connect::{hash_at, int, session_at, u64_at};
use crate::error::WriteError;
use crate::journal::Journal;
use crate::tx::{Result, Tx};
use crate::{audit, entries, project, verify};

/// Makes a session's rows again from its entries. One without entries gets a row that says only where it stood, so
/// that it is listed all the same.
pub fn project_again(tx: &mut Tx<'_>, session: SessionId) -> Result<()> {
    let state = match project::fold(tx.conn, session)? {
        Some(state) => state,
        None => {
            let mut state = SessionState::new(session);
            if let Some(head) = entries::head(tx.conn, session)? {
                state.head = head;
            }
            state
        }
    };
    tx.store_state(state)?;
    tx.list(session)?;
    tx.touch_session(session);
    Ok(())
}

/// Gives a session that has entries and no witnessed head its last entry as head, so that it can be listed and
/// opened. The caller sets it aside: that this is where it ended is no longer witnessed.
pub fn witness_again(tx: &mut Tx<'_>, session: SessionId) -> Result<Option<Head>> {
    let last = tx
        .conn
        .prepare_cached("SELECT seq, hash, position FROM entries WHERE session_id = ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([session.as_bytes()], |row| {
            Ok((Head { seq: gander_model::Seq(u64_at(row, 0)?), hash: hash_at(row, 1)? }, u64_at(row, 2)?))
        })
        .optional()?;
    let Some((head, position)) = last else { return Ok(None) };
    tx.conn
        .prepare_cached("INSERT INTO heads (session_id, seq, hash, position) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![session.as_bytes(), int(head.seq.0), head.hash.0, int(position)])?;
    project_again(tx, session)?;
    Ok(Some(head))
}

/// What a rebuild did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Sessions whose rows were folded again.
    pub sessions: u64,
    /// Of those, the ones whose rows were not what their entries say.
    pub changed: u64,
    /// Rows of sessions of which nothing is on the disk.
    pub removed: u64,
}

/// Sessions folded in one write.
const BATCH: usize = 20;

impl Journal {
    /// Makes the projection again from the entries, and has the search index built anew. Rows that were right stay the
    /// same to the byte. `progress` is told how many sessions are done, of how many.
    pub fn rebuild(&self, mut progress: impl FnMut(u64, u64)) -> std::result::Result<Rebuilt, WriteError> {
        let ids = self.read(|r| Ok(verify::all(r.conn)?))?;
        let mut rebuilt = Rebuilt::default();
        for batch in ids.chunks(BATCH) {
            let batch = batch.to_vec();
            let changed = self.write_blocking(move |tx| {
                let mut changed = 0;
                for session in batch {
                    changed += u64::from(tx.rebuild_session(session)?);
                }
                Ok(changed)
            })?;
            rebuilt.changed += changed;
            rebuilt.sessions = (rebuilt.sessions + BATCH as u64).min(ids.len() as u64);
            progress(rebuilt.sessions, ids.len() as u64);
        }
        rebuilt.removed = self.write_blocking(|tx| tx.remove_rows_of_nothing())?;
        self.rebuild_search();
        Ok(rebuilt)
    }
}

impl Tx<'_> {
    fn rebuild_session(&mut self, session: SessionId) -> Result<bool> {
        let stored = project::stored(self.conn, session)?;
        let folded = project::fold(self.conn, session)?;
        let right = match (&stored, &folded) {
            (Some(stored), Some(folded)) => stored.sound && stored.state == *folded,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !right {
            project_again(self, session)?;
        }
        self.list(session)?;
        Ok(!right)
    }

    fn remove_rows_of_nothing(&mut self) -> Result<u64> {
        let gone = audit::without_anything(self.conn)?;
        for session in &gone {
            self.take_state(*session);
            for table in ["sessions", "listing"] {
                self.conn
                    .prepare_cached(&format!("DELETE FROM {table} WHERE session_id = ?1"))?
                    .execute([session.as_bytes()])?;
            }
        }
        Ok(gone.len() as u64)
    }

    /// Sessions that are set aside.
    pub(crate) fn quarantined(&self) -> Result<Vec<SessionId>> {
        let ids = self
            .conn
            .prepare_cached("SELECT session_id FROM quarantine")?
            .query_map([], |row| session_at(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(ids)
    }

    /// Closes a session's open findings of one kind.
    pub(crate) fn close_findings_of(&mut self, session: SessionId, kind: &str) -> Result<()> {
        let open: Vec<FindingId> = self
            .conn
            .prepare_cached(
                "SELECT finding_id FROM findings WHERE session_id = ?1 AND kind = ?2 AND closed_at_ms IS NULL",
            )?
            .query_map(params![session.as_bytes(), kind], |row| row.get(0).map(FindingId::from_bytes))?
            .collect::<rusqlite::Result<_>>()?;
        open.into_iter().try_for_each(|id| self.finding_close(id))
    }
}
