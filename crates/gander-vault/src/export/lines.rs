//! JSON Lines: a first line, one line a session, entry and large content, and a last line that says how many there
//! were. Nothing of it is trusted on the way back in: every hash is recomputed.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gander_model::chain::{Damage, Walk, check_body};
use gander_model::entry::StoredBody;
use gander_model::hash::content_hash;
use gander_model::{Body, Entry, EntryHeader, Hash, Head, Kind, Salt, Seq, SessionId};
use serde::{Deserialize, Serialize};

use super::{Export, ExportedSession, Heading, rfc3339};
use crate::Origin;
use crate::segment::BEGINNING;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct First {
    gander: String,
    v: u32,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cwd: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SessionLine {
    id: SessionId,
    head: Head,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forked_from: Option<Origin>,
}

/// An entry as the HTTP interface gives it out, and `at_ms`, which the hash covers.
#[derive(Serialize, Deserialize)]
struct EntryLine {
    session_id: SessionId,
    seq: Seq,
    at: String,
    at_ms: i64,
    kind: Kind,
    body: Option<String>,
    salt: Option<Salt>,
    body_hash: Hash,
    hash: Hash,
    erased: bool,
}

#[derive(Serialize, Deserialize)]
struct LargeLine {
    hash: Hash,
    bytes: u64,
    base64: String,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Debug, Clone, Copy)]
struct End {
    sessions: u64,
    entries: u64,
    large: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
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

/// Reads an export back. Every chain is walked, every body and large content recomputed.
pub fn import(text: &[u8]) -> Result<Export, ImportError> {
    let mut numbered = text.split(|byte| *byte == b'\n').enumerate().map(|(at, line)| (at + 1, line));
    let (_, first) = numbered.next().ok_or(ImportError::NotAnExport)?;
    let first: First = serde_json::from_slice(first).map_err(|_| ImportError::NotAnExport)?;
    if first.gander != "sessions" {
        return Err(ImportError::NotAnExport);
    }
    if first.v != VERSION {
        return Err(ImportError::Newer(first.v));
    }
    let heading = Heading { name: first.name, agent: first.agent, cwd: first.cwd };
    let mut export = Export { heading, ..Export::default() };
    let mut open: Option<(Walk, Head)> = None;
    let mut end = None;
    for (line, text) in numbered.filter(|(_, text)| !text.is_empty()) {
        let odd = |why: String| ImportError::Line { line, why };
        let parsed: Line = serde_json::from_slice(text).map_err(|e| odd(e.to_string()))?;
        if end.is_some() {
            return Err(odd("it comes after the last line".into()));
        }
        if !matches!(parsed, Line::Entry(_)) {
            close(&mut export, open.take(), line)?;
        }
        match parsed {
            Line::Session(session) => {
                if export.sessions.iter().any(|known| known.id == session.id) {
                    return Err(odd(format!("session {} comes twice", session.id)));
                }
                let beginning = session.forked_from.map_or(BEGINNING, |pin| pin.head);
                open = Some((Walk::after(beginning), session.head));
                let pin = session.forked_from;
                export.sessions.push(ExportedSession { id: session.id, pin, entries: Vec::new() });
            }
            Line::Entry(entry) => {
                let (Some(session), Some((walk, _))) = (export.sessions.last_mut(), open.as_mut()) else {
                    return Err(odd("an entry stands outside its session".into()));
                };
                if entry.session_id != session.id {
                    return Err(odd(format!("an entry of session {} stands in another", entry.session_id)));
                }
                let entry = entry_of(entry).map_err(odd)?;
                let damaged = |damage| ImportError::Damaged { line, session: session.id, damage };
                walk.step(&entry.header).map_err(damaged)?;
                check_body(&entry, true).map_err(damaged)?;
                session.entries.push(entry);
            }
            Line::Large(large) => {
                let bytes = BASE64_STANDARD.decode(&large.base64).map_err(|e| odd(e.to_string()))?;
                if content_hash(&bytes) != large.hash || bytes.len() as u64 != large.bytes {
                    return Err(odd(format!("the large content {} was altered", large.hash)));
                }
                export.large.insert(large.hash, bytes);
            }
            Line::End(said) => end = Some(said),
        }
    }
    let entries = export.sessions.iter().map(|session| session.entries.len() as u64).sum();
    let counted = End { sessions: export.sessions.len() as u64, entries, large: export.large.len() as u64 };
    if end != Some(counted) {
        return Err(ImportError::CutOff);
    }
    Ok(export)
}

fn close(export: &mut Export, open: Option<(Walk, Head)>, line: usize) -> Result<(), ImportError> {
    let (Some((walk, head)), Some(session)) = (open, export.sessions.last()) else { return Ok(()) };
    walk.finish(head).map_err(|damage| ImportError::Damaged { line, session: session.id, damage })?;
    // The chain covers what is pinned; whose it is, only the first own entry says.
    let first = session.entries.first().filter(|entry| entry.header.kind == Kind::FORKED);
    let said = first.and_then(|entry| Body::parse(&entry.body.as_ref()?.bytes).ok()?.data_as::<Forked>());
    let pinned = session.pin.map(|pin| Forked { session_id: pin.session, seq: pin.head.seq, hash: pin.head.hash });
    if said != pinned {
        let why = format!("session {} is forked from elsewhere than its first entry says", session.id);
        return Err(ImportError::Line { line, why });
    }
    Ok(())
}

#[derive(Deserialize, PartialEq, Eq)]
struct Forked {
    session_id: SessionId,
    seq: Seq,
    hash: Hash,
}

fn entry_of(line: EntryLine) -> Result<Entry, String> {
    let body = match (line.salt, line.body) {
        (Some(salt), Some(text)) => Some(StoredBody { salt, bytes: text.into_bytes() }),
        (None, None) if line.erased => None,
        _ => return Err("a body without its salt, or gone without being marked as erased".into()),
    };
    let EntryLine { session_id, seq, at_ms, kind, body_hash, hash, .. } = line;
    Ok(Entry { header: EntryHeader { session_id, seq, at_ms, kind, body_hash, hash }, body })
}
