//! Small things that are kept with the journal: settings, browser grants, and the agent processes that we started.

use gander_model::Hash;
use rusqlite::{Connection, OptionalExtension, params};

use crate::connect::{hash_at, int, session_at, u64_at};
use crate::tx::{Result, Tx};
use crate::view::{AgentProcess, Grant};

/// A setting.
pub fn get(conn: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT value FROM settings WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

/// All browser grants.
pub fn grants(conn: &Connection) -> rusqlite::Result<Vec<Grant>> {
    conn.prepare_cached("SELECT hash, label, at_ms, used_at_ms FROM grants ORDER BY at_ms")?
        .query_map([], |row| {
            Ok(Grant { hash: hash_at(row, 0)?, label: row.get(1)?, at_ms: row.get(2)?, used_at_ms: row.get(3)? })
        })?
        .collect()
}

/// All agent processes that were started and not yet seen to end.
pub fn agent_processes(conn: &Connection) -> rusqlite::Result<Vec<AgentProcess>> {
    conn.prepare_cached("SELECT session_id, pid, started, pgid, mark, epoch FROM agent_processes ORDER BY session_id")?
        .query_map([], |row| {
            Ok(AgentProcess {
                session: session_at(row, 0)?,
                pid: row.get(1)?,
                started: row.get(2)?,
                group: row.get(3)?,
                mark: row.get(4)?,
                epoch: u64_at(row, 5)?,
            })
        })?
        .collect()
}

impl Tx<'_> {
    /// Keeps a setting; `None` forgets it.
    pub fn set(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        match value {
            Some(value) => self
                .conn
                .prepare_cached(
                    "INSERT INTO settings (key, value) VALUES (?1, ?2)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                )?
                .execute([key, value])?,
            None => self.conn.prepare_cached("DELETE FROM settings WHERE key = ?1")?.execute([key])?,
        };
        Ok(())
    }

    /// Tells every window that agents or configuration changed (`"agents"` or `"config"`).
    pub fn announce(&mut self, what: Announcement) -> Result<()> {
        let kind = match what {
            Announcement::Agents => "agents",
            Announcement::Config => "config",
        };
        self.change(kind, None, None, None)
    }

    /// Keeps a browser's grant, or when it was last used.
    pub fn grant_put(&mut self, grant: &Grant) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO grants (hash, label, at_ms, used_at_ms) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (hash) DO UPDATE SET label = excluded.label, used_at_ms = excluded.used_at_ms",
            )?
            .execute(params![grant.hash.0, grant.label, grant.at_ms, grant.used_at_ms])?;
        Ok(())
    }

    /// Revokes a browser's grant.
    pub fn grant_remove(&mut self, hash: Hash) -> Result<()> {
        self.conn.prepare_cached("DELETE FROM grants WHERE hash = ?1")?.execute([hash.0])?;
        Ok(())
    }

    /// Remembers an agent process before anything is sent to it, so that a later start can end it. Its epoch is this
    /// writer's, whatever it says.
    pub fn agent_process_put(&mut self, process: &AgentProcess) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO agent_processes (mark, session_id, pid, started, pgid, epoch)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                process.mark,
                process.session.as_bytes(),
                process.pid,
                process.started,
                process.group,
                int(self.epoch)
            ])?;
        Ok(())
    }

    /// The process with this mark has ended.
    pub fn agent_process_remove(&mut self, mark: &str) -> Result<()> {
        self.conn.prepare_cached("DELETE FROM agent_processes WHERE mark = ?1")?.execute([mark])?;
        Ok(())
    }
}

/// What [`Tx::announce`] tells windows to ask for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// The list of agents.
    Agents,
    /// The configuration.
    Config,
}
