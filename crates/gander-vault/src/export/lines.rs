//! JSON Lines: a first line, one line a session, entry and large content, and a last line that says how many there
//! were. What is read back is in `import`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gander_model::chain::Damage;
use gander_model::entry::StoredBody;
use gander_model::{Entry, EntryHeader, Hash, Head, Kind, Salt, Seq, SessionId};
use serde::{Deserialize, Serialize};

use super::{Export, Heading, rfc3339};
use crate::Origin;

pub(super) const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(super) struct First {
    pub gander: String,
    pub v: u32,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SessionLine {
    pub id: SessionId,
    pub head: Head,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<Origin>,
}

/// An entry as the HTTP interface gives it out, and `at_ms`, which the hash covers.
#[derive(Serialize, Deserialize)]
pub(super) struct EntryLine {
    pub session_id: SessionId,
    pub seq: Seq,
    pub at: String,
    pub at_ms: i64,
    pub kind: Kind,
    pub body: Option<String>,
    pub salt: Option<Salt>,
    pub body_hash: Hash,
    pub hash: Hash,
    pub erased: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct LargeLine {
    pub hash: Hash,
    pub bytes: u64,
    pub base64: String,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Debug, Clone, Copy)]
pub(super) struct End {
    pub sessions: u64,
    pub entries: u64,
    pub large: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Session(SessionLine),
    Entry(EntryLine),
    Large(LargeLine),
    End(End),
}

/// Why a file is not imported. Nothing of it is taken then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The first line is not that of an export.
    #[error("this is no export of sessions in JSON Lines")]
    NotAnExport,
    /// Written by a later version.
    #[error("this export has format {0}; this version reads up to {VERSION}")]
    Newer(u32),
    /// A line is not understood.
    #[error("line {line} is not understood: {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// Why.
        why: String,
    },
    /// Hashes do not fit.
    #[error("line {line}: session {session} was altered or is incomplete: {damage}")]
    Damaged {
        /// Counted from 1.
        line: usize,
        /// The session.
        session: SessionId,
        /// What does not fit.
        damage: Damage,
    },
    /// The file failed.
    #[error("the file cannot be read")]
    Read(#[from] std::io::Error),
    /// The last line is missing or counts something else.
    #[error("the file is cut off: its last line is missing or counts more than there is")]
    CutOff,
}

/// The export as JSON Lines.
pub fn lines(export: &Export) -> Vec<u8> {
    let mut text = Vec::new();
    let Heading { name, agent, cwd } = export.heading.clone();
    put(&mut text, &First { gander: "sessions".into(), v: VERSION, name, agent, cwd });
    let mut end = End { sessions: 0, entries: 0, large: 0 };
    for session in &export.sessions {
        end.sessions += 1;
        put(&mut text, &Line::Session(SessionLine { id: session.id, head: session.head(), forked_from: session.pin }));
        for entry in &session.entries {
            end.entries += 1;
            put(&mut text, &Line::Entry(entry_line(entry)));
        }
    }
    for (hash, bytes) in &export.large {
        end.large += 1;
        let large = LargeLine { hash: *hash, bytes: bytes.len() as u64, base64: BASE64_STANDARD.encode(bytes) };
        put(&mut text, &Line::Large(large));
    }
    put(&mut text, &Line::End(end));
    text
}

fn put<T: Serialize>(text: &mut Vec<u8>, line: &T) {
    // Writing our own shapes into memory has no way to fail.
    let _ = serde_json::to_writer(&mut *text, line);
    text.push(b'\n');
}

fn entry_line(entry: &Entry) -> EntryLine {
    let header = &entry.header;
    // A body is UTF-8 JSON; one that is not is damage, and is exported as gone.
    let body = entry.body.as_ref().and_then(|body| Some((body.salt, String::from_utf8(body.bytes.clone()).ok()?)));
    EntryLine {
        session_id: header.session_id,
        seq: header.seq,
        at: rfc3339(header.at_ms),
        at_ms: header.at_ms,
        kind: header.kind.clone(),
        salt: body.as_ref().map(|(salt, _)| *salt),
        erased: body.is_none(),
        body: body.map(|(_, text)| text),
        body_hash: header.body_hash,
        hash: header.hash,
    }
}

/// The entry of a line.
pub(super) fn entry_of(line: EntryLine) -> Result<Entry, String> {
    let body = match (line.salt, line.body) {
        (Some(salt), Some(text)) => Some(StoredBody { salt, bytes: text.into_bytes() }),
        (None, None) if line.erased => None,
        _ => return Err("a body without its salt, or gone without being marked as erased".into()),
    };
    let EntryLine { session_id, seq, at_ms, kind, body_hash, hash, .. } = line;
    Ok(Entry { header: EntryHeader { session_id, seq, at_ms, kind, body_hash, hash }, body })
}
