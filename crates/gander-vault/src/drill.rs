//! A drill: everything in a snapshot is restored into a scratch store, which takes what a journal would take, checks it
//! as a journal would, and must end with the store root that was recorded. It keeps heads only: its memory does not
//! grow with what was said.

use std::collections::{HashMap, HashSet};

use gander_model::{Hash, Head, Seq, SessionId, StoreRoot, chain::Walk, chain::check_body, root::store_root};

use crate::page::{self, SessionRecord};
use crate::read::SnapshotReader;
use crate::{Origin, VaultError};

/// What a drill found.
#[derive(Debug)]
pub struct Drilled {
    /// The store root that the snapshot records.
    pub root: StoreRoot,
    /// The store root of what could be restored.
    pub restored: StoreRoot,
    /// Sessions restored.
    pub sessions: u64,
    /// Entries restored.
    pub entries: u64,
    /// Large contents restored, each once.
    pub large: u64,
    /// Windows, drafts, queued prompts and open items read.
    pub documents: u64,
    /// What could not be restored, each with the reason.
    pub failed: Vec<(Option<SessionId>, VaultError)>,
    /// It was stopped before its end.
    pub stopped: bool,
}

impl Drilled {
    fn of(root: StoreRoot) -> Self {
        let (sessions, entries, large, documents) = (0, 0, 0, 0);
        Self { root, restored: Hash::ZERO, sessions, entries, large, documents, failed: Vec::new(), stopped: false }
    }

    /// Everything came back, and the store roots are the same.
    pub fn ok(&self) -> bool {
        !self.stopped && self.failed.is_empty() && self.root == self.restored
    }
}

/// The hash that a fork continues, and whether it came by.
struct Pinned {
    fork: SessionId,
    hash: Hash,
    seen: bool,
}

/// The store that is restored into.
#[derive(Default)]
struct Scratch {
    heads: Vec<(SessionId, Head)>,
    /// Entries that forks continue, and whether they came by.
    pinned: HashMap<(SessionId, Seq), Vec<Pinned>>,
    large: HashSet<Hash>,
}

impl Scratch {
    fn pin(&mut self, fork: SessionId, Origin { session, head }: Origin) {
        self.pinned.entry((session, head.seq)).or_default().push(Pinned { fork, hash: head.hash, seen: false });
    }

    fn saw(&mut self, session: SessionId, head: Head) {
        for pinned in self.pinned.get_mut(&(session, head.seq)).into_iter().flatten() {
            pinned.seen |= pinned.hash == head.hash;
        }
    }

    /// Forks whose parent did not come with the entry that they continue.
    fn rootless(&self) -> impl Iterator<Item = SessionId> {
        self.pinned.values().flatten().filter(|pinned| !pinned.seen).map(|pinned| pinned.fork)
    }
}

impl SnapshotReader<'_> {
    /// Restores everything into a scratch store and compares store roots. `progress` is told how many entries are
    /// done, and stops the drill by answering `false`. A session that the journal itself could not give whole stands
    /// with its witnessed head in the root, so a snapshot with such a session does not pass.
    pub fn drill(&self, progress: &mut dyn FnMut(u64) -> bool) -> Result<Drilled, VaultError> {
        let mut drilled = Drilled::of(self.manifest().root);
        let mut scratch = Scratch::default();
        self.each_page(&mut drilled, |records, _| {
            records.iter().for_each(|record| record.pin.into_iter().for_each(|pin| scratch.pin(record.id, pin)));
            Ok(true)
        })?;
        drilled.failed.clear();
        self.each_page(&mut drilled, |records, drilled| {
            for record in &records {
                match self.restore_into(&mut scratch, record, drilled, progress) {
                    Ok(head) => scratch.heads.push((record.id, head)),
                    Err(error) if error.is_damage() => drilled.failed.push((Some(record.id), error)),
                    Err(error) => return Err(error),
                }
                if drilled.stopped {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        if drilled.stopped {
            return Ok(drilled);
        }
        for fork in scratch.rootless() {
            drilled.failed.push((Some(fork), VaultError::damaged("the snapshot", "it lacks what a fork continues")));
        }
        match self.documents() {
            Ok(documents) => drilled.documents = documents.len() as u64,
            Err(error) if error.is_damage() => drilled.failed.push((None, error)),
            Err(error) => return Err(error),
        }
        drilled.restored = store_root(scratch.heads.len() as u64, scratch.heads.iter().copied());
        Ok(drilled)
    }

    /// One page at a time; one that cannot be read is noted.
    fn each_page(
        &self,
        drilled: &mut Drilled,
        mut take: impl FnMut(Vec<SessionRecord>, &mut Drilled) -> Result<bool, VaultError>,
    ) -> Result<(), VaultError> {
        for page in &self.manifest().pages {
            match page::load(&self.vault.objects, &page.object) {
                Ok(records) => {
                    if !take(records, drilled)? {
                        return Ok(());
                    }
                }
                Err(error) if error.is_damage() => drilled.failed.push((None, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn restore_into(
        &self,
        scratch: &mut Scratch,
        record: &SessionRecord,
        drilled: &mut Drilled,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Head, VaultError> {
        let mut walk = Walk::after(record.beginning());
        self.entries(record, record.beginning().seq, |entry| {
            let odd = |damage: gander_model::chain::Damage| {
                VaultError::damaged("the snapshot", format!("session {}: {damage}", record.id))
            };
            walk.step(&entry.header).map_err(odd)?;
            check_body(&entry, true).map_err(odd)?;
            scratch.saw(record.id, entry.header.head());
            drilled.entries += 1;
            if drilled.entries.is_multiple_of(256) && !progress(drilled.entries) {
                drilled.stopped = true;
            }
            Ok(!drilled.stopped)
        })?;
        for large in &record.large {
            if !drilled.stopped && scratch.large.insert(large.hash) && self.large(large, |_| {})? {
                drilled.large += 1;
            }
        }
        drilled.sessions += 1;
        Ok(walk.reached())
    }
}
