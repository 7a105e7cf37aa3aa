//! The digest of windows, drafts, queue and open items (`gander_model::documents`), from the rows as they are stored.

use gander_model::{Document, DocumentsDigest, Hash, TurnId, WindowId};
use rusqlite::Row;

use crate::connect::{session_at, u64_at};
use crate::error::ReadError;
use crate::read::Reader;

impl Reader<'_> {
    /// One hash over all windows, drafts, queued prompts and open items; a seal records it beside the store root.
    pub fn documents_digest(&self) -> Result<Hash, ReadError> {
        let mut digest = DocumentsDigest::default();
        self.each(
            "SELECT window_id, ordinal, session_id, open, focused, coalesce(geometry, ''), coalesce(scroll, '')
             FROM windows ORDER BY window_id",
            |row| {
                digest.add(&Document::Window {
                    id: WindowId::from_bytes(row.get(0)?),
                    ordinal: row.get(1)?,
                    session: session_at(row, 2)?,
                    open: row.get(3)?,
                    focused: row.get(4)?,
                    geometry: &row.get::<_, String>(5)?,
                    scroll: &row.get::<_, String>(6)?,
                });
                Ok(())
            },
        )?;
        self.each(
            "SELECT window_id, session_id, rev, text, attachments FROM drafts WHERE full = 1
             ORDER BY window_id, session_id",
            |row| {
                digest.add(&Document::Draft {
                    window: WindowId::from_bytes(row.get(0)?),
                    session: session_at(row, 1)?,
                    rev: u64_at(row, 2)?,
                    text: &row.get::<_, String>(3)?,
                    attachments: &row.get::<_, String>(4)?,
                });
                Ok(())
            },
        )?;
        self.each("SELECT session_id, turn_id, content FROM queue ORDER BY session_id, place", |row| {
            digest.add(&Document::Queued {
                session: session_at(row, 0)?,
                turn: TurnId::from_bytes(row.get(1)?),
                content: &row.get::<_, String>(2)?,
            });
            Ok(())
        })?;
        let mut busy = Vec::new();
        self.each("SELECT DISTINCT session_id FROM open_items ORDER BY session_id", |row| {
            busy.push(session_at(row, 0)?);
            Ok(())
        })?;
        for session in busy {
            for item in self.open_items(session)? {
                digest.add(&Document::OpenItem {
                    session,
                    item: item.item,
                    turn: item.turn,
                    ord: item.ord,
                    kind: &item.kind,
                    data: item.data.get(),
                });
            }
        }
        Ok(digest.finish())
    }

    fn each(&self, sql: &str, mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>) -> Result<(), ReadError> {
        let mut query = self.conn.prepare_cached(sql)?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            take(row)?;
        }
        Ok(())
    }
}
