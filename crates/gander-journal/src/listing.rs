//! Which list a session stands in, and where. One row a session in `listing`, refreshed in the same transaction as
//! whatever changed; lists page through its indexes, so their cost does not grow with what is stored.

use gander_model::{NamedBy, Seq, SessionId, SessionState, Status};
use rusqlite::{Connection, OptionalExtension, params};

use crate::connect::{int, u64_at};
use crate::kept::Kept;
use crate::project;
use crate::tx::Listing;
use crate::view::Bucket;

/// Whether nobody has put anything into a session without a prompt and a name of the user's: no queue, no draft.
fn is_empty(conn: &Connection, state: &SessionState) -> rusqlite::Result<bool> {
    let held: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM queue WHERE session_id = ?1)
                 OR EXISTS (SELECT 1 FROM drafts WHERE session_id = ?1 AND full = 1)",
        )?
        .query_row([state.session_id.as_bytes()], |row| row.get(0))?;
    Ok(!held)
}

/// What of a session's entries says where it is listed. The rest (queue, drafts, quarantine) is told by who changes it.
#[derive(PartialEq, Eq)]
pub struct Basis {
    /// The bucket that status and entries put it in; `None` when queue and drafts decide.
    bucket: Option<Bucket>,
    last_turn: Seq,
}

/// What of a session's entries says where it is listed.
pub fn basis(state: &SessionState) -> Basis {
    let bucket = match state.status {
        Status::Trashed => Some(Bucket::Trashed),
        Status::Archived => Some(Bucket::Archived),
        Status::Active if state.prompts > 0 || state.named_by == NamedBy::User => Some(Bucket::Active),
        Status::Active => None,
    };
    Basis { bucket, last_turn: state.last_turn_seq }
}

/// What an entry at `position`, appended to a session that has its place in the lists and is not quarantined, means
/// for that place.
pub fn after_entry(before: &Basis, state: &SessionState, position: i64) -> Listing {
    let after = basis(state);
    match after.bucket {
        _ if after == *before => Listing::Stays,
        Some(_) if after.bucket == before.bucket && after.last_turn == state.head.seq => Listing::Moves(position),
        _ => Listing::Anew,
    }
}

/// Moves a session within the bucket that its entries put it in; false when it has no row there.
pub fn move_to(kept: &mut Kept<'_>, state: &SessionState, place: i64) -> rusqlite::Result<bool> {
    let Some(bucket) = basis(state).bucket else { return Ok(false) };
    kept.statement("UPDATE listing SET place = ?3 WHERE session_id = ?1 AND bucket = ?2")?
        .execute(params![state.session_id.as_bytes(), bucket.as_str(), place])
        .map(|moved| moved == 1)
}

fn bucket(conn: &Connection, state: &SessionState, quarantined: bool) -> rusqlite::Result<Bucket> {
    Ok(match basis(state).bucket {
        _ if quarantined => Bucket::Quarantined,
        Some(bucket) => bucket,
        None if is_empty(conn, state)? => Bucket::Empty,
        None => Bucket::Active,
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
