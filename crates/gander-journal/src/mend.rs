//! Healing a damaged session with entries that were kept elsewhere. It writes back what was hashed, and nothing else:
//! the entries that are given, with those here that follow from them, must form one chain from the session's
//! beginning to its witnessed head. Where they do not, nothing is touched. Rows keep their places, erased bodies stay
//! erased, and the result is verified before it is kept.
//!
//! The rules that refuse every change of an entry are lifted for this one write and put back in it.

use std::collections::BTreeMap;

use gander_model::chain::{Walk, check_body};
use gander_model::entry::body_hash;
use gander_model::{Body, Entry, EntryHeader, Hash, Head, Kind, Origin, Salt, Seq, SessionId, content_hash};
use rusqlite::{OptionalExtension, Row, params};

use crate::append::uses_of;
use crate::connect::{hash_at, int, session_at, u64_at};
use crate::error::{ReadError, WriteError};
use crate::read::Reader;
use crate::tx::{Result, Tx};
use crate::{blobs, entries, guards, repair, verify};

/// The finding that healing closes.
const DAMAGED: &str = "session_damaged";

/// What was written back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Entries that were missing or altered.
    pub entries: u64,
    /// Bodies that were missing or altered.
    pub bodies: u64,
    /// The witnessed head was.
    pub head: bool,
}

/// An entry's row as it stands.
struct Stored {
    position: i64,
    seq: u64,
    /// `None` when it cannot even be read.
    header: Option<EntryHeader>,
}

/// The chain as it must be.
struct Right {
    headers: Vec<EntryHeader>,
    head: Head,
}

impl Reader<'_> {
    /// Sessions that are set aside, and why.
    pub fn quarantined(&self) -> std::result::Result<Vec<(SessionId, String)>, ReadError> {
        let mut query = self.conn.prepare_cached("SELECT session_id, detail FROM quarantine ORDER BY session_id")?;
        let found = query.query_map([], |row| Ok((session_at(row, 0)?, row.get(1)?)))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}

impl Tx<'_> {
    /// Heals a session with `held`: its own entries from the first one on, as they were kept elsewhere. Fails, and
    /// changes nothing, unless all of the session verifies afterwards.
    pub fn mend(&mut self, session: SessionId, origin: Option<Origin>, held: &[Entry]) -> Result<Mended> {
        let unfit = |why: &str| WriteError::Invalid(format!("session {session} is not healed: {why}"));
        let beginning = origin.map_or(Head { seq: Seq(0), hash: Hash::ZERO }, |origin| origin.head());
        let mut walk = Walk::after(beginning);
        for entry in held {
            let damaged = |damage| WriteError::Damaged { session, damage };
            if entry.header.session_id != session {
                return Err(unfit("the entries are another session's"));
            }
            walk.step(&entry.header).map_err(damaged)?;
            check_body(entry, true).map_err(damaged)?;
        }
        if let Some(origin) = origin
            && entries::hash_of(self.conn, origin.session_id, origin.seq)? != Some(origin.hash)
        {
            return Err(unfit("what it was forked from is damaged or not here; heal that first"));
        }
        let stored = self.stored(session)?;
        let head = entries::head(self.conn, session)?;
        let right = right(held, &stored, head).ok_or_else(|| unfit("the entries do not lead to its witnessed head"))?;

        let rules = guards::lift(self.conn)?;
        let mut mended = Mended::default();
        let positions = self.mend_headers(session, &right, &stored, &mut mended)?;
        for entry in held.iter().take_while(|entry| entry.header.seq <= right.head.seq) {
            self.mend_body(entry, positions[&entry.header.seq.0], &mut mended)?;
        }
        if head != Some(right.head) || !self.head_is_at(session, positions[&right.head.seq.0])? {
            self.conn
                .prepare_cached(
                    "INSERT OR REPLACE INTO heads (session_id, seq, hash, position) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![
                    session.as_bytes(),
                    int(right.head.seq.0),
                    right.head.hash.0,
                    positions[&right.head.seq.0]
                ])?;
            mended.head = true;
        }
        guards::put_back(self.conn, &rules)?;
        self.honour_erasures(session, &held[..held.len().min(right.headers.len())])?;
        self.verified.forget();
        repair::project_again(self, session)?;
        if let Some(damage) = verify::damage_of(self.conn, session).map_err(|error| unfit(&error.to_string()))? {
            return Err(unfit(&damage));
        }
        self.fold_again(session)?;
        self.release_quarantine(session)?;
        self.close_findings_of(session, DAMAGED)?;
        Ok(mended)
    }

    /// Writes a large content again whose chunks are damaged or gone. `bytes` must match its name.
    pub fn mend_content(&mut self, hash: Hash, bytes: &[u8]) -> Result<()> {
        if content_hash(bytes) != hash {
            return Err(WriteError::Invalid(format!("the large content {hash} does not match its name")));
        }
        if blobs::read(self.conn, hash, |_| Ok(())).is_ok() {
            return Ok(());
        }
        let mime: Option<String> = self
            .conn
            .prepare_cached("SELECT mime FROM contents WHERE hash = ?1")?
            .query_row([hash.0], |row| row.get(0))
            .optional()?;
        self.drop_content(hash)?;
        self.put_content(bytes, mime.as_deref().unwrap_or("application/octet-stream"))?;
        Ok(())
    }

    fn stored(&self, session: SessionId) -> Result<Vec<Stored>> {
        let read = |row: &Row<'_>| {
            let header = || -> rusqlite::Result<EntryHeader> {
                Ok(EntryHeader {
                    session_id: session,
                    seq: Seq(u64_at(row, 1)?),
                    at_ms: row.get(2)?,
                    kind: Kind::new(row.get_ref(3)?.as_str().unwrap_or_default()),
                    body_hash: hash_at(row, 4)?,
                    hash: hash_at(row, 5)?,
                })
            };
            Ok(Stored { position: row.get(0)?, seq: u64_at(row, 1).unwrap_or(0), header: header().ok() })
        };
        let stored = self
            .conn
            .prepare_cached(
                "SELECT position, seq, at_ms, kind, body_hash, hash FROM entries WHERE session_id = ?1 ORDER BY seq",
            )?
            .query_map([session.as_bytes()], read)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(stored)
    }

    /// Brings every header to its place; gives the positions by seq.
    fn mend_headers(
        &mut self,
        session: SessionId,
        right: &Right,
        stored: &[Stored],
        mended: &mut Mended,
    ) -> Result<BTreeMap<u64, i64>> {
        let wanted = right.headers.first().map_or(1, |first| first.seq.0)..=right.head.seq.0;
        let (mut there, mut stray): (BTreeMap<u64, &Stored>, Vec<&Stored>) = (BTreeMap::new(), Vec::new());
        for row in stored {
            if wanted.contains(&row.seq) {
                there.insert(row.seq, row);
            } else {
                stray.push(row);
            }
        }
        let mut positions: BTreeMap<u64, i64> = there.iter().map(|(seq, row)| (*seq, row.position)).collect();
        for header in &right.headers {
            let seq = header.seq.0;
            if let Some(row) = there.get(&seq) {
                if row.header.as_ref() != Some(header) {
                    self.rewrite(row.position, header)?;
                    mended.entries += 1;
                }
                continue;
            }
            // Its own number may be what was altered.
            let same = |row: &&Stored| row.header.as_ref().is_some_and(|of| of.body_hash == header.body_hash);
            let position = match stray.iter().position(same) {
                Some(at) => {
                    let position = stray.remove(at).position;
                    self.rewrite(position, header)?;
                    position
                }
                None => self.insert_again(session, header, &positions)?,
            };
            positions.insert(seq, position);
            mended.entries += 1;
        }
        if stray.is_empty() {
            return Ok(positions);
        }
        Err(WriteError::Invalid(format!(
            "session {session} is not healed: {} of its entries have no place",
            stray.len()
        )))
    }

    fn rewrite(&self, position: i64, header: &EntryHeader) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE entries SET seq = ?2, at_ms = ?3, kind = ?4, body_hash = ?5, hash = ?6 WHERE position = ?1",
            )?
            .execute(params![
                position,
                int(header.seq.0),
                header.at_ms,
                header.kind.as_str(),
                header.body_hash.0,
                header.hash.0
            ])?;
        Ok(())
    }

    /// An entry whose row is gone goes where it was: between its neighbours, where its body still lies or nothing
    /// does; at the end when it was the last.
    fn insert_again(&self, session: SessionId, header: &EntryHeader, known: &BTreeMap<u64, i64>) -> Result<i64> {
        let seq = header.seq.0;
        let after = known.range(..seq).next_back().map_or(0, |(_, position)| *position);
        let before = known.range(seq + 1..).next().map(|(_, position)| *position);
        let head: Option<i64> = self
            .conn
            .prepare_cached("SELECT position FROM heads WHERE session_id = ?1 AND seq = ?2")?
            .query_row(params![session.as_bytes(), int(seq)], |row| row.get(0))
            .optional()?;
        let last: i64 = self.conn.query_row("SELECT coalesce(max(position), 0) FROM entries", [], |row| row.get(0))?;
        let end = before.unwrap_or(last + 1);
        let free = self.free_between(after, end)?;
        let mine = |position: &i64| self.body_fits(*position, header).unwrap_or(false);
        let found = free.iter().copied().find(mine);
        let witnessed = head.filter(|position| *position > after && before.is_none_or(|before| *position < before));
        let witnessed = match witnessed {
            Some(position) if !self.is_taken(position)? => Some(position),
            _ => None,
        };
        // Without a sign of its own, the first free place that holds nobody's body.
        let empty = || free.iter().copied().find(|position| !self.has_body(*position).unwrap_or(true));
        let at_end = || before.is_none().then_some(last + 1);
        let position = found.or(witnessed).or_else(empty).or_else(at_end).ok_or_else(|| {
            WriteError::Invalid(format!("session {session} is not healed: there is no place for entry {seq}"))
        })?;
        self.conn
            .prepare_cached(
                "INSERT INTO entries (position, session_id, seq, at_ms, kind, body_hash, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                position,
                session.as_bytes(),
                int(seq),
                header.at_ms,
                header.kind.as_str(),
                header.body_hash.0,
                header.hash.0
            ])?;
        Ok(position)
    }

    /// Places without an entry between two places, the first thousand.
    fn free_between(&self, after: i64, before: i64) -> Result<Vec<i64>> {
        let mut free = Vec::new();
        let mut expected = after + 1;
        let mut query = self
            .conn
            .prepare_cached("SELECT position FROM entries WHERE position > ?1 AND position < ?2 ORDER BY position")?;
        let mut rows = query.query([after, before])?;
        let mut add = |from: i64, to: i64| free.extend((from..to).take(1_000 - free.len().min(1_000)));
        while let Some(row) = rows.next()? {
            let position: i64 = row.get(0)?;
            add(expected, position);
            expected = position + 1;
        }
        add(expected, before);
        Ok(free)
    }

    fn is_taken(&self, position: i64) -> Result<bool> {
        let mut query = self.conn.prepare_cached("SELECT 1 FROM entries WHERE position = ?1")?;
        Ok(query.exists([position])?)
    }

    fn has_body(&self, position: i64) -> Result<bool> {
        let mut query = self.conn.prepare_cached("SELECT 1 FROM bodies WHERE position = ?1")?;
        Ok(query.exists([position])?)
    }

    fn body_fits(&self, position: i64, header: &EntryHeader) -> Result<bool> {
        let fits = self
            .conn
            .prepare_cached("SELECT salt, body FROM bodies WHERE position = ?1")?
            .query_row([position], |row| {
                Ok(body_hash(&Salt(row.get(0)?), row.get_ref(1)?.as_blob()?) == header.body_hash)
            })
            .optional()?;
        Ok(fits == Some(true))
    }

    fn mend_body(&mut self, entry: &Entry, position: i64, mended: &mut Mended) -> Result<()> {
        let erased: bool = self
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM erasures WHERE position = ?1)")?
            .query_row([position], |row| row.get(0))?;
        let Some(body) = entry.body.as_ref().filter(|_| !erased) else { return Ok(()) };
        if self.body_fits(position, &entry.header).unwrap_or(false) {
            return Ok(());
        }
        self.conn.prepare_cached("DELETE FROM bodies WHERE position = ?1")?.execute([position])?;
        self.conn.prepare_cached("INSERT INTO bodies (position, salt, body) VALUES (?1, ?2, ?3)")?.execute(params![
            position,
            body.salt.0,
            body.bytes
        ])?;
        mended.bodies += 1;
        if let Ok(parsed) = Body::parse(&body.bytes) {
            self.use_contents(&uses_of(&entry.header.kind, &parsed), position)?;
            self.remember_turn(entry.header.session_id, &entry.header.kind, &parsed, entry.header.seq)?;
        }
        self.change("entry", Some(entry.header.session_id), None, Some(entry.header.seq.0))
    }

    fn head_is_at(&self, session: SessionId, position: i64) -> Result<bool> {
        let mut query = self.conn.prepare_cached("SELECT 1 FROM heads WHERE session_id = ?1 AND position = ?2")?;
        Ok(query.exists(params![session.as_bytes(), position])?)
    }
}

/// The one chain that what was kept, what is stored and what was witnessed agree on.
fn right(held: &[Entry], stored: &[Stored], witnessed: Option<Head>) -> Option<Right> {
    let last = held.last()?.header.head();
    let by_seq: BTreeMap<u64, &EntryHeader> =
        stored.iter().filter_map(|row| Some((row.seq, row.header.as_ref()?))).collect();
    // What is here beyond `from`, as far as it follows.
    let beyond = |from: Head| {
        let (mut walk, mut tail) = (Walk::after(from), Vec::new());
        for header in by_seq.range(from.seq.0 + 1..).map(|(_, header)| *header) {
            if walk.step(header).is_err() {
                break;
            }
            tail.push(header.clone());
        }
        tail
    };
    let in_held = |head: Head| held.iter().any(|entry| entry.header.head() == head);
    let upto = |seq: Seq| held.iter().map(|entry| &entry.header).filter(|header| header.seq <= seq).cloned().collect();
    let tail = beyond(last);
    let reached = tail.last().map_or(last, EntryHeader::head);
    let chain = |mut headers: Vec<EntryHeader>, tail: Vec<EntryHeader>| {
        headers.extend(tail);
        let head = headers.last()?.head();
        Some(Right { headers, head })
    };
    match witnessed {
        // Rows that go on from the witnessed head were written with a head of their own, which was put back.
        Some(head) if in_held(head) => {
            let mut headers: Vec<EntryHeader> = upto(head.seq);
            let more = beyond(head);
            let end = more.last().map_or(head, EntryHeader::head);
            headers.extend(more);
            Some(Right { headers, head: end })
        }
        Some(head) if tail.iter().any(|header| header.head() == head) => chain(upto(last.seq), tail),
        // The head itself is damaged: the last entry here must be the very one that was kept, or follow from it.
        other => {
            let end = stored.iter().max_by_key(|row| row.seq)?;
            let end = end.header.as_ref()?.head();
            if other.is_some_and(|head| head.seq != end.seq) {
                return None;
            }
            if in_held(end) {
                return chain(upto(end.seq), Vec::new());
            }
            if end == reached { chain(upto(last.seq), tail) } else { None }
        }
    }
}
