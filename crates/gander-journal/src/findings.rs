//! Findings: what verification, the guard or a turn found, kept until it is closed.

use gander_model::{FindingId, SessionId};
use rusqlite::{Connection, Row, params};
use serde_json::value::RawValue;

use crate::connect::json_at;
use crate::error::WriteError;
use crate::tx::{Result, Tx};
use crate::view::Finding;

/// A finding to keep.
#[derive(Clone, Debug)]
pub struct NewFinding {
    /// What it is, as a word.
    pub kind: String,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// The session concerned.
    pub session: Option<SessionId>,
    /// More about the subject: a JSON object.
    pub subject: Box<RawValue>,
    /// What happened and what was kept.
    pub detail: String,
    /// What to do.
    pub remedy: String,
    /// Bytes that belong nowhere else, for example an update for an unknown session.
    pub raw: Option<Vec<u8>>,
}

const COLUMNS: &str = "finding_id, kind, severity, session_id, subject, detail, remedy, at_ms, closed_at_ms";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Finding> {
    Ok(Finding {
        id: FindingId::from_bytes(row.get(0)?),
        kind: row.get(1)?,
        severity: row.get(2)?,
        session: row.get::<_, Option<[u8; 16]>>(3)?.map(SessionId::from_bytes),
        subject: json_at(row, 4)?,
        detail: row.get(5)?,
        remedy: row.get(6)?,
        at_ms: row.get(7)?,
        closed_at_ms: row.get(8)?,
    })
}

/// Open findings, newest first.
pub fn open(conn: &Connection, limit: usize) -> rusqlite::Result<Vec<Finding>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM findings WHERE closed_at_ms IS NULL ORDER BY at_ms DESC, finding_id DESC LIMIT ?1"
    ))?
    .query_map([limit as i64], from_row)?
    .collect()
}

/// One finding.
pub fn one(conn: &Connection, id: FindingId) -> rusqlite::Result<Option<Finding>> {
    let mut query = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM findings WHERE finding_id = ?1"))?;
    let mut found = query.query_map([id.as_bytes()], from_row)?;
    found.next().transpose()
}

impl Tx<'_> {
    /// Keeps a finding. An open one that says the same of the same session is not doubled.
    pub fn finding_add(&mut self, new: NewFinding) -> Result<FindingId> {
        let same = self
            .conn
            .prepare_cached(
                "SELECT finding_id FROM findings WHERE closed_at_ms IS NULL AND kind = ?1 AND session_id IS ?2
                    AND detail = ?3 AND subject = ?4 AND raw IS ?5 LIMIT 1",
            )?
            .query_map(
                params![new.kind, new.session.as_ref().map(|s| s.as_bytes()), new.detail, new.subject.get(), new.raw],
                |row| row.get(0).map(FindingId::from_bytes),
            )?
            .next()
            .transpose()?;
        if let Some(same) = same {
            return Ok(same);
        }
        let id = self.new_finding_id();
        self.conn
            .prepare_cached(
                "INSERT INTO findings (finding_id, kind, severity, session_id, subject, detail, remedy, raw, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                id.as_bytes(),
                new.kind,
                new.severity,
                new.session.as_ref().map(|s| s.as_bytes()),
                new.subject.get(),
                new.detail,
                new.remedy,
                new.raw,
                self.now_ms
            ])?;
        self.finding_changed(id, new.session)?;
        Ok(id)
    }

    /// Closes a finding: it was dealt with.
    pub fn finding_close(&mut self, id: FindingId) -> Result<()> {
        let found = one(self.conn, id)?.ok_or_else(|| WriteError::not_found("finding", id))?;
        if found.closed_at_ms.is_some() {
            return Ok(());
        }
        self.conn
            .prepare_cached("UPDATE findings SET closed_at_ms = ?2 WHERE finding_id = ?1")?
            .execute(params![id.as_bytes(), self.now_ms])?;
        self.finding_changed(id, found.session)
    }

    fn finding_changed(&mut self, id: FindingId, session: Option<SessionId>) -> Result<()> {
        self.conn
            .prepare_cached("INSERT INTO changes (type, session_id, item) VALUES ('finding', ?1, ?2)")?
            .execute(params![session.as_ref().map(|s| s.as_bytes()), id.as_bytes()])?;
        self.settle_items(self.conn.last_insert_rowid())
    }
}
