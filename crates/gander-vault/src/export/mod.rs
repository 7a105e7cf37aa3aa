//! Exports that can be read without Gander: JSON, JSON Lines (which can be imported again, chain and all), Markdown
//! and one self-contained page. Pure: entries in, text out.

mod block;
mod html;
mod json;
mod lines;
mod markdown;

use std::collections::BTreeMap;

use gander_model::{Entry, Hash, Head, Seq, SessionId};

use crate::page::{LargeRecord, SessionRecord};
use crate::restore::Held;
use crate::segment::BEGINNING;
use crate::source::large_refs;
use crate::{Origin, VaultError};

pub use html::html;
pub use json::json;
pub use lines::{ImportError, import, lines};
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

    fn record(&self, session: &ExportedSession) -> SessionRecord {
        let bodies = session.entries.iter().filter_map(|e| Some((&e.header.kind, &e.body.as_ref()?.bytes)));
        let refs = bodies.flat_map(|(kind, bytes)| large_refs(kind, bytes));
        let here = refs.filter(|large| self.large.contains_key(&large.hash));
        let large = here.map(|large| LargeRecord { hash: large.hash, bytes: large.bytes, parts: Vec::new() });
        SessionRecord {
            id: session.id,
            head: session.head(),
            held: session.head(),
            pin: session.pin,
            status: "active".to_owned(),
            damage: None,
            runs: Vec::new(),
            large: large.collect(),
        }
    }

    fn find(&self, id: SessionId) -> Result<&ExportedSession, VaultError> {
        self.sessions.iter().find(|session| session.id == id).ok_or(VaultError::NoSession(id))
    }
}

impl Held for Export {
    fn all(&self) -> Result<(Vec<SessionRecord>, u64), VaultError> {
        Ok((self.sessions.iter().map(|session| self.record(session)).collect(), 0))
    }

    fn one(&self, id: SessionId) -> Result<SessionRecord, VaultError> {
        Ok(self.record(self.find(id)?))
    }

    fn hash_at(&self, record: &SessionRecord, seq: Seq) -> Result<Option<Hash>, VaultError> {
        if seq == record.beginning().seq {
            return Ok(Some(record.beginning().hash));
        }
        let entries = &self.find(record.id)?.entries;
        Ok(entries.iter().find(|entry| entry.header.seq == seq).map(|entry| entry.header.hash))
    }

    fn entries(
        &self,
        record: &SessionRecord,
        after: Seq,
        take: &mut dyn FnMut(Entry) -> Result<bool, VaultError>,
    ) -> Result<(), VaultError> {
        for entry in self.find(record.id)?.entries.iter().filter(|entry| entry.header.seq > after) {
            if !take(entry.clone())? {
                break;
            }
        }
        Ok(())
    }

    fn large(&self, record: &LargeRecord, take: &mut dyn FnMut(&[u8])) -> Result<bool, VaultError> {
        let bytes = self.large.get(&record.hash);
        bytes.inspect(|bytes| take(bytes));
        Ok(bytes.is_some())
    }
}

/// Milliseconds since 1970 as RFC 3339, UTC, with milliseconds.
fn rfc3339(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| format!("{at_ms}ms"), |at| format!("{at:.3}"))
}
