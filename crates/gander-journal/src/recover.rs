//! After a crash: nothing that was streamed is dropped, and nothing is rerun by itself.

use gander_model::SessionId;
use serde_json::json;

use crate::connect::{raw_json, session_at};
use crate::error::{ReadError, WriteError};
use crate::findings::NewFinding;
use crate::journal::Journal;
use crate::turns::TurnEnd;
use crate::tx::{Result, Tx};
use crate::view::TurnPhase;

/// What was found and settled at a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Sessions whose turn was cut off; each offers Continue.
    pub interrupted: Vec<SessionId>,
    /// Sessions whose queue now waits for the user.
    pub held: Vec<SessionId>,
    /// Sessions that could not be settled because they are damaged: set aside with a finding.
    pub quarantined: Vec<SessionId>,
}

impl Journal {
    /// Settles what the last process left: a turn that was running is interrupted, what it had streamed becomes
    /// entries marked `interrupted`, unanswered permissions lapse, queues are held. A step of its own, so that an
    /// upgrade can compare store roots before it. A damaged session is set aside and stops no other.
    pub fn recover(&self) -> std::result::Result<Recovered, WriteError> {
        let mut recovered = Recovered::default();
        if self.read_only().is_some() {
            return Ok(recovered);
        }
        let (unsettled, queued) = self.read(|reader| {
            let sessions = |sql: &str| -> std::result::Result<Vec<SessionId>, ReadError> {
                let mut query = reader.conn.prepare(sql)?;
                let found = query.query_map([], |row| session_at(row, 0))?.collect::<rusqlite::Result<_>>()?;
                Ok(found)
            };
            let unsettled = sessions(
                "SELECT session_id FROM turns WHERE phase IN ('starting', 'running', 'cancelling')
                 UNION SELECT session_id FROM open_items UNION SELECT session_id FROM permissions ORDER BY 1",
            )?;
            Ok((unsettled, sessions("SELECT DISTINCT session_id FROM queue ORDER BY 1")?))
        })?;
        for session in unsettled {
            match self.write_blocking(move |tx| tx.settle_session(session)) {
                Ok(true) => recovered.interrupted.push(session),
                Ok(false) => {}
                Err(error @ (WriteError::NotSaving(_) | WriteError::Closed(_))) => return Err(error),
                Err(WriteError::Quarantined { .. }) => recovered.quarantined.push(session),
                Err(error) => {
                    let detail = error.to_string();
                    self.write_blocking(move |tx| tx.set_aside(session, &detail))?;
                    recovered.quarantined.push(session);
                }
            }
        }
        for session in queued {
            self.write_blocking(move |tx| tx.hold_queue(session))?;
            recovered.held.push(session);
        }
        Ok(recovered)
    }
}

impl Tx<'_> {
    /// Whether a turn was cut off.
    fn settle_session(&mut self, session: SessionId) -> Result<bool> {
        let active = self.active_turn(session)?;
        if let Some(turn) = &active {
            let end =
                TurnEnd { reason: Some("gander stopped while the turn was running".into()), ..TurnEnd::default() };
            self.end_turn(session, turn.id, TurnPhase::Interrupted, &end)?;
        }
        self.close_all_permissions(session)?;
        self.close_items(session, None, true)?;
        Ok(active.is_some())
    }

    /// Quarantines a session, with a finding that says why.
    pub fn set_aside(&mut self, session: SessionId, detail: &str) -> Result<()> {
        self.finding_add(damaged(session, detail))?;
        self.quarantine(session, detail)
    }
}

/// The finding of a session that is set aside.
pub fn damaged(session: SessionId, detail: &str) -> NewFinding {
    NewFinding {
        kind: "session_damaged".to_owned(),
        severity: "error".to_owned(),
        session: Some(session),
        subject: raw_json(json!({}).to_string()),
        detail: detail.to_owned(),
        remedy: "Run `gander doctor --repair`: it heals the session from the newest snapshot that fits. Its entries are kept as they \
                 are until then."
            .to_owned(),
        raw: None,
    }
}
