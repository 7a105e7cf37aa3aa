//! Comparing a journal with a snapshot of it: what the snapshot holds and the journal has lost. A journal whose whole
//! folder was put back to an older state agrees with its own witness; only what lies elsewhere knows better. It is
//! cheap: one root first, then the roots of pages, and records only where these differ.

use std::collections::HashMap;

use gander_model::{Hash, Head, Seq, SessionId, root::store_root};

use crate::page::{self, page_root};
use crate::read::SnapshotReader;
use crate::source::SourceError;
use crate::{Manifest, Vault, VaultError};

/// How a journal stands to a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Sessions that lack entries, and how many; sessions that are not there at all are among them.
    pub behind: Vec<(SessionId, u64)>,
    /// Sessions that went another way, and where they ended in the snapshot.
    pub differ: Vec<(SessionId, Head)>,
}

impl Standing {
    /// The journal holds all that the snapshot holds.
    pub fn agrees(&self) -> bool {
        self.behind.is_empty() && self.differ.is_empty()
    }
}

impl Vault {
    /// Compares `heads` (by ascending id) with a snapshot. `hash_at` gives the journal's own hash at a place. Pages of
    /// the snapshot that cannot be read are passed over: verifying the vault is what finds those.
    pub fn compare(
        &self,
        manifest: &Manifest,
        heads: &[(SessionId, Head)],
        hash_at: &dyn Fn(SessionId, Seq) -> Result<Option<Hash>, SourceError>,
    ) -> Result<Standing, VaultError> {
        let mut standing = Standing::default();
        if store_root(heads.len() as u64, heads.iter().copied()) == manifest.root {
            return Ok(standing);
        }
        let mut reader: Option<SnapshotReader<'_>> = None;
        for (at, page) in manifest.pages.iter().enumerate() {
            let from = heads.partition_point(|(id, _)| *id < page.first);
            let to = manifest
                .pages
                .get(at + 1)
                .map_or(heads.len(), |next| heads.partition_point(|(id, _)| *id < next.first));
            let here = &heads[from..to.max(from)];
            if page_root(here.iter().map(|(id, head)| (*id, head))) == page.root {
                continue;
            }
            let records = match page::load(&self.objects, &page.object) {
                Err(error) if error.is_damage() => continue,
                other => other?,
            };
            let here: HashMap<SessionId, Head> = here.iter().copied().collect();
            for record in records {
                let Some(head) = here.get(&record.id).copied() else {
                    standing.behind.push((record.id, record.entries()));
                    continue;
                };
                let ours = |seq| hash_at(record.id, seq).map_err(VaultError::Source);
                if record.held.seq <= head.seq {
                    if ours(record.held.seq)? != Some(record.held.hash) {
                        standing.differ.push((record.id, record.held));
                    }
                    continue;
                }
                let reader = match &mut reader {
                    Some(reader) => reader,
                    none => none.insert(SnapshotReader::open(self, manifest.clone())?),
                };
                let theirs = match reader.hash_at(&record, head.seq) {
                    Err(error) if error.is_damage() => continue,
                    other => other?,
                };
                if theirs == Some(head.hash) {
                    standing.behind.push((record.id, record.held.seq.0 - head.seq.0));
                } else {
                    standing.differ.push((record.id, record.held));
                }
            }
        }
        Ok(standing)
    }
}
