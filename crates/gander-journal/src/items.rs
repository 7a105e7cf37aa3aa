//! Open items: what an agent streams, durable as it arrives and an entry when complete (G1).
//!
//! A large part lies beside the entries at once, see [`crate::ahead`]. Every other
//! part is one row of `changes`, which the change feed serves as it is. It dirties that table's last page and no
//! other, however long the item is: the item's small row in `open_items` only says from which revision on to look for
//! its newest part, and is brought up to date once in [`SETTLE`] revisions. Parts are chained backwards, and read only
//! when a window opens the item or when it becomes an entry.

use gander_model::updates;
use gander_model::{Body, By, Data, DataRef, Hash, Head, ItemId, Kind, SessionId, TurnId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::value::RawValue;

use crate::blobs;
use crate::changes::last_revision;
use crate::connect::{hash_at, int, raw_json, u64_at};
use crate::error::{ReadError, WriteError};
use crate::tx::{self, Tx};
use crate::view::OpenItem;

/// The row of an open item.
#[derive(Clone, Debug)]
pub struct ItemRow {
    pub item: ItemId,
    pub turn: Option<TurnId>,
    pub ord: u32,
    pub kind: Kind,
    pub at_ms: i64,
    pub first_revision: i64,
    /// Where a large one's data lies beside the entries, and up to which of its parts.
    pub beside: Option<(i64, Hash)>,
}

/// An item's newest part.
#[derive(Clone, Copy, Debug)]
pub struct Newest {
    pub revision: i64,
    /// The item's size: UTF-8 bytes of text (text kinds), else number of updates.
    pub size: u64,
    /// Bytes of all its updates, as they are stored.
    pub bytes: u64,
}

/// At each revision that is a multiple of this, the rows of `open_items` are brought up to date.
const SETTLE: i64 = 256;

const COLUMNS: &str = "item, turn_id, ord, kind, at_ms, first_revision, data_revision, data_hash";

fn from_row(row: &Row<'_>) -> rusqlite::Result<ItemRow> {
    Ok(ItemRow {
        item: ItemId::from_bytes(row.get(0)?),
        turn: row.get::<_, Option<[u8; 16]>>(1)?.map(TurnId::from_bytes),
        ord: row.get(2)?,
        kind: Kind::new(row.get_ref(3)?.as_str().unwrap_or_default()),
        at_ms: row.get(4)?,
        first_revision: row.get(5)?,
        beside: match row.get(6)? {
            Some(up_to) => Some((up_to, hash_at(row, 7)?)),
            None => None,
        },
    })
}

/// A session's open items, by first arrival.
pub fn rows(conn: &Connection, session: SessionId) -> rusqlite::Result<Vec<ItemRow>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM open_items WHERE session_id = ?1 ORDER BY first_revision"))?
        .query_map([session.as_bytes()], from_row)?
        .collect()
}

/// One open item.
pub fn row(conn: &Connection, session: SessionId, item: ItemId) -> rusqlite::Result<Option<ItemRow>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM open_items WHERE session_id = ?1 AND item = ?2"))?
        .query_row(params![session.as_bytes(), item.as_bytes()], from_row)
        .optional()
}

/// An item's newest part: one of the few since the rows were brought up to date, or the one that its row names. The row
/// is read here and never handed in: any change in between may have brought it up to date.
pub fn newest(conn: &Connection, session: SessionId, item: ItemId) -> rusqlite::Result<Newest> {
    let settled = last_revision(conn)? / SETTLE as u64 * SETTLE as u64;
    conn.prepare_cached(
        "SELECT c.revision, c.stop, c.bytes FROM open_items o JOIN changes c ON c.revision = coalesce(
            (SELECT revision FROM changes WHERE revision > max(?1, o.known_revision) AND session_id = ?2 AND item = ?3
                AND type = 'open_item' ORDER BY revision DESC LIMIT 1), o.known_revision)
         WHERE o.session_id = ?2 AND o.item = ?3",
    )?
    .query_row(params![int(settled), session.as_bytes(), item.as_bytes()], |row| {
        Ok(Newest { revision: row.get(0)?, size: u64_at(row, 1)?, bytes: u64_at(row, 2)? })
    })
}

/// Whether nothing of an item is to be put beside the entries yet: all of it lies there, or it is not open.
pub fn is_beside(conn: &Connection, session: SessionId, item: ItemId) -> rusqlite::Result<bool> {
    let Some(row) = row(conn, session, item)? else { return Ok(true) };
    let newest = newest(conn, session, item)?;
    Ok(row.beside.is_some_and(|(up_to, _)| up_to == newest.revision))
}

/// All that an open item has: arrays of updates, in their order.
pub struct SoFar {
    pub newest: Newest,
    pub kind: Kind,
    /// What lies beside the entries of it. `parts` begins with that.
    pub beside: Option<Hash>,
    pub parts: Vec<String>,
}

/// All that an open item has; `None` where it is not open.
pub fn so_far(conn: &Connection, session: SessionId, item: ItemId) -> Result<Option<SoFar>, ReadError> {
    let Some(row) = row(conn, session, item)? else { return Ok(None) };
    let newest = newest(conn, session, item)?;
    let parts = parts(conn, newest, row.beside)?;
    Ok(Some(SoFar { newest, kind: row.kind, beside: row.beside.map(|(_, hash)| hash), parts }))
}

fn parts(conn: &Connection, newest: Newest, beside: Option<(i64, Hash)>) -> Result<Vec<String>, ReadError> {
    let mut query = conn.prepare_cached("SELECT previous, updates FROM changes WHERE revision = ?1")?;
    let mut parts: Vec<String> = Vec::new();
    let mut at = Some(newest.revision);
    while let Some(revision) = at {
        if let Some((_, hash)) = beside.filter(|(up_to, _)| *up_to == revision) {
            let mut bytes = Vec::new();
            blobs::read(conn, hash, |chunk| {
                bytes.extend_from_slice(chunk);
                Ok(())
            })?;
            parts.push(String::from_utf8(bytes).map_err(|_| ReadError::ContentDamaged { hash })?);
            break;
        }
        let (previous, updates) =
            query.query_row([revision], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, String>(1)?)))?;
        parts.push(updates);
        at = previous;
    }
    parts.reverse();
    Ok(parts)
}

/// An open item's parts put together.
fn data(conn: &Connection, newest: Newest, beside: Option<(i64, Hash)>) -> Result<Box<RawValue>, ReadError> {
    let parts = parts(conn, newest, beside)?;
    Ok(updates::join(parts.iter().flat_map(|part| updates_in(part))))
}

/// The updates of an array, as they stand in it.
pub fn updates_in(part: &str) -> Vec<&RawValue> {
    serde_json::from_str(part).unwrap_or_default()
}

/// A session's open items with all that has arrived.
pub fn open_items(conn: &Connection, session: SessionId) -> Result<Vec<OpenItem>, ReadError> {
    rows(conn, session)?.into_iter().map(|row| open_item(conn, session, row)).collect()
}

/// An open item with all that has arrived.
pub fn open_item(conn: &Connection, session: SessionId, row: ItemRow) -> Result<OpenItem, ReadError> {
    let newest = newest(conn, session, row.item)?;
    let mut all = data(conn, newest, row.beside)?;
    if row.kind == Kind::PERMISSION
        && let Some(only) = updates_in(all.get()).first().map(|only| (*only).to_owned())
    {
        all = only;
    }
    Ok(OpenItem {
        item: row.item,
        ord: row.ord,
        kind: row.kind,
        turn: row.turn,
        at_ms: row.at_ms,
        data: all,
        size: newest.size,
    })
}

/// By how much updates let an item of this kind grow, in the measure of [`Newest::size`].
pub fn growth<'a>(kind: &Kind, new: impl Iterator<Item = &'a RawValue>) -> u64 {
    if kind.is_text() { new.filter_map(updates::text_len).sum() } else { new.count() as u64 }
}

/// What arrived for an item.
#[derive(Clone, Debug)]
pub struct ItemPart<'a> {
    /// The session.
    pub session: SessionId,
    /// The turn that it belongs to.
    pub turn: Option<TurnId>,
    /// The item; a new one begins with its first part.
    pub item: ItemId,
    /// What it is. Only a first part's counts.
    pub kind: Kind,
    /// Raw updates, in the order in which they came.
    pub updates: &'a [&'a RawValue],
}

impl Tx<'_> {
    /// Adds to an open item, or opens it. Gives its place in the turn.
    pub fn item_append(&mut self, part: &ItemPart<'_>) -> tx::Result<u32> {
        let joined = updates::join(part.updates.iter().copied());
        let kind = row(self.conn, part.session, part.item)?.map(|row| row.kind);
        let size = growth(kind.as_ref().unwrap_or(&part.kind), part.updates.iter().copied());
        Ok(self.grow(part, Some(joined.get()), size, joined.get().len() as u64)?.0)
    }

    /// The row of a part, and the item's own with its first. Without `updates` they lie beside the entries. Gives the
    /// item's place in the turn, and the part's revision.
    pub(crate) fn grow(
        &mut self,
        part: &ItemPart<'_>,
        updates: Option<&str>,
        size: u64,
        bytes: u64,
    ) -> tx::Result<(u32, i64)> {
        let current = row(self.conn, part.session, part.item)?;
        if current.is_none() {
            self.check_writable(part.session)?;
            self.state(part.session)?;
        }
        let before = current.as_ref().map(|row| newest(self.conn, part.session, row.item)).transpose()?;
        let (start, had) = before.map_or((0, 0), |before| (before.size, before.bytes));
        self.conn
            .prepare_cached(
                "INSERT INTO changes (type, session_id, item, start, stop, bytes, previous, updates)
                 VALUES ('open_item', ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                part.session.as_bytes(),
                part.item.as_bytes(),
                int(start),
                int(start + size),
                int(had + bytes),
                before.map(|before| before.revision),
                updates
            ])?;
        let revision = self.conn.last_insert_rowid();
        if let Some(row) = current {
            self.settle_items(revision)?;
            return Ok((row.ord, revision));
        }
        let ord = self.next_ord(part.session, part.turn)?;
        self.conn
            .prepare_cached(
                "INSERT INTO open_items (session_id, item, turn_id, ord, kind, at_ms, first_revision, known_revision)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
            )?
            .execute(params![
                part.session.as_bytes(),
                part.item.as_bytes(),
                part.turn.as_ref().map(TurnId::as_bytes),
                ord,
                part.kind.as_str(),
                self.now_ms,
                revision
            ])?;
        self.settle_items(revision)?;
        Ok((ord, revision))
    }

    /// A change was recorded. At each multiple of [`SETTLE`] the rows of open items are brought up to date, so that an
    /// item's newest part is never looked for among more than that many.
    pub(crate) fn settle_items(&mut self, revision: i64) -> tx::Result<()> {
        if revision % SETTLE != 0 || !self.are_items_open()? {
            return Ok(());
        }
        self.conn
            .prepare_cached(
                "UPDATE open_items SET known_revision = n.revision FROM
                    (SELECT session_id, item, max(revision) AS revision FROM changes
                     WHERE revision > ?1 AND type = 'open_item' GROUP BY session_id, item) n
                 WHERE open_items.session_id = n.session_id AND open_items.item = n.item
                    AND open_items.first_revision <= n.revision",
            )?
            .execute([revision - SETTLE])?;
        Ok(())
    }

    fn are_items_open(&self) -> tx::Result<bool> {
        let mut query = self.conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM open_items)")?;
        Ok(query.query_row([], |row| row.get(0))?)
    }

    /// Bytes of all that an open item has; `None` when it is not open. Every part adds some, also one without text (an
    /// image), so this names a place in the item exactly.
    pub fn item_bytes(&self, session: SessionId, item: ItemId) -> tx::Result<Option<u64>> {
        match row(self.conn, session, item)? {
            Some(row) => Ok(Some(newest(self.conn, session, row.item)?.bytes)),
            None => Ok(None),
        }
    }

    /// For a caller that does not know whether a write of its own was committed: whether the item has anything that it
    /// had not when it had `before` bytes (`None`: before it was begun). It may have become an entry meanwhile.
    pub fn item_went_on(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        item: ItemId,
        before: Option<u64>,
    ) -> tx::Result<bool> {
        match (before, self.item_bytes(session, item)?) {
            (before, now @ Some(_)) => Ok(now != before),
            // It was open and is not: it is an entry.
            (Some(_), None) => Ok(true),
            (None, None) => self.is_entry(session, turn, item),
        }
    }

    /// Whether an item is an entry. Reads all of its turn (of the session, without one): asked only after a fault.
    fn is_entry(&self, session: SessionId, turn: Option<TurnId>, item: ItemId) -> tx::Result<bool> {
        let prompt = match turn {
            Some(turn) => self.turn(session, turn)?.and_then(|record| record.prompt),
            None => None,
        };
        let mut query = self.conn.prepare_cached(
            "SELECT body FROM entries JOIN bodies USING (position) WHERE session_id = ?1 AND seq > ?2 ORDER BY seq DESC",
        )?;
        let mut found = query.query(params![session.as_bytes(), prompt.map_or(0, |seq| int(seq.0))])?;
        while let Some(row) = found.next()? {
            let body = row.get_ref(0)?.as_bytes().ok().and_then(|bytes| Body::parse(bytes).ok());
            if body.is_some_and(|body| body.item == Some(item)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A complete item becomes an entry.
    pub fn item_close(&mut self, session: SessionId, item: ItemId) -> tx::Result<Head> {
        let row = row(self.conn, session, item)?.ok_or_else(|| WriteError::not_found("open item", item))?;
        self.close_item(session, &row, false)
    }

    fn close_item(&mut self, session: SessionId, row: &ItemRow, interrupted: bool) -> tx::Result<Head> {
        let newest = newest(self.conn, session, row.item)?;
        let known = match row.beside.filter(|(up_to, _)| *up_to == newest.revision) {
            Some((_, hash)) => blobs::info(self.conn, hash)?,
            None => None,
        };
        let data = match known {
            Some(whole) => Data::Ref(DataRef { hash: whole.hash, bytes: whole.bytes }),
            None => Data::Inline(data(self.conn, newest, row.beside)?),
        };
        let mut body = Body::new(By::Agent, data);
        body.interrupted = interrupted;
        self.replace_item(session, row, body)
    }

    /// Appends an open item's entry and forgets the item.
    pub(crate) fn replace_item(&mut self, session: SessionId, row: &ItemRow, mut body: Body) -> tx::Result<Head> {
        body.turn = row.turn;
        body.item = Some(row.item);
        body.ord = Some(row.ord);
        body.origin_at_ms = (row.at_ms != self.now_ms).then_some(row.at_ms);
        self.conn
            .prepare_cached("DELETE FROM open_items WHERE session_id = ?1 AND item = ?2")?
            .execute(params![session.as_bytes(), row.item.as_bytes()])?;
        let head = self.append(session, row.kind.clone(), body)?;
        // As a rule it is what the entry names.
        if let Some((_, hash)) = row.beside {
            self.drop_unnamed(hash)?;
        }
        Ok(head)
    }

    /// Closes all open items of a turn (of every turn, if `None`), by first arrival.
    pub(crate) fn close_items(
        &mut self,
        session: SessionId,
        turn: Option<TurnId>,
        interrupted: bool,
    ) -> tx::Result<()> {
        for row in rows(self.conn, session)? {
            if turn.is_none() || row.turn == turn {
                self.close_item(session, &row, interrupted)?;
            }
        }
        Ok(())
    }

    /// Appends updates as an entry at once: what came after its turn had ended (`late`), or was found in the agent's
    /// own session (`elsewhere`).
    pub fn record_item(&mut self, part: &ItemPart<'_>, late: bool, elsewhere: bool) -> tx::Result<Head> {
        let data = if part.kind == Kind::PROMPT {
            let text: String = part.updates.iter().filter_map(|update| updates::text_of(update)).collect();
            raw_json(serde_json::json!({ "content": [{ "type": "text", "text": text }] }).to_string())
        } else {
            updates::join(part.updates.iter().copied())
        };
        let mut body = Body::new(By::Agent, Data::Inline(data));
        body.turn = part.turn;
        body.item = Some(part.item);
        body.ord = Some(self.next_ord(part.session, part.turn)?);
        (body.late, body.elsewhere) = (late, elsewhere);
        self.append(part.session, part.kind.clone(), body)
    }
}
