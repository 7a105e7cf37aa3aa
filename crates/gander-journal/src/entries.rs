//! Reading entries: pages that are verified before anybody sees them (G4), along a fork's lineage.
//!
//! A page is believed when every header on it recomputes from the one before, every body from its salt, and the last
//! header links forward to the witnessed head. At the tail that costs nothing more; further up, headers alone are
//! walked, at most as far as the nearest entry that this process has linked before.

use gander_model::chain::{Damage, Walk, check_body};
use gander_model::entry::StoredBody;
use gander_model::{Body, Entry, EntryHeader, Hash, Head, Kind, Origin, Salt, Seq, SessionId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::connect::{hash_at, int, u64_at};
use crate::error::ReadError;
use crate::verified::{STRIDE, Verified};
use crate::view::{EntryPage, EntryView};

/// Entries on a page, at most.
pub const PAGE_MAX: usize = 500;
/// Forks of forks, at most; more is damage.
const LINEAGE_MAX: usize = 1_000;

/// A run of entries with one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub owner: SessionId,
    pub first: Seq,
    pub last: Seq,
}

/// Who owns which part of a session: ancestors first, the session itself last.
#[derive(Debug)]
pub struct Lineage(Vec<Segment>);

impl Lineage {
    /// The lineage as the entries themselves say (never the projection).
    pub fn of(conn: &Connection, session: SessionId) -> rusqlite::Result<Lineage> {
        let last = conn
            .prepare_cached("SELECT seq FROM entries WHERE session_id = ?1 ORDER BY seq DESC LIMIT 1")?
            .query_row([session.as_bytes()], |row| u64_at(row, 0))
            .optional()?;
        let Some(last) = last else { return Ok(Lineage(Vec::new())) };
        let mut segments = Vec::with_capacity(1);
        let (mut owner, mut last) = (session, Seq(last));
        loop {
            let origin = pinned(conn, owner)?;
            let first = origin.map_or(Seq(1), |origin| origin.seq.next());
            segments.push(Segment { owner, first, last });
            match origin {
                Some(origin) if segments.len() < LINEAGE_MAX => (owner, last) = (origin.session_id, origin.seq),
                _ => break,
            }
        }
        segments.reverse();
        Ok(Lineage(segments))
    }

    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The parts of the lineage between two places, both included.
    fn between(&self, first: Seq, last: Seq) -> impl Iterator<Item = Segment> + '_ {
        self.0.iter().filter_map(move |s| {
            let cut = Segment { owner: s.owner, first: s.first.max(first), last: s.last.min(last) };
            (cut.first <= cut.last).then_some(cut)
        })
    }
}

/// The entry that a session was forked from, if its first own entry says so.
pub fn pinned(conn: &Connection, session: SessionId) -> rusqlite::Result<Option<Origin>> {
    let first = conn
        .prepare_cached(
            "SELECT e.seq, e.kind, b.body FROM entries e LEFT JOIN bodies b USING (position)
             WHERE e.session_id = ?1 ORDER BY e.seq LIMIT 1",
        )?
        .query_row([session.as_bytes()], |row| {
            let seq = u64_at(row, 0)?;
            let kind: String = row.get(1)?;
            let forked = seq > 1 && kind == Kind::FORKED.as_str();
            if forked { row.get::<_, Option<Vec<u8>>>(2) } else { Ok(None) }
        })
        .optional()?
        .flatten();
    Ok(first.and_then(|bytes| Body::parse(&bytes).ok()).and_then(|body| body.data_as::<Origin>()))
}

/// The witnessed head of a session.
pub fn head(conn: &Connection, session: SessionId) -> rusqlite::Result<Option<Head>> {
    conn.prepare_cached("SELECT seq, hash FROM heads WHERE session_id = ?1")?
        .query_row([session.as_bytes()], |row| Ok(Head { seq: Seq(u64_at(row, 0)?), hash: hash_at(row, 1)? }))
        .optional()
}

const ROW: &str = "SELECT e.session_id, e.seq, e.at_ms, e.kind, e.body_hash, e.hash, b.salt, b.body,
        CASE WHEN b.position IS NULL THEN EXISTS (SELECT 1 FROM erasures x WHERE x.position = e.position) ELSE 0 END,
        e.position
     FROM entries e LEFT JOIN bodies b ON b.position = e.position";

fn header_at(row: &Row<'_>) -> rusqlite::Result<EntryHeader> {
    Ok(EntryHeader {
        session_id: crate::connect::session_at(row, 0)?,
        seq: Seq(u64_at(row, 1)?),
        at_ms: row.get(2)?,
        kind: Kind::new(row.get_ref(3)?.as_str().unwrap_or_default()),
        body_hash: hash_at(row, 4)?,
        hash: hash_at(row, 5)?,
    })
}

fn view_at(row: &Row<'_>) -> rusqlite::Result<EntryView> {
    let header = header_at(row)?;
    let body = match (row.get::<_, Option<[u8; 32]>>(6)?, row.get::<_, Option<Vec<u8>>>(7)?) {
        (Some(salt), Some(bytes)) => Some(StoredBody { salt: Salt(salt), bytes }),
        _ => None,
    };
    Ok(EntryView { entry: Entry { header, body }, erased: row.get(8)?, damaged: false })
}

/// Calls `each` with one owner's entries from `first` to `last`, as stored, in order.
pub fn for_each(
    conn: &Connection,
    owner: SessionId,
    first: Seq,
    last: Seq,
    mut each: impl FnMut(Entry) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    for_each_while(conn, owner, first, last, |entry| each(entry).map(|()| true))
}

/// [`for_each`] until `each` answers `false`.
pub fn for_each_while(
    conn: &Connection,
    owner: SessionId,
    first: Seq,
    last: Seq,
    mut each: impl FnMut(Entry) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let mut query =
        conn.prepare_cached(&format!("{ROW} WHERE e.session_id = ?1 AND e.seq BETWEEN ?2 AND ?3 ORDER BY e.seq"))?;
    let mut rows = query.query(params![owner.as_bytes(), int(first.0), int(last.0)])?;
    while let Some(row) = rows.next()? {
        if !each(view_at(row)?.entry)? {
            break;
        }
    }
    Ok(())
}

/// Calls `each` with every entry that a session owns, as stored, in order; a row that cannot be read as an entry is
/// an error for `each`, not for the others.
pub fn for_each_own(
    conn: &Connection,
    owner: SessionId,
    mut each: impl FnMut(i64, rusqlite::Result<EntryView>),
) -> rusqlite::Result<()> {
    let mut query = conn.prepare_cached(&format!("{ROW} WHERE e.session_id = ?1 ORDER BY e.seq"))?;
    let mut rows = query.query([owner.as_bytes()])?;
    while let Some(row) = rows.next()? {
        each(row.get(9)?, view_at(row));
    }
    Ok(())
}

/// One entry as stored, found along the lineage; not verified.
pub fn one(conn: &Connection, session: SessionId, seq: Seq) -> rusqlite::Result<Option<EntryView>> {
    let lineage = Lineage::of(conn, session)?;
    let Some(segment) = lineage.between(seq, seq).next() else { return Ok(None) };
    conn.prepare_cached(&format!("{ROW} WHERE e.session_id = ?1 AND e.seq = ?2"))?
        .query_row(params![segment.owner.as_bytes(), int(seq.0)], view_at)
        .optional()
}

/// The hash of the entry at `seq` in a session's chain, inherited part included.
pub fn hash_of(conn: &Connection, session: SessionId, seq: Seq) -> rusqlite::Result<Option<Hash>> {
    let own = |owner: SessionId| {
        conn.prepare_cached("SELECT hash FROM entries WHERE session_id = ?1 AND seq = ?2")?
            .query_row(params![owner.as_bytes(), int(seq.0)], |row| hash_at(row, 0))
            .optional()
    };
    if let Some(hash) = own(session)? {
        return Ok(Some(hash));
    }
    match Lineage::of(conn, session)?.between(seq, seq).next() {
        Some(segment) if segment.owner != session => own(segment.owner),
        _ => Ok(None),
    }
}

/// Which entries a page holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Only entries after this place; the page begins there.
    pub after: Option<Seq>,
    /// Only entries before this place; the page ends there.
    pub before: Option<Seq>,
    /// How many, at most.
    pub limit: usize,
}

/// A verified page. Damage does not fail it: what still verifies is on it, and the damage is named.
pub fn page(
    conn: &Connection,
    verified: &Verified,
    session: SessionId,
    bounds: Bounds,
) -> Result<EntryPage, ReadError> {
    let head = head(conn, session)?.ok_or_else(|| ReadError::not_found("session", session))?;
    let limit = bounds.limit.clamp(1, PAGE_MAX) as u64;
    let (first, last) = match bounds {
        Bounds { after: Some(after), before, .. } => {
            let first = after.0.saturating_add(1);
            let end = before.map_or(head.seq.0, |b| b.0.saturating_sub(1).min(head.seq.0));
            (first, first.saturating_add(limit - 1).min(end))
        }
        Bounds { before, .. } => {
            let last = before.map_or(head.seq.0, |b| b.0.saturating_sub(1).min(head.seq.0));
            (last.saturating_sub(limit - 1).max(1), last)
        }
    };
    let mut page =
        EntryPage { entries: Vec::new(), more_before: first > 1, more_after: last < head.seq.0, head, damage: None };
    if first > last {
        return Ok(page);
    }
    let lineage = Lineage::of(conn, session)?;
    let mut found = Vec::with_capacity((last - first + 1) as usize);
    for segment in lineage.between(Seq(first), Seq(last)) {
        let mut query =
            conn.prepare_cached(&format!("{ROW} WHERE e.session_id = ?1 AND e.seq BETWEEN ?2 AND ?3 ORDER BY e.seq"))?;
        let rows =
            query.query_map(params![segment.owner.as_bytes(), int(segment.first.0), int(segment.last.0)], view_at)?;
        for view in rows {
            found.push(view?);
        }
    }
    let before_first = if first == 1 { Some(Hash::ZERO) } else { hash_of(conn, session, Seq(first - 1))? };
    if let Err(damage) = link_to_head(conn, verified, session, &lineage, Seq(last), found.last(), head) {
        page.damage = Some(damage);
        return Ok(page);
    }
    check_backwards(&mut page, found, first, last, before_first);
    if page.damage.is_none()
        && let Some(first) = page.entries.first()
    {
        verified.remember(session, &[first.entry.header.head()]);
    }
    Ok(page)
}

/// Links the page's last entry to the witnessed head, through headers alone.
fn link_to_head(
    conn: &Connection,
    verified: &Verified,
    session: SessionId,
    lineage: &Lineage,
    last: Seq,
    found: Option<&EntryView>,
    head: Head,
) -> Result<(), Damage> {
    let Some(end) = found.map(|view| view.entry.header.head()).filter(|end| end.seq == last) else {
        return Err(Damage::Missing { expected: last, found: found.map_or(Seq(0), |view| view.entry.header.seq) });
    };
    let anchor = verified.at_or_after(session, last).unwrap_or(head);
    let mut walk = Walk::after(end);
    let mut linked = Vec::new();
    let walked = walk_headers(conn, lineage, last.next(), anchor.seq, |header| {
        walk.step(header)?;
        if header.seq.0.is_multiple_of(STRIDE) {
            linked.push(header.head());
        }
        Ok(())
    });
    walked?;
    walk.finish(anchor)?;
    linked.push(end);
    linked.push(anchor);
    verified.remember(session, &linked);
    Ok(())
}

fn walk_headers(
    conn: &Connection,
    lineage: &Lineage,
    first: Seq,
    last: Seq,
    mut each: impl FnMut(&EntryHeader) -> Result<(), Damage>,
) -> Result<(), Damage> {
    for segment in lineage.between(first, last) {
        let unreadable = |_| Damage::Header { seq: segment.first };
        let mut query = conn
            .prepare_cached(
                "SELECT session_id, seq, at_ms, kind, body_hash, hash FROM entries
                 WHERE session_id = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq",
            )
            .map_err(unreadable)?;
        let mut rows = query
            .query(params![segment.owner.as_bytes(), int(segment.first.0), int(segment.last.0)])
            .map_err(unreadable)?;
        while let Some(row) = rows.next().map_err(unreadable)? {
            each(&header_at(row).map_err(unreadable)?)?;
        }
    }
    Ok(())
}

/// From the linked end down: an entry is shown while its header follows from the one before it. What lies below the
/// first that does not is not linked to the head, so it is left out; a damaged body is left out alone.
fn check_backwards(page: &mut EntryPage, found: Vec<EntryView>, first: u64, last: u64, before_first: Option<Hash>) {
    let hashes: Vec<(Seq, Hash)> = found.iter().map(|v| (v.entry.header.seq, v.entry.header.hash)).collect();
    let mut expected = last;
    let mut shown = Vec::with_capacity(found.len());
    for (i, mut view) in found.into_iter().enumerate().rev() {
        let seq = view.entry.header.seq;
        if seq.0 != expected {
            page.damage = Some(Damage::Missing { expected: Seq(expected), found: seq });
            break;
        }
        let previous = match i {
            0 if expected == first => before_first,
            0 => None,
            _ => Some(hashes[i - 1].1).filter(|_| hashes[i - 1].0.0 + 1 == expected),
        };
        let Some(previous) = previous else {
            let found = if i > 0 { hashes[i - 1].0 } else { Seq(0) };
            page.damage = Some(Damage::Missing { expected: Seq(expected - 1), found });
            break;
        };
        if !view.entry.header.follows(&previous) {
            page.damage = Some(Damage::Header { seq });
            break;
        }
        if let Err(damage) = check_body(&view.entry, view.erased) {
            page.damage = Some(damage);
            view.entry.body = None;
            view.damaged = true;
        }
        shown.push(view);
        expected -= 1;
    }
    shown.reverse();
    page.entries = shown;
}
