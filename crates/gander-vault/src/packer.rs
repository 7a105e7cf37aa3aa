//! Fills segments and stores them while the next is being filled. Every segment is read back, unpacked and compared
//! with what went in before the snapshot may name it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use gander_model::{DataRef, Entry, Hash, Head, SessionId};

use crate::objects::{Content, Objects};
use crate::segment::{self, SegmentWriter};
use crate::{Document, SnapshotId, VaultError};

/// A part of a large content: small enough to share a segment's bound.
const LARGE_PART_BYTES: usize = 4 * 1024 * 1024;

/// Threads that compress and store; two keep a disk and a core busy.
const WORKERS: usize = 2;

/// A run whose segment has only a number yet.
#[derive(Clone, Copy)]
pub(crate) struct PendingRun {
    pub segment: usize,
    pub after: Head,
    pub to: Head,
}

/// A large content whose segments have only numbers yet.
#[derive(Clone)]
pub(crate) struct PendingLarge {
    pub reference: DataRef,
    pub parts: Vec<usize>,
}

/// What was stored: names by number.
pub(crate) struct Stored {
    pub names: Vec<Hash>,
    pub bytes: u64,
}

pub(crate) struct Packer<'a> {
    snapshot: SnapshotId,
    current: SegmentWriter,
    number: usize,
    full: SyncSender<(usize, Vec<u8>)>,
    failed: &'a Mutex<Option<VaultError>>,
}

/// Runs `build` with a packer; returns when everything it packed is stored and read back.
pub(crate) fn pack<T>(
    objects: &Objects,
    snapshot: SnapshotId,
    build: impl FnOnce(&mut Packer<'_>) -> Result<T, VaultError>,
) -> Result<(T, Stored), VaultError> {
    let failed = Mutex::new(None);
    let done: Mutex<Vec<(usize, Hash, u64)>> = Mutex::new(Vec::new());
    let (full, jobs) = sync_channel(WORKERS);
    let jobs = Mutex::new(jobs);
    let built = std::thread::scope(|threads| {
        for _ in 0..WORKERS {
            threads.spawn(|| work(objects, &jobs, &done, &failed));
        }
        let mut packer = Packer { snapshot, current: SegmentWriter::new(snapshot), number: 0, full, failed: &failed };
        let built = build(&mut packer)?;
        packer.flush()?;
        Ok(built)
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let built = built?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, ..)| *number);
    let bytes = done.iter().map(|(.., size)| size).sum();
    Ok((built, Stored { names: done.into_iter().map(|(_, name, _)| name).collect(), bytes }))
}

fn work(
    objects: &Objects,
    jobs: &Mutex<Receiver<(usize, Vec<u8>)>>,
    done: &Mutex<Vec<(usize, Hash, u64)>>,
    failed: &Mutex<Option<VaultError>>,
) {
    loop {
        // The lock is held while waiting: one worker waits for the next segment, the other for its turn to wait.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, text)) = job else { return };
        if failed.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            continue;
        }
        match store(objects, Content::Segment, &text) {
            Ok((name, size)) => done.lock().unwrap_or_else(PoisonError::into_inner).push((number, name, size)),
            Err(error) => {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    }
}

/// Compresses, stores and reads back.
pub(crate) fn store(objects: &Objects, content: Content, text: &[u8]) -> Result<(Hash, u64), VaultError> {
    let bytes = segment::compress("a new segment", text)?;
    let size = bytes.len() as u64;
    let name = objects.put_content(content, bytes)?;
    read_back(objects, content, &name, text)?;
    Ok((name, size))
}

fn read_back(objects: &Objects, content: Content, hash: &Hash, text: &[u8]) -> Result<(), VaultError> {
    let name = content.name(hash);
    let bytes = objects.get_content(content, hash)?;
    if segment::decompress(&name, &bytes)? != text {
        return Err(VaultError::ReadBack { name });
    }
    Ok(())
}

impl Packer<'_> {
    /// A run of `session` after `after`; give it entries with [`OpenRun::entry`].
    pub fn run(&mut self, session: SessionId, after: Head) -> OpenRun {
        OpenRun { session, after, at: after, open: false, done: Vec::new() }
    }

    /// Stores a large content that comes in pieces.
    pub fn large<E>(
        &mut self,
        reference: DataRef,
        feed: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<bool, E>,
    ) -> Result<Option<PendingLarge>, VaultError>
    where
        E: Into<crate::SourceError>,
    {
        let (mut part, mut offset, mut parts) = (Vec::new(), 0u64, Vec::new());
        let mut hasher = gander_model::hash::ContentHasher::default();
        let mut failed = None;
        let found = feed(&mut |bytes| {
            hasher.update(bytes);
            part.extend_from_slice(bytes);
            while part.len() >= LARGE_PART_BYTES && failed.is_none() {
                let rest = part.split_off(LARGE_PART_BYTES);
                failed = self.large_part(reference.hash, &mut offset, &part, &mut parts).err();
                part = rest;
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if !found.map_err(|e| VaultError::Source(e.into()))? {
            return Ok(None);
        }
        if !part.is_empty() || parts.is_empty() {
            self.large_part(reference.hash, &mut offset, &part, &mut parts)?;
        }
        let whole = hasher.finish() == reference.hash && offset == reference.bytes;
        Ok(whole.then_some(PendingLarge { reference, parts }))
    }

    fn large_part(
        &mut self,
        hash: Hash,
        offset: &mut u64,
        bytes: &[u8],
        parts: &mut Vec<usize>,
    ) -> Result<(), VaultError> {
        self.make_room()?;
        self.current.large(hash, *offset, bytes);
        *offset += bytes.len() as u64;
        parts.push(self.number);
        Ok(())
    }

    /// Stores a document; answers the number of its segment.
    pub fn document(&mut self, document: &Document) -> Result<usize, VaultError> {
        self.make_room()?;
        self.current.document(document);
        Ok(self.number)
    }

    fn make_room(&mut self) -> Result<(), VaultError> {
        if self.current.is_full() { self.flush() } else { Ok(()) }
    }

    /// Closes the current segment.
    pub fn flush(&mut self) -> Result<(), VaultError> {
        if self.current.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.current, SegmentWriter::new(self.snapshot));
        let sent = self.full.send((self.number, full.into_text()));
        self.number += 1;
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if failed || sent.is_err() {
            // The worker's own error takes the place of this one.
            return Err(VaultError::ReadBack { name: "a new segment".into() });
        }
        Ok(())
    }
}

/// A run being written; it may go over several segments.
pub(crate) struct OpenRun {
    session: SessionId,
    after: Head,
    at: Head,
    open: bool,
    done: Vec<PendingRun>,
}

impl OpenRun {
    /// The next entry, already verified to follow.
    pub fn entry(&mut self, packer: &mut Packer<'_>, entry: &Entry) -> Result<(), VaultError> {
        if packer.current.is_full() {
            self.close(packer);
            packer.flush()?;
        }
        if !self.open {
            packer.current.run(self.session, self.at);
            self.after = self.at;
            self.open = true;
        }
        packer.current.entry(entry);
        self.at = entry.header.head();
        Ok(())
    }

    /// Ends the stretch in the current segment, before something else is written into it.
    pub fn close(&mut self, packer: &Packer<'_>) {
        if self.open {
            self.done.push(PendingRun { segment: packer.number, after: self.after, to: self.at });
            self.open = false;
        }
    }

    /// The last entry written.
    pub fn reached(&self) -> Head {
        self.at
    }

    /// The stretches.
    pub fn finish(mut self, packer: &Packer<'_>) -> Vec<PendingRun> {
        self.close(packer);
        self.done
    }
}
