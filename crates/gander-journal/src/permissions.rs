//! Permission requests: open items that wait for the user. An answer is committed before the agent gets it.

use gander_model::{Body, By, Head, ItemId, Kind, PermissionId, SessionId, TurnId};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::connect::raw_json;
use crate::error::{ReadError, WriteError};
use crate::items::{self, ItemPart};
use crate::tx::{Result, Tx};
use crate::view::PermissionView;

#[derive(Serialize, Deserialize)]
struct Asked {
    permission_id: PermissionId,
    tool_call: Box<RawValue>,
    options: Box<RawValue>,
}

/// A session's unanswered requests.
pub fn open(conn: &Connection, session: SessionId) -> std::result::Result<Vec<PermissionView>, ReadError> {
    let any =
        conn.prepare_cached("SELECT 1 FROM permissions WHERE session_id = ?1 LIMIT 1")?.exists([session.as_bytes()])?;
    if !any {
        return Ok(Vec::new());
    }
    // Only the requests themselves are put together, not the texts that are being streamed beside them.
    let mut found = Vec::new();
    for row in items::rows(conn, session)?.into_iter().filter(|row| row.kind == Kind::PERMISSION) {
        let open = items::open_item(conn, session, row)?;
        if let Ok(asked) = serde_json::from_str::<Asked>(open.data.get()) {
            found.push(PermissionView { id: asked.permission_id, item: open.item, options: asked.options });
        }
    }
    Ok(found)
}

impl Tx<'_> {
    /// An agent asks. `tool_call` and `options` are kept as it wrote them.
    pub fn permission_asked(
        &mut self,
        session: SessionId,
        turn: TurnId,
        tool_call: &RawValue,
        options: &RawValue,
    ) -> Result<(PermissionId, ItemId)> {
        let ids = (self.new_permission_id(), self.new_item_id());
        self.permission_asked_as(ids, session, turn, (tool_call, options))?;
        Ok(ids)
    }

    /// [`Tx::permission_asked`] under ids that the caller has made: by them it can tell what it has asked already.
    pub fn permission_asked_as(
        &mut self,
        (permission, item): (PermissionId, ItemId),
        session: SessionId,
        turn: TurnId,
        (tool_call, options): (&RawValue, &RawValue),
    ) -> Result<()> {
        let asked = Asked { permission_id: permission, tool_call: tool_call.to_owned(), options: options.to_owned() };
        let asked = serde_json::value::to_raw_value(&asked).map_err(|error| WriteError::Invalid(error.to_string()))?;
        let kind = Kind::PERMISSION;
        self.item_append(&ItemPart { session, turn: Some(turn), item, kind, updates: &[&asked] })?;
        self.conn
            .prepare_cached(
                "INSERT INTO permissions (session_id, permission_id, item, turn_id) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![session.as_bytes(), permission.as_bytes(), item.as_bytes(), turn.as_bytes()])?;
        self.touch_session(session);
        Ok(())
    }

    /// The user chose an option. The caller answers the agent only after this write has committed.
    pub fn permission_answered(
        &mut self,
        session: SessionId,
        permission: PermissionId,
        option_id: &str,
    ) -> Result<Head> {
        self.settle(session, permission, "selected", Some(option_id))
    }

    /// The request was withdrawn: its turn was cancelled (`cancelled`), or nobody can answer it any more (`lapsed`).
    pub fn permission_closed(&mut self, session: SessionId, permission: PermissionId, lapsed: bool) -> Result<Head> {
        self.settle(session, permission, if lapsed { "lapsed" } else { "cancelled" }, None)
    }

    fn settle(
        &mut self,
        session: SessionId,
        permission: PermissionId,
        outcome: &str,
        option_id: Option<&str>,
    ) -> Result<Head> {
        let item: Option<[u8; 16]> = self
            .conn
            .prepare_cached("DELETE FROM permissions WHERE session_id = ?1 AND permission_id = ?2 RETURNING item")?
            .query_row(params![session.as_bytes(), permission.as_bytes()], |row| row.get(0))
            .optional()?;
        let item = item.map(ItemId::from_bytes).ok_or_else(|| WriteError::not_found("permission", permission))?;
        let row = items::row(self.conn, session, item)?.ok_or_else(|| WriteError::not_found("open item", item))?;
        let asked = items::open_item(self.conn, session, row.clone())?.data;
        let asked: Asked = serde_json::from_str(asked.get()).map_err(|error| WriteError::Invalid(error.to_string()))?;
        if let Some(option_id) = option_id
            && !offers(&asked.options, option_id)
        {
            return Err(WriteError::Invalid(format!("the agent did not offer the option {option_id:?}")));
        }
        let mut text = serde_json::to_string(&asked).map_err(|error| WriteError::Invalid(error.to_string()))?;
        text.pop();
        text.push_str(&format!(",\"outcome\":\"{outcome}\""));
        if let Some(option_id) = option_id {
            text.push_str(&format!(",\"option_id\":{}", serde_json::Value::from(option_id)));
        }
        text.push('}');
        let by = if option_id.is_some() { By::User } else { By::Gander };
        let body = Body::new(by, gander_model::Data::Inline(raw_json(text)));
        self.touch_session(session);
        self.replace_item(session, &row, body)
    }

    /// Lapses every unanswered request of a session.
    pub(crate) fn close_all_permissions(&mut self, session: SessionId) -> Result<()> {
        for permission in open(self.conn, session)? {
            self.settle(session, permission.id, "lapsed", None)?;
        }
        Ok(())
    }

    /// Settles every unanswered request of a turn.
    pub(crate) fn close_permissions(&mut self, session: SessionId, turn: TurnId, outcome: &str) -> Result<()> {
        let open: Vec<PermissionId> = self
            .conn
            .prepare_cached("SELECT permission_id FROM permissions WHERE session_id = ?1 AND turn_id = ?2")?
            .query_map(params![session.as_bytes(), turn.as_bytes()], |row| row.get(0).map(PermissionId::from_bytes))?
            .collect::<rusqlite::Result<_>>()?;
        for permission in open {
            self.settle(session, permission, outcome, None)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Offer {
    #[serde(rename = "optionId")]
    option_id: String,
}

fn offers(options: &RawValue, option_id: &str) -> bool {
    let offers: Vec<Offer> = serde_json::from_str(options.get()).unwrap_or_default();
    offers.iter().any(|offer| offer.option_id == option_id)
}
