//! Links (G13): an agent's own session belongs to at most one session of ours at a time. Binding changes no session:
//! its `linked` entry goes in with the turn that runs, else with the next prompt.

use gander_model::{By, Kind, SessionId, TurnId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::connect::{raw_json, session_at};
use crate::error::WriteError;
use crate::findings::NewFinding;
use crate::sessions::body;
use crate::tx::{Result, Tx};
use crate::view::Link;

/// An agent session to bind.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// The session.
    pub session: SessionId,
    /// The agent.
    pub agent: String,
    /// Which of the agent's stores the id is from.
    pub store: String,
    /// The agent's own id.
    pub agent_session: String,
    /// `new`, `load` or `resume`.
    pub via: String,
    /// `verified`, `unverified` or `fresh`.
    pub check: String,
    /// This machine.
    pub machine: String,
}

const COLUMNS: &str = "agent, store, agent_session, session_id, machine, bound_at_ms";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        agent: row.get(0)?,
        store: row.get(1)?,
        agent_session: row.get(2)?,
        session: session_at(row, 3)?,
        machine: row.get(4)?,
        bound_at_ms: row.get(5)?,
    })
}

/// What a session is bound to, last bound first.
pub fn of_session(conn: &Connection, session: SessionId) -> rusqlite::Result<Vec<Link>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM links WHERE session_id = ?1 AND released_at_ms IS NULL ORDER BY link_id DESC"
    ))?
    .query_map([session.as_bytes()], from_row)?
    .collect()
}

/// Who an agent session is bound to.
pub fn bound(conn: &Connection, agent: &str, store: &str, agent_session: &str) -> rusqlite::Result<Option<Link>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM links
         WHERE agent = ?1 AND store = ?2 AND agent_session = ?3 AND released_at_ms IS NULL"
    ))?
    .query_row([agent, store, agent_session], from_row)
    .optional()
}

impl Tx<'_> {
    /// Binds an agent session. If the agent gave an id out again that another session holds, that one is released
    /// with a finding, in this same write; gives the session that lost it.
    pub fn link(&mut self, link: &NewLink) -> Result<Option<SessionId>> {
        self.state(link.session)?;
        let holder = bound(self.conn, &link.agent, &link.store, &link.agent_session)?;
        let released = holder.filter(|holder| holder.session != link.session).map(|holder| holder.session);
        if let Some(old) = released {
            let subject = json!({ "agent": link.agent, "agent_session_id": link.agent_session, "now": link.session });
            self.finding_add(NewFinding {
                kind: "agent_session_reused".to_owned(),
                severity: "warning".to_owned(),
                session: Some(old),
                subject: raw_json(subject.to_string()),
                detail: format!(
                    "{} gave the id {:?} out again; it was released from this session, whose transcript is complete here",
                    link.agent, link.agent_session
                ),
                remedy: "Go on in this session: the agent gets a new session and is handed the transcript.".to_owned(),
                raw: None,
            })?;
            self.touch_session(old);
        }
        let data = json!({
            "agent": link.agent, "agent_session_id": link.agent_session, "store": link.store, "via": link.via,
            "check": link.check, "machine": link.machine,
        });
        self.release(&link.agent, &link.store, &link.agent_session)?;
        self.conn
            .prepare_cached(
                "INSERT INTO links (agent, store, agent_session, session_id, machine, bound_at_ms, pending)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                link.agent,
                link.store,
                link.agent_session,
                link.session.as_bytes(),
                link.machine,
                self.now_ms,
                data.to_string()
            ])?;
        if let Some(turn) = self.active_turn(link.session)? {
            self.record_pending_link(link.session, turn.id)?;
        }
        Ok(released)
    }

    /// Lets go of an agent session; whether it was bound.
    pub fn release(&mut self, agent: &str, store: &str, agent_session: &str) -> Result<bool> {
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE links SET released_at_ms = ?4, pending = NULL
                 WHERE agent = ?1 AND store = ?2 AND agent_session = ?3 AND released_at_ms IS NULL",
            )?
            .execute(params![agent, store, agent_session, self.now_ms])?;
        Ok(changed > 0)
    }

    /// Appends `linked` for what was bound since the last one.
    pub(crate) fn record_pending_link(&mut self, session: SessionId, turn: TurnId) -> Result<()> {
        let pending: Vec<(i64, String)> = self
            .conn
            .prepare_cached(
                "SELECT link_id, pending FROM links
                 WHERE session_id = ?1 AND released_at_ms IS NULL AND pending IS NOT NULL ORDER BY link_id",
            )?
            .query_map([session.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (id, data) in pending {
            let data: serde_json::Value =
                serde_json::from_str(&data).map_err(|error| WriteError::Invalid(error.to_string()))?;
            let mut linked = body(By::Gander, &data)?;
            linked.turn = Some(turn);
            self.append(session, Kind::LINKED, linked)?;
            self.conn.prepare_cached("UPDATE links SET pending = NULL WHERE link_id = ?1")?.execute([id])?;
        }
        Ok(())
    }
}
