//! Exports that can be read without Gander: JSON, JSON Lines (which can be imported again, chain and all), Markdown
//! and one self-contained page. Pure: entries in, text out.

mod block;
mod html;
mod import;
mod json;
mod lines;
mod markdown;

use std::collections::BTreeMap;

use gander_model::{Entry, Hash, Head, SessionId};

use crate::Origin;
use crate::segment::BEGINNING;

pub use html::html;
pub use import::{Import, import};
pub use json::json;
pub use lines::{ImportError, lines};
pub use markdown::markdown;

/// One session's own entries, as far as they are exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedSession {
    /// The session.
    pub id: SessionId,
    /// The entry that it is forked from.
    pub pin: Option<Origin>,
    /// Its entries from its first one on.
    pub entries: Vec<Entry>,
}

impl ExportedSession {
    /// The last exported entry.
    pub fn head(&self) -> Head {
        let beginning = self.pin.map_or(BEGINNING, |pin| pin.head);
        self.entries.last().map_or(beginning, |entry| entry.header.head())
    }
}

/// What a reader sees at the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    /// The session's name.
    pub name: String,
    /// Its agent.
    pub agent: Option<String>,
    /// Its folder.
    pub cwd: Option<String>,
}

/// What is no entry yet: a draft, a queued prompt, an answer still being streamed. Exports for reading show it; JSON
/// Lines leave it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// What it is, in words.
    pub what: String,
    /// Its text.
    pub text: String,
    /// All of it, as JSON.
    pub json: String,
}

/// A session to be exported, with what it is forked from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// What it is called.
    pub heading: Heading,
    /// Ancestors first (up to the entry that is inherited), the session itself last.
    pub sessions: Vec<ExportedSession>,
    /// Large contents that the entries name.
    pub large: BTreeMap<Hash, Vec<u8>>,
    /// What is no entry yet.
    pub unsent: Vec<Unsent>,
}

impl Export {
    /// The conversation as its reader sees it: what is inherited, then the session's own entries.
    fn conversation(&self) -> impl Iterator<Item = &Entry> {
        let last = self.sessions.len().saturating_sub(1);
        self.sessions.iter().enumerate().flat_map(move |(at, session)| {
            session.entries.iter().filter(move |entry| at == last || entry.header.kind.is_conversation())
        })
    }
}

/// Milliseconds since 1970 as RFC 3339, UTC, with milliseconds.
fn rfc3339(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| format!("{at_ms}ms"), |at| format!("{at:.3}"))
}
