//! Jobs that run beside the work. One verification at a time: a second request is shown the first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::convert;
use crate::dto;
use crate::error::ApiError;
use crate::gander::{Ctx, lock};

/// Finished jobs that are still shown.
const KEPT: usize = 32;

#[derive(Default)]
pub(crate) struct Jobs {
    jobs: Mutex<VecDeque<dto::Job>>,
}

impl Jobs {
    pub fn get(&self, id: &str) -> Option<dto::Job> {
        lock(&self.jobs).iter().find(|job| job.id == id).cloned()
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut dto::Job)) {
        if let Some(job) = lock(&self.jobs).iter_mut().find(|job| job.id == id) {
            change(job);
        }
    }

    pub fn verify(&self, ctx: &Arc<Ctx>) -> dto::Job {
        let mut jobs = lock(&self.jobs);
        if let Some(running) = jobs.iter().find(|job| job.state == "running") {
            return running.clone();
        }
        let job = dto::Job {
            id: ctx.new_mark(),
            kind: "verify".into(),
            state: "running".into(),
            done: 0,
            total: 0,
            report: None,
            error: None,
        };
        jobs.push_front(job.clone());
        jobs.truncate(KEPT);
        let (ctx, id) = (ctx.clone(), job.id.clone());
        tokio::spawn(async move { run(ctx, id).await });
        job
    }
}

async fn run(ctx: Arc<Ctx>, id: String) {
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
            let _ = ctx.write(move |tx| tx.set("verified_at_ms", Some(&at))).await;
            ctx.jobs.change(&id, |job| {
                job.state = "done".into();
                job.report = Some(convert::report(&report));
            });
        }
        Err(error) => {
            let problem = ApiError::from(error).problem();
            ctx.jobs.change(&id, |job| {
                job.state = "failed".into();
                job.error = Some(problem);
            });
        }
    }
}
