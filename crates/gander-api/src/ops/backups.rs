//! Snapshots and what is restored from them.

use std::collections::BTreeSet;
use std::sync::Arc;

use gander_model::SessionId;
use gander_model::{Body, Kind, Seq};
use gander_vault::{
    Action, Created, Held, Manifest, Plan, Policy, Pruned, Reason, SWEEP_GRACE_MS, Vault, VaultError, Wanted,
};
use serde_json::json;

use super::put_back;
use crate::backups::BackupError;
use crate::carrier::JournalTarget;
use crate::dto::{self, rfc3339};
use crate::error::{ApiError, Code};
use crate::feed::with_sources;
use crate::gander::{Ctx, Gander, blocking};
use crate::jobs;
use crate::place::SafePlace;

/// An error and its cause. The storage's own errors repeat what caused them.
fn told(error: &VaultError) -> String {
    match error {
        VaultError::Full { source, .. } | VaultError::Storage { source, .. } => format!("{error}: {source}"),
        other => with_sources(other),
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        let detail = format!("{}.", told(&error));
        match error {
            VaultError::NoSnapshot(id) => ApiError::not_found("snapshot", id),
            VaultError::NoSession(id) => ApiError::not_found("session in this snapshot", id),
            VaultError::EmptyPolicy => ApiError::bad(detail).todo("Keep at least one snapshot."),
            VaultError::Full { .. } => ApiError::new(Code::NotSaving, detail)
                .safe("Every session and every earlier snapshot is as it was.")
                .todo("Free space where the vault is, then try again."),
            VaultError::Unsure { .. } => ApiError::new(Code::WrongState, detail)
                .safe("Nothing that a readable snapshot uses was removed.")
                .todo("Run `gander backup verify`; `gander backup prune --discard-damaged` moves what cannot be read aside."),
            _ => ApiError::internal(detail)
                .safe("Every session and every earlier snapshot is as it was.")
                .todo("Run `gander backup verify`; then try again."),
        }
    }
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Vault(error) => error.into(),
            BackupError::Read(error) => error.into(),
            BackupError::Write(error) => error.into(),
            error @ BackupError::Differs => ApiError::internal(error),
        }
    }
}

fn finding(found: &gander_vault::Finding) -> dto::Finding {
    let severity = serde_json::to_value(found.severity).ok().and_then(|s| Some(s.as_str()?.to_owned()));
    let mut subject = json!(found.subject);
    if let ([session], Some(subject)) = (found.subject.sessions.as_slice(), subject.as_object_mut()) {
        subject.insert("session".to_owned(), json!(session));
    }
    dto::Finding {
        id: None,
        kind: found.kind.clone(),
        severity: severity.unwrap_or_else(|| "error".to_owned()),
        subject,
        detail: found.detail.clone(),
        remedy: found.remedy.clone(),
        at: None,
    }
}

fn session_finding(kind: &str, severity: &str, session: SessionId, detail: String, remedy: &str) -> dto::Finding {
    dto::Finding {
        id: None,
        kind: kind.into(),
        severity: severity.into(),
        subject: json!({ "session": session }),
        detail,
        remedy: remedy.into(),
        at: None,
    }
}

fn backup(manifest: &Manifest, own: gander_model::JournalId) -> dto::Backup {
    dto::Backup {
        id: manifest.id.to_string(),
        at: rfc3339(manifest.at_ms),
        reason: reason(manifest.reason),
        root: manifest.root.to_string(),
        sessions: manifest.sessions,
        entries: manifest.entries,
        new_bytes: manifest.new_bytes,
        journal: manifest.journal.to_string(),
        own: manifest.journal == own,
        machine: manifest.machine.clone(),
        version: manifest.version.clone(),
        notes: manifest.notes.clone(),
    }
}

fn reason(reason: Reason) -> String {
    serde_json::to_value(reason).ok().and_then(|r| Some(r.as_str()?.to_owned())).unwrap_or_default()
}

/// What is told of a snapshot that was made.
pub(crate) fn made(created: &Created, place: &SafePlace) -> dto::BackupMade {
    let remedy = "See `gander verify` for the session; what could be read of it is in the snapshot.";
    let mut findings: Vec<_> = created
        .damaged
        .iter()
        .map(|(id, why)| session_finding("not_saved_whole", "warning", *id, format!("{why}."), remedy))
        .collect();
    if let Err(error) = &created.erased {
        findings.push(dto::Finding {
            id: None,
            kind: "not_erased_everywhere".into(),
            severity: "warning".into(),
            subject: json!({ "snapshot": created.manifest.id }),
            detail: format!("Erased text may still be in older snapshots: {}.", with_sources(error)),
            remedy: "Run `gander backup verify`, then make another snapshot: it tries again.".into(),
            at: None,
        });
    }
    dto::BackupMade {
        snapshot: created.manifest.id.to_string(),
        root: created.manifest.root.to_string(),
        sessions: created.manifest.sessions,
        entries: created.manifest.entries,
        new_bytes: created.manifest.new_bytes,
        verified: true,
        place: place.name(),
        drilled: None,
        exports: None,
        exported: None,
        findings,
    }
}

fn not_drilled(report: &dto::DrillReport) -> dto::Finding {
    dto::Finding {
        id: None,
        kind: "backup_drill_failed".into(),
        severity: "error".into(),
        subject: json!({ "snapshot": report.snapshot }),
        detail: format!("The snapshot cannot be relied on: {}.", report.detail.as_deref().unwrap_or_default()),
        remedy: "Run `gander backup verify`, then `gander backup create`: it stores again what is damaged.".into(),
        at: None,
    }
}

impl Ctx {
    pub(crate) async fn drill(
        self: &Arc<Self>,
        snapshot: Option<dto::SnapshotRef>,
        progress: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<dto::DrillReport, ApiError> {
        let (ctx, runtime) = (self.clone(), tokio::runtime::Handle::current());
        blocking(move || {
            ctx.place().drill(&ctx.journal, snapshot, runtime, &mut |done, total| {
                progress(done, total);
                !*ctx.stopping.borrow()
            })
        })
        .await
    }
}

impl Gander {
    /// Runs something on the vault, one at a time, away from the threads that serve.
    async fn on_vault<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Vault) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let ctx = self.ctx.clone();
        let runtime = tokio::runtime::Handle::current();
        Ok(blocking(move || run(&ctx.vault(runtime)?)).await?)
    }

    /// Every snapshot, newest first.
    pub async fn backups(&self) -> Result<dto::BackupList, ApiError> {
        let own = self.journal_id().await?;
        let place = self.ctx.place().name();
        self.on_vault(move |vault| {
            let listing = vault.list()?;
            let findings = listing.unreadable.iter().map(|(id, error)| dto::Finding {
                id: None,
                kind: "unreadable_snapshot".into(),
                severity: "error".into(),
                subject: json!({ "snapshot": id }),
                detail: format!("{}.", with_sources(error)),
                remedy: "The other snapshots are not affected; run `gander backup verify`.".into(),
                at: None,
            });
            Ok(dto::BackupList {
                findings: findings.collect(),
                backups: listing.snapshots.iter().rev().map(|manifest| backup(manifest, own)).collect(),
                place,
            })
        })
        .await
    }

    /// Makes a snapshot and reads back what it added.
    pub async fn create_backup(&self, wanted: dto::BackupBody) -> Result<dto::BackupMade, ApiError> {
        self.check_serving()?;
        let _turn = self.ctx.backups.turn().await;
        let created = self.ctx.back_up(wanted.reason.into()).await?;
        let mut made = made(&created, &self.ctx.place());
        if wanted.drill {
            let report = self.drill_backup(Some(dto::SnapshotRef(created.manifest.id))).await?;
            made.drilled = Some(report.ok);
            made.findings.extend((!report.ok).then(|| not_drilled(&report)));
        }
        if wanted.exports {
            let version = wanted.version.unwrap_or_else(|| "upgrade".to_owned());
            let exports = self.export_open_sessions(&version).await?;
            (made.exports, made.exported) = (Some(exports.folder), Some(exports.sessions));
            made.findings.extend(exports.findings);
        }
        self.ctx.backups.tidy_soon();
        Ok(made)
    }

    /// Restores a snapshot, or the newest of this journal, into a scratch store, and compares store roots.
    pub async fn drill_backup(&self, snapshot: Option<dto::SnapshotRef>) -> Result<dto::DrillReport, ApiError> {
        let report = self.ctx.drill(snapshot, |_, _| {}).await?;
        self.ctx.drilled(&report).await;
        Ok(report)
    }

    /// The same as a job that shows how far it is.
    pub async fn start_drill(&self, wanted: dto::DrillBody) -> Result<dto::Job, ApiError> {
        self.check_serving()?;
        let id =
            wanted.snapshot.map(|id| id.parse::<dto::SnapshotRef>().map_err(|_| ApiError::not_found("snapshot", id)));
        Ok(self.ctx.jobs.start(&self.ctx, jobs::Kind::Drill(id.transpose()?)))
    }

    /// Reads everything in the vault and recomputes every hash. The next snapshot stores again what was damaged.
    pub async fn verify_backups(&self) -> Result<dto::BackupReport, ApiError> {
        let _turn = self.ctx.backups.turn().await;
        let ctx = self.ctx.clone();
        let report = self.on_vault(move |vault| vault.verify(&|_| !*ctx.stopping.borrow())).await?;
        let findings: Vec<_> = report.findings.iter().map(finding).collect();
        let answer = dto::BackupReport {
            ok: report.ok(),
            snapshots: report.snapshots as u64,
            objects: report.objects,
            entries: report.entries,
            findings,
        };
        self.ctx.backups.distrust(report.distrust);
        Ok(answer)
    }

    /// Restores from a snapshot: only ever adds. A snapshot of what is here is made first.
    pub async fn restore_backup(
        &self,
        snapshot: dto::SnapshotRef,
        wanted: dto::RestoreBody,
    ) -> Result<dto::RestoreReport, ApiError> {
        self.check_serving()?;
        let dto::SnapshotRef(id) = snapshot;
        let sessions = match &wanted.sessions {
            None => Wanted::All,
            Some(ids) => Wanted::Sessions(parse_ids(ids)?),
        };
        let dry_run = wanted.dry_run;
        let _turn = self.ctx.backups.turn().await;
        let mut before = None;
        if !dry_run {
            self.on_vault(move |vault| vault.snapshot(id).map(drop)).await?;
            before = Some(self.ctx.back_up(Reason::Restore).await?.manifest.id.to_string());
        }
        let ctx = self.ctx.clone();
        let mut report = self
            .on_vault(move |vault| {
                let reader = vault.snapshot(id)?;
                let mut target = JournalTarget(ctx.journal.clone());
                let plan = gander_vault::plan(&reader, &target, &sessions)?;
                let mut report = preview(&plan, &reader);
                if wanted.dry_run {
                    if wanted.windows {
                        put_back::foreseen(&target, &reader, &plan, &mut report)?;
                    }
                    return Ok(report);
                }
                let done = plan.carry_out(&reader, &mut target, |_, _| {})?;
                (report.added, report.forwarded) = (done.counts.added, done.counts.forwarded);
                (report.copied, report.unchanged) = (done.counts.copied, done.counts.unchanged);
                let remedy = "Try an older or newer snapshot; everything else was restored.";
                report.findings.extend(done.failed.iter().map(|(session, error)| {
                    let detail = format!("{}.", with_sources(error));
                    session_finding("not_restored", "error", *session, detail, remedy)
                }));
                if wanted.windows {
                    put_back::documents(&mut target, &reader, &mut report)?;
                }
                Ok(report)
            })
            .await?;
        report.before = before;
        if !dry_run && let Err(error) = self.ctx.compare_with_snapshots().await {
            tracing::warn!(error = with_sources(&error), "the journal was not compared with its snapshots");
        }
        Ok(report)
    }

    /// Forgets the snapshots that the policy does not keep. Never the only copy of anything.
    pub async fn prune_backups(&self, body: dto::PruneBody) -> Result<dto::PruneReport, ApiError> {
        let given = [body.last, body.hourly, body.daily, body.weekly, body.monthly];
        let kept = self.ctx.settings().backup.keep.unwrap_or_default();
        // Who names a number means these numbers and no others.
        let or = |given: Option<u64>, kept: usize, any: bool| match given {
            Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
            None if any => 0,
            None => kept,
        };
        let any = given.iter().any(Option::is_some);
        let policy = Policy {
            last: or(body.last, kept.last, any),
            hourly: or(body.hourly, kept.hourly, any),
            daily: or(body.daily, kept.daily, any),
            weekly: or(body.weekly, kept.weekly, any),
            monthly: or(body.monthly, kept.monthly, any),
        };
        let _turn = self.ctx.backups.turn().await;
        let token = self.ctx.new_snapshot_id();
        let (pruned, discarded) = self
            .on_vault(move |vault| {
                policy.check()?;
                let discarded = if body.discard_damaged { vault.discard_damaged(body.dry_run)? } else { Vec::new() };
                // What is not moved yet cannot be judged.
                if body.dry_run && !discarded.is_empty() {
                    return Ok((Pruned::default(), discarded));
                }
                Ok((vault.prune(&policy, SWEEP_GRACE_MS, token, body.dry_run)?, discarded))
            })
            .await?;
        let words = |why: &gander_vault::Keep| json!(why).as_str().unwrap_or_default().to_owned();
        let kept = pruned
            .kept
            .iter()
            .map(|(id, why)| dto::KeptBackup { id: id.to_string(), why: why.iter().map(words).collect() });
        Ok(dto::PruneReport {
            kept: kept.collect(),
            forgotten: pruned.forgotten.iter().map(ToString::to_string).collect(),
            discarded: discarded.iter().map(ToString::to_string).collect(),
            kept_alone: pruned.kept_alone,
            removed: pruned.removed,
            removed_bytes: pruned.removed_bytes,
        })
    }
}

fn parse_ids(ids: &[String]) -> Result<BTreeSet<SessionId>, ApiError> {
    ids.iter().map(|id| id.parse().map_err(|e: gander_model::ids::IdError| ApiError::bad(e.to_string()))).collect()
}

/// Steps that are shown with their names: looking one up reads the session.
const NAMED_STEPS: usize = 200;

/// The name that a session had in a snapshot. What cannot be read has none; the restore itself says why.
fn name_in(held: &dyn Held, session: SessionId) -> Option<String> {
    let record = held.one(session).ok()?;
    let mut name = None;
    let read = held.entries(&record, Seq(0), &mut |entry| {
        if entry.header.kind == Kind::NAMED {
            let body = entry.body.as_ref().and_then(|body| Body::parse(&body.bytes).ok());
            let data = body.and_then(|body| body.data_as::<serde_json::Value>());
            name = data.and_then(|data| Some(data["name"].as_str()?.to_owned()));
        }
        Ok(true)
    });
    read.ok().and(name)
}

pub(super) fn preview(plan: &Plan, held: &dyn Held) -> dto::RestoreReport {
    let counts = plan.counts();
    let mut left = NAMED_STEPS;
    let steps = plan.steps.iter().filter_map(|step| {
        let action = match step.action {
            Action::Unchanged => return None,
            Action::Added => "added",
            Action::Forwarded { .. } => "forwarded",
            Action::Copied { .. } => "copied",
        };
        left = left.saturating_sub(1);
        Some(dto::RestoreStep {
            session_id: step.session.to_string(),
            name: if left > 0 { name_in(held, step.session) } else { None },
            action: action.to_owned(),
        })
    });
    let mut report = dto::RestoreReport {
        added: counts.added,
        forwarded: counts.forwarded,
        copied: counts.copied,
        unchanged: counts.unchanged,
        steps: steps.collect(),
        ..dto::RestoreReport::default()
    };
    if plan.unreadable > 0 {
        report.findings.push(dto::Finding {
            id: None,
            kind: "damaged_object".into(),
            severity: "error".into(),
            subject: json!({}),
            detail: format!("{} sessions of the snapshot cannot be listed: a page is damaged.", plan.unreadable),
            remedy: "Try another snapshot for these; run `gander backup verify`.".into(),
            at: None,
        });
    }
    report
}
