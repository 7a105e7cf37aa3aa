//! Putting back what stood beside the entries: windows, drafts, queued prompts and open items of a snapshot. Each only
//! where nothing is; what was sent, closed or said since is never taken back.

use gander_model::{Body, By, Data, Head, ItemId, Kind, SessionId, TurnId, WindowId};
use rusqlite::params;
use serde_json::json;
use serde_json::value::RawValue;

use crate::entries;
use crate::error::WriteError;
use crate::queue::{self, QUEUE_MAX};
use crate::sessions;
use crate::turns::fingerprint;
use crate::tx::{Result, Tx};
use crate::view::{Draft, TurnPhase};

/// An open item of a snapshot.
#[derive(Clone, Debug)]
pub struct CutItem {
    /// Its id.
    pub item: ItemId,
    /// Its turn.
    pub turn: Option<TurnId>,
    /// First arrival within the turn.
    pub ord: u32,
    /// What it is.
    pub kind: Kind,
    /// When it was first recorded.
    pub at_ms: i64,
    /// What had arrived.
    pub data: Box<RawValue>,
}

impl Tx<'_> {
    /// Puts a window back that is not here, as it was, showing a session that is here. `false`: left alone.
    pub fn restore_window(
        &mut self,
        window: WindowId,
        ordinal: i64,
        session: SessionId,
        open: bool,
        geometry: Option<&RawValue>,
        scroll: Option<&RawValue>,
    ) -> Result<bool> {
        if self.reader()?.find_window(window)?.is_some() || entries::head(self.conn, session)?.is_none() {
            return Ok(false);
        }
        self.conn
            .prepare_cached(
                "INSERT INTO windows (window_id, ordinal, session_id, open, geometry, scroll, focused, closed_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)",
            )?
            .execute(params![
                window.as_bytes(),
                ordinal,
                session.as_bytes(),
                open,
                geometry.map(RawValue::get),
                scroll.map(RawValue::get),
                (!open).then_some(self.now_ms)
            ])?;
        self.touch_window(window);
        Ok(true)
    }

    /// Puts a draft back where there is none. `false`: there is one, or its window or session is not here.
    pub fn restore_draft(
        &mut self,
        window: WindowId,
        session: SessionId,
        rev: u64,
        text: &str,
        attachments: &RawValue,
    ) -> Result<bool> {
        if self.reader()?.find_window(window)?.is_none() || entries::head(self.conn, session)?.is_none() {
            return Ok(false);
        }
        // A floor at or above it says that it was sent or cleared since.
        let there = self.reader()?.draft(window, session)?;
        if there.as_ref().is_some_and(|draft| !draft.is_empty() || draft.rev >= rev) {
            return Ok(false);
        }
        self.save_draft(Draft { window, session, rev, text: text.to_owned(), attachments: attachments.to_owned() })?;
        Ok(true)
    }

    /// Queues a prompt again that waited, after those that wait here. The queue is held: nothing is sent by itself.
    /// `false`: its turn is known here, or its session cannot take it.
    pub fn restore_queued(
        &mut self,
        session: SessionId,
        turn: TurnId,
        window: Option<WindowId>,
        content: &RawValue,
    ) -> Result<bool> {
        let refused = entries::head(self.conn, session)?.is_none()
            || self.check_writable(session).is_err()
            || self.reader()?.turn_record(session, turn)?.is_some()
            || queue::count(self.conn, session)? >= QUEUE_MAX;
        if refused {
            return Ok(false);
        }
        self.remember(session, turn, TurnPhase::Queued, window, fingerprint(content))?;
        self.conn
            .prepare_cached(
                "INSERT INTO queue (session_id, turn_id, place, content)
                 VALUES (?1, ?2, (SELECT coalesce(max(place), 0) + 1 FROM queue WHERE session_id = ?1), ?3)",
            )?
            .execute(params![session.as_bytes(), turn.as_bytes(), content.get()])?;
        self.touch_queue(session);
        self.reader()?;
        self.hold_queue(session)?;
        Ok(true)
    }

    /// Records what was still arriving when a snapshot was made as entries marked `interrupted`, and the end of their
    /// turns. Only where the session ends where it ended in the snapshot: else what followed is here. Gives how many.
    pub fn restore_open_items(&mut self, session: SessionId, at: Head, items: &[CutItem]) -> Result<u64> {
        let ends_there = entries::head(self.conn, session)? == Some(at);
        if items.is_empty()
            || !ends_there
            || self.check_writable(session).is_err()
            || self.active_turn(session)?.is_some()
        {
            return Ok(0);
        }
        let mut turns: Vec<TurnId> = Vec::new();
        for item in items {
            let data = if item.kind == Kind::PERMISSION { lapsed(&item.data)? } else { item.data.clone() };
            let mut body = Body::new(By::Agent, Data::Inline(data));
            (body.turn, body.item, body.ord) = (item.turn, Some(item.item), Some(item.ord));
            (body.interrupted, body.origin_at_ms) = (true, Some(item.at_ms));
            self.append(session, item.kind.clone(), body)?;
            turns.extend(item.turn.filter(|turn| !turns.contains(turn)));
        }
        for turn in turns {
            let data = json!({"state": "interrupted", "reason": "it was running when the snapshot was made"});
            let mut body = sessions::body(By::Gander, &data)?;
            body.turn = Some(turn);
            self.append(session, Kind::TURN_ENDED, body)?;
        }
        Ok(items.len() as u64)
    }
}

/// A question that nobody answered any more.
fn lapsed(data: &RawValue) -> Result<Box<RawValue>> {
    let invalid = |error: serde_json::Error| WriteError::Invalid(error.to_string());
    let mut asked: serde_json::Map<String, serde_json::Value> = serde_json::from_str(data.get()).map_err(invalid)?;
    asked.insert("outcome".to_owned(), json!("lapsed"));
    serde_json::value::to_raw_value(&asked).map_err(invalid)
}
