//! Reading a snapshot: sessions, entries verified against their runs, large contents, documents.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use gander_model::{Entry, Hash, Head, Seq, SessionId, StoreRoot, hash::ContentHasher, root::store_root};

use crate::erase::Erased;
use crate::manifest::Manifest;
use crate::objects::{Content, Objects};
use crate::page::{self, LargeRecord, SessionRecord};
use crate::segment::{self, Record, Records};
use crate::{Document, Run, Vault, VaultError};

/// Unpacked segments that are kept at hand; restoring in id order meets the same few again and again.
const CACHED_SEGMENTS: usize = 6;

/// A segment taken apart.
#[derive(Default)]
pub(crate) struct Unpacked {
    /// By session and the seq before the stretch.
    pub runs: HashMap<(SessionId, Seq), (Head, Vec<Entry>)>,
    /// By content and offset.
    pub large: HashMap<(Hash, u64), Vec<u8>>,
    pub documents: Vec<Document>,
}

impl Unpacked {
    pub fn parse(name: &str, text: &[u8]) -> Result<Self, VaultError> {
        let mut this = Self::default();
        let mut run: Option<&mut Vec<Entry>> = None;
        for record in Records::new(name, text)? {
            match record? {
                Record::Run { session, after } => {
                    run = Some(&mut this.runs.entry((session, after.seq)).or_insert((after, Vec::new())).1);
                }
                Record::Entry(entry) => {
                    let out_of_run = || VaultError::damaged(name, "an entry belongs to no run");
                    run.as_mut().ok_or_else(out_of_run)?.push(entry.to_entry());
                }
                Record::Large { hash, offset, bytes } => {
                    this.large.insert((hash, offset), bytes.to_vec());
                }
                Record::Document(document) => this.documents.push(document),
            }
        }
        Ok(this)
    }

    /// The entries of a run, which must lead from its beginning to its end.
    pub fn run(&self, name: &str, session: SessionId, run: &Run) -> Result<&[Entry], VaultError> {
        let missing = || VaultError::damaged(name, format!("it lacks entries of session {session}"));
        let (after, entries) = self.runs.get(&(session, run.after.seq)).ok_or_else(missing)?;
        let mut expected = run.after.seq;
        for entry in entries {
            expected = expected.next();
            if entry.header.seq != expected {
                return Err(missing());
            }
        }
        let last = entries.last().map(|entry| entry.header.head());
        if *after != run.after || last != Some(run.to) {
            let why = format!("entries of session {session} do not lead to the recorded head {}", run.to.seq);
            return Err(VaultError::damaged(name, why));
        }
        Ok(entries)
    }
}

/// Loads segments, follows replacements of erased ones, and keeps the last few.
pub(crate) struct Segments {
    objects: Objects,
    pub erased: Erased,
    cache: Mutex<VecDeque<(Hash, Arc<Unpacked>)>>,
}

impl Segments {
    pub fn open(objects: &Objects) -> Result<Self, VaultError> {
        Ok(Self { objects: objects.clone(), erased: Erased::load(objects)?, cache: Mutex::default() })
    }

    pub fn get(&self, hash: &Hash) -> Result<Arc<Unpacked>, VaultError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = cache.iter().position(|(cached, _)| cached == hash)
            && let Some(found) = cache.remove(at)
        {
            let segment = found.1.clone();
            cache.push_front(found);
            return Ok(segment);
        }
        drop(cache);
        let segment = Arc::new(self.load(hash)?);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.push_front((*hash, segment.clone()));
        cache.truncate(CACHED_SEGMENTS);
        Ok(segment)
    }

    /// Loads past the cache.
    pub fn load(&self, hash: &Hash) -> Result<Unpacked, VaultError> {
        let Some((name, text)) = self.text(hash)? else { return Ok(Unpacked::default()) };
        Unpacked::parse(&name, &text)
    }

    /// A segment's present name and its text; `None` when nothing of it is left.
    pub fn text(&self, hash: &Hash) -> Result<Option<(String, Vec<u8>)>, VaultError> {
        let Some(stored) = self.erased.stored_as(hash)? else { return Ok(None) };
        let name = Content::Segment.name(&stored);
        let bytes = match self.objects.get_content(Content::Segment, &stored) {
            // Erased from since this reader was opened.
            Err(VaultError::Missing { .. }) => match Erased::replacement(&self.objects, &stored)? {
                Some(Some(next)) => self.objects.get_content(Content::Segment, &next)?,
                Some(None) => return Ok(None),
                None => return Err(VaultError::Missing { name }),
            },
            other => other?,
        };
        let text = segment::decompress(&name, &bytes)?;
        Ok(Some((name, text)))
    }

    /// A session's entries after `after`; `take` answers `false` to stop. Erased bodies are left out.
    pub fn entries(
        &self,
        record: &SessionRecord,
        after: Seq,
        take: &mut dyn FnMut(Entry) -> Result<bool, VaultError>,
    ) -> Result<(), VaultError> {
        for run in record.runs.iter().filter(|run| run.to.seq > after) {
            let segment = self.get(&run.segment)?;
            let name = Content::Segment.name(&run.segment);
            for entry in segment.run(&name, record.id, run)?.iter().filter(|entry| entry.header.seq > after) {
                if !take(self.erased.strip(entry.clone()))? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A large content, piece by piece, verified at its end. `false`: it was erased.
    pub fn large(&self, record: &LargeRecord, take: &mut dyn FnMut(&[u8])) -> Result<bool, VaultError> {
        let (mut offset, mut hasher) = (0, ContentHasher::default());
        for part in &record.parts {
            let segment = self.get(part)?;
            let Some(bytes) = segment.large.get(&(record.hash, offset)) else {
                if self.erased.dropped(part, &record.hash) {
                    return Ok(false);
                }
                let why = format!("it lacks a part of the large content {}", record.hash);
                return Err(VaultError::damaged(&Content::Segment.name(part), why));
            };
            hasher.update(bytes);
            offset += bytes.len() as u64;
            take(bytes);
        }
        if hasher.finish() != record.hash || offset != record.bytes {
            let name = record.parts.first().map(|part| Content::Segment.name(part)).unwrap_or_default();
            return Err(VaultError::damaged(&name, format!("the large content {} does not match", record.hash)));
        }
        Ok(true)
    }
}

/// One snapshot, opened.
pub struct SnapshotReader<'a> {
    pub(crate) vault: &'a Vault,
    manifest: Manifest,
    pub(crate) segments: Segments,
}

impl<'a> SnapshotReader<'a> {
    pub(crate) fn open(vault: &'a Vault, manifest: Manifest) -> Result<Self, VaultError> {
        Ok(Self { vault, manifest, segments: Segments::open(&vault.objects)? })
    }

    /// What the snapshot says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Every session that it holds, by ascending id.
    pub fn sessions(&self) -> Result<Vec<SessionRecord>, VaultError> {
        let mut sessions = Vec::new();
        for page in &self.manifest.pages {
            sessions.extend(page::load(&self.vault.objects, &page.object)?);
        }
        Ok(sessions)
    }

    /// The sessions whose pages can be read, and how many cannot.
    pub(crate) fn readable_sessions(&self) -> Result<(Vec<SessionRecord>, u64), VaultError> {
        let (mut sessions, mut unreadable) = (Vec::new(), 0);
        for page in &self.manifest.pages {
            match page::load(&self.vault.objects, &page.object) {
                Ok(records) => sessions.extend(records),
                Err(error) if error.is_damage() => unreadable += page.sessions,
                Err(error) => return Err(error),
            }
        }
        Ok((sessions, unreadable))
    }

    /// One session.
    pub fn session(&self, id: SessionId) -> Result<SessionRecord, VaultError> {
        let before = self.manifest.pages.partition_point(|page| page.first <= id);
        let page = before.checked_sub(1).and_then(|at| self.manifest.pages.get(at));
        let records = page.map(|page| page::load(&self.vault.objects, &page.object)).transpose()?.unwrap_or_default();
        records.into_iter().find(|record| record.id == id).ok_or(VaultError::NoSession(id))
    }

    /// A session's own entries after `after`, verified; `take` answers `false` to stop.
    pub fn entries(
        &self,
        record: &SessionRecord,
        after: Seq,
        mut take: impl FnMut(Entry) -> Result<bool, VaultError>,
    ) -> Result<(), VaultError> {
        self.segments.entries(record, after, &mut take)
    }

    /// The hash of a session's own entry at `seq`, or of the entry before its first.
    pub fn hash_at(&self, record: &SessionRecord, seq: Seq) -> Result<Option<Hash>, VaultError> {
        if seq == record.beginning().seq {
            return Ok(Some(record.beginning().hash));
        }
        for run in &record.runs {
            if run.to.seq == seq {
                return Ok(Some(run.to.hash));
            }
            if run.after.seq < seq && seq < run.to.seq {
                let segment = self.segments.get(&run.segment)?;
                let entries = segment.run(&Content::Segment.name(&run.segment), record.id, run)?;
                return Ok(entries.iter().find(|entry| entry.header.seq == seq).map(|entry| entry.header.hash));
            }
        }
        Ok(None)
    }

    /// A large content, piece by piece; `false` when it was erased.
    pub fn large(&self, record: &LargeRecord, mut take: impl FnMut(&[u8])) -> Result<bool, VaultError> {
        self.segments.large(record, &mut take)
    }

    /// Windows, drafts, queue and open items. Those of purged sessions are left out.
    pub fn documents(&self) -> Result<Vec<Document>, VaultError> {
        let mut documents = Vec::new();
        for segment in &self.manifest.documents {
            documents.extend(self.segments.get(segment)?.documents.iter().cloned());
        }
        documents.retain(|document| !document.session.is_some_and(|id| self.segments.erased.sessions.contains(&id)));
        Ok(documents)
    }

    /// The store root, recomputed from what the pages hold.
    pub fn root(&self) -> Result<StoreRoot, VaultError> {
        let sessions = self.sessions()?;
        Ok(store_root(sessions.len() as u64, sessions.iter().map(|record| (record.id, record.head))))
    }
}
