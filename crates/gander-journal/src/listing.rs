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

/// What of a session's entries says where it is listed. The rest (queue, drafts, quarantine) is told by who changes it.
pub fn depends_on(state: &SessionState) -> (Status, bool, Seq) {
    (state.status, state.prompts > 0 || state.named_by == NamedBy::User, state.last_turn_seq)
}

fn bucket(conn: &Connection, state: &SessionState, quarantined: bool) -> rusqlite::Result<Bucket> {
    Ok(match state.status {
        _ if quarantined => Bucket::Quarantined,
        Status::Trashed => Bucket::Trashed,
        Status::Archived => Bucket::Archived,
        Status::Active if is_empty(conn, state)? => Bucket::Empty,
        Status::Active => Bucket::Active,
    })
}

/// A session's row in the lists, if it has one.
struct Listed {
    bucket: String,
    place: i64,
}

/// What a session's row is, and what it has to be.
///
/// Its place is the position of its last prompt or turn's end, else of its first own entry: a clock that is set back
/// moves nothing. A damaged session can lack that entry; it is listed all the same.
fn compare(conn: &Connection, state: &SessionState) -> rusqlite::Result<(Option<Listed>, Bucket, i64)> {
    let (listed, quarantined, place) = conn
        .prepare_cached(
            "SELECT l.bucket, l.place, EXISTS (SELECT 1 FROM quarantine WHERE session_id = ?1),
                (SELECT position FROM entries WHERE session_id = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1)
             FROM (SELECT 1) LEFT JOIN listing l ON l.session_id = ?1",
        )?
        .query_row(params![state.session_id.as_bytes(), int(state.last_turn_seq.0)], |row| {
            let (bucket, place) = (row.get::<_, Option<String>>(0)?, row.get::<_, Option<i64>>(1)?);
            let listed = bucket.zip(place).map(|(bucket, place)| Listed { bucket, place });
            Ok((listed, row.get(2)?, row.get::<_, Option<i64>>(3)?.unwrap_or(0)))
        })?;
    Ok((listed, bucket(conn, state, quarantined)?, place))
}

/// Brings a session's row up to date.
pub fn refresh(conn: &Connection, session: SessionId) -> rusqlite::Result<()> {
    let Some(state) = project::load(conn, session)? else { return Ok(()) };
    refresh_with(conn, &state)
}

/// [`refresh`] for one whose state is at hand.
pub fn refresh_with(conn: &Connection, state: &SessionState) -> rusqlite::Result<()> {
    let (listed, bucket, place) = compare(conn, state)?;
    let sql = match listed {
        Some(listed) if listed.bucket == bucket.as_str() && listed.place == place => return Ok(()),
        // The common one: only the indexes over the place are written.
        Some(listed) if listed.bucket == bucket.as_str() => {
            conn.prepare_cached("UPDATE listing SET place = ?2 WHERE session_id = ?1")?
                .execute(params![state.session_id.as_bytes(), place])?;
            return Ok(());
        }
        Some(_) => "UPDATE listing SET bucket = ?2, place = ?3 WHERE session_id = ?1",
        None => "INSERT INTO listing (session_id, bucket, place) VALUES (?1, ?2, ?3)",
    };
    conn.prepare_cached(sql)?.execute(params![state.session_id.as_bytes(), bucket.as_str(), place])?;
    Ok(())
}

/// Whether a session's row is where the session belongs.
pub fn is_right(conn: &Connection, state: &SessionState) -> rusqlite::Result<bool> {
    let (listed, bucket, place) = compare(conn, state)?;
    Ok(listed.is_some_and(|listed| listed.bucket == bucket.as_str() && listed.place == place))
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
