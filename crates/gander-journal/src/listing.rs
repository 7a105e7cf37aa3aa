//! Which list a session stands in, and where. One row a session in `listing`, refreshed in the same transaction as
//! whatever changed; lists page through its indexes, so their cost does not grow with what is stored.

use gander_model::{NamedBy, Seq, SessionId, SessionState, Status};
use rusqlite::{Connection, OptionalExtension, params};

use crate::connect::{int, u64_at};
use crate::project;
use crate::view::Bucket;

/// Whether nobody has put anything in yet: no prompt, no queue, no name of the user's, no draft.
fn is_empty(conn: &Connection, state: &SessionState) -> rusqlite::Result<bool> {
    if state.prompts > 0 || state.named_by == NamedBy::User {
        return Ok(false);
    }
    let held: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM queue WHERE session_id = ?1)
                 OR EXISTS (SELECT 1 FROM drafts WHERE session_id = ?1 AND full = 1)",
        )?
        .query_row([state.session_id.as_bytes()], |row| row.get(0))?;
    Ok(!held)
}

fn bucket(conn: &Connection, state: &SessionState) -> rusqlite::Result<Bucket> {
    let quarantined =
        conn.prepare_cached("SELECT 1 FROM quarantine WHERE session_id = ?1")?.exists([state.session_id.as_bytes()])?;
    Ok(match state.status {
        _ if quarantined => Bucket::Quarantined,
        Status::Trashed => Bucket::Trashed,
        Status::Archived => Bucket::Archived,
        Status::Active if is_empty(conn, state)? => Bucket::Empty,
        Status::Active => Bucket::Active,
    })
}

/// Brings a session's row up to date.
pub fn refresh(conn: &Connection, session: SessionId) -> rusqlite::Result<()> {
    let Some(state) = project::load(conn, session)? else { return Ok(()) };
    let bucket = bucket(conn, &state)?;
    let order_ms = state.last_turn_at_ms.unwrap_or(state.created_at_ms);
    let row: Option<(String, i64)> = conn
        .prepare_cached("SELECT bucket, order_ms FROM listing WHERE session_id = ?1")?
        .query_row([session.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match row {
        Some((listed, at)) if listed == bucket.as_str() && at == order_ms => Ok(()),
        Some(_) => conn
            .prepare_cached("UPDATE listing SET bucket = ?2, order_ms = ?3 WHERE session_id = ?1")?
            .execute(params![session.as_bytes(), bucket.as_str(), order_ms])
            .map(drop),
        None => conn
            .prepare_cached("INSERT INTO listing (session_id, bucket, order_ms) VALUES (?1, ?2, ?3)")?
            .execute(params![session.as_bytes(), bucket.as_str(), order_ms])
            .map(drop),
    }
}

/// Whether a session's row is where the session belongs.
pub fn is_right(conn: &Connection, state: &SessionState) -> rusqlite::Result<bool> {
    let bucket = bucket(conn, state)?;
    let order_ms = state.last_turn_at_ms.unwrap_or(state.created_at_ms);
    conn.prepare_cached("SELECT 1 FROM listing WHERE session_id = ?1 AND bucket = ?2 AND order_ms = ?3")?
        .exists(params![state.session_id.as_bytes(), bucket.as_str(), order_ms])
}

/// Remembers that the user has seen a session up to an entry.
pub fn set_seen(conn: &Connection, session: SessionId, seq: Seq) -> rusqlite::Result<bool> {
    let before = conn
        .prepare_cached("SELECT seen_seq FROM listing WHERE session_id = ?1")?
        .query_row([session.as_bytes()], |row| u64_at(row, 0))
        .optional()?;
    if before.is_none_or(|before| before == seq.0) {
        return Ok(false);
    }
    conn.prepare_cached("UPDATE listing SET seen_seq = ?2 WHERE session_id = ?1")?
        .execute(params![session.as_bytes(), int(seq.0)])?;
    Ok(true)
}
