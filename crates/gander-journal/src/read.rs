//! Reading: connections that cannot write, each read in one transaction, so that what a window is given fits
//! together and names the revision it was read at.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gander_model::{Entry, Hash, Head, JournalId, Seq, SessionId, StoreRoot, TurnId, WindowId, store_root};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::blobs::{self, ContentInfo};
use crate::changes::{self, Changes, Cursor};
use crate::connect::{Access, hash_at, session_at, u64_at};
use crate::entries::{self, Bounds};
use crate::error::ReadError;
use crate::verified::Verified;
use crate::view::{
    AgentProcess, Draft, EntryPage, EntryView, Finding, Grant, Link, OpenItem, Queue, TurnRecord, TurnView, WindowView,
};
use crate::{connect, drafts, findings, items, links, migrate, queue, settings};

/// Reads at the same time, at most: each has a connection with a cache of its own.
const READS_MAX: usize = 8;

/// Read connections. Reads beyond the bound wait for one to end, so a read must not begin another inside itself.
pub struct Pool {
    path: PathBuf,
    access: Access,
    keep: usize,
    state: Mutex<PoolState>,
    ended: Condvar,
}

#[derive(Default)]
struct PoolState {
    idle: Vec<Connection>,
    reading: usize,
    /// No read begins.
    closed: bool,
    /// Counts up when the files were opened again: connections from before are not kept.
    generation: u64,
}

/// A place among the reads; given back however the read ends.
struct Place<'p>(&'p Pool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().reading -= 1;
        self.0.ended.notify_all();
    }
}

/// No read begins as long as this is there.
pub struct Closed<'p>(&'p Pool);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = false;
        self.0.ended.notify_all();
    }
}

impl Pool {
    pub fn new(path: PathBuf, access: Access, keep: usize) -> Self {
        Self { path, access, keep, state: Mutex::new(PoolState::default()), ended: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> (Place<'_>, Option<Connection>, u64) {
        let mut state = self.lock();
        while state.closed || state.reading >= READS_MAX {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.reading += 1;
        let idle = state.idle.pop();
        (Place(self), idle, state.generation)
    }

    /// Runs a read in one transaction.
    pub fn read<T>(
        &self,
        verified: &Verified,
        run: impl FnOnce(&Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.with(|conn| run(&Reader::new(conn, verified)))
    }

    /// Runs in one transaction on a connection that reads.
    pub fn with<T, E: From<rusqlite::Error>>(&self, run: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        let (_place, idle, generation) = self.place();
        let conn = idle.map_or_else(|| connect::reader_with(&self.path, self.access), Ok)?;
        let result = {
            let tx = conn.unchecked_transaction()?;
            run(&tx)
        };
        let mut state = self.lock();
        if state.idle.len() < self.keep && state.generation == generation && conn.is_autocommit() {
            state.idle.push(conn);
        }
        result
    }

    /// Closes every connection and lets no read begin until what this gives is dropped. `None`, and all as before, when
    /// the reads that were under way did not end within `time`.
    pub fn close(&self, time: Duration) -> Option<Closed<'_>> {
        let mut state = self.lock();
        state.closed = true;
        let closed = Closed(self);
        let until = Instant::now() + time;
        while state.reading > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                return None;
            }
            state = self.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.generation += 1;
        state.idle.clear();
        Some(closed)
    }

    /// Closes idle connections, and those that read just now when they are done: the files were opened again.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.idle.clear();
    }
}

/// A read in progress. Everything it gives is of one revision.
pub struct Reader<'c> {
    pub(crate) conn: &'c Connection,
    pub(crate) verified: &'c Verified,
}

impl<'c> Reader<'c> {
    pub(crate) fn new(conn: &'c Connection, verified: &'c Verified) -> Self {
        Self { conn, verified }
    }

    /// Where this read stands in the order of changes.
    pub fn cursor(&self) -> Result<Cursor, ReadError> {
        Ok(Cursor { journal: self.journal_id()?, revision: changes::last_revision(self.conn)? })
    }

    /// The journal's id.
    pub fn journal_id(&self) -> Result<JournalId, ReadError> {
        let id: [u8; 16] =
            migrate::meta(self.conn, "journal_id")?.ok_or_else(|| ReadError::not_found("journal id", ""))?;
        Ok(JournalId::from_bytes(id))
    }

    /// Changes after a cursor; [`Changes::Reset`] if it is of another journal, too old, or from the future.
    pub fn changes(&self, cursor: Cursor, limit: usize) -> Result<Changes, ReadError> {
        if cursor.journal != self.journal_id()? {
            return Ok(Changes::Reset);
        }
        changes::after(self, cursor.revision, limit)
    }

    /// Entries of a session, verified (G4).
    pub fn entries(&self, session: SessionId, bounds: Bounds) -> Result<EntryPage, ReadError> {
        entries::page(self.conn, self.verified, session, bounds)
    }

    /// One entry of a session, its own hashes checked against the entry before it.
    pub fn entry(&self, session: SessionId, seq: Seq) -> Result<Option<EntryView>, ReadError> {
        let Some(view) = entries::one(self.conn, session, seq)? else { return Ok(None) };
        let previous = match seq {
            Seq(1) => Some(Hash::ZERO),
            Seq(n) => entries::hash_of(self.conn, session, Seq(n - 1))?,
        };
        let damaged = |damage| ReadError::Damaged { session, damage };
        if !previous.is_some_and(|previous| view.entry.header.follows(&previous)) {
            return Err(damaged(gander_model::chain::Damage::Header { seq }));
        }
        gander_model::chain::check_body(&view.entry, view.erased).map_err(damaged)?;
        Ok(Some(view))
    }

    /// The witnessed head of a session.
    pub fn head(&self, session: SessionId) -> Result<Option<Head>, ReadError> {
        Ok(entries::head(self.conn, session)?)
    }

    /// Every witnessed head, by ascending session id.
    pub fn heads(&self) -> Result<Vec<(SessionId, Head)>, ReadError> {
        let heads = self
            .conn
            .prepare_cached("SELECT session_id, seq, hash FROM heads ORDER BY session_id")?
            .query_map([], |row| Ok((session_at(row, 0)?, Head { seq: Seq(u64_at(row, 1)?), hash: hash_at(row, 2)? })))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(heads)
    }

    /// The store root.
    pub fn root(&self) -> Result<StoreRoot, ReadError> {
        let heads = self.heads()?;
        Ok(store_root(heads.len() as u64, heads))
    }

    /// What is being streamed in a session, by first arrival.
    pub fn open_items(&self, session: SessionId) -> Result<Vec<OpenItem>, ReadError> {
        items::open_items(self.conn, session)
    }

    /// The prompts that wait.
    pub fn queue(&self, session: SessionId) -> Result<Queue, ReadError> {
        Ok(queue::load(self.conn, session)?)
    }

    /// The turn that a session is busy with, and who it waits for.
    pub fn turn(&self, session: SessionId) -> Result<Option<TurnView>, ReadError> {
        let active: Option<([u8; 16], String)> = self
            .conn
            .prepare_cached(
                "SELECT turn_id, phase FROM turns
                 WHERE session_id = ?1 AND phase IN ('starting', 'running', 'cancelling')",
            )?
            .query_row([session.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((id, phase)) = active else { return Ok(None) };
        let Ok(phase) = phase.parse() else { return Ok(None) };
        let permissions = crate::permissions::open(self.conn, session)?;
        Ok(Some(TurnView { id: TurnId::from_bytes(id), phase, permissions }))
    }

    /// Every turn that runs, is about to or is being cancelled.
    pub fn running_turns(&self) -> Result<Vec<(SessionId, TurnId)>, ReadError> {
        let turns = self
            .conn
            .prepare_cached(
                "SELECT session_id, turn_id FROM turns WHERE phase IN ('starting', 'running', 'cancelling')
                 ORDER BY session_id",
            )?
            .query_map([], |row| Ok((session_at(row, 0)?, TurnId::from_bytes(row.get(1)?))))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(turns)
    }

    /// Sessions in which prompts wait and nobody holds them.
    pub fn waiting_queues(&self) -> Result<Vec<SessionId>, ReadError> {
        let sessions = self
            .conn
            .prepare_cached(
                "SELECT DISTINCT session_id FROM queue WHERE session_id NOT IN
                    (SELECT session_id FROM listing WHERE queue_held) ORDER BY session_id",
            )?
            .query_map([], |row| session_at(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(sessions)
    }

    /// A turn as it is remembered.
    pub fn turn_record(&self, session: SessionId, turn: TurnId) -> Result<Option<TurnRecord>, ReadError> {
        let found = self
            .conn
            .prepare_cached("SELECT phase, window_id, prompt_seq FROM turns WHERE session_id = ?1 AND turn_id = ?2")?
            .query_row(params![session.as_bytes(), turn.as_bytes()], |row| turn_from_row(turn, row))
            .optional()?;
        Ok(found)
    }

    /// A window's draft for a session; a floor left by a send reads as an empty one.
    pub fn draft(&self, window: WindowId, session: SessionId) -> Result<Option<Draft>, ReadError> {
        Ok(drafts::load(self.conn, window, session)?)
    }

    /// All windows' drafts for a session.
    pub fn drafts(&self, session: SessionId) -> Result<Vec<Draft>, ReadError> {
        Ok(drafts::of_session(self.conn, session)?)
    }

    /// All windows, open ones first, each by its place.
    pub fn windows(&self) -> Result<Vec<WindowView>, ReadError> {
        let windows: Vec<WindowView> = self
            .conn
            .prepare_cached(&format!("SELECT {WINDOW} FROM windows ORDER BY open DESC, ordinal, window_id"))?
            .query_map([], window_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        windows.into_iter().map(|window| self.with_draft(window)).collect()
    }

    /// One window.
    pub fn window(&self, window: WindowId) -> Result<WindowView, ReadError> {
        self.find_window(window)?.ok_or_else(|| ReadError::not_found("window", window))
    }

    pub(crate) fn find_window(&self, window: WindowId) -> Result<Option<WindowView>, ReadError> {
        let found = self
            .conn
            .prepare_cached(&format!("SELECT {WINDOW} FROM windows WHERE window_id = ?1"))?
            .query_row([window.as_bytes()], window_from_row)
            .optional()?;
        found.map(|window| self.with_draft(window)).transpose()
    }

    fn with_draft(&self, mut window: WindowView) -> Result<WindowView, ReadError> {
        window.draft = drafts::load(self.conn, window.id, window.session)?;
        Ok(window)
    }

    /// What is known of a content.
    pub fn blob_info(&self, hash: Hash) -> Result<Option<ContentInfo>, ReadError> {
        Ok(blobs::info(self.conn, hash)?)
    }

    /// Verifies a whole content without keeping it.
    pub fn check_blob(&self, hash: Hash) -> Result<ContentInfo, ReadError> {
        blobs::read(self.conn, hash, |_| Ok(()))
    }

    /// One chunk of a content, verified; `None` after the last.
    pub fn blob_chunk(&self, hash: Hash, n: u64) -> Result<Option<Vec<u8>>, ReadError> {
        blobs::chunk(self.conn, hash, n)
    }

    /// A content, verified chunk by chunk.
    pub fn blob(&self, hash: Hash) -> Result<(ContentInfo, Vec<u8>), ReadError> {
        let mut bytes = Vec::new();
        let info = blobs::read(self.conn, hash, |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok((info, bytes))
    }

    /// The data of an entry, wherever it lies: raw JSON bytes; `None` when it has none or it was erased.
    pub fn entry_data(&self, entry: &Entry) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(body) = entry.body.as_ref().and_then(|b| gander_model::Body::parse(&b.bytes).ok()) else {
            return Ok(None);
        };
        Ok(match body.data {
            gander_model::Data::None => None,
            gander_model::Data::Inline(data) => Some(data.get().as_bytes().to_vec()),
            gander_model::Data::Ref(large) => Some(self.blob(large.hash)?.1),
        })
    }

    /// Open findings, newest first.
    pub fn findings(&self, limit: usize) -> Result<Vec<Finding>, ReadError> {
        Ok(findings::open(self.conn, limit)?)
    }

    /// What a session is bound to, last bound first.
    pub fn links(&self, session: SessionId) -> Result<Vec<Link>, ReadError> {
        Ok(links::of_session(self.conn, session)?)
    }

    /// Who an agent session is bound to.
    pub fn link(&self, agent: &str, store: &str, agent_session: &str) -> Result<Option<Link>, ReadError> {
        Ok(links::bound(self.conn, agent, store, agent_session)?)
    }

    /// Agent processes that were started and not yet seen to end, of every epoch.
    pub fn agent_processes(&self) -> Result<Vec<AgentProcess>, ReadError> {
        Ok(settings::agent_processes(self.conn)?)
    }

    /// All browser grants.
    pub fn grants(&self) -> Result<Vec<Grant>, ReadError> {
        Ok(settings::grants(self.conn)?)
    }

    /// A setting.
    pub fn setting(&self, key: &str) -> Result<Option<String>, ReadError> {
        Ok(settings::get(self.conn, key)?)
    }
}

fn turn_from_row(id: TurnId, row: &Row<'_>) -> rusqlite::Result<TurnRecord> {
    Ok(TurnRecord {
        id,
        phase: row.get_ref(0)?.as_str().unwrap_or_default().parse().unwrap_or(crate::view::TurnPhase::Interrupted),
        window: row.get::<_, Option<[u8; 16]>>(1)?.map(WindowId::from_bytes),
        prompt: row.get::<_, Option<i64>>(2)?.map(|seq| Seq(seq.cast_unsigned())),
    })
}

const WINDOW: &str = "window_id, ordinal, session_id, open, geometry, scroll, focused, closed_at_ms";

fn window_from_row(row: &Row<'_>) -> rusqlite::Result<WindowView> {
    let json = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(column)?.map(connect::raw_json));
    Ok(WindowView {
        id: WindowId::from_bytes(row.get(0)?),
        ordinal: row.get(1)?,
        session: session_at(row, 2)?,
        open: row.get(3)?,
        geometry: json(4)?,
        scroll: json(5)?,
        focused: row.get(6)?,
        closed_at_ms: row.get(7)?,
        draft: None,
    })
}
