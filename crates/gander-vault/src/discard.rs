//! The way out of a damaged manifest: it is moved aside, so that pruning goes on. What its snapshot alone held is not
//! known by name any more, so before anything unused is deleted it is opened: what holds an entry or a large content
//! that no listed snapshot has stays, whatever its age.

use std::collections::{HashMap, HashSet};

use gander_model::{Hash, SessionId};

use crate::manifest::{self, SNAPSHOTS};
use crate::page::{self, SessionRecord};
use crate::prune::Pruned;
use crate::read::{SnapshotReader, Unpacked};
use crate::{SnapshotId, Vault, VaultError};

/// Manifests that could not be read and were moved aside.
pub(crate) const DAMAGED: &str = "damaged";

/// What listed snapshots hold.
#[derive(Default)]
struct Covered {
    records: HashMap<SessionId, Vec<SessionRecord>>,
    large: HashSet<Hash>,
}

impl Vault {
    /// Moves manifests that are damaged aside (never those of a later version), and snapshots of which a page is
    /// unreadable while all that can be read of them is in others. Gives their ids.
    pub fn discard_damaged(&self, dry: bool) -> Result<Vec<SnapshotId>, VaultError> {
        let listing = self.list()?;
        let mut gone: Vec<SnapshotId> = Vec::new();
        for (id, error) in &listing.unreadable {
            if error.is_damage() {
                gone.push(*id);
            }
        }
        for manifest in &listing.snapshots {
            let unreadable = |page: &manifest::PageRef| matches!(page::load(&self.objects, &page.object), Err(error) if error.is_damage());
            // The newest of a journal is what the next one builds on and heals.
            let newer =
                listing.snapshots.iter().any(|other| other.journal == manifest.journal && other.at_ms > manifest.at_ms);
            if newer && manifest.pages.iter().any(unreadable) && !self.holds_alone(manifest, &listing.snapshots)? {
                gone.push(manifest.id);
            }
        }
        if !dry {
            gone.iter().try_for_each(|id| self.set_aside(*id))?;
        }
        Ok(gone)
    }

    fn set_aside(&self, id: SnapshotId) -> Result<(), VaultError> {
        let listed = manifest::name(SNAPSHOTS, id);
        let bytes = match self.objects.get(&listed) {
            Err(VaultError::Missing { .. }) => return Ok(()),
            other => other?,
        };
        match self.objects.put_new(&manifest::name(DAMAGED, id), bytes) {
            Err(VaultError::Exists { .. }) => {}
            other => other?,
        }
        self.objects.delete(&listed)
    }

    /// Whether a readable page of this snapshot holds what no other snapshot does.
    fn holds_alone(&self, manifest: &manifest::Manifest, all: &[manifest::Manifest]) -> Result<bool, VaultError> {
        let others: Vec<_> = all.iter().filter(|other| other.id != manifest.id).cloned().collect();
        let covered = self.covered(&others)?;
        let reader = SnapshotReader::open(self, manifest.clone())?;
        for page in &manifest.pages {
            let Ok(records) = page::load(&self.objects, &page.object) else { continue };
            for record in records {
                let held = Some(record.held.hash);
                let mut elsewhere = covered.records.get(&record.id).into_iter().flatten();
                if !record.runs.is_empty()
                    && !elsewhere.any(|other| reader.hash_at(other, record.held.seq).is_ok_and(|hash| hash == held))
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn covered(&self, snapshots: &[manifest::Manifest]) -> Result<Covered, VaultError> {
        let (mut covered, mut seen) = (Covered::default(), HashSet::new());
        for manifest in snapshots {
            covered.large.extend(manifest.large.iter().map(|large| large.hash));
            for page in manifest.pages.iter().filter(|page| seen.insert(page.object)) {
                let records = match page::load(&self.objects, &page.object) {
                    Err(error) if error.is_damage() => continue,
                    other => other?,
                };
                for record in records {
                    covered.large.extend(record.large.iter().map(|large| large.hash));
                    covered.records.entry(record.id).or_default().push(record);
                }
            }
        }
        Ok(covered)
    }

    /// Adds to `used` what a discarded snapshot may alone have held.
    pub(crate) fn keep_uncovered(
        &self,
        before_ms: i64,
        used: &mut HashSet<String>,
        pruned: &mut Pruned,
    ) -> Result<(), VaultError> {
        let damaged = self.objects.list(DAMAGED)?;
        if damaged.is_empty() {
            return Ok(());
        }
        let snapshots = self.all_manifests()?;
        let covered = self.covered(&snapshots)?;
        let Some(newest) = snapshots.last() else { return Ok(()) };
        let reader = SnapshotReader::open(self, newest.clone())?;
        let mut alone = HashSet::new();
        for object in self.objects.list("segments")? {
            if object.changed_ms >= before_ms || used.contains(&object.name) {
                continue;
            }
            let hash = object.name.rsplit('/').next().and_then(|name| name.strip_suffix(".zst")?.parse::<Hash>().ok());
            let Some(hash) = hash else { continue };
            // One that cannot be opened is kept: nobody can say what it holds.
            let is_covered = reader.segments.load(&hash).is_ok_and(|unpacked| covered.all_of(&reader, &unpacked));
            if !is_covered {
                alone.insert(object.name);
            }
        }
        if alone.is_empty() {
            for manifest in damaged.iter().filter(|manifest| manifest.changed_ms < before_ms) {
                self.objects.delete(&manifest.name)?;
            }
            return Ok(());
        }
        pruned.kept_alone = alone.len() as u64;
        used.extend(alone);
        // Pages say how segments belong together; a few kilobytes each.
        used.extend(self.objects.list("pages")?.into_iter().map(|page| page.name));
        used.extend(self.objects.list(crate::erase::REPLACED)?.into_iter().map(|replaced| replaced.name));
        Ok(())
    }
}

impl Covered {
    fn all_of(&self, reader: &SnapshotReader<'_>, unpacked: &Unpacked) -> bool {
        let runs = unpacked.runs.iter().all(|((session, _), (_, entries))| {
            let Some(last) = entries.last().map(|entry| entry.header.head()) else { return true };
            let mut elsewhere = self.records.get(session).into_iter().flatten();
            elsewhere.any(|record| reader.hash_at(record, last.seq).is_ok_and(|hash| hash == Some(last.hash)))
        });
        runs && unpacked.large.keys().all(|(hash, _)| self.large.contains(hash))
    }
}
