//! A segment: a zstd frame over text lines and bodies that `zstd -dc | less` shows.
//!
//! ```text
//! {"gander":"segment","v":1,"snapshot":ID}                           first line; ID makes the name unique to its writer
//! {"run":{"session":ID,"after":{"seq":N,"hash":HEX}}}                 the entries that follow are this session's, from N+1
//! {"seq":N,"at_ms":MS,"kind":WORD,"salt":HEX,"bytes":LEN}⏎BODY⏎       an entry; BODY has LEN bytes
//! {"seq":N,"at_ms":MS,"kind":WORD,"body_hash":HEX}⏎                   an entry whose body was erased
//! {"large":{"hash":HEX,"offset":N,"bytes":LEN}}⏎BYTES⏎                a part of a large content
//! {"doc":{"kind":WORD,"key":TEXT,"session":ID?,"bytes":LEN}}⏎JSON⏎    a window, draft, queued prompt or open item
//! ```
//! Hashes of entries are not stored: they are recomputed from `after` on, and must end at the head that the page
//! names for the run. So nothing in a run can be altered, moved or dropped without being noticed.

use bytes::Bytes;
use gander_model::{
    DataRef, Entry, EntryHeader, Hash, Head, Kind, Salt, Seq, SessionId, entry::StoredBody, entry::body_hash,
};
use serde::{Deserialize, Serialize};

use crate::{Document, SnapshotId, VaultError};

pub(crate) const SEGMENT_VERSION: u32 = 1;
/// A segment is closed when it holds this much before compression.
pub(crate) const SEGMENT_TARGET_BYTES: usize = 4 * 1024 * 1024;
/// No segment unpacks to more than this.
const UNPACKED_MAX_BYTES: usize = 128 * 1024 * 1024;
/// The level that zstd itself takes for a good middle.
const LEVEL: i32 = 3;

/// Where a session's chain begins: before its first own entry.
pub(crate) const BEGINNING: Head = Head { seq: Seq(0), hash: Hash::ZERO };

#[derive(Serialize, Deserialize, Clone, Copy)]
struct RunLine {
    session: SessionId,
    after: Head,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct LargeLine {
    hash: Hash,
    offset: u64,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct DocLine {
    kind: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    large: Vec<DataRef>,
}

#[derive(Serialize, Deserialize, Default)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gander: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<SnapshotId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    large: Option<LargeLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doc: Option<DocLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<Salt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_hash: Option<Hash>,
}

/// Builds a segment's text.
pub(crate) struct SegmentWriter {
    text: Vec<u8>,
    empty_len: usize,
}

impl SegmentWriter {
    pub fn new(snapshot: SnapshotId) -> Self {
        let mut this = Self { text: Vec::with_capacity(64 * 1024), empty_len: 0 };
        this.line(&Line {
            gander: Some("segment".into()),
            v: Some(SEGMENT_VERSION),
            snapshot: Some(snapshot),
            ..Line::default()
        });
        this.empty_len = this.text.len();
        this
    }

    pub fn is_empty(&self) -> bool {
        self.text.len() == self.empty_len
    }

    pub fn is_full(&self) -> bool {
        self.text.len() >= SEGMENT_TARGET_BYTES
    }

    pub fn run(&mut self, session: SessionId, after: Head) {
        self.line(&Line { run: Some(RunLine { session, after }), ..Line::default() });
    }

    pub fn entry(&mut self, entry: &Entry) {
        let EntryHeader { seq, at_ms, kind, body_hash, .. } = &entry.header;
        let head = Line { seq: Some(seq.0), at_ms: Some(*at_ms), kind: Some(kind.clone()), ..Line::default() };
        match &entry.body {
            Some(body) => {
                self.line(&Line { salt: Some(body.salt), bytes: Some(body.bytes.len() as u64), ..head });
                self.bytes(&body.bytes);
            }
            None => self.line(&Line { body_hash: Some(*body_hash), ..head }),
        }
    }

    pub fn large(&mut self, hash: Hash, offset: u64, bytes: &[u8]) {
        let large = LargeLine { hash, offset, bytes: bytes.len() as u64 };
        self.line(&Line { large: Some(large), ..Line::default() });
        self.bytes(bytes);
    }

    pub fn document(&mut self, document: &Document) {
        let Document { kind, key, session, json, large } = document;
        let bytes = json.len() as u64;
        let doc = DocLine { kind: kind.clone(), key: key.clone(), session: *session, bytes, large: large.clone() };
        self.line(&Line { doc: Some(doc), ..Line::default() });
        self.bytes(json.as_bytes());
    }

    pub fn into_text(self) -> Vec<u8> {
        self.text
    }

    fn line(&mut self, line: &Line) {
        // Writing our own scalars into memory has no way to fail.
        let _ = serde_json::to_writer(&mut self.text, line);
        self.text.push(b'\n');
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        self.text.push(b'\n');
    }
}

/// An entry whose body still lies in the segment's text.
pub(crate) struct EntryRef<'a> {
    pub header: EntryHeader,
    pub body: Option<(Salt, &'a [u8])>,
}

impl EntryRef<'_> {
    pub fn to_entry(&self) -> Entry {
        let body = self.body.map(|(salt, bytes)| StoredBody { salt, bytes: bytes.to_vec() });
        Entry { header: self.header.clone(), body }
    }
}

/// One thing in a segment.
pub(crate) enum Record<'a> {
    Run { session: SessionId, after: Head },
    Entry(EntryRef<'a>),
    Large { hash: Hash, offset: u64, bytes: &'a [u8] },
    Document(Document),
}

/// Reads a segment's text from the front.
pub(crate) struct Records<'a> {
    name: &'a str,
    rest: &'a [u8],
    run: Option<(SessionId, Hash)>,
}

impl<'a> Records<'a> {
    pub fn new(name: &'a str, text: &'a [u8]) -> Result<Self, VaultError> {
        let mut this = Self { name, rest: text, run: None };
        let first = this.line()?.ok_or_else(|| VaultError::damaged(name, "it is empty"))?;
        match (first.gander.as_deref(), first.v) {
            (Some("segment"), Some(SEGMENT_VERSION)) => Ok(this),
            (Some("segment"), Some(found)) => {
                Err(VaultError::Newer { name: name.to_owned(), found, known: SEGMENT_VERSION })
            }
            _ => Err(VaultError::damaged(name, "it does not begin like a segment")),
        }
    }

    fn line(&mut self) -> Result<Option<Line>, VaultError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end =
            memchr::memchr(b'\n', self.rest).ok_or_else(|| VaultError::damaged(self.name, "a line has no end"))?;
        let text = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        if let Some(line) = entry_line(text) {
            return Ok(Some(line));
        }
        serde_json::from_slice(text)
            .map(Some)
            .map_err(|e| VaultError::damaged(self.name, format!("a line is not understood ({e})")))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], VaultError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let cut = VaultError::damaged(self.name, "it is cut off");
        let bytes = self.rest.get(..len).ok_or(cut)?;
        if self.rest.get(len) != Some(&b'\n') {
            return Err(VaultError::damaged(self.name, "a body has another length than its line says"));
        }
        self.rest = &self.rest[len + 1..];
        Ok(bytes)
    }

    fn record(&mut self, line: Line) -> Result<Record<'a>, VaultError> {
        let odd = || VaultError::damaged(self.name, "a line is of no known shape");
        if let Some(RunLine { session, after }) = line.run {
            self.run = Some((session, after.hash));
            return Ok(Record::Run { session, after });
        }
        if let Some(LargeLine { hash, offset, bytes }) = line.large {
            return Ok(Record::Large { hash, offset, bytes: self.take(bytes)? });
        }
        if let Some(DocLine { kind, key, session, bytes, large }) = line.doc {
            let json = std::str::from_utf8(self.take(bytes)?).map_err(|_| odd_text(self.name))?.to_owned();
            return Ok(Record::Document(Document { kind, key, session, json, large }));
        }
        let (Some(seq), Some(at_ms), Some(kind), Some((session, previous))) =
            (line.seq, line.at_ms, line.kind, self.run)
        else {
            return Err(odd());
        };
        let (body, hash) = match (line.salt, line.bytes, line.body_hash) {
            (Some(salt), Some(len), None) => {
                let bytes = self.take(len)?;
                (Some((salt, bytes)), body_hash(&salt, bytes))
            }
            (None, None, Some(hash)) => (None, hash),
            _ => return Err(odd()),
        };
        let header = EntryHeader::new(session, Seq(seq), at_ms, kind, &previous, hash);
        self.run = Some((session, header.hash));
        Ok(Record::Entry(EntryRef { header, body }))
    }
}

/// The line of an entry exactly as [`SegmentWriter::entry`] writes it: almost every line is one, and this is several
/// times faster than parsing any JSON. Whatever differs in anything is left to the JSON parser.
fn entry_line(text: &[u8]) -> Option<Line> {
    let (seq, rest) = number(text.strip_prefix(b"{\"seq\":")?)?;
    let (at_ms, rest) = number(rest.strip_prefix(b",\"at_ms\":")?)?;
    let rest = rest.strip_prefix(b",\"kind\":\"")?;
    let (kind, rest) = rest.split_at(memchr::memchr(b'"', rest)?);
    let (salt, rest) = rest.strip_prefix(b"\",\"salt\":\"")?.split_at_checked(64)?;
    let (bytes, rest) = number(rest.strip_prefix(b"\",\"bytes\":")?)?;
    if rest != b"}" || kind.contains(&b'\\') {
        return None;
    }
    Some(Line {
        seq: Some(seq),
        at_ms: Some(i64::try_from(at_ms).ok()?),
        kind: Some(Kind::new(std::str::from_utf8(kind).ok()?)),
        salt: Some(std::str::from_utf8(salt).ok()?.parse().ok()?),
        bytes: Some(bytes),
        ..Line::default()
    })
}

/// Digits without a leading zero, at most 18 of them.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let digits = &text[..end];
    if !(1..=18).contains(&end) || (digits[0] == b'0' && end > 1) {
        return None;
    }
    Some((digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')), &text[end..]))
}

fn odd_text(name: &str) -> VaultError {
    VaultError::damaged(name, "a document is not UTF-8")
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, VaultError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.line() {
            Ok(None) => return None,
            Ok(Some(line)) => self.record(line),
            Err(error) => Err(error),
        };
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

pub(crate) fn compress(name: &'static str, text: &[u8]) -> Result<Bytes, VaultError> {
    zstd::bulk::compress(text, LEVEL).map(Bytes::from).map_err(|e| VaultError::damaged(name, e))
}

pub(crate) fn decompress(name: &str, bytes: &[u8]) -> Result<Vec<u8>, VaultError> {
    let size = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    let size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= UNPACKED_MAX_BYTES);
    let size = size.ok_or_else(|| VaultError::damaged(name, "it says no sensible size"))?;
    zstd::bulk::decompress(bytes, size).map_err(|e| VaultError::damaged(name, e))
}
