//! Making again what can be made again from the entries: rows of the projection, and a head that was lost. Entries
//! are never touched.

use gander_model::{Head, SessionId, SessionState};
use rusqlite::{OptionalExtension, params};

use crate::connect::{hash_at, int, u64_at};
use crate::tx::{Result, Tx};
use crate::{entries, listing, project};

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
    project::store(tx.conn, &state)?;
    listing::refresh(tx.conn, session)?;
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
