//! One write: what a closure given to [`crate::Journal::write`] works with. Its operations live beside what they
//! are about (windows, drafts, turns, ...), each an `impl Tx`; they compose into one transaction.

use std::collections::{BTreeMap, BTreeSet};

use gander_model::{FindingId, ItemId, PermissionId, SessionId, SessionState, WindowId};
use rusqlite::{Connection, params};

use crate::error::WriteError;
use crate::kept::Kept;
use crate::options::Random;
use crate::read::Reader;
use crate::verified::Verified;
use crate::{listing, project};

/// Rows of the projection, as they were stored last, and whether an append stored them: then the session may be written,
/// and its row stands at its witnessed head.
pub(crate) type States = BTreeMap<SessionId, (SessionState, bool)>;

/// What a write means for where a session is listed. The greater one holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Listing {
    /// It stays where it is.
    Stays,
    /// It moves to this place in its bucket.
    Moves(i64),
    /// Only a look at all that decides it can tell.
    Anew,
}

/// Sessions that the writes of a group have moved in their lists, and to which place; `None` where that has to be looked
/// at anew. It is written when all have run and nothing is undone any more, and before a write reads.
pub(crate) type Moves = BTreeMap<SessionId, Option<i64>>;

/// The result of an operation inside a write.
pub type Result<T> = std::result::Result<T, WriteError>;

/// A write in progress, on the writer's thread, inside a savepoint: an error undoes all of it.
pub struct Tx<'c> {
    pub(crate) conn: &'c Connection,
    pub(crate) now_ms: i64,
    pub(crate) epoch: u64,
    pub(crate) random: &'c dyn Random,
    pub(crate) verified: &'c Verified,
    /// Statements that the writes of a group run over and over.
    pub(crate) kept: Kept<'c>,
    /// Sessions whose view this write may have changed, and what that means for the lists.
    sessions: BTreeMap<SessionId, Listing>,
    /// Rows of the projection as this write and those before it have stored them: they need not be read back.
    states: States,
    moves: Moves,
    /// Sessions whose queue this write changed.
    queues: BTreeSet<SessionId>,
    windows: BTreeSet<WindowId>,
    /// Bodies were erased: the WAL still holds them and must be cut before this is acknowledged.
    pub(crate) erased: bool,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(
        conn: &'c Connection,
        now_ms: i64,
        epoch: u64,
        random: &'c dyn Random,
        verified: &'c Verified,
    ) -> Self {
        Self {
            conn,
            now_ms,
            epoch,
            random,
            verified,
            kept: Kept::new(conn),
            sessions: BTreeMap::new(),
            states: States::new(),
            moves: Moves::new(),
            queues: BTreeSet::new(),
            windows: BTreeSet::new(),
            erased: false,
        }
    }

    /// The time of this write.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The epoch of this writer.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What this write sees so far, its own changes included.
    pub fn reader(&mut self) -> Result<Reader<'_>> {
        for (session, listing) in self.sessions.clone() {
            self.settle_listing(session, listing)?;
        }
        self.settle_moves()?;
        Ok(Reader::new(self.conn, self.verified))
    }

    fn random10(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A new session id.
    pub fn new_session_id(&self) -> SessionId {
        SessionId::from_parts(self.now_ms, &self.random10())
    }

    /// A new window id.
    pub fn new_window_id(&self) -> WindowId {
        WindowId::from_parts(self.now_ms, &self.random10())
    }

    /// A new item id.
    pub fn new_item_id(&self) -> ItemId {
        ItemId::from_parts(self.now_ms, &self.random10())
    }

    /// A new permission id.
    pub fn new_permission_id(&self) -> PermissionId {
        PermissionId::from_parts(self.now_ms, &self.random10())
    }

    pub(crate) fn new_finding_id(&self) -> FindingId {
        FindingId::from_parts(self.now_ms, &self.random10())
    }

    /// Writes a session's row of the projection.
    pub(crate) fn store_state(&mut self, state: SessionState) -> Result<()> {
        project::store(&mut self.kept, &state)?;
        self.states.insert(state.session_id, (state, false));
        Ok(())
    }

    /// [`Tx::store_state`] after an entry was appended.
    pub(crate) fn store_appended(&mut self, state: SessionState) -> Result<()> {
        project::store(&mut self.kept, &state)?;
        self.states.insert(state.session_id, (state, true));
        Ok(())
    }

    /// With what the writes before have left: the rows that they have stored, the sessions that they have moved, and
    /// their statements.
    pub(crate) fn knowing(self, states: States, moves: Moves, kept: Kept<'c>) -> Self {
        Self { states, moves, kept, ..self }
    }

    /// Leaves that for the next write.
    pub(crate) fn into_known(self) -> (States, Moves, Kept<'c>) {
        (self.states, self.moves, self.kept)
    }

    /// A session's row, if it is at hand.
    pub(crate) fn stored_state(&self, session: SessionId) -> Option<&SessionState> {
        self.states.get(&session).map(|(state, _)| state)
    }

    /// A session's row, if it is at hand, taken out to be changed and stored again, and whether an append stored it.
    pub(crate) fn take_state(&mut self, session: SessionId) -> Option<(SessionState, bool)> {
        self.states.remove(&session)
    }

    /// Brings a session's place in the lists up to date.
    pub(crate) fn list(&self, session: SessionId) -> Result<()> {
        match self.stored_state(session) {
            Some(state) => listing::refresh_with(self.conn, state)?,
            None => listing::refresh(self.conn, session)?,
        }
        Ok(())
    }

    /// Notes that a session's row, listing, turn or permissions changed; its windows are told at the end.
    pub(crate) fn touch_session(&mut self, session: SessionId) {
        self.touch(session, Listing::Anew);
    }

    /// [`Tx::touch_session`] where it is known what that means for the lists.
    pub(crate) fn touch(&mut self, session: SessionId, listing: Listing) {
        let noted = self.sessions.entry(session).or_insert(listing);
        *noted = listing.max(*noted);
    }

    fn settle_listing(&mut self, session: SessionId, listing: Listing) -> Result<()> {
        match listing {
            Listing::Stays => Ok(()),
            Listing::Moves(place) => {
                self.moves.insert(session, Some(place));
                Ok(())
            }
            Listing::Anew => {
                self.moves.entry(session).and_modify(|place| *place = None);
                self.list(session)
            }
        }
    }

    /// Writes where the sessions stand that were moved.
    pub(crate) fn settle_moves(&mut self) -> Result<()> {
        for (session, place) in &self.moves {
            let moved = match (self.states.get(session), place) {
                (Some((state, _)), Some(place)) => listing::move_to(&mut self.kept, state, *place)?,
                _ => false,
            };
            if !moved {
                self.list(*session)?;
            }
        }
        Ok(())
    }

    pub(crate) fn touch_queue(&mut self, session: SessionId) {
        self.queues.insert(session);
        self.touch_session(session);
    }

    pub(crate) fn touch_window(&mut self, window: WindowId) {
        self.windows.insert(window);
    }

    /// Records a change at the next revision.
    pub(crate) fn change(
        &mut self,
        kind: &'static str,
        session: Option<SessionId>,
        window: Option<WindowId>,
        seq: Option<u64>,
    ) -> Result<()> {
        self.kept
            .statement("INSERT INTO changes (type, session_id, window_id, seq) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                kind,
                session.as_ref().map(|s| s.as_bytes()),
                window.as_ref().map(|w| w.as_bytes()),
                seq.map(crate::connect::int)
            ])?;
        self.settle_items(self.conn.last_insert_rowid())
    }

    /// Settles what the operations left for the end: listings, and one change a subject.
    pub(crate) fn finish(&mut self) -> Result<()> {
        for (session, listing) in std::mem::take(&mut self.sessions) {
            self.settle_listing(session, listing)?;
            self.change("session", Some(session), None, None)?;
        }
        for session in std::mem::take(&mut self.queues) {
            self.change("queue", Some(session), None, None)?;
        }
        for window in std::mem::take(&mut self.windows) {
            self.change("window", None, Some(window), None)?;
        }
        Ok(())
    }
}
