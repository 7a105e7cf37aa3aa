//! Sessions as lists and windows show them, paged through the indexes of `listing`.

use gander_model::{SessionId, WindowId};
use rusqlite::{OptionalExtension, Row, params};

use crate::connect::u64_at;
use crate::error::ReadError;
use crate::project::{self, COLUMN_COUNT, COLUMNS};
use crate::read::Reader;
use crate::view::{Bucket, SessionView};

/// Sessions on a page, at most.
pub const PAGE_MAX: usize = 500;

/// Which sessions to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// One list; `None` means all of them.
    pub bucket: Option<Bucket>,
    /// Only this agent's.
    pub agent: Option<String>,
    /// Only names, folders or previews that contain this, whatever its case.
    pub text: Option<String>,
}

/// Where a page ends; opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// Of the last session.
    pub pinned: bool,
    /// Of the last session.
    pub place: i64,
    /// The last session.
    pub session: SessionId,
}

impl std::fmt::Display for After {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", u8::from(self.pinned), self.place, self.session)
    }
}

impl std::str::FromStr for After {
    type Err = crate::changes::CursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = crate::changes::CursorError;
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(bad.clone());
        Ok(After {
            pinned: next()? == "1",
            place: next()?.parse().map_err(|_| bad.clone())?,
            session: next()?.parse().map_err(|_| bad.clone())?,
        })
    }
}

/// A page of sessions: pinned first, then by their last turn, in the order in which turns were recorded.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionView>,
    /// What to go on from.
    pub next: Option<After>,
    /// How many match.
    pub matching: u64,
    /// How many sessions there are that do not: nothing hides.
    pub hidden: u64,
    /// How many sessions each list has.
    pub counts: Counts,
}

/// How many sessions each list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The ordinary list.
    pub active: u64,
    /// Out of the way.
    pub archived: u64,
    /// To be thrown away.
    pub trashed: u64,
    /// Damaged.
    pub quarantined: u64,
    /// Nothing in them yet.
    pub empty: u64,
}

impl Counts {
    /// All sessions.
    pub fn total(&self) -> u64 {
        self.active + self.archived + self.trashed + self.quarantined + self.empty
    }

    /// Of one list.
    pub fn of(&self, bucket: Bucket) -> u64 {
        match bucket {
            Bucket::Active => self.active,
            Bucket::Archived => self.archived,
            Bucket::Trashed => self.trashed,
            Bucket::Quarantined => self.quarantined,
            Bucket::Empty => self.empty,
        }
    }
}

impl Reader<'_> {
    /// A page of the session list.
    pub fn sessions(&self, filter: &Filter, after: Option<After>, limit: usize) -> Result<SessionPage, ReadError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let counts = self.counts()?;
        let bucket = filter.bucket.map(|bucket| bucket.as_str());
        let text = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(like);
        let narrowed = filter.agent.is_some() || text.is_some();
        let in_bucket = if bucket.is_some() { "l.bucket = ?1" } else { "?1 IS NULL" };
        let narrow = if narrowed {
            "AND (?2 IS NULL OR s.agent = ?2)
             AND (?3 IS NULL OR s.name LIKE ?3 ESCAPE '\\' OR s.cwd LIKE ?3 ESCAPE '\\' OR s.preview LIKE ?3 ESCAPE '\\')"
        } else {
            "AND ?2 IS NULL AND ?3 IS NULL"
        };
        let page = format!(
            "SELECT {COLUMNS}, {LISTING} FROM listing l JOIN sessions s USING (session_id)
             WHERE {in_bucket} {narrow} AND (?4 IS NULL OR (l.pinned, l.place, l.session_id) < (?4, ?5, ?6))
             ORDER BY l.pinned DESC, l.place DESC, l.session_id DESC LIMIT ?7"
        );
        let mut sessions = Vec::with_capacity(limit);
        {
            let mut query = self.conn.prepare_cached(&page)?;
            let mut rows = query.query(params![
                bucket,
                filter.agent,
                text,
                after.map(|a| a.pinned),
                after.map(|a| a.place),
                after.map(|a| *a.session.as_bytes()),
                limit as i64 + 1
            ])?;
            while let Some(row) = rows.next()? {
                sessions.push(self.listed(row)?);
            }
        }
        let more = sessions.len() > limit;
        sessions.truncate(limit);
        let next = sessions.last().filter(|_| more).map(|last| After {
            pinned: last.pinned,
            place: last.place,
            session: last.id(),
        });
        let matching = match (narrowed, filter.bucket) {
            (false, None) => counts.total(),
            (false, Some(bucket)) => counts.of(bucket),
            (true, _) => self
                .conn
                .prepare_cached(&format!(
                    "SELECT count(*) FROM listing l JOIN sessions s USING (session_id) WHERE {in_bucket} {narrow}"
                ))?
                .query_row(params![bucket, filter.agent, text], |row| u64_at(row, 0))?,
        };
        Ok(SessionPage { sessions, next, matching, hidden: counts.total() - matching, counts })
    }

    /// How many sessions each list has.
    pub fn counts(&self) -> Result<Counts, ReadError> {
        let mut counts = Counts::default();
        let mut query = self.conn.prepare_cached("SELECT bucket, count(*) FROM listing GROUP BY bucket")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let count = u64_at(row, 1)?;
            match row.get_ref(0)?.as_str().unwrap_or_default() {
                "active" => counts.active = count,
                "archived" => counts.archived = count,
                "trashed" => counts.trashed = count,
                "quarantined" => counts.quarantined = count,
                _ => counts.empty += count,
            }
        }
        Ok(counts)
    }

    /// One session.
    pub fn session(&self, session: SessionId) -> Result<SessionView, ReadError> {
        self.find_session(session)?.ok_or_else(|| ReadError::not_found("session", session))
    }

    pub(crate) fn find_session(&self, session: SessionId) -> Result<Option<SessionView>, ReadError> {
        let mut query = self.conn.prepare_cached(&format!(
            "SELECT {COLUMNS}, {LISTING} FROM listing l JOIN sessions s USING (session_id) WHERE l.session_id = ?1"
        ))?;
        let mut rows = query.query([session.as_bytes()])?;
        match rows.next()? {
            Some(row) => Ok(Some(self.listed(row)?)),
            None => Ok(None),
        }
    }

    fn listed(&self, row: &Row<'_>) -> Result<SessionView, ReadError> {
        let stored = project::from_row(row)?;
        let id = stored.state.session_id;
        // A row that does not match its checksum is not shown; what the entries say is.
        let state = if stored.sound { stored.state } else { project::fold(self.conn, id)?.unwrap_or(stored.state) };
        let at = COLUMN_COUNT;
        let bucket: Bucket = row.get_ref(at)?.as_str().unwrap_or_default().parse().unwrap_or(Bucket::Active);
        let seen = u64_at(row, at + 4)?;
        // Most sessions are quiet: the row says so, and only a busy one is asked about further.
        let turn = if row.get(at + 6)? { self.turn(id)? } else { None };
        let queue_count = u64_at(row, at + 7)?;
        let has_draft = row.get(at + 8)?;
        let unseen = turn.is_none() && state.news_seq.0 > seen;
        Ok(SessionView {
            bucket,
            pinned: row.get(at + 1)?,
            unseen,
            owner_window: row.get::<_, Option<[u8; 16]>>(at + 3)?.map(WindowId::from_bytes),
            turn,
            queue_count,
            queue_held: row.get(at + 5)?,
            has_draft,
            place: row.get(at + 2)?,
            state,
        })
    }

    /// What a quarantined session suffers from.
    pub fn quarantine_detail(&self, session: SessionId) -> Result<Option<String>, ReadError> {
        let detail = self
            .conn
            .prepare_cached("SELECT detail FROM quarantine WHERE session_id = ?1")?
            .query_row([session.as_bytes()], |row| row.get(0))
            .optional()?;
        Ok(detail)
    }
}

const LISTING: &str = "l.bucket, l.pinned, l.place, l.owner_window, l.seen_seq, l.queue_held,
     EXISTS (SELECT 1 FROM turns t WHERE t.session_id = l.session_id AND t.phase IN ('starting', 'running', 'cancelling')),
     (SELECT count(*) FROM queue q WHERE q.session_id = l.session_id),
     EXISTS (SELECT 1 FROM drafts d WHERE d.session_id = l.session_id AND d.full = 1)";

fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
