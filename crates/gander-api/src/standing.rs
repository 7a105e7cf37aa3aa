//! The journal beside its own newest snapshot: one that went back in time, or lost a tail together with its witness,
//! is told loudly, with the restore that heals it. Compared at every start, before the first snapshot of the run: the
//! next one would agree with what is left.

use std::sync::Arc;

use gander_journal::NewFinding;
use gander_model::{JournalId, SessionId};
use gander_vault::{Manifest, SnapshotId, Standing, Vault};
use serde::Deserialize;
use serde_json::json;

use crate::backups::BackupError;
use crate::dto::rfc3339;
use crate::feed::with_sources;
use crate::gander::{Ctx, blocking};

const BEHIND: &str = "journal_behind_snapshot";
const DIFFERS: &str = "journal_differs_from_snapshot";
/// The setting that lists the ids that this journal has had: one that is found behind its witness takes a new one.
const JOURNALS: &str = "journal_ids";
/// Sessions that a finding names.
const NAMED_MAX: usize = 100;

#[derive(Deserialize)]
struct Subject {
    snapshot: String,
}

impl Ctx {
    /// Compares once in this process, before anything else looks at the vault.
    pub(crate) async fn compare_once(self: &Arc<Self>) {
        if self.backups.compared() {
            return;
        }
        if let Err(error) = self.compare_with_snapshots().await {
            // What keeps the vault from being read is told when the next snapshot is made.
            tracing::warn!(error = with_sources(&error), "the journal was not compared with its snapshots");
        }
    }

    /// Compares the journal with its newest snapshot, and with those that an open finding names; keeps and closes
    /// findings.
    pub(crate) async fn compare_with_snapshots(self: &Arc<Self>) -> Result<(), BackupError> {
        let (ctx, runtime) = (self.clone(), tokio::runtime::Handle::current());
        blocking(move || {
            let (journal, known, heads, open) = ctx.journal.read(|reader| {
                let known = reader.setting(JOURNALS)?.unwrap_or_default();
                Ok((reader.journal_id()?, known, reader.heads()?, reader.findings(10_000)?))
            })?;
            let mut journals: Vec<JournalId> = known.split(' ').filter_map(|id| id.parse().ok()).collect();
            if !journals.contains(&journal) {
                journals.push(journal);
                let all: Vec<String> = journals.iter().map(ToString::to_string).collect();
                // Without it only the present id is looked for.
                let _ = ctx.journal.write_blocking(move |tx| tx.set(JOURNALS, Some(&all.join(" "))));
            }
            let mut heads = heads;
            heads.sort_unstable_by_key(|(id, _)| *id);
            let vault = ctx.vault(runtime)?;
            let compare = |manifest: &Manifest| -> Result<Standing, BackupError> {
                let hash_at = |session, seq| Ok(ctx.journal.read(|reader| reader.hash_at(session, seq))?);
                let mut standing = vault.compare(manifest, &heads, &hash_at)?;
                // A recovered copy beside the session holds the other way already.
                standing.differ.retain(|(session, head)| {
                    let copy = ctx.journal.read(|reader| reader.copy_of(*session, head.hash));
                    !matches!(copy, Ok(Some(_)))
                });
                Ok(standing)
            };
            for finding in open.iter().filter(|finding| [BEHIND, DIFFERS].contains(&finding.kind.as_str())) {
                let subject = serde_json::from_str::<Subject>(finding.subject.get()).ok();
                let named = subject.and_then(|subject| subject.snapshot.parse::<SnapshotId>().ok());
                let manifest = named.and_then(|id| Some(vault.snapshot(id).ok()?.manifest().clone()));
                let Some(manifest) = manifest else { continue };
                if compare(&manifest)?.agrees() {
                    let id = finding.id;
                    ctx.journal.write_blocking(move |tx| tx.finding_close(id))?;
                }
            }
            if let Some(newest) = newest(&vault, &journals)? {
                let standing = compare(&newest)?;
                for new in told(&newest, &standing) {
                    tracing::error!(detail = new.detail, "the journal lacks what a snapshot holds");
                    ctx.journal.write_blocking(move |tx| tx.finding_add(new))?;
                }
            }
            ctx.backups.set_compared();
            Ok(())
        })
        .await
    }
}

fn newest(vault: &Vault, journals: &[JournalId]) -> Result<Option<Manifest>, BackupError> {
    let mut newest: Option<Manifest> = None;
    for journal in journals {
        let of = vault.newest_of(*journal)?;
        newest = newest.into_iter().chain(of).max_by_key(|manifest| (manifest.at_ms, manifest.id));
    }
    Ok(newest)
}

fn told(manifest: &Manifest, standing: &Standing) -> Vec<NewFinding> {
    let (id, at) = (manifest.id, rfc3339(manifest.at_ms));
    let finding = |kind: &str, sessions: Vec<SessionId>, detail: String, remedy: String| NewFinding {
        kind: kind.to_owned(),
        severity: "error".to_owned(),
        session: None,
        subject: serde_json::value::to_raw_value(&json!({
            "snapshot": id, "sessions": sessions.iter().take(NAMED_MAX).collect::<Vec<_>>(), "count": sessions.len()
        }))
        .unwrap_or_default(),
        detail,
        remedy,
        raw: None,
    };
    let mut found = Vec::new();
    if !standing.behind.is_empty() {
        let sessions: Vec<SessionId> = standing.behind.iter().map(|(session, _)| *session).collect();
        let entries: u64 = standing.behind.iter().map(|(_, entries)| entries).sum();
        let detail = format!(
            "{} sessions lack {entries} entries that the snapshot of {at} holds: the journal went back in time, or lost \
             its tail.",
            sessions.len()
        );
        let remedy =
            format!("Run `gander backup restore {id} --windows`: it adds what is missing and changes nothing else.");
        found.push(finding(BEHIND, sessions, detail, remedy));
    }
    if !standing.differ.is_empty() {
        let sessions: Vec<SessionId> = standing.differ.iter().map(|(session, _)| *session).collect();
        let detail = format!(
            "{} sessions went another way than in the snapshot of {at}, which holds entries that are not here.",
            sessions.len()
        );
        let remedy =
            format!("Run `gander backup restore {id}`: what it holds is added beside them as recovered copies.");
        found.push(finding(DIFFERS, sessions, detail, remedy));
    }
    found
}
