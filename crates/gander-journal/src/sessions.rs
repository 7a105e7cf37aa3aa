//! Sessions: made, described, put away, forked.

use gander_model::{Body, By, Head, Kind, NamedBy, Origin, Seq, SessionId, SessionState, Status, WindowId};
use rusqlite::params;
use serde_json::json;

use crate::connect::int;
use crate::entries::{self, Lineage};
use crate::error::WriteError;
use crate::listing;
use crate::project;
use crate::tx::{Result, Tx};

/// What a new session starts with.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The window that owns it while it is empty.
    pub window: Option<WindowId>,
    /// The agent.
    pub agent: String,
    /// The folder.
    pub cwd: String,
}

/// A body of Gander's own, with `value` as data.
pub(crate) fn body(by: By, value: &serde_json::Value) -> Result<Body> {
    Body::with(by, value).map_err(|error| WriteError::Invalid(error.to_string()))
}

impl Tx<'_> {
    /// Makes a session: `created` and `configured`.
    pub fn create_session(&mut self, new: NewSession) -> Result<SessionId> {
        let session = self.new_session_id();
        let created = match new.window {
            Some(window) => json!({ "window_id": window }),
            None => json!({}),
        };
        self.append_to(SessionState::new(session), Kind::CREATED, body(By::Gander, &created)?)?;
        self.append(session, Kind::CONFIGURED, body(By::Gander, &json!({ "agent": new.agent, "cwd": new.cwd }))?)?;
        self.list(session)?;
        self.own(session, new.window)?;
        Ok(session)
    }

    fn own(&mut self, session: SessionId, window: Option<WindowId>) -> Result<()> {
        self.conn
            .prepare_cached("UPDATE listing SET owner_window = ?2 WHERE session_id = ?1")?
            .execute(params![session.as_bytes(), window.as_ref().map(|w| w.as_bytes())])?;
        Ok(())
    }

    /// Chooses agent and folder. The agent can only be chosen while nothing was asked of the one before.
    pub fn configure(&mut self, session: SessionId, agent: Option<&str>, cwd: Option<&str>) -> Result<()> {
        let state = self.state(session)?;
        let agent = agent.filter(|agent| state.agent.as_deref() != Some(*agent));
        let cwd = cwd.filter(|cwd| state.cwd.as_deref() != Some(*cwd));
        if agent.is_some() && state.prompts > 0 {
            let text = "the agent can only be changed while the session is empty";
            return Err(WriteError::Invalid(text.to_owned()));
        }
        if agent.is_none() && cwd.is_none() {
            return Ok(());
        }
        let data = json!({ "agent": agent.or(state.agent.as_deref()), "cwd": cwd.or(state.cwd.as_deref()) });
        self.append(session, Kind::CONFIGURED, body(By::User, &data)?)?;
        Ok(())
    }

    /// Relinks the folder.
    pub fn move_folder(&mut self, session: SessionId, cwd: &str) -> Result<()> {
        if self.state(session)?.cwd.as_deref() == Some(cwd) {
            return Ok(());
        }
        self.append(session, Kind::MOVED, body(By::User, &json!({ "cwd": cwd }))?)?;
        Ok(())
    }

    /// Archives, trashes or brings back. Trash waits for a running turn: the caller cancels it first.
    pub fn set_status(&mut self, session: SessionId, status: Status) -> Result<()> {
        if self.state(session)?.status == status {
            return Ok(());
        }
        if status == Status::Trashed
            && let Some(turn) = self.active_turn(session)?
        {
            return Err(WriteError::TurnRunning { turn: turn.id });
        }
        self.append(session, Kind::STATUS, body(By::User, &json!({ "status": status }))?)?;
        Ok(())
    }

    /// Keeps a session at the top of the list, or no longer. Not part of its entries.
    pub fn set_pinned(&mut self, session: SessionId, pinned: bool) -> Result<()> {
        self.state(session)?;
        self.conn
            .prepare_cached("UPDATE listing SET pinned = ?2 WHERE session_id = ?1")?
            .execute(params![session.as_bytes(), pinned])?;
        self.touch_session(session);
        Ok(())
    }

    /// The user has seen the session up to its last turn, or (false) wants it marked unseen.
    pub fn set_seen(&mut self, session: SessionId, seen: bool) -> Result<()> {
        let news = self.state(session)?.news_seq;
        if listing::set_seen(self.conn, session, if seen { news } else { Seq(0) })? {
            self.touch_session(session);
        }
        Ok(())
    }

    /// Forks a session at the end of the turn that `at` lies in. A turn that still runs cannot be forked.
    pub fn fork(&mut self, parent: SessionId, at: Seq, window: Option<WindowId>) -> Result<SessionId> {
        let parent_state = self.state(parent)?;
        let pinned = self.end_of_turn(parent, &parent_state, at)?;
        let lineage = Lineage::of(self.conn, parent)?;
        let owner = lineage
            .segments()
            .iter()
            .find(|segment| segment.first <= pinned.seq && pinned.seq <= segment.last)
            .map_or(parent, |segment| segment.owner);
        let origin = Origin { session_id: owner, seq: pinned.seq, hash: pinned.hash };

        let session = self.new_session_id();
        let mut state = SessionState::new(session);
        for segment in lineage.segments().iter().filter(|segment| segment.first <= pinned.seq) {
            entries::for_each(self.conn, segment.owner, segment.first, segment.last.min(pinned.seq), |entry| {
                let body = entry.body.as_ref().and_then(|body| Body::parse(&body.bytes).ok());
                state.inherit(&entry.header, body.as_ref());
                Ok(())
            })?;
        }
        let forked = Body::with(By::Gander, &origin).map_err(|error| WriteError::Invalid(error.to_string()))?;
        self.append_to(state, Kind::FORKED, forked)?;
        let configured = json!({ "agent": parent_state.agent, "cwd": parent_state.cwd });
        self.append(session, Kind::CONFIGURED, body(By::Gander, &configured)?)?;
        if let Some(name) = &parent_state.name {
            let named = json!({ "after": 0, "name": format!("{name} (fork)"), "named_by": NamedBy::Auto });
            self.append(session, Kind::NAMED, body(By::Gander, &named)?)?;
        }
        self.list(session)?;
        self.own(session, window)?;
        Ok(session)
    }

    /// The entry that ends the turn in which `at` lies: the last before the next prompt.
    fn end_of_turn(&self, session: SessionId, state: &SessionState, at: Seq) -> Result<Head> {
        if at < Seq(1) || at > state.head.seq {
            return Err(WriteError::not_found("entry", at));
        }
        let mut end = None;
        for segment in Lineage::of(self.conn, session)?.segments() {
            let next: Option<i64> = self
                .conn
                .prepare_cached(
                    "SELECT min(seq) FROM entries WHERE session_id = ?1 AND seq > ?2 AND seq <= ?3 AND kind = 'prompt'",
                )?
                .query_row(params![segment.owner.as_bytes(), int(at.0), int(segment.last.0)], |row| row.get(0))?;
            if let Some(next) = next {
                end = Some(Seq(next.cast_unsigned() - 1));
                break;
            }
        }
        let end = match end {
            Some(end) => end,
            None => match self.active_turn(session)? {
                Some(turn) => return Err(WriteError::TurnRunning { turn: turn.id }),
                None => state.head.seq,
            },
        };
        let hash = entries::hash_of(self.conn, session, end)?.ok_or_else(|| WriteError::not_found("entry", end))?;
        Ok(Head { seq: end, hash })
    }

    /// Sets a damaged session aside: its entries are kept as they are, and it takes no writes.
    pub fn quarantine(&mut self, session: SessionId, detail: &str) -> Result<()> {
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO quarantine (session_id, detail, at_ms) VALUES (?1, ?2, ?3)")?
            .execute(params![session.as_bytes(), detail, self.now_ms])?;
        // The next append has to look for it.
        self.take_state(session);
        self.touch_session(session);
        Ok(())
    }

    /// Ends a quarantine: the session verifies again.
    pub fn release_quarantine(&mut self, session: SessionId) -> Result<()> {
        self.conn.prepare_cached("DELETE FROM quarantine WHERE session_id = ?1")?.execute([session.as_bytes()])?;
        if let Some(state) = project::fold(self.conn, session)? {
            self.store_state(state)?;
        }
        self.touch_session(session);
        Ok(())
    }
}
