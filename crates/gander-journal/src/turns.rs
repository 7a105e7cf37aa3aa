//! Sending, and what becomes of a turn (G8, G9): one turn at a time, a prompt recorded before any agent gets it, and
//! a turn id that is a prompt once.

use gander_model::{
    Body, By, Data, Hash, Head, Kind, NamedBy, Seq, SessionId, SessionState, Status, TurnId, WindowId, content_hash,
    text,
};
use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::connect::{int, u64_at};
use crate::error::WriteError;
use crate::sessions::body;
use crate::tx::{Result, Tx};
use crate::view::{TurnPhase, TurnRecord};

/// What to do when a turn runs already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// Wait in the queue.
    Queue,
    /// Fail with [`WriteError::TurnRunning`].
    Refuse,
}

/// A prompt that continues an interrupted turn.
#[derive(Clone, Debug, Serialize)]
pub struct Continues {
    /// The interrupted turn.
    pub turn: TurnId,
    /// `resend`, `continue` or `hand_over`.
    pub how: String,
}

/// A prompt to send.
#[derive(Clone, Debug)]
pub struct Send {
    /// The session that it was composed for.
    pub session: SessionId,
    /// Its turn, chosen by the sender: sending it again is no second prompt.
    pub turn: TurnId,
    /// The window that sends it.
    pub window: Option<WindowId>,
    /// The draft revision that it was made from; cleared in the same transaction.
    pub draft_rev: Option<u64>,
    /// The head that it was composed against. `None` only where no person composed against one.
    pub expected_head: Option<Head>,
    /// The content blocks: a JSON array.
    pub content: Box<RawValue>,
    /// What to do when a turn runs already.
    pub when_busy: WhenBusy,
    /// The interrupted turn that it continues.
    pub continues: Option<Continues>,
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// `Starting` (the caller now gives the prompt to the agent) or `Queued`; for a repeat, where the turn stands.
    pub phase: TurnPhase,
    /// The session's head now.
    pub head: Head,
    /// The turn id had been accepted before: nothing was done.
    pub repeated: bool,
}

/// How a turn ended.
#[derive(Clone, Debug, Default)]
pub struct TurnEnd {
    /// The agent's stop reason.
    pub stop_reason: Option<String>,
    /// The agent's usage, raw.
    pub usage: Option<Box<RawValue>>,
    /// What went wrong, as an object with `message`.
    pub error: Option<serde_json::Value>,
    /// Why it was interrupted or not sent, in a word or sentence.
    pub reason: Option<String>,
}

#[derive(Serialize)]
struct Prompt<'a> {
    content: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    continues: Option<&'a Continues>,
}

impl Tx<'_> {
    /// Sends a prompt: records it and starts its turn, or queues it; the draft it was made from is cleared. The
    /// caller gives the prompt to an agent only after this write has committed.
    pub fn send(&mut self, send: &Send) -> Result<Sent> {
        let state = self.state(send.session)?;
        self.check_writable(send.session)?;
        let fingerprint = fingerprint(&send.content);
        if let Some((record, known)) = self.remembered(send.session, send.turn)? {
            if known.is_some_and(|known| known != fingerprint) {
                return Err(WriteError::TurnIdReused { turn: send.turn });
            }
            return Ok(Sent { phase: record.phase, head: state.head, repeated: true });
        }
        if state.status == Status::Trashed {
            return Err(WriteError::Invalid("the session is in the trash; restore it first".to_owned()));
        }
        if let Some(head) = send.expected_head {
            self.check_head(send, head, &state)?;
        }
        if let Some(continues) = &send.continues {
            self.check_continues(send.session, continues.turn)?;
        }
        let busy = match self.active_turn(send.session)? {
            Some(turn) => Some(turn.id),
            None => self.next_queued(send.session)?,
        };
        let phase = match busy {
            Some(turn) if send.when_busy == WhenBusy::Refuse => return Err(WriteError::TurnRunning { turn }),
            Some(_) => {
                self.enqueue(send, fingerprint)?;
                TurnPhase::Queued
            }
            None => {
                self.remember(send.session, send.turn, TurnPhase::Starting, send.window, fingerprint)?;
                self.start_turn(send.session, send.turn, &send.content, send.continues.as_ref())?;
                TurnPhase::Starting
            }
        };
        if let (Some(window), Some(rev)) = (send.window, send.draft_rev) {
            self.clear_draft(window, send.session, rev)?;
        }
        self.touch_session(send.session);
        Ok(Sent { phase, head: self.state(send.session)?.head, repeated: false })
    }

    /// The conversation must still be the one that the prompt was composed against: only names, late statuses and
    /// the sender's own prompts may have come since.
    fn check_head(&self, send: &Send, expected: Head, state: &SessionState) -> Result<()> {
        let moved = Err(WriteError::HeadMoved { head: state.head });
        if !self.in_chain(send.session, expected)? || state.barrier_seq > expected.seq {
            return moved;
        }
        // A prompt that no turn here remembers came with a restore or an import.
        let foreign: bool = self
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM turns WHERE session_id = ?1 AND prompt_seq > ?2
                                AND (window_id IS NULL OR window_id IS NOT ?3))
                     OR (?4 > ?2 AND NOT EXISTS (SELECT 1 FROM turns WHERE session_id = ?1 AND prompt_seq = ?4))",
            )?
            .query_row(
                params![
                    send.session.as_bytes(),
                    int(expected.seq.0),
                    send.window.as_ref().map(|w| w.as_bytes()),
                    int(state.last_prompt_seq.0)
                ],
                |row| row.get(0),
            )?;
        if foreign { moved } else { Ok(()) }
    }

    fn check_continues(&self, session: SessionId, turn: TurnId) -> Result<()> {
        match self.turn(session, turn)? {
            Some(record) if matches!(record.phase, TurnPhase::Interrupted | TurnPhase::NotSent) => Ok(()),
            Some(record) => Err(WriteError::TurnState { turn, state: record.phase.to_string() }),
            None => Err(WriteError::not_found("turn", turn)),
        }
    }

    /// Appends the prompt of a turn that stands in `turns` and makes it the active one.
    pub(crate) fn start_turn(
        &mut self,
        session: SessionId,
        turn: TurnId,
        content: &RawValue,
        continues: Option<&Continues>,
    ) -> Result<()> {
        let mut prompt = Body::with(By::User, &Prompt { content, continues })
            .map_err(|error| WriteError::Invalid(error.to_string()))?;
        prompt.turn = Some(turn);
        let head = self.append(session, Kind::PROMPT, prompt)?;
        self.conn
            .prepare_cached(
                "UPDATE turns SET phase = 'starting', prompt_seq = ?3 WHERE session_id = ?1 AND turn_id = ?2",
            )?
            .execute(params![session.as_bytes(), turn.as_bytes(), int(head.seq.0)])?;
        self.record_pending_link(session, turn)?;
        // A first name is made with the first prompt, in its own transaction: no later job can misplace it (G7).
        if self.state(session)?.named_by == NamedBy::None
            && let Some(name) = text::name_from_prompt(&text::prompt_text(content))
        {
            let named = json!({ "after": 0, "name": name, "named_by": NamedBy::Auto });
            self.append(session, Kind::NAMED, body(By::Gander, &named)?)?;
        }
        Ok(())
    }

    pub(crate) fn remember(
        &mut self,
        session: SessionId,
        turn: TurnId,
        phase: TurnPhase,
        window: Option<WindowId>,
        fingerprint: Hash,
    ) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO turns (session_id, turn_id, phase, window_id, content_hash) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                session.as_bytes(),
                turn.as_bytes(),
                phase.as_str(),
                window.as_ref().map(|w| w.as_bytes()),
                fingerprint.0
            ])?;
        Ok(())
    }

    fn remembered(&self, session: SessionId, turn: TurnId) -> Result<Option<(TurnRecord, Option<Hash>)>> {
        let found = self
            .conn
            .prepare_cached(
                "SELECT phase, window_id, prompt_seq, content_hash FROM turns WHERE session_id = ?1 AND turn_id = ?2",
            )?
            .query_row(params![session.as_bytes(), turn.as_bytes()], |row| {
                let record = TurnRecord {
                    id: turn,
                    phase: row.get_ref(0)?.as_str().unwrap_or_default().parse().unwrap_or(TurnPhase::Interrupted),
                    window: row.get::<_, Option<[u8; 16]>>(1)?.map(WindowId::from_bytes),
                    prompt: row.get::<_, Option<i64>>(2)?.map(|seq| Seq(seq.cast_unsigned())),
                };
                Ok((record, row.get::<_, Option<[u8; 32]>>(3)?.map(Hash)))
            })
            .optional()?;
        Ok(found)
    }

    /// A turn as it is remembered.
    pub fn turn(&self, session: SessionId, turn: TurnId) -> Result<Option<TurnRecord>> {
        Ok(self.remembered(session, turn)?.map(|(record, _)| record))
    }

    /// The turn that a session is busy with.
    pub fn active_turn(&self, session: SessionId) -> Result<Option<TurnRecord>> {
        let id: Option<[u8; 16]> = self
            .conn
            .prepare_cached(
                "SELECT turn_id FROM turns WHERE session_id = ?1 AND phase IN ('starting', 'running', 'cancelling')",
            )?
            .query_row([session.as_bytes()], |row| row.get(0))
            .optional()?;
        match id {
            Some(id) => self.turn(session, TurnId::from_bytes(id)),
            None => Ok(None),
        }
    }

    /// Moves the active turn on: starting → running, or → cancelling. Repeating is fine.
    pub fn turn_state(&mut self, session: SessionId, turn: TurnId, to: TurnPhase) -> Result<()> {
        let record = self.turn(session, turn)?.ok_or_else(|| WriteError::not_found("turn", turn))?;
        if record.phase == to {
            return Ok(());
        }
        let allowed = matches!(
            (record.phase, to),
            (TurnPhase::Starting, TurnPhase::Running)
                | (TurnPhase::Starting | TurnPhase::Running, TurnPhase::Cancelling)
        );
        if !allowed {
            return Err(WriteError::TurnState { turn, state: record.phase.to_string() });
        }
        self.set_phase(session, turn, to)
    }

    pub(crate) fn set_phase(&mut self, session: SessionId, turn: TurnId, phase: TurnPhase) -> Result<()> {
        self.conn
            .prepare_cached("UPDATE turns SET phase = ?3 WHERE session_id = ?1 AND turn_id = ?2")?
            .execute(params![session.as_bytes(), turn.as_bytes(), phase.as_str()])?;
        self.touch_session(session);
        Ok(())
    }

    /// Ends the active turn: its open items become entries, its unanswered permissions are recorded, `turn_ended`
    /// is appended, and the queue is held unless the turn ended well. Gives the prompt that may start next.
    pub fn end_turn(
        &mut self,
        session: SessionId,
        turn: TurnId,
        phase: TurnPhase,
        end: &TurnEnd,
    ) -> Result<Option<TurnId>> {
        if !matches!(phase, TurnPhase::Ended | TurnPhase::NotSent | TurnPhase::Interrupted) {
            return Err(WriteError::TurnState { turn, state: phase.to_string() });
        }
        let record = self.turn(session, turn)?.ok_or_else(|| WriteError::not_found("turn", turn))?;
        if !record.phase.is_active() {
            return Err(WriteError::TurnState { turn, state: record.phase.to_string() });
        }
        let cancelled = record.phase == TurnPhase::Cancelling;
        self.close_permissions(session, turn, if cancelled { "cancelled" } else { "lapsed" })?;
        self.close_items(session, Some(turn), phase == TurnPhase::Interrupted)?;
        let mut data = serde_json::Map::new();
        data.insert("state".into(), phase.as_str().into());
        for (name, value) in [("stop_reason", &end.stop_reason), ("reason", &end.reason)] {
            if let Some(value) = value {
                data.insert(name.into(), value.as_str().into());
            }
        }
        if let Some(error) = &end.error {
            data.insert("error".into(), error.clone());
        }
        let mut text = serde_json::to_string(&data).map_err(|error| WriteError::Invalid(error.to_string()))?;
        if let Some(usage) = &end.usage {
            // Kept as the agent wrote it, digit for digit.
            text.pop();
            text.push_str(",\"usage\":");
            text.push_str(usage.get());
            text.push('}');
        }
        let mut ended = Body::new(By::Gander, Data::Inline(crate::connect::raw_json(text)));
        ended.turn = Some(turn);
        self.append(session, Kind::TURN_ENDED, ended)?;
        self.set_phase(session, turn, phase)?;
        let well = phase == TurnPhase::Ended && end.stop_reason.as_deref() == Some("end_turn");
        if !well {
            self.hold_queue(session)?;
            return Ok(None);
        }
        self.next_queued(session)
    }

    /// The next place in the turn's order of first arrival.
    pub(crate) fn next_ord(&mut self, session: SessionId, turn: Option<TurnId>) -> Result<u32> {
        let Some(turn) = turn else { return Ok(0) };
        let ord = self
            .conn
            .prepare_cached(
                "UPDATE turns SET next_ord = next_ord + 1 WHERE session_id = ?1 AND turn_id = ?2 RETURNING next_ord - 1",
            )?
            .query_row(params![session.as_bytes(), turn.as_bytes()], |row| u64_at(row, 0))
            .optional()?;
        Ok(u32::try_from(ord.unwrap_or(0)).unwrap_or(u32::MAX))
    }
}

/// What tells a repeat of a send from another prompt under the same turn id.
pub(crate) fn fingerprint(content: &RawValue) -> Hash {
    // Two spellings of the same JSON are the same prompt.
    let value: serde_json::Value = serde_json::from_str(content.get()).unwrap_or_default();
    content_hash(value.to_string().as_bytes())
}
