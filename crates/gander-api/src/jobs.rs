//! Jobs that run beside the work. One of a kind at a time: a second request for the same is shown the first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gander_model::SessionId;

use crate::convert;
use crate::dto;
use crate::error::ApiError;
use crate::gander::{Ctx, lock};

/// Finished jobs that are still shown.
const KEPT: usize = 32;

/// The setting that says when everything was verified last.
pub(crate) const VERIFIED: &str = "verified_at_ms";
/// How often that is done without being asked.
const VERIFY_EVERY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long after a start it is looked whether it is due, and then how often.
const VERIFY_AFTER: Duration = Duration::from_secs(10);
const VERIFY_LOOK: Duration = Duration::from_secs(15 * 60);

#[derive(Default)]
pub(crate) struct Jobs {
    jobs: Mutex<VecDeque<(Kind, dto::Job)>>,
}

impl Jobs {
    pub fn get(&self, id: &str) -> Option<dto::Job> {
        lock(&self.jobs).iter().find(|(_, job)| job.id == id).map(|(_, job)| job.clone())
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut dto::Job)) {
        if let Some((_, job)) = lock(&self.jobs).iter_mut().find(|(_, job)| job.id == id) {
            change(job);
        }
    }

    /// Starts a job, or shows the same one that runs.
    pub fn start(&self, ctx: &Arc<Ctx>, kind: Kind) -> dto::Job {
        let mut jobs = lock(&self.jobs);
        if let Some((_, running)) = jobs.iter().find(|(of, job)| job.state == "running" && *of == kind) {
            return running.clone();
        }
        let job = dto::Job {
            id: ctx.new_mark(),
            kind: kind.as_str().into(),
            state: "running".into(),
            done: 0,
            total: 0,
            rebuilt: None,
            drill: None,
            exports: None,
            repair: None,
            report: None,
            error: None,
        };
        jobs.push_front((kind.clone(), job.clone()));
        jobs.truncate(KEPT);
        let (ctx, id) = (ctx.clone(), job.id.clone());
        tokio::spawn(async move { run(ctx, id, kind).await });
        job
    }
}

/// What a job does.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Recompute everything.
    Verify,
    /// Make what is derived anew from the entries, then verify.
    Rebuild,
    /// Restore a snapshot, or the newest of this journal, into a scratch store.
    Drill(Option<dto::SnapshotRef>),
    /// Write the open sessions for people, before this version.
    Export(String),
    /// Heal what is set aside, or this session, from snapshots.
    Repair(Option<SessionId>),
}

impl Kind {
    fn as_str(&self) -> &'static str {
        match self {
            Kind::Verify => "verify",
            Kind::Rebuild => "rebuild",
            Kind::Drill(_) => "drill",
            Kind::Export(_) => "export",
            Kind::Repair(_) => "repair",
        }
    }
}

async fn run(ctx: Arc<Ctx>, id: String, kind: Kind) {
    match kind {
        Kind::Verify => verify(ctx, id).await,
        Kind::Rebuild => {
            if rebuild(&ctx, &id).await {
                verify(ctx, id).await;
            }
        }
        Kind::Drill(snapshot) => drill(ctx, id, snapshot).await,
        Kind::Export(version) => export(ctx, id, version).await,
        Kind::Repair(session) => repair(ctx, id, session).await,
    }
}

async fn drill(ctx: Arc<Ctx>, id: String, snapshot: Option<dto::SnapshotRef>) {
    let (progress_ctx, progress_id) = (ctx.clone(), id.clone());
    let drilled = ctx.drill(snapshot, move |done, total| {
        progress_ctx.jobs.change(&progress_id, |job| (job.done, job.total) = (done, total));
    });
    match drilled.await {
        Ok(report) => {
            ctx.drilled(&report).await;
            ctx.jobs.change(&id, |job| {
                job.state = "done".into();
                (job.done, job.total) = (report.entries, report.entries);
                job.drill = Some(report);
            });
        }
        Err(error) => fail(&ctx, &id, error),
    }
}

async fn export(ctx: Arc<Ctx>, id: String, version: String) {
    let (progress_ctx, progress_id) = (ctx.clone(), id.clone());
    let exported = ctx.export_open(version, move |done, total| {
        progress_ctx.jobs.change(&progress_id, |job| (job.done, job.total) = (done, total));
    });
    match exported.await {
        Ok(exports) => ctx.jobs.change(&id, |job| {
            job.state = "done".into();
            job.exports = Some(exports);
        }),
        Err(error) => fail(&ctx, &id, error),
    }
}

async fn repair(ctx: Arc<Ctx>, id: String, session: Option<SessionId>) {
    let (progress_ctx, progress_id) = (ctx.clone(), id.clone());
    let repaired = ctx.repair(session, move |done, total| {
        progress_ctx.jobs.change(&progress_id, |job| (job.done, job.total) = (done, total));
    });
    match repaired.await {
        Ok(report) => ctx.jobs.change(&id, |job| {
            job.state = "done".into();
            job.repair = Some(report);
        }),
        Err(error) => fail(&ctx, &id, error),
    }
}

/// Verifies everything beside the work: at once after an unclean end, whose start looked only at what a crash could have
/// harmed, and then once a day.
pub(crate) fn verify_by_itself(ctx: &Arc<Ctx>) {
    if ctx.journal.was_unclean() {
        ctx.jobs.start(ctx, Kind::Verify);
    }
    let (weak, mut stopping) = (Arc::downgrade(ctx), ctx.stopping.subscribe());
    tokio::spawn(async move {
        let (mut wait, mut begun_ms) = (VERIFY_AFTER, 0);
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = VERIFY_LOOK,
                _ = stopping.wait_for(|stop| *stop) => return,
            }
            let Some(ctx) = weak.upgrade() else { return };
            let last = ctx.read(|reader| reader.setting(VERIFIED)).await.ok().flatten();
            let last_ms: i64 = last.and_then(|last| last.parse().ok()).unwrap_or(0);
            let now_ms = ctx.now_ms();
            // A clock that was set back makes it due at once, not in a year. Where nothing can be written down, what is
            // known here counts.
            let is_fresh = |at_ms: i64| (0..VERIFY_EVERY_MS).contains(&(now_ms - at_ms));
            if !is_fresh(last_ms) && !is_fresh(begun_ms) {
                begun_ms = now_ms;
                ctx.jobs.start(&ctx, Kind::Verify);
            }
        }
    });
}

async fn verify(ctx: Arc<Ctx>, id: String) {
    let (progress_ctx, progress_id, cancel_ctx) = (ctx.clone(), id.clone(), ctx.clone());
    let journal = ctx.journal.clone();
    let verified = crate::gander::blocking(move || {
        journal.verify(
            |done, total| progress_ctx.jobs.change(&progress_id, |job| (job.done, job.total) = (done, total)),
            || *cancel_ctx.stopping.borrow(),
        )
    })
    .await;
    match verified {
        Ok(report) => {
            let at = ctx.now_ms().to_string();
            // The date is for people; a report without it is as good.
            let _ = ctx.write(move |tx| tx.set(VERIFIED, Some(&at))).await;
            ctx.jobs.change(&id, |job| {
                job.state = "done".into();
                job.report = Some(convert::report(&report));
            });
        }
        Err(error) => fail(&ctx, &id, ApiError::from(error)),
    }
}

/// Makes lists and search index anew; false when that failed.
async fn rebuild(ctx: &Arc<Ctx>, id: &str) -> bool {
    let (journal, progress_ctx, progress_id) = (ctx.journal.clone(), ctx.clone(), id.to_owned());
    let rebuilt = crate::gander::blocking(move || {
        journal.rebuild(|done, total| {
            progress_ctx.jobs.change(&progress_id, |job| (job.done, job.total) = (done, total));
        })
    })
    .await;
    match rebuilt {
        Ok(done) => {
            let done = dto::Rebuilt { sessions: done.sessions, changed: done.changed, removed: done.removed };
            ctx.jobs.change(id, |job| job.rebuilt = Some(done));
            true
        }
        Err(error) => {
            fail(ctx, id, ApiError::from(error));
            false
        }
    }
}

fn fail(ctx: &Ctx, id: &str, error: ApiError) {
    ctx.jobs.change(id, |job| {
        job.state = "failed".into();
        job.error = Some(error.problem());
    });
}
