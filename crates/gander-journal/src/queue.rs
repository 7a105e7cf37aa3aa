//! The queue: prompts that wait for their turn, durable and editable (G9).

use gander_model::{Hash, SessionId, Status, TurnId, WindowId};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;

use crate::connect::{int, json_at, u64_at};
use crate::error::WriteError;
use crate::turns::Send;
use crate::tx::{Result, Tx};
use crate::view::{Queue, QueueItem, TurnPhase};

/// Prompts that wait for one session, at most.
pub const QUEUE_MAX: u64 = 200;

/// A session's queue.
pub fn load(conn: &Connection, session: SessionId) -> rusqlite::Result<Queue> {
    let items = conn
        .prepare_cached(
            "SELECT q.turn_id, q.content, t.window_id FROM queue q JOIN turns t USING (session_id, turn_id)
             WHERE q.session_id = ?1 ORDER BY q.place",
        )?
        .query_map([session.as_bytes()], |row| {
            Ok(QueueItem {
                turn: TurnId::from_bytes(row.get(0)?),
                content: json_at(row, 1)?,
                position: 0,
                window: row.get::<_, Option<[u8; 16]>>(2)?.map(WindowId::from_bytes),
            })
        })?
        .enumerate()
        .map(|(position, item)| item.map(|item| QueueItem { position: position as u64, ..item }))
        .collect::<rusqlite::Result<_>>()?;
    Ok(Queue { items, held: is_held(conn, session)? })
}

/// How many prompts wait.
pub fn count(conn: &Connection, session: SessionId) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT count(*) FROM queue WHERE session_id = ?1")?
        .query_row([session.as_bytes()], |row| u64_at(row, 0))
}

/// Whether the queue waits for the user.
pub fn is_held(conn: &Connection, session: SessionId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT queue_held FROM listing WHERE session_id = ?1")?
        .query_row([session.as_bytes()], |row| row.get(0))
        .optional()
        .map(|held| held.unwrap_or(false))
}

impl Tx<'_> {
    pub(crate) fn enqueue(&mut self, send: &Send, fingerprint: Hash) -> Result<()> {
        if count(self.conn, send.session)? >= QUEUE_MAX {
            return Err(WriteError::Invalid(format!("{QUEUE_MAX} prompts wait already")));
        }
        self.remember(send.session, send.turn, TurnPhase::Queued, send.window, fingerprint)?;
        self.conn
            .prepare_cached(
                "INSERT INTO queue (session_id, turn_id, place, content)
                 VALUES (?1, ?2, (SELECT coalesce(max(place), 0) + 1 FROM queue WHERE session_id = ?1), ?3)",
            )?
            .execute(params![send.session.as_bytes(), send.turn.as_bytes(), send.content.get()])?;
        self.touch_queue(send.session);
        Ok(())
    }

    /// The prompt that starts next by itself; `None` when the queue is empty or held.
    pub(crate) fn next_queued(&self, session: SessionId) -> Result<Option<TurnId>> {
        if is_held(self.conn, session)? {
            return Ok(None);
        }
        let next: Option<[u8; 16]> = self
            .conn
            .prepare_cached("SELECT turn_id FROM queue WHERE session_id = ?1 ORDER BY place LIMIT 1")?
            .query_row([session.as_bytes()], |row| row.get(0))
            .optional()?;
        Ok(next.map(TurnId::from_bytes))
    }

    /// Holds the queue for the user, if there is anything in it.
    pub(crate) fn hold_queue(&mut self, session: SessionId) -> Result<()> {
        if count(self.conn, session)? > 0 {
            self.set_held(session, true)?;
        }
        Ok(())
    }

    fn set_held(&mut self, session: SessionId, held: bool) -> Result<()> {
        let changed = self
            .conn
            .prepare_cached("UPDATE listing SET queue_held = ?2 WHERE session_id = ?1 AND queue_held <> ?2")?
            .execute(params![session.as_bytes(), held])?;
        if changed > 0 {
            self.touch_queue(session);
        }
        Ok(())
    }

    /// Starts the next queued prompt if nothing runs and the queue is not held: its entry is appended now. Gives the
    /// turn and its content for the agent.
    pub fn start_queued(&mut self, session: SessionId) -> Result<Option<(TurnId, Box<RawValue>)>> {
        if self.active_turn(session)?.is_some() || self.state(session)?.status == Status::Trashed {
            return Ok(None);
        }
        let Some(turn) = self.next_queued(session)? else { return Ok(None) };
        let content = self.take_queued(session, turn)?;
        self.start_turn(session, turn, &content, None)?;
        Ok(Some((turn, content)))
    }

    fn take_queued(&mut self, session: SessionId, turn: TurnId) -> Result<Box<RawValue>> {
        let content = self
            .conn
            .prepare_cached("DELETE FROM queue WHERE session_id = ?1 AND turn_id = ?2 RETURNING content")?
            .query_row(params![session.as_bytes(), turn.as_bytes()], |row| json_at(row, 0))
            .optional()?;
        let Some(content) = content else { return Err(self.not_waiting(session, turn)?) };
        if count(self.conn, session)? == 0 {
            self.set_held(session, false)?;
        }
        self.touch_queue(session);
        Ok(content)
    }

    /// Why a turn is not in the queue.
    fn not_waiting(&self, session: SessionId, turn: TurnId) -> Result<WriteError> {
        Ok(match self.turn(session, turn)? {
            Some(record) if record.phase == TurnPhase::Deleted => WriteError::not_found("queued prompt", turn),
            Some(_) => WriteError::TurnStarted { turn },
            None => WriteError::not_found("queued prompt", turn),
        })
    }

    /// Changes a waiting prompt's content, its place, or both.
    pub fn queue_edit(
        &mut self,
        session: SessionId,
        turn: TurnId,
        content: Option<&RawValue>,
        position: Option<u64>,
    ) -> Result<()> {
        let mut order: Vec<TurnId> = load(self.conn, session)?.items.into_iter().map(|item| item.turn).collect();
        let Some(at) = order.iter().position(|queued| *queued == turn) else {
            return Err(self.not_waiting(session, turn)?);
        };
        if let Some(content) = content {
            self.conn
                .prepare_cached("UPDATE queue SET content = ?3 WHERE session_id = ?1 AND turn_id = ?2")?
                .execute(params![session.as_bytes(), turn.as_bytes(), content.get()])?;
        }
        if let Some(position) = position {
            let moved = order.remove(at);
            let to = usize::try_from(position).unwrap_or(usize::MAX).min(order.len());
            order.insert(to, moved);
            for (place, turn) in order.iter().enumerate() {
                self.conn
                    .prepare_cached("UPDATE queue SET place = ?3 WHERE session_id = ?1 AND turn_id = ?2")?
                    .execute(params![session.as_bytes(), turn.as_bytes(), int(place as u64 + 1)])?;
            }
        }
        self.touch_queue(session);
        Ok(())
    }

    /// Takes a waiting prompt out of the queue. Its turn id stays remembered.
    pub fn queue_delete(&mut self, session: SessionId, turn: TurnId) -> Result<()> {
        self.take_queued(session, turn)?;
        self.set_phase(session, turn, TurnPhase::Deleted)
    }

    /// The user lets a held queue go on. The caller then calls [`Tx::start_queued`].
    pub fn queue_resume(&mut self, session: SessionId) -> Result<()> {
        if self.state(session)?.status == Status::Trashed {
            return Err(WriteError::Invalid("the session is in the trash; restore it first".to_owned()));
        }
        self.set_held(session, false)
    }
}
