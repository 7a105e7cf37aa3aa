//! Reading JSON Lines back, from a file of any size: one pass that recomputes every hash and remembers where things
//! are, then sessions as they are asked for. Nothing of the file is trusted, and one entry at a time is in memory.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gander_model::chain::{Walk, check_body};
use gander_model::hash::content_hash;
use gander_model::{Body, Entry, Hash, Head, Kind, Seq, SessionId};
use serde::Deserialize;

use super::Heading;
use super::lines::{End, EntryLine, First, ImportError, LargeLine, Line, SessionLine, VERSION, entry_of};
use crate::VaultError;
use crate::page::{LargeRecord, SessionRecord};
use crate::restore::Held;
use crate::segment::BEGINNING;
use crate::source::large_refs;

/// The longest line that is read: a large content of 128 MiB.
const LINE_MAX_BYTES: u64 = 192 * 1024 * 1024;
const NAME: &str = "the imported file";

/// A file that was read back once and is whole.
pub struct Import<R> {
    /// What it is called.
    pub heading: Heading,
    file: Mutex<BufReader<R>>,
    sessions: Vec<Indexed>,
    /// Where the lines of large contents begin.
    large: HashMap<Hash, u64>,
}

impl<R> std::fmt::Debug for Import<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("heading", &self.heading).field("sessions", &self.sessions.len()).finish()
    }
}

struct Indexed {
    record: SessionRecord,
    /// Where its first entry's line begins.
    begins: u64,
    entries: u64,
    /// Its first entry says what it is forked from.
    said: Option<Forked>,
}

#[derive(Deserialize, PartialEq, Eq)]
struct Forked {
    session_id: SessionId,
    seq: Seq,
    hash: Hash,
}

/// Lines of a file, and where each begins.
struct Lines<'a, R> {
    file: &'a mut BufReader<R>,
    text: Vec<u8>,
    begins: u64,
    next: u64,
    number: usize,
}

impl<R: Read> Lines<'_, R> {
    /// The next line that is not empty.
    fn step(&mut self) -> Result<bool, ImportError> {
        loop {
            self.text.clear();
            self.begins = self.next;
            let read = self.file.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut self.text)?;
            if read == 0 {
                return Ok(false);
            }
            self.next += read as u64;
            self.number += 1;
            if self.text.last() == Some(&b'\n') {
                self.text.pop();
            } else if read as u64 == LINE_MAX_BYTES {
                return Err(ImportError::Line { line: self.number, why: "it is too long".into() });
            }
            if !self.text.is_empty() {
                return Ok(true);
            }
        }
    }
}

/// Reads an export back. Every chain is walked, every body and large content recomputed.
pub fn import<R: Read + Seek>(source: R) -> Result<Import<R>, ImportError> {
    let mut file = BufReader::with_capacity(256 * 1024, source);
    let mut lines = Lines { file: &mut file, text: Vec::new(), begins: 0, next: 0, number: 0 };
    if !lines.step()? {
        return Err(ImportError::NotAnExport);
    }
    let first: First = serde_json::from_slice(&lines.text).map_err(|_| ImportError::NotAnExport)?;
    if first.gander != "sessions" {
        return Err(ImportError::NotAnExport);
    }
    if first.v != VERSION {
        return Err(ImportError::Newer(first.v));
    }
    let heading = Heading { name: first.name, agent: first.agent, cwd: first.cwd };
    let mut reading = Reading::default();
    while lines.step()? {
        reading.line(&lines.text, lines.number, lines.begins)?;
    }
    let entries = reading.sessions.iter().map(|session| session.entries).sum();
    let (sessions, large) = (reading.sessions.len() as u64, reading.large.len() as u64);
    if reading.end != Some(End { sessions, entries, large }) {
        return Err(ImportError::CutOff);
    }
    for session in &mut reading.sessions {
        session.record.large.retain(|large| reading.large.contains_key(&large.hash));
    }
    Ok(Import { heading, file: Mutex::new(file), sessions: reading.sessions, large: reading.large })
}

#[derive(Default)]
struct Reading {
    sessions: Vec<Indexed>,
    large: HashMap<Hash, u64>,
    open: Option<Walk>,
    end: Option<End>,
}

impl Reading {
    fn line(&mut self, text: &[u8], line: usize, begins: u64) -> Result<(), ImportError> {
        let odd = |why: String| ImportError::Line { line, why };
        let parsed: Line = serde_json::from_slice(text).map_err(|e| odd(e.to_string()))?;
        if self.end.is_some() {
            return Err(odd("it comes after the last line".into()));
        }
        if !matches!(parsed, Line::Entry(_)) {
            self.close(line)?;
        }
        match parsed {
            Line::Session(session) => {
                if self.sessions.iter().any(|known| known.record.id == session.id) {
                    return Err(odd(format!("session {} comes twice", session.id)));
                }
                self.open = Some(Walk::after(session.forked_from.map_or(BEGINNING, |pin| pin.head)));
                self.sessions.push(Indexed::new(&session, begins + text.len() as u64 + 1));
            }
            Line::Entry(entry) => self.entry(entry, line)?,
            Line::Large(large) => {
                content(&large).map_err(odd)?;
                self.large.insert(large.hash, begins);
            }
            Line::End(said) => self.end = Some(said),
        }
        Ok(())
    }

    fn entry(&mut self, entry: EntryLine, line: usize) -> Result<(), ImportError> {
        let odd = |why: String| ImportError::Line { line, why };
        let (Some(session), Some(walk)) = (self.sessions.last_mut(), self.open.as_mut()) else {
            return Err(odd("an entry stands outside its session".into()));
        };
        if entry.session_id != session.record.id {
            return Err(odd(format!("an entry of session {} stands in another", entry.session_id)));
        }
        let entry = entry_of(entry).map_err(odd)?;
        let damaged = |damage| ImportError::Damaged { line, session: session.record.id, damage };
        walk.step(&entry.header).map_err(damaged)?;
        check_body(&entry, true).map_err(damaged)?;
        if session.entries == 0 && entry.header.kind == Kind::FORKED {
            session.said = entry.body.as_ref().and_then(|body| Body::parse(&body.bytes).ok()?.data_as());
        }
        session.entries += 1;
        for large in entry.body.iter().flat_map(|body| large_refs(&entry.header.kind, &body.bytes)) {
            if !session.record.large.iter().any(|known| known.hash == large.hash) {
                session.record.large.push(LargeRecord { hash: large.hash, bytes: large.bytes, parts: Vec::new() });
            }
        }
        Ok(())
    }

    fn close(&mut self, line: usize) -> Result<(), ImportError> {
        let (Some(walk), Some(session)) = (self.open.take(), self.sessions.last()) else { return Ok(()) };
        let record = &session.record;
        walk.finish(record.head).map_err(|damage| ImportError::Damaged { line, session: record.id, damage })?;
        // The chain covers what is pinned; whose it is, only the first own entry says.
        let pinned = record.pin.map(|pin| Forked { session_id: pin.session, seq: pin.head.seq, hash: pin.head.hash });
        if session.said != pinned {
            let why = format!("session {} is forked from elsewhere than its first entry says", record.id);
            return Err(ImportError::Line { line, why });
        }
        Ok(())
    }
}

impl Indexed {
    fn new(session: &SessionLine, begins: u64) -> Self {
        let SessionLine { id, head, forked_from } = *session;
        let record = SessionRecord {
            id,
            head,
            held: head,
            pin: forked_from,
            status: "active".to_owned(),
            damage: None,
            runs: Vec::new(),
            large: Vec::new(),
        };
        Self { record, begins, entries: 0, said: None }
    }
}

fn content(large: &LargeLine) -> Result<Vec<u8>, String> {
    let bytes = BASE64_STANDARD.decode(&large.base64).map_err(|e| e.to_string())?;
    if content_hash(&bytes) != large.hash || bytes.len() as u64 != large.bytes {
        return Err(format!("the large content {} was altered", large.hash));
    }
    Ok(bytes)
}

impl<R: Read + Seek> Import<R> {
    fn find(&self, id: SessionId) -> Result<&Indexed, VaultError> {
        self.sessions.iter().find(|session| session.record.id == id).ok_or(VaultError::NoSession(id))
    }

    /// Lines from a place on, as long as `take` answers `true`.
    fn lines_from(
        &self,
        begins: u64,
        mut take: impl FnMut(Line) -> Result<bool, VaultError>,
    ) -> Result<(), VaultError> {
        let changed =
            |why: &dyn std::fmt::Display| VaultError::damaged(NAME, format!("it changed while it was read: {why}"));
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(begins)).map_err(|e| changed(&e))?;
        let mut lines = Lines { file: &mut file, text: Vec::new(), begins, next: begins, number: 0 };
        while lines.step().map_err(|e| changed(&e))? {
            let line: Line = serde_json::from_slice(&lines.text).map_err(|e| changed(&e))?;
            if !take(line)? {
                break;
            }
        }
        Ok(())
    }
}

impl<R: Read + Seek> Held for Import<R> {
    fn all(&self) -> Result<(Vec<SessionRecord>, u64), VaultError> {
        Ok((self.sessions.iter().map(|session| session.record.clone()).collect(), 0))
    }

    fn one(&self, id: SessionId) -> Result<SessionRecord, VaultError> {
        Ok(self.find(id)?.record.clone())
    }

    fn hash_at(&self, record: &SessionRecord, seq: Seq) -> Result<Option<Hash>, VaultError> {
        if seq == record.beginning().seq {
            return Ok(Some(record.beginning().hash));
        }
        if seq == record.head.seq {
            return Ok(Some(record.head.hash));
        }
        let mut found = None;
        self.entries(record, Seq(seq.0.saturating_sub(1)), &mut |entry| {
            found = (entry.header.seq == seq).then_some(entry.header.hash);
            Ok(false)
        })?;
        Ok(found)
    }

    fn entries(
        &self,
        record: &SessionRecord,
        after: Seq,
        take: &mut dyn FnMut(Entry) -> Result<bool, VaultError>,
    ) -> Result<(), VaultError> {
        let session = self.find(record.id)?;
        let mut left = session.entries;
        let mut at: Head = record.beginning();
        if left == 0 {
            return Ok(());
        }
        self.lines_from(session.begins, |line| {
            let Line::Entry(line) = line else { return Err(VaultError::damaged(NAME, "it changed while it was read")) };
            left -= 1;
            let odd = |why| VaultError::damaged(NAME, why);
            let entry = entry_of(line).map_err(odd)?;
            // Read for the second time: what is taken is what was verified.
            if !entry.header.follows(&at.hash) {
                return Err(VaultError::damaged(NAME, "it changed while it was read"));
            }
            at = entry.header.head();
            let more = entry.header.seq <= after || take(entry)?;
            Ok(more && left > 0)
        })
    }

    fn large(&self, record: &LargeRecord, take: &mut dyn FnMut(&[u8])) -> Result<bool, VaultError> {
        let Some(begins) = self.large.get(&record.hash) else { return Ok(false) };
        self.lines_from(*begins, |line| {
            let Line::Large(large) = line else {
                return Err(VaultError::damaged(NAME, "it changed while it was read"));
            };
            take(&content(&large).map_err(|why| VaultError::damaged(NAME, why))?);
            Ok(false)
        })?;
        Ok(true)
    }
}
