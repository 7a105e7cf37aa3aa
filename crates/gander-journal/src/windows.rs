//! Windows: which session each shows, in which order, and whose new chat is whose (G5, G6).

use gander_model::{SessionId, WindowId};
use rusqlite::{OptionalExtension, params};
use serde_json::value::RawValue;

use crate::connect::session_at;
use crate::error::WriteError;
use crate::sessions::NewSession;
use crate::tx::{Result, Tx};

/// The last place that a window can be moved to.
pub const ORDINAL_MAX: i64 = 1 << 31;

/// What changes about a window; absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct WindowPatch {
    /// Its place among the windows.
    pub ordinal: Option<i64>,
    /// Position and size, kept as given.
    pub geometry: Option<Box<RawValue>>,
    /// Where it is scrolled to, kept as given.
    pub scroll: Option<Box<RawValue>>,
}

impl Tx<'_> {
    /// Opens a new window on a session that exists.
    pub fn open_window(&mut self, session: SessionId) -> Result<WindowId> {
        self.state(session)?;
        let window = self.new_window_id();
        self.insert_window(window, session)?;
        Ok(window)
    }

    /// Opens a new window on a new empty session of its own.
    pub fn open_window_new(&mut self, agent: &str, cwd: &str) -> Result<(WindowId, SessionId)> {
        let window = self.new_window_id();
        let new = NewSession { window: Some(window), agent: agent.to_owned(), cwd: cwd.to_owned() };
        let session = self.create_session(new)?;
        self.insert_window(window, session)?;
        Ok((window, session))
    }

    fn insert_window(&mut self, window: WindowId, session: SessionId) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO windows (window_id, ordinal, session_id, open, focused)
                 VALUES (?1, (SELECT coalesce(max(ordinal), 0) + 1 FROM windows), ?2, 1,
                         (SELECT coalesce(max(focused), 0) + 1 FROM windows))",
            )?
            .execute(params![window.as_bytes(), session.as_bytes()])?;
        self.touch_window(window);
        Ok(())
    }

    /// Remembers geometry, place and scroll.
    pub fn update_window(&mut self, window: WindowId, patch: &WindowPatch) -> Result<()> {
        // The next window's place is one more than the highest: there must be one.
        if patch.ordinal.is_some_and(|ordinal| !(0..=ORDINAL_MAX).contains(&ordinal)) {
            return Err(WriteError::Invalid(format!("a window's place may be {ORDINAL_MAX} at most")));
        }
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE windows SET ordinal = coalesce(?2, ordinal), geometry = coalesce(?3, geometry),
                    scroll = coalesce(?4, scroll) WHERE window_id = ?1",
            )?
            .execute(params![
                window.as_bytes(),
                patch.ordinal,
                patch.geometry.as_ref().map(|json| json.get()),
                patch.scroll.as_ref().map(|json| json.get())
            ])?;
        self.changed_window(window, changed)
    }

    fn changed_window(&mut self, window: WindowId, changed: usize) -> Result<()> {
        if changed == 0 {
            return Err(WriteError::not_found("window", window));
        }
        self.touch_window(window);
        Ok(())
    }

    /// Closes a window: the only thing that does. Its session, draft and place stay for Reopen.
    pub fn close_window(&mut self, window: WindowId) -> Result<()> {
        let changed = self
            .conn
            .prepare_cached("UPDATE windows SET open = 0, closed_at_ms = ?2 WHERE window_id = ?1")?
            .execute(params![window.as_bytes(), self.now_ms])?;
        self.changed_window(window, changed)
    }

    /// Opens a closed window again, on the session that it showed.
    pub fn reopen_window(&mut self, window: WindowId) -> Result<()> {
        let changed = self
            .conn
            .prepare_cached("UPDATE windows SET open = 1, closed_at_ms = NULL WHERE window_id = ?1")?
            .execute([window.as_bytes()])?;
        self.changed_window(window, changed)?;
        self.focus_window(window)
    }

    /// The window was focused: at the next start it comes first.
    pub fn focus_window(&mut self, window: WindowId) -> Result<()> {
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE windows SET focused = (SELECT max(focused) + 1 FROM windows)
                 WHERE window_id = ?1 AND focused < (SELECT max(focused) FROM windows)",
            )?
            .execute([window.as_bytes()])?;
        if changed == 0 {
            self.window_session(window)?;
            return Ok(());
        }
        self.changed_window(window, changed)
    }

    /// Shows a session in a window. A session that does not exist leaves the window where it was.
    pub fn show(&mut self, window: WindowId, session: SessionId) -> Result<()> {
        self.state(session)?;
        if self.window_session(window)? == session {
            return Ok(());
        }
        let changed = self
            .conn
            .prepare_cached("UPDATE windows SET session_id = ?2, scroll = NULL WHERE window_id = ?1")?
            .execute(params![window.as_bytes(), session.as_bytes()])?;
        self.changed_window(window, changed)
    }

    /// New Chat: reuses the window's own empty session, and nobody else's; makes one when there is none.
    pub fn new_chat(&mut self, window: WindowId, agent: &str, cwd: &str) -> Result<SessionId> {
        let shown = self.window_session(window)?;
        // The listing must know about everything that this write did before.
        self.reader()?;
        let own: Vec<SessionId> = self
            .conn
            .prepare_cached(
                "SELECT session_id FROM listing WHERE owner_window = ?1 AND bucket = 'empty' ORDER BY session_id",
            )?
            .query_map([window.as_bytes()], |row| session_at(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        let session = match own.iter().find(|own| **own == shown).or(own.first()) {
            Some(own) => {
                self.configure(*own, Some(agent), Some(cwd))?;
                *own
            }
            None => {
                let new = NewSession { window: Some(window), agent: agent.to_owned(), cwd: cwd.to_owned() };
                self.create_session(new)?
            }
        };
        self.show(window, session)?;
        Ok(session)
    }

    /// Moves the session that a window shows to another open window, or to a new one, which then has the focus. What was typed
    /// for it in the first window and where it was read there go along, unless the other window has a draft of its own for
    /// it: then each keeps its text. The first window shows its own new chat. Gives the window that shows the session now.
    pub fn move_session(
        &mut self,
        session: SessionId,
        from: WindowId,
        to: Option<WindowId>,
        new: &NewSession,
    ) -> Result<WindowId> {
        self.state(session)?;
        if self.window_session(from)? != session {
            return Err(WriteError::WindowState { window: from, why: "does not show that session any more" });
        }
        let to = match to {
            Some(to) if to == from => {
                return Err(WriteError::WindowState { window: from, why: "shows that session already" });
            }
            Some(to) if !self.is_open(to)? => return Err(WriteError::WindowState { window: to, why: "is closed" }),
            Some(to) => {
                self.show(to, session)?;
                to
            }
            None => {
                let to = self.new_window_id();
                self.insert_window(to, session)?;
                to
            }
        };
        self.conn
            .prepare_cached(
                "UPDATE windows SET scroll = (SELECT scroll FROM windows WHERE window_id = ?2) WHERE window_id = ?1",
            )?
            .execute(params![to.as_bytes(), from.as_bytes()])?;
        self.carry_draft(session, from, to)?;
        // An untouched chat goes with its window: the first one's New Chat must not take it up again.
        self.conn
            .prepare_cached("UPDATE listing SET owner_window = ?3 WHERE session_id = ?1 AND owner_window = ?2")?
            .execute(params![session.as_bytes(), from.as_bytes(), to.as_bytes()])?;
        self.touch_session(session);
        self.new_chat(from, &new.agent, &new.cwd)?;
        self.focus_window(to)?;
        Ok(to)
    }

    fn is_open(&self, window: WindowId) -> Result<bool> {
        self.conn
            .prepare_cached("SELECT open FROM windows WHERE window_id = ?1")?
            .query_row([window.as_bytes()], |row| row.get(0))
            .optional()?
            .ok_or_else(|| WriteError::not_found("window", window))
    }

    /// The session that a window shows.
    pub fn window_session(&self, window: WindowId) -> Result<SessionId> {
        self.conn
            .prepare_cached("SELECT session_id FROM windows WHERE window_id = ?1")?
            .query_row([window.as_bytes()], |row| session_at(row, 0))
            .optional()?
            .ok_or_else(|| WriteError::not_found("window", window))
    }
}
