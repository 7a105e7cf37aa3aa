//! Drafts: unsent text of one window for one session (G5, G9). A draft's revision only grows, and stays as a floor
//! after a send, so that a save that comes late cannot bring back what was sent.

use gander_model::{SessionId, WindowId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::value::RawValue;

use crate::connect::{int, json_at, session_at, u64_at};
use crate::error::WriteError;
use crate::tx::{Result, Tx};
use crate::view::Draft;

/// The highest revision. A floor only rises: one beyond what pages can count would close a window's draft for ever.
pub const REV_MAX: u64 = (1 << 53) - 1;

const COLUMNS: &str = "window_id, session_id, rev, text, attachments";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Draft> {
    Ok(Draft {
        window: WindowId::from_bytes(row.get(0)?),
        session: session_at(row, 1)?,
        rev: u64_at(row, 2)?,
        text: row.get(3)?,
        attachments: json_at(row, 4)?,
    })
}

/// A window's draft for a session; a floor left by a send reads as an empty draft.
pub fn load(conn: &Connection, window: WindowId, session: SessionId) -> rusqlite::Result<Option<Draft>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM drafts WHERE window_id = ?1 AND session_id = ?2"))?
        .query_row(params![window.as_bytes(), session.as_bytes()], from_row)
        .optional()
}

/// All windows' drafts for a session that have something in them.
pub fn of_session(conn: &Connection, session: SessionId) -> rusqlite::Result<Vec<Draft>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM drafts WHERE session_id = ?1 AND full = 1 ORDER BY window_id"))?
        .query_map([session.as_bytes()], from_row)?
        .collect()
}

fn store(conn: &Connection, draft: &Draft) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO drafts (window_id, session_id, rev, text, attachments, full) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (window_id, session_id) DO UPDATE SET rev = excluded.rev, text = excluded.text,
            attachments = excluded.attachments, full = excluded.full",
    )?
    .execute(params![
        draft.window.as_bytes(),
        draft.session.as_bytes(),
        int(draft.rev),
        draft.text,
        draft.attachments.get(),
        !draft.is_empty()
    ])?;
    Ok(())
}

fn check_rev(rev: u64) -> Result<()> {
    if rev > REV_MAX {
        return Err(WriteError::Invalid(format!("a draft's revision may be {REV_MAX} at most")));
    }
    Ok(())
}

impl Tx<'_> {
    /// Saves a draft. The same revision with the same content again is fine; a lower one, or an equal one that
    /// differs, is refused with the draft that is kept.
    pub fn save_draft(&mut self, draft: Draft) -> Result<()> {
        check_rev(draft.rev)?;
        self.window_exists(draft.window)?;
        self.state(draft.session)?;
        let current = load(self.conn, draft.window, draft.session)?;
        if let Some(current) = &current {
            let same = current.text == draft.text && current.attachments.get() == draft.attachments.get();
            if draft.rev == current.rev && same {
                return Ok(());
            }
            if draft.rev <= current.rev {
                return Err(WriteError::DraftStale { current: Box::new(current.clone()) });
            }
        }
        let had = current.is_some_and(|current| !current.is_empty());
        store(self.conn, &draft)?;
        self.change("draft", Some(draft.session), Some(draft.window), None)?;
        if had == draft.is_empty() {
            // The session became, or is no longer, one with a draft: lists show that.
            self.touch_session(draft.session);
        }
        Ok(())
    }

    /// A draft goes with its session from one window to another, in which nothing is typed for it. Where something is, or where
    /// a revision has no successor, both stay as they are.
    pub(crate) fn carry_draft(&mut self, session: SessionId, from: WindowId, to: WindowId) -> Result<()> {
        let Some(draft) = load(self.conn, from, session)?.filter(|draft| !draft.is_empty()) else { return Ok(()) };
        let there = load(self.conn, to, session)?;
        let rev = there.as_ref().map_or(0, |there| there.rev).max(draft.rev) + 1;
        if there.is_some_and(|there| !there.is_empty()) || rev > REV_MAX {
            return Ok(());
        }
        // The floor that is left refuses a save that the first window's page sent before it heard of this.
        let floor = draft.rev + 1;
        store(self.conn, &Draft { window: to, rev, ..draft })?;
        self.change("draft", Some(session), Some(to), None)?;
        self.clear_draft(from, session, floor)
    }

    fn window_exists(&self, window: WindowId) -> Result<()> {
        self.window_session(window).map(drop)
    }

    /// What a send does to the draft it was made from: nothing of it is left but the floor. A draft that was saved
    /// later than the one that was sent stays.
    pub(crate) fn clear_draft(&mut self, window: WindowId, session: SessionId, sent_rev: u64) -> Result<()> {
        check_rev(sent_rev)?;
        let current = load(self.conn, window, session)?;
        if current.is_some_and(|current| current.rev > sent_rev) {
            return Ok(());
        }
        let attachments = RawValue::from_string("[]".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned());
        store(self.conn, &Draft { window, session, rev: sent_rev, text: String::new(), attachments })?;
        self.change("draft", Some(session), Some(window), None)?;
        self.touch_session(session);
        Ok(())
    }
}
