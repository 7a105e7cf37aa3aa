//! Repair: damaged sessions are healed from the newest snapshot that fits. What fits is judged by the journal, hash by
//! hash; nothing else is touched, and what was erased stays erased.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use gander_journal::{Journal, Mended, ReadError, WriteError};
use gander_model::{Hash, SessionId};
use gander_vault::{Manifest, SessionRecord, SnapshotReader, Vault, VaultError};

use crate::backups::BackupError;
use crate::dto;
use crate::error::ApiError;
use crate::feed::with_sources;
use crate::gander::{Ctx, blocking};

/// Why a session was not healed from one snapshot.
enum Unfit {
    /// This snapshot does not fit: another may.
    Here(String),
    /// The journal cannot be written.
    Stop(BackupError),
}

impl From<VaultError> for Unfit {
    fn from(error: VaultError) -> Self {
        Unfit::Here(with_sources(&error))
    }
}

impl From<WriteError> for Unfit {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotSaving(_) | WriteError::Closed(_) | WriteError::Store(_) => Unfit::Stop(error.into()),
            other => Unfit::Here(with_sources(&other)),
        }
    }
}

impl From<ReadError> for Unfit {
    fn from(error: ReadError) -> Self {
        Unfit::Stop(error.into())
    }
}

impl Ctx {
    /// Heals the sessions that are set aside, or the one that is named. `progress` is told how many are done.
    pub(crate) async fn repair(
        self: &Arc<Self>,
        only: Option<SessionId>,
        progress: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<dto::RepairReport, ApiError> {
        let _turn = self.backups.turn().await;
        let (ctx, runtime) = (self.clone(), tokio::runtime::Handle::current());
        let report = blocking(move || {
            let mut left: BTreeMap<SessionId, String> = ctx.journal.read(|r| r.quarantined())?.into_iter().collect();
            if let Some(only) = only {
                left.retain(|session, _| *session == only);
            }
            let mut report = dto::RepairReport { healed: Vec::new(), not_healed: Vec::new() };
            if left.is_empty() {
                return Ok::<_, BackupError>(report);
            }
            let vault = ctx.vault(runtime)?;
            let snapshots = newest_first(&vault, &ctx.journal)?;
            let total = left.len() as u64;
            // A fork heals after what it was forked from: again, as long as anything heals.
            loop {
                let before = left.len();
                for session in left.keys().copied().collect::<Vec<_>>() {
                    progress(total - left.len() as u64, total);
                    match heal(&ctx.journal, &vault, &snapshots, session) {
                        Ok((snapshot, mended)) => {
                            left.remove(&session);
                            report.healed.push(dto::Healed {
                                session_id: session,
                                snapshot,
                                entries: mended.entries,
                                bodies: mended.bodies,
                            });
                        }
                        Err(Unfit::Here(why)) => drop(left.insert(session, why)),
                        Err(Unfit::Stop(error)) => return Err(error),
                    }
                }
                if left.is_empty() || left.len() == before {
                    break;
                }
            }
            progress(total, total);
            report.not_healed = left.into_iter().map(|(session_id, why)| dto::NotHealed { session_id, why }).collect();
            Ok(report)
        })
        .await?;
        Ok(report)
    }
}

/// This journal's snapshots before those of others, each newest first.
fn newest_first(vault: &Vault, journal: &Journal) -> Result<Vec<Manifest>, BackupError> {
    let own = journal.read(|reader| reader.journal_id())?;
    let mut snapshots = vault.list()?.snapshots;
    snapshots.sort_by_key(|manifest| (manifest.journal == own, manifest.at_ms, manifest.id));
    snapshots.reverse();
    Ok(snapshots)
}

fn heal(
    journal: &Journal,
    vault: &Vault,
    snapshots: &[Manifest],
    session: SessionId,
) -> Result<(String, Mended), Unfit> {
    let mut why = "no snapshot holds it".to_owned();
    // Snapshots that hold the same of it need not be tried twice.
    let mut tried: HashSet<Vec<Hash>> = HashSet::new();
    for manifest in snapshots {
        let mut attempt = || {
            let reader = vault.snapshot(manifest.id)?;
            let record = match reader.session(session) {
                Err(VaultError::NoSession(_)) => return Ok(None),
                other => other?,
            };
            if record.runs.is_empty() || !tried.insert(record.runs.iter().map(|run| run.segment).collect()) {
                return Ok(None);
            }
            heal_from(journal, &reader, &record).map(Some)
        };
        match attempt() {
            Ok(Some(mended)) => return Ok((manifest.id.to_string(), mended)),
            Ok(None) => {}
            Err(Unfit::Here(unfit)) => why = unfit,
            Err(stop) => return Err(stop),
        }
    }
    Err(Unfit::Here(why))
}

fn heal_from(journal: &Journal, reader: &SnapshotReader<'_>, record: &SessionRecord) -> Result<Mended, Unfit> {
    let mut held = Vec::new();
    reader.entries(record, record.beginning().seq, |entry| {
        held.push(entry);
        Ok(true)
    })?;
    for large in &record.large {
        let hash = large.hash;
        match journal.read(|r| r.content(hash, &mut |_| {})) {
            Ok(true) => continue,
            Ok(false) | Err(ReadError::ContentDamaged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = Vec::new();
        if reader.large(large, |part| bytes.extend_from_slice(part))? {
            journal.write_blocking(move |tx| tx.mend_content(hash, &bytes))?;
        }
    }
    let session = record.id;
    let origin = record.pin.map(|pin| gander_model::project::Origin {
        session_id: pin.session,
        seq: pin.head.seq,
        hash: pin.head.hash,
    });
    Ok(journal.write_blocking(move |tx| tx.mend(session, origin, &held))?)
}
