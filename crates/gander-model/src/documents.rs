//! The digest of what is beside the entries: windows, drafts, queued prompts and open items. A seal records it, and
//! whoever starts after a handover computes it again, perhaps as another version over another format. So its fields
//! are fixed here and never follow a table: a new field is a new digest beside this one.

use crate::hash::Framed;
use crate::{Hash, ItemId, Kind, SessionId, TurnId, WindowId};

/// One document. JSON is given as it is stored, byte for byte; what is absent is empty.
#[derive(Clone, Debug)]
pub enum Document<'a> {
    /// A window, open or closed.
    Window {
        /// Its id.
        id: WindowId,
        /// Its place among the windows.
        ordinal: i64,
        /// The session that it shows.
        session: SessionId,
        /// Whether it is open.
        open: bool,
        /// When it was focused, as a number that grows.
        focused: i64,
        /// Where it stands on the screen.
        geometry: &'a str,
        /// Where its reader was.
        scroll: &'a str,
    },
    /// A draft that is not empty.
    Draft {
        /// Its window.
        window: WindowId,
        /// Its session.
        session: SessionId,
        /// Its revision.
        rev: u64,
        /// The text.
        text: &'a str,
        /// The attachments.
        attachments: &'a str,
    },
    /// A prompt that waits.
    Queued {
        /// Its session.
        session: SessionId,
        /// Its turn.
        turn: TurnId,
        /// The content.
        content: &'a str,
    },
    /// What is being streamed.
    OpenItem {
        /// Its session.
        session: SessionId,
        /// The item.
        item: ItemId,
        /// Its turn.
        turn: Option<TurnId>,
        /// Its place within the turn.
        ord: u32,
        /// What it becomes.
        kind: &'a Kind,
        /// What has arrived.
        data: &'a str,
    },
}

/// Takes documents in: all windows by id, then drafts by window and session, then queued prompts by session in their
/// order, then open items by session in the order of their first arrival.
///
/// `BLAKE3 derive_key("gander documents v1")` of each document's word (`window`, `draft`, `queue`, `open_item`) and
/// then its fields in the order above: ids 16 bytes, numbers 8 bytes BE, flags 1 byte, texts UTF-8, each with a u64 BE
/// length prefix.
pub struct DocumentsDigest(Framed);

impl Default for DocumentsDigest {
    fn default() -> Self {
        Self(Framed::new("gander documents v1"))
    }
}

impl DocumentsDigest {
    /// Takes the next one.
    pub fn add(&mut self, document: &Document<'_>) {
        match document {
            Document::Window { id, ordinal, session, open, focused, geometry, scroll } => self
                .field(b"window")
                .field(id.as_bytes())
                .field(&ordinal.to_be_bytes())
                .field(session.as_bytes())
                .field(&[u8::from(*open)])
                .field(&focused.to_be_bytes())
                .field(geometry.as_bytes())
                .field(scroll.as_bytes()),
            Document::Draft { window, session, rev, text, attachments } => self
                .field(b"draft")
                .field(window.as_bytes())
                .field(session.as_bytes())
                .field(&rev.to_be_bytes())
                .field(text.as_bytes())
                .field(attachments.as_bytes()),
            Document::Queued { session, turn, content } => {
                self.field(b"queue").field(session.as_bytes()).field(turn.as_bytes()).field(content.as_bytes())
            }
            Document::OpenItem { session, item, turn, ord, kind, data } => self
                .field(b"open_item")
                .field(session.as_bytes())
                .field(item.as_bytes())
                .field(turn.as_ref().map_or(&[][..], |turn| turn.as_bytes()))
                .field(&u64::from(*ord).to_be_bytes())
                .field(kind.as_str().as_bytes())
                .field(data.as_bytes()),
        };
    }

    fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.long_field(bytes);
        self
    }

    /// The digest of all so far.
    pub fn finish(&self) -> Hash {
        self.0.finish()
    }
}
