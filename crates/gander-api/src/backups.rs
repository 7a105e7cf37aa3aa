//! Where journal and vault meet: the journal as a source and a target of snapshots, and the snapshots that are made
//! by themselves: on a timer while there are changes, soon after an erasure, and at quit. They read beside the work
//! and never hold a turn up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gander_journal::{ReadError, WriteError};
use gander_model::Hash;
use gander_vault::{Created, Reason, SnapshotId, Vault, VaultError};

use crate::dto;
use crate::feed::with_sources;
use crate::gander::{Ctx, Gander, blocking, lock};
use crate::jobs;
use crate::place::{SafePlace, Taken};

/// How often, when nothing else is configured.
const EVERY_MINUTES: u64 = 15;
/// How often a whole snapshot is restored into a scratch store and the store roots are compared.
const DRILL_EVERY_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// The setting that says when that was last done.
const DRILLED: &str = "drilled_at_ms";
/// The settings that say when retention was last looked at, and when what nothing uses was last deleted.
const RETAINED: &str = "retained_at_ms";
const SWEPT: &str = "swept_at_ms";
const RETAIN_BUCKET_EVERY_MS: i64 = 60 * 60 * 1000;
/// The setting that says what was last saved: revision and time.
const BACKED_UP: &str = "backed_up";
/// How long quitting waits for its snapshot. What was cut off then is made by the next run.
const QUIT_PATIENCE: Duration = Duration::from_secs(20);

/// What the snapshots' own task is woken by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    Timer,
    Asked,
    Tidy,
}

/// What is known of snapshots between operations.
#[derive(Default)]
pub(crate) struct Backups {
    /// One at a time: a restore does not meet a snapshot, nor a prune.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    soon: tokio::sync::Notify,
    /// What the policy does not keep is to be looked for.
    tidy: tokio::sync::Notify,
}

#[derive(Default)]
struct State {
    /// The last revision that is in a snapshot.
    revision: Option<u64>,
    last_ms: Option<i64>,
    failed: Option<String>,
    drill_failed: Option<String>,
    retention_failed: Option<String>,
    /// The journal was compared with its newest snapshot.
    compared: bool,
    /// Objects that the last verification found damaged.
    distrust: std::collections::HashSet<Hash>,
}

impl Backups {
    /// Waits until nothing else works on the vault.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub fn last_ms(&self) -> Option<i64> {
        lock(&self.state).last_ms
    }

    pub fn distrust(&self, objects: std::collections::HashSet<Hash>) {
        lock(&self.state).distrust = objects;
    }

    /// A snapshot is wanted without waiting for the timer.
    pub fn soon(&self) {
        self.soon.notify_one();
    }

    /// Retention is wanted, beside the work.
    pub fn tidy_soon(&self) {
        self.tidy.notify_one();
    }

    pub fn compared(&self) -> bool {
        lock(&self.state).compared
    }

    pub fn set_compared(&self) {
        lock(&self.state).compared = true;
    }

    /// What is wrong with snapshots.
    pub fn findings(&self) -> Vec<dto::Finding> {
        let state = lock(&self.state);
        let of = |kind: &str, detail: &str, remedy: &str| dto::Finding {
            id: None,
            kind: kind.into(),
            severity: "warning".into(),
            subject: serde_json::json!({}),
            detail: format!("{detail}."),
            remedy: remedy.into(),
            at: None,
        };
        let made = "See to the cause, then run `gander backup create`. The sessions themselves are not affected.";
        let drilled = "Run `gander backup verify`, then `gander backup create`: it stores again what is damaged.";
        let failed = state.failed.as_deref().map(|detail| of("backup_failed", detail, made));
        let drill = state.drill_failed.as_deref().map(|detail| of("backup_drill_failed", detail, drilled));
        let tidied = "Nothing was removed. Correct `keep` in the `[backup]` table of config.toml, or run \
                      `gander backup prune` and see what it says.";
        let retention = state.retention_failed.as_deref().map(|detail| of("backups_not_pruned", detail, tidied));
        failed.into_iter().chain(drill).chain(retention).collect()
    }
}

/// Why no snapshot was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("the journal could not be read")]
    Read(#[from] ReadError),
    #[error("the journal could not be written")]
    Write(#[from] WriteError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("the snapshot does not hold what is in the journal")]
    Differs,
}

impl Ctx {
    /// Where snapshots and exports go.
    pub fn place(&self) -> SafePlace {
        SafePlace::with(&self.data_dir, self.settings().backup)
    }

    /// Opens the vault; blocks.
    pub fn vault(&self, runtime: tokio::runtime::Handle) -> Result<Vault, VaultError> {
        self.place().vault(runtime)
    }

    pub fn new_snapshot_id(&self) -> SnapshotId {
        SnapshotId::from_parts(self.now_ms(), &self.random10())
    }

    /// Makes a snapshot; whoever calls holds [`Backups::turn`].
    pub(crate) async fn back_up(self: &Arc<Self>, reason: Reason) -> Result<Created, BackupError> {
        self.compare_once().await;
        let runtime = tokio::runtime::Handle::current();
        let ctx = self.clone();
        let made = blocking(move || {
            let vault = ctx.vault(runtime)?;
            let now_ms = || ctx.now_ms();
            let distrust = lock(&ctx.backups.state).distrust.clone();
            let id = ctx.new_snapshot_id();
            Taken { id, reason, now_ms: &now_ms, distrust }.of(&ctx.journal, &vault)
        })
        .await;
        match made {
            Ok((created, revision)) => {
                let at_ms = created.manifest.at_ms;
                {
                    let mut state = lock(&self.backups.state);
                    state.revision = Some(revision);
                    state.last_ms = Some(at_ms);
                    state.failed = None;
                    state.distrust.clear();
                }
                // For the next run; without it that makes one snapshot more.
                let kept = format!("{revision} {at_ms}");
                let _ = self.write(move |tx| tx.set(BACKED_UP, Some(&kept))).await;
                Ok(created)
            }
            Err(error) => {
                let failed = format!("The last snapshot was not made: {}", with_sources(&error));
                lock(&self.backups.state).failed = Some(failed);
                Err(error)
            }
        }
    }

    /// After a snapshot: what the policy does not keep is forgotten, and once a day what nothing uses is deleted.
    /// In a bucket, where looking costs, once an hour.
    async fn retain(self: &Arc<Self>) {
        let settings = self.settings().backup;
        let policy = settings.keep.unwrap_or_default();
        let (swept, retained) = (self.done_ms(SWEPT).await, self.done_ms(RETAINED).await);
        let rested = |done_ms: i64, every_ms: i64| !(0..every_ms).contains(&self.now_ms().saturating_sub(done_ms));
        if settings.bucket.is_some() && !rested(retained, RETAIN_BUCKET_EVERY_MS) {
            return;
        }
        let sweeps = rested(swept, gander_vault::SWEEP_GRACE_MS);
        let (ctx, runtime) = (self.clone(), tokio::runtime::Handle::current());
        let pruned = blocking(move || {
            let vault = ctx.vault(runtime)?;
            let mut pruned = vault.retain(&policy, false)?;
            if sweeps {
                vault.sweep_unused(gander_vault::SWEEP_GRACE_MS, ctx.new_snapshot_id(), &mut pruned)?;
            }
            Ok::<_, VaultError>(pruned)
        })
        .await;
        let at_ms = self.now_ms().to_string();
        let failed = match pruned {
            Ok(pruned) => {
                tracing::info!(forgotten = pruned.forgotten.len(), removed = pruned.removed, "snapshots were pruned");
                // Without these it is done again sooner.
                let _ = self
                    .write(move |tx| {
                        tx.set(RETAINED, Some(&at_ms))?;
                        if sweeps { tx.set(SWEPT, Some(&at_ms)) } else { Ok(()) }
                    })
                    .await;
                None
            }
            Err(error) => Some(format!("Old snapshots are not pruned: {}", with_sources(&error))),
        };
        lock(&self.backups.state).retention_failed = failed;
    }

    async fn done_ms(&self, setting: &'static str) -> i64 {
        let done = self.read(|reader| reader.setting(setting)).await.ok().flatten();
        done.and_then(|done| done.parse().ok()).unwrap_or(i64::MIN / 2)
    }

    /// Once a week: everything in a snapshot is restored into a scratch store, which must have the same store root. A
    /// job of its own, beside the work and beside the next snapshot.
    async fn drill_if_due(self: &Arc<Self>) {
        let last_ms = self.done_ms(DRILLED).await;
        let has_snapshot = lock(&self.backups.state).last_ms.is_some();
        // A clock that was set back must not put drills off.
        let rested_ms = self.now_ms().saturating_sub(last_ms);
        if has_snapshot && !(0..DRILL_EVERY_MS).contains(&rested_ms) {
            self.jobs.start(self, jobs::Kind::Drill(None));
        }
    }

    /// What a drill found is kept: when it passed, or that it did not.
    pub(crate) async fn drilled(&self, report: &dto::DrillReport) {
        if report.ok {
            let at_ms = self.now_ms().to_string();
            // Without it the drill is done again sooner.
            let _ = self.write(move |tx| tx.set(DRILLED, Some(&at_ms))).await;
        }
        let why = report.detail.as_deref().unwrap_or("the store roots differ");
        let failed = (!report.ok).then(|| format!("Snapshot {} cannot be relied on: {why}", report.snapshot));
        if let Some(failed) = &failed {
            tracing::warn!(failed, "the drill of a snapshot failed");
        }
        lock(&self.backups.state).drill_failed = failed;
    }

    /// Whether anything changed since the last snapshot, of this run or an earlier one.
    pub(crate) fn has_changed(&self) -> bool {
        lock(&self.backups.state).revision != Some(*self.journal.revisions().borrow())
    }
}

impl Gander {
    /// Snapshots on a timer, and soon after an erasure.
    pub(crate) async fn start_timed_backups(&self) -> Result<(), ReadError> {
        let kept = self.ctx.read(|reader| reader.setting(BACKED_UP)).await?;
        if let Some((revision, at_ms)) = kept.as_deref().and_then(|kept| kept.split_once(' ')) {
            let mut state = lock(&self.ctx.backups.state);
            (state.revision, state.last_ms) = (revision.parse().ok(), at_ms.parse().ok());
        }
        // A vault far away is looked into before the next snapshot instead: a start does not wait for a network.
        if self.ctx.settings().backup.bucket.is_none() && kept.is_some() {
            let ctx = self.ctx.clone();
            tokio::spawn(async move { ctx.compare_once().await });
        }
        let weak = Arc::downgrade(&self.ctx);
        let mut stopping = self.ctx.stopping.subscribe();
        tokio::spawn(async move {
            loop {
                let Some(ctx) = weak.upgrade() else { return };
                let minutes = ctx.settings().backup.every_minutes.unwrap_or(EVERY_MINUTES);
                let wait = Duration::from_secs(60 * if minutes == 0 { EVERY_MINUTES } else { minutes });
                let woken = tokio::select! {
                    () = tokio::time::sleep(wait) => Woken::Timer,
                    () = ctx.backups.soon.notified() => Woken::Asked,
                    () = ctx.backups.tidy.notified() => Woken::Tidy,
                    _ = stopping.wait_for(|stop| *stop) => return,
                };
                if woken == Woken::Tidy {
                    let _turn = ctx.backups.turn().await;
                    ctx.retain().await;
                    continue;
                }
                let asked = woken == Woken::Asked;
                if ctx.has_changed() && (asked || minutes > 0) {
                    let _turn = ctx.backups.turn().await;
                    match ctx.back_up(Reason::Timer).await {
                        Ok(_) => ctx.retain().await,
                        Err(error) => tracing::warn!(error = with_sources(&error), "no timed snapshot"),
                    }
                }
                if minutes > 0 {
                    ctx.drill_if_due().await;
                }
            }
        });
        Ok(())
    }

    /// A snapshot at quit, if anything changed since the last.
    pub(crate) async fn back_up_at_quit(&self) {
        if !self.ctx.has_changed() {
            return;
        }
        let made = tokio::time::timeout(QUIT_PATIENCE, async {
            let _turn = self.ctx.backups.turn().await;
            self.ctx.back_up(Reason::Quit).await
        });
        match made.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(error = with_sources(&error), "no snapshot at quit"),
            Err(_) => tracing::warn!("the snapshot at quit took too long and was left"),
        }
    }
}
