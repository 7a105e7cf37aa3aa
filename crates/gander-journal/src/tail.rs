//! Verifying the newest entries: what an unclean end, or a fault, could have harmed.

use gander_model::chain::{Damage, check_body};
use gander_model::{Hash, Head, Seq, SessionId};
use rusqlite::Connection;

use crate::connect::{int, session_at, u64_at};
use crate::entries;
use crate::error::ReadError;

/// Recomputes the newest `count` entries of the journal, and that the heads of their sessions are their last ones.
pub fn verify(conn: &Connection, count: u64) -> Result<(), ReadError> {
    let newest: Vec<(SessionId, Seq)> = conn
        .prepare_cached("SELECT session_id, seq FROM entries ORDER BY position DESC LIMIT ?1")?
        .query_map([int(count)], |row| Ok((session_at(row, 0)?, Seq(u64_at(row, 1)?))))?
        .collect::<rusqlite::Result<_>>()?;
    let mut heads_checked = std::collections::HashSet::new();
    for (session, seq) in newest {
        let damaged = |damage| ReadError::Damaged { session, damage };
        let view = entries::one(conn, session, seq)?.ok_or(damaged(Damage::Header { seq }))?;
        let previous = match seq {
            Seq(1) => Some(Hash::ZERO),
            Seq(n) => entries::hash_of(conn, session, Seq(n - 1))?,
        };
        if !previous.is_some_and(|previous| view.entry.header.follows(&previous)) {
            return Err(damaged(Damage::Header { seq }));
        }
        check_body(&view.entry, view.erased).map_err(damaged)?;
        // Newest first: the first of a session's entries that comes by must be its head.
        if heads_checked.insert(session) {
            let found = view.entry.header.head();
            let witnessed = entries::head(conn, session)?.unwrap_or(Head { seq: Seq(0), hash: Hash::ZERO });
            if witnessed != found {
                return Err(damaged(Damage::Head { witnessed }));
            }
        }
    }
    Ok(())
}
