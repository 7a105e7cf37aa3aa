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

/// Where a session stands in its list: the position of its last prompt or turn's end, else of its first own entry. A
/// clock that is set back moves nothing.
fn place(conn: &Connection, state: &SessionState) -> rusqlite::Result<i64> {
    let found = conn
        .prepare_cached("SELECT position FROM entries WHERE session_id = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1")?
        .query_row(params![state.session_id.as_bytes(), int(state.last_turn_seq.0)], |row| row.get(0))
        .optional()?;
    // A damaged session can lack the entry; it is listed all the same.
    Ok(found.unwrap_or(0))
}

/// Brings a session's row up to date.
pub fn refresh(conn: &Connection, session: SessionId) -> rusqlite::Result<()> {
    let Some(state) = project::load(conn, session)? else { return Ok(()) };
    refresh_with(conn, &state)
}

/// [`refresh`] for one whose state is at hand.
pub fn refresh_with(conn: &Connection, state: &SessionState) -> rusqlite::Result<()> {
    let session = state.session_id;
    let (bucket, place) = (bucket(conn, state)?, place(conn, state)?);
    let row: Option<(String, i64)> = conn
        .prepare_cached("SELECT bucket, place FROM listing WHERE session_id = ?1")?
        .query_row([session.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match row {
        Some((listed, at)) if listed == bucket.as_str() && at == place => Ok(()),
        Some(_) => conn
            .prepare_cached("UPDATE listing SET bucket = ?2, place = ?3 WHERE session_id = ?1")?
            .execute(params![session.as_bytes(), bucket.as_str(), place])
            .map(drop),
        None => conn
            .prepare_cached("INSERT INTO listing (session_id, bucket, place) VALUES (?1, ?2, ?3)")?
            .execute(params![session.as_bytes(), bucket.as_str(), place])
            .map(drop),
    }
}

/// Whether a session's row is where the session belongs.
pub fn is_right(conn: &Connection, state: &SessionState) -> rusqlite::Result<bool> {
    let (bucket, place) = (bucket(conn, state)?, place(conn, state)?);
    conn.prepare_cached("SELECT 1 FROM listing WHERE session_id = ?1 AND bucket = ?2 AND place = ?3")?.exists(params![
        state.session_id.as_bytes(),
        bucket.as_str(),
        place
    ])
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
