//! Forgetting snapshots and sweeping what nothing uses any more, without locks, beside other machines that make
//! snapshots in the same vault.
//!
//! A forgotten manifest is moved aside and still protects its objects for a day; what a snapshot in the making builds
//! on was listed when it began, so it cannot be swept from under it (a snapshot that takes longer than half of that
//! day gives up). New objects are protected by their age, and their names are never used twice by two writers. Ages
//! are the storage's own times, never a machine's clock. Nothing is removed while any manifest or page is unreadable.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use gander_model::{Hash, SessionId};

use crate::erase::{Erased, REPLACED};
use crate::manifest::{self, FORGOTTEN, Manifest, SNAPSHOTS};
use crate::objects::Content;
use crate::page::{self, SessionRecord};
use crate::read::SnapshotReader;
use crate::retention::{self, Keep, Policy};
use crate::{SnapshotId, Vault, VaultError};

/// How long unused objects are left alone, in milliseconds: one day.
pub const SWEEP_GRACE_MS: i64 = 24 * 60 * 60 * 1000;

const CLOCK: &str = "clock";

/// What a prune did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Snapshots that stay, and why.
    pub kept: BTreeMap<SnapshotId, BTreeSet<Keep>>,
    /// Snapshots that are no longer listed; their objects go a day later.
    pub forgotten: Vec<SnapshotId>,
    /// Objects removed.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Segments written anew to carry out erasures.
    pub erased: u64,
    /// Objects of a discarded snapshot that stay, because what they hold is in no other.
    pub kept_alone: u64,
}

impl Vault {
    /// Forgets the snapshots that the policy does not keep, carries out erasures that are still open, and sweeps
    /// objects that nothing has used for `grace_ms` (normally [`SWEEP_GRACE_MS`]). `token` names this prune.
    /// A `dry` run only says what would be kept.
    pub fn prune(&self, policy: &Policy, grace_ms: i64, token: SnapshotId, dry: bool) -> Result<Pruned, VaultError> {
        let mut pruned = self.retain(policy, dry)?;
        if !dry {
            self.sweep_unused(grace_ms, token, &mut pruned)?;
        }
        Ok(pruned)
    }

    /// Forgets the snapshots that the policy does not keep; what they used stays until it is swept.
    pub fn retain(&self, policy: &Policy, dry: bool) -> Result<Pruned, VaultError> {
        policy.check()?;
        let listing = self.list()?;
        if let Some((id, source)) = listing.unreadable.into_iter().next() {
            return Err(VaultError::Unsure { name: manifest::name(SNAPSHOTS, id), source: Box::new(source) });
        }
        let mut pruned = Pruned { kept: retention::keep(&listing.snapshots, policy)?, ..Pruned::default() };
        let is_kept = |pruned: &Pruned, manifest: &Manifest| pruned.kept.contains_key(&manifest.id);
        if !listing.snapshots.iter().all(|manifest| is_kept(&pruned, manifest)) {
            self.keep_only_copies(&listing.snapshots, &mut pruned.kept)?;
        }
        let gone = listing.snapshots.iter().filter(|manifest| !is_kept(&pruned, manifest));
        pruned.forgotten = gone.map(|manifest| manifest.id).collect();
        if !dry {
            pruned.forgotten.iter().try_for_each(|id| self.forget(*id))?;
        }
        Ok(pruned)
    }

    /// Carries out erasures that are still open, and deletes what nothing has used for `grace_ms`.
    pub fn sweep_unused(&self, grace_ms: i64, token: SnapshotId, pruned: &mut Pruned) -> Result<(), VaultError> {
        pruned.erased = self.carry_out(None)? + self.finish_erasures()?;
        self.sweep(grace_ms, token, pruned)
    }

    /// A snapshot whose entries are not all in some kept one is kept too: newest first, so that few are.
    fn keep_only_copies(
        &self,
        snapshots: &[Manifest],
        kept: &mut BTreeMap<SnapshotId, BTreeSet<Keep>>,
    ) -> Result<(), VaultError> {
        let mut safe_pages: HashSet<Hash> = HashSet::new();
        let mut safe: HashMap<SessionId, Vec<(SnapshotId, SessionRecord)>> = HashMap::new();
        let add = |manifest: &Manifest, safe_pages: &mut HashSet<Hash>, safe: &mut HashMap<_, Vec<_>>| {
            for page in &manifest.pages {
                if safe_pages.insert(page.object) {
                    for record in page::load(&self.objects, &page.object)? {
                        safe.entry(record.id).or_default().push((manifest.id, record));
                    }
                }
            }
            Ok::<(), VaultError>(())
        };
        for manifest in snapshots.iter().filter(|manifest| kept.contains_key(&manifest.id)) {
            match add(manifest, &mut safe_pages, &mut safe) {
                Err(error) if error.is_damage() => {}
                other => other?,
            }
        }
        let going: Vec<&Manifest> = snapshots.iter().filter(|manifest| !kept.contains_key(&manifest.id)).collect();
        for manifest in going.into_iter().rev() {
            let why = match self.only_copy(manifest, &safe_pages, &safe) {
                Ok(false) => continue,
                Ok(true) => Keep::OnlyCopy,
                Err(error) if error.is_damage() => Keep::Unreadable,
                Err(error) => return Err(error),
            };
            kept.entry(manifest.id).or_default().insert(why);
            match add(manifest, &mut safe_pages, &mut safe) {
                Err(error) if error.is_damage() => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn only_copy(
        &self,
        manifest: &Manifest,
        safe_pages: &HashSet<Hash>,
        safe: &HashMap<SessionId, Vec<(SnapshotId, SessionRecord)>>,
    ) -> Result<bool, VaultError> {
        let reader = SnapshotReader::open(self, manifest.clone())?;
        for page in manifest.pages.iter().filter(|page| !safe_pages.contains(&page.object)) {
            for record in page::load(&self.objects, &page.object)? {
                let elsewhere = safe.get(&record.id).into_iter().flatten();
                let mut covered = record.runs.is_empty();
                for (_, other) in elsewhere.filter(|(_, other)| other.held.seq >= record.held.seq) {
                    covered |= reader.hash_at(other, record.held.seq)? == Some(record.held.hash);
                }
                if !covered {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Takes a snapshot off the list; it stays readable by its id until it is swept.
    fn forget(&self, id: SnapshotId) -> Result<(), VaultError> {
        let listed = manifest::name(SNAPSHOTS, id);
        let bytes = match self.objects.get(&listed) {
            // Another machine forgot it at the same time.
            Err(VaultError::Missing { .. }) => return Ok(()),
            other => other?,
        };
        match self.objects.put_new(&manifest::name(FORGOTTEN, id), bytes) {
            Err(VaultError::Exists { .. }) => {}
            other => other?,
        }
        self.objects.delete(&listed)
    }

    fn sweep(&self, grace_ms: i64, token: SnapshotId, pruned: &mut Pruned) -> Result<(), VaultError> {
        let before_ms = self.storage_now_ms(token)?.saturating_sub(grace_ms);
        for old in self.objects.list(FORGOTTEN)?.into_iter().filter(|object| object.changed_ms < before_ms) {
            self.objects.delete(&old.name)?;
        }
        let mut used = self.used()?;
        self.keep_uncovered(before_ms, &mut used, pruned)?;
        for folder in ["segments", "pages", REPLACED, CLOCK] {
            for object in self.objects.list(folder)? {
                if object.changed_ms < before_ms && !used.contains(&object.name) {
                    self.objects.delete(&object.name)?;
                    pruned.removed += 1;
                    pruned.removed_bytes += object.size_bytes;
                }
            }
        }
        Ok(())
    }

    /// The names of everything that a listed or lately forgotten snapshot uses.
    fn used(&self) -> Result<HashSet<String>, VaultError> {
        let erased = Erased::load(&self.objects)?;
        let mut used = HashSet::new();
        let mut segments = HashSet::new();
        for manifest in self.all_manifests()? {
            segments.extend(manifest.documents.iter().copied());
            segments.extend(manifest.large.iter().flat_map(|large| &large.parts));
            for page in &manifest.pages {
                if !used.insert(Content::Page.name(&page.object)) {
                    continue;
                }
                let records = page::load(&self.objects, &page.object).map_err(|source| VaultError::Unsure {
                    name: Content::Page.name(&page.object),
                    source: Box::new(source),
                })?;
                for record in &records {
                    segments.extend(record.runs.iter().map(|run| run.segment));
                    segments.extend(record.large.iter().flat_map(|large| &large.parts));
                }
            }
        }
        for segment in segments {
            for name in erased.chain(&segment) {
                used.insert(Content::Segment.name(&name));
                used.insert(format!("{REPLACED}/{name}.json"));
            }
        }
        Ok(used)
    }

    fn storage_now_ms(&self, token: SnapshotId) -> Result<i64, VaultError> {
        let name = format!("{CLOCK}/{token}");
        self.objects.put_new(&name, b"now".as_slice().into())?;
        let now_ms = self.objects.changed_ms(&name)?;
        self.objects.delete(&name)?;
        Ok(now_ms)
    }
}
