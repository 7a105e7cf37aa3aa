//! Changes: everything that a window could see, in the order of its commits, read back from the journal and never
//! from memory (G1). A cursor names a revision of one journal; one that cannot be served is answered by a reset.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use gander_model::{FindingId, ItemId, JournalId, Kind, Seq, SessionId, TurnId, WindowId};
use rusqlite::{Connection, Row, params};
use serde_json::value::RawValue;

use crate::connect::{int, raw_json, u64_at};
use crate::error::ReadError;
use crate::read::Reader;
use crate::view::{Draft, EntryView, Finding, Queue, SessionView, WindowView};
use crate::{drafts, findings, items, queue};

/// A place in the order of changes. Opaque to clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The journal.
    pub journal: JournalId,
    /// The last revision that was seen.
    pub revision: u64,
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.journal, self.revision)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (journal, revision) = text.split_once('.').ok_or(CursorError)?;
        Ok(Cursor {
            journal: journal.parse().map_err(|_| CursorError)?,
            revision: revision.parse().map_err(|_| CursorError)?,
        })
    }
}

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its place: what to go on from.
    pub revision: u64,
    /// What changed.
    pub what: What,
}

/// What changed. Sessions, windows, drafts, queues and findings come as they are now, not as they were.
#[derive(Clone, Debug)]
pub enum What {
    /// An entry was appended.
    Entry {
        /// The session that it was appended to.
        session: SessionId,
        /// The entry.
        entry: Box<EntryView>,
    },
    /// An open item grew.
    OpenItem(Part),
    /// A session's row, listing, turn or permissions changed.
    Session(Box<SessionView>),
    /// A window changed.
    Window(Box<WindowView>),
    /// A draft was saved or cleared.
    Draft(Draft),
    /// A queue changed.
    Queue {
        /// The session.
        session: SessionId,
        /// The queue.
        queue: Queue,
    },
    /// A finding was added or closed.
    Finding(Box<Finding>),
    /// The list of agents changed.
    Agents,
    /// The configuration changed.
    Config,
}

/// What arrived for an open item.
#[derive(Clone, Debug)]
pub struct Part {
    /// The session.
    pub session: SessionId,
    /// The item.
    pub item: ItemId,
    /// Its place in the turn.
    pub ord: u32,
    /// What it is.
    pub kind: Kind,
    /// Its turn.
    pub turn: Option<TurnId>,
    /// What the item had before: UTF-8 bytes of text (text kinds), else number of updates.
    pub from: u64,
    /// The raw updates that arrived: a JSON array; `None` where they are so large that they lie beside the entries.
    pub updates: Option<Box<RawValue>>,
    /// Bytes of all that the item has with them.
    pub bytes: u64,
}

/// The answer to a cursor.
#[derive(Clone, Debug)]
pub enum Changes {
    /// What changed since, and the revision to go on from (which may be beyond the last change given).
    Page {
        /// In order.
        changes: Vec<Change>,
        /// Go on from here.
        revision: u64,
        /// There is more already.
        more: bool,
    },
    /// The cursor is too old, or from the future: read everything again.
    Reset,
}

struct ChangeRow {
    revision: i64,
    kind: String,
    session: Option<SessionId>,
    window: Option<WindowId>,
    seq: Option<u64>,
    item: Option<[u8; 16]>,
    start: u64,
    bytes: u64,
    updates: Option<String>,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<ChangeRow> {
    Ok(ChangeRow {
        revision: row.get(0)?,
        kind: row.get(1)?,
        session: row.get::<_, Option<[u8; 16]>>(2)?.map(SessionId::from_bytes),
        window: row.get::<_, Option<[u8; 16]>>(3)?.map(WindowId::from_bytes),
        seq: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
        item: row.get(5)?,
        start: row.get::<_, Option<i64>>(6)?.unwrap_or(0).cast_unsigned(),
        updates: row.get(7)?,
        bytes: row.get::<_, Option<i64>>(8)?.unwrap_or(0).cast_unsigned(),
    })
}

/// The last revision.
pub fn last_revision(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT coalesce(max(revision), 0) FROM changes")?.query_row([], |row| u64_at(row, 0))
}

/// Changes after a revision, in order, at most `limit` rows' worth.
pub fn after(reader: &Reader<'_>, revision: u64, limit: usize) -> Result<Changes, ReadError> {
    let conn = reader.conn;
    let (oldest, newest) = conn
        .prepare_cached("SELECT (SELECT min(revision) FROM changes), (SELECT max(revision) FROM changes)")?
        .query_row([], |row| Ok((u64_at(row, 0)?, u64_at(row, 1)?)))?;
    if revision + 1 < oldest || revision > newest {
        return Ok(Changes::Reset);
    }
    let rows: Vec<ChangeRow> = conn
        .prepare_cached(
            "SELECT revision, type, session_id, window_id, seq, item, start, updates, bytes FROM changes
             WHERE revision > ?1 ORDER BY revision LIMIT ?2",
        )?
        .query_map(params![int(revision), limit.clamp(1, 1000) as i64], from_row)?
        .collect::<rusqlite::Result<_>>()?;
    let reached = rows.last().map_or(revision, |row| row.revision.cast_unsigned());
    let mut changes = Vec::with_capacity(rows.len());
    // What comes as it is now is given once, at its last place on the page.
    let mut given = HashSet::new();
    for row in rows.into_iter().rev() {
        let is_state = matches!(row.kind.as_str(), "session" | "window" | "draft" | "queue" | "finding");
        if is_state && !given.insert((row.kind.clone(), row.session, row.window, row.item)) {
            continue;
        }
        let revision = row.revision.cast_unsigned();
        if let Some(what) = what(reader, row)? {
            changes.push(Change { revision, what });
        }
    }
    changes.reverse();
    Ok(Changes::Page { changes, revision: reached, more: reached < newest })
}

/// What a row stands for; `None` when it has been overtaken (an open item that is an entry by now, erased content).
fn what(reader: &Reader<'_>, row: ChangeRow) -> Result<Option<What>, ReadError> {
    let conn = reader.conn;
    Ok(match (row.kind.as_str(), row.session, row.window) {
        ("entry", Some(session), _) => {
            match reader.entry(session, Seq(row.seq.unwrap_or(0))) {
                Ok(found) => found.map(|entry| What::Entry { session, entry: Box::new(entry) }),
                // One damaged session stops nobody else's changes; whoever opens it is shown the damage.
                Err(ReadError::Damaged { .. }) => None,
                Err(error) => return Err(error),
            }
        }
        ("open_item", Some(session), _) => {
            let Some(item) = row.item.map(ItemId::from_bytes) else { return Ok(None) };
            let open = items::row(conn, session, item)?.filter(|open| open.first_revision <= row.revision);
            open.map(|open| {
                What::OpenItem(Part {
                    session,
                    item,
                    ord: open.ord,
                    kind: open.kind,
                    turn: open.turn,
                    from: row.start,
                    updates: row.updates.map(raw_json),
                    bytes: row.bytes,
                })
            })
        }
        ("session", Some(session), _) => reader.find_session(session)?.map(|view| What::Session(Box::new(view))),
        ("window", _, Some(window)) => reader.find_window(window)?.map(|view| What::Window(Box::new(view))),
        ("draft", Some(session), Some(window)) => drafts::load(conn, window, session)?.map(What::Draft),
        ("queue", Some(session), _) => Some(What::Queue { session, queue: queue::load(conn, session)? }),
        ("finding", _, _) => match row.item.map(FindingId::from_bytes) {
            Some(id) => findings::one(conn, id)?.map(|finding| What::Finding(Box::new(finding))),
            None => None,
        },
        ("agents", _, _) => Some(What::Agents),
        ("config", _, _) => Some(What::Config),
        _ => None,
    })
}

/// Drops changes older than the last `keep` up to `newest`, a few at each commit; parts of open items stay.
pub fn trim(conn: &Connection, newest: u64, keep: u64) -> rusqlite::Result<()> {
    let bound = int(newest) - int(keep);
    let oldest: i64 = conn.prepare_cached("SELECT min(revision) FROM changes")?.query_row([], |row| row.get(0))?;
    // In batches, so that most commits trim nothing and no commit trims much.
    if oldest + 256 > bound {
        return Ok(());
    }
    let needed: Option<i64> =
        conn.prepare_cached("SELECT min(first_revision) FROM open_items")?.query_row([], |row| row.get(0))?;
    let bound = bound.min(oldest + 512).min(needed.unwrap_or(i64::MAX));
    conn.prepare_cached("DELETE FROM changes WHERE revision < ?1")?.execute([bound])?;
    Ok(())
}
