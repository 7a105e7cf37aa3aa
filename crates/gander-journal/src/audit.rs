//! The count that nothing hides behind (G12): every session that is on the disk, by its entries and witnessed heads,
//! stands in exactly one list.

use gander_model::SessionId;
use rusqlite::Connection;

use crate::connect::{session_at, u64_at};
use crate::error::ReadError;
use crate::read::Reader;

/// How many sessions there are, and where they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Sessions that have an entry or a witnessed head.
    pub on_disk: u64,
    /// In the ordinary list, or empty and with a window.
    pub active: u64,
    /// Out of the way.
    pub archived: u64,
    /// To be thrown away.
    pub trashed: u64,
    /// Damaged, kept as they are.
    pub quarantined: u64,
}

impl Audit {
    /// Whether nothing hides.
    pub fn balances(&self) -> bool {
        self.on_disk == self.active + self.archived + self.trashed + self.quarantined
    }
}

/// Every session that has an entry, in one step of the index each: the cost is that of sessions, not of entries.
const WITH_ENTRIES: &str = "WITH RECURSIVE ids (id) AS (
        SELECT min(session_id) FROM entries
        UNION ALL
        SELECT (SELECT min(session_id) FROM entries WHERE session_id > ids.id) FROM ids WHERE ids.id IS NOT NULL
    ) SELECT id FROM ids WHERE id IS NOT NULL";

impl Reader<'_> {
    /// Counts what is on the disk, and what the lists show of it.
    pub fn audit(&self) -> Result<Audit, ReadError> {
        let counts = self.counts()?;
        // With entries, with a head, with both: counted without putting the ids in order once more.
        let on_disk = self
            .conn
            .prepare_cached(&format!(
                "SELECT count(*) + (SELECT count(*) FROM heads)
                    - coalesce(sum(EXISTS (SELECT 1 FROM heads h WHERE h.session_id = s.id)), 0) FROM ({WITH_ENTRIES}) s"
            ))?
            .query_row([], |row| u64_at(row, 0))?;
        Ok(Audit {
            on_disk,
            active: counts.active + counts.empty,
            archived: counts.archived,
            trashed: counts.trashed,
            quarantined: counts.quarantined,
        })
    }
}

/// Whether as many sessions are listed, and have a row, as have a witnessed head.
pub fn adds_up(conn: &Connection, heads: u64) -> rusqlite::Result<bool> {
    conn.query_row("SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM listing)", [], |row| {
        Ok(u64_at(row, 0)? == heads && u64_at(row, 1)? == heads)
    })
}

/// Sessions that have an entry.
pub fn with_entries(conn: &Connection) -> rusqlite::Result<Vec<SessionId>> {
    ids(conn, WITH_ENTRIES)
}

/// Sessions that have a witnessed head.
pub fn with_heads(conn: &Connection) -> rusqlite::Result<Vec<SessionId>> {
    ids(conn, "SELECT session_id FROM heads")
}

/// Sessions that have entries and no witnessed head.
pub fn without_head(conn: &Connection) -> rusqlite::Result<Vec<SessionId>> {
    ids(conn, &format!("{WITH_ENTRIES} AND id NOT IN (SELECT session_id FROM heads)"))
}

/// Sessions with a witnessed head whose rows in the projection are missing or stand at another head.
pub fn without_rows(conn: &Connection) -> rusqlite::Result<Vec<SessionId>> {
    ids(
        conn,
        "SELECT h.session_id FROM heads h LEFT JOIN sessions s USING (session_id) LEFT JOIN listing l USING (session_id)
         WHERE l.session_id IS NULL OR s.session_id IS NULL OR s.head_seq <> h.seq OR s.head_hash <> h.hash",
    )
}

/// Sessions that the projection shows and of which nothing is on the disk.
pub fn without_anything(conn: &Connection) -> rusqlite::Result<Vec<SessionId>> {
    ids(
        conn,
        "SELECT session_id FROM (SELECT session_id FROM sessions UNION SELECT session_id FROM listing) p
         WHERE NOT EXISTS (SELECT 1 FROM heads h WHERE h.session_id = p.session_id)
           AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.session_id = p.session_id)",
    )
}

/// Sessions whose witnessed head is not their last entry, or is not where it was witnessed.
pub fn beside_head(conn: &Connection) -> rusqlite::Result<Vec<SessionId>> {
    ids(
        conn,
        "SELECT h.session_id FROM heads h LEFT JOIN entries e ON e.position = h.position
         WHERE e.position IS NULL OR e.session_id <> h.session_id OR e.seq <> h.seq OR e.hash <> h.hash
            OR EXISTS (SELECT 1 FROM entries x WHERE x.session_id = h.session_id AND x.seq > h.seq)",
    )
}

fn ids(conn: &Connection, sql: &str) -> rusqlite::Result<Vec<SessionId>> {
    conn.prepare_cached(sql)?.query_map([], |row| session_at(row, 0))?.collect()
}
