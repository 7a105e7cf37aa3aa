//! Where journal and vault meet: the journal as a source and a target of snapshots, and the snapshots that are made
//! by themselves: on a timer while there are changes, soon after an erasure, and at quit. They read beside the work
//! and never hold a turn up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gander_journal::{CarriedDocument, CarriedSession, Journal, ReadError, WriteError};
use gander_model::{DataRef, Entry, Hash, Head, Seq, SessionId};
use gander_vault::{
    CreateRequest, Created, Document, Origin, Reason, Sealed, SessionRecord, SnapshotId, Source, SourceError,
    SourceSession, Target, Vault, VaultError,
};

use crate::dto;
use crate::feed::with_sources;
use crate::gander::{Ctx, Gander, blocking, lock};

/// How often, when nothing else is configured.
const EVERY_MINUTES: u64 = 15;
/// How often a whole snapshot is restored into a scratch store and the store roots are compared.
const DRILL_EVERY_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// The setting that says when that was last done.
const DRILLED: &str = "drilled_at_ms";
/// The setting that says what was last saved: revision and time.
const BACKED_UP: &str = "backed_up";
/// How long quitting waits for its snapshot. What was cut off then is made by the next run.
const QUIT_PATIENCE: Duration = Duration::from_secs(20);

/// What is known of snapshots between operations.
#[derive(Default)]
pub(crate) struct Backups {
    /// One at a time: a restore does not meet a snapshot, nor a prune.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    soon: tokio::sync::Notify,
}

#[derive(Default)]
struct State {
    /// The last revision that is in a snapshot.
    revision: Option<u64>,
    last_ms: Option<i64>,
    failed: Option<String>,
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

    pub fn finding(&self) -> Option<dto::Finding> {
        let detail = lock(&self.state).failed.clone()?;
        Some(dto::Finding {
            id: None,
            kind: "backup_failed".into(),
            severity: "warning".into(),
            subject: serde_json::json!({}),
            detail: format!("{detail}."),
            remedy: "See to the cause, then run `gander backup create`. The sessions themselves are not affected."
                .into(),
            at: None,
        })
    }
}

/// The journal at one moment.
pub(crate) struct JournalSource {
    journal: Journal,
    sealed: Sealed,
    sessions: Vec<CarriedSession>,
    documents: Vec<CarriedDocument>,
}

impl JournalSource {
    pub fn seal(journal: &Journal) -> Result<(Self, u64), ReadError> {
        let epoch = journal.epoch();
        let (sealed, sessions, documents) = journal.read(|reader| {
            let revision = reader.revision()?;
            let sealed = Sealed { journal: reader.journal_id()?, epoch, revision, root: reader.root()? };
            Ok((sealed, reader.carried_sessions()?, reader.documents()?))
        })?;
        let revision = sealed.revision;
        Ok((Self { journal: journal.clone(), sealed, sessions, documents }, revision))
    }
}

impl Source for JournalSource {
    fn sealed(&self) -> Result<Sealed, SourceError> {
        Ok(self.sealed.clone())
    }

    fn sessions(&self) -> Result<Vec<SourceSession>, SourceError> {
        let session = |session: &CarriedSession| SourceSession {
            id: session.id,
            head: session.head,
            pin: session.origin.map(|origin| Origin { session: origin.session_id, head: origin.head() }),
            status: session.status.clone(),
        };
        Ok(self.sessions.iter().map(session).collect())
    }

    fn entries(
        &self,
        session: SessionId,
        after: Seq,
        through: Seq,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), SourceError> {
        Ok(self.journal.read(|reader| reader.own_entries(session, after, through, take))?)
    }

    fn large(&self, hash: Hash, take: &mut dyn FnMut(&[u8])) -> Result<bool, SourceError> {
        match self.journal.read(|reader| reader.content(hash, take)) {
            // Damaged in the journal: for the snapshot it is as good as missing, and is noted.
            Err(ReadError::ContentDamaged { .. }) => Ok(false),
            other => Ok(other?),
        }
    }

    fn documents(&self) -> Result<Vec<Document>, SourceError> {
        let document = |document: &CarriedDocument| Document {
            kind: document.kind.to_owned(),
            key: document.key.clone(),
            session: document.session,
            json: document.json.clone(),
            large: blobs_in(&document.json),
        };
        Ok(self.documents.iter().map(document).collect())
    }
}

/// The attachments that a draft or queued prompt names.
fn blobs_in(json: &str) -> Vec<DataRef> {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else { return Vec::new() };
    let lists = ["attachments", "content"].map(|field| value.get(field).and_then(|list| list.as_array()));
    let blocks = lists.into_iter().flatten().flatten();
    blocks.filter_map(|block| serde_json::from_value(block.clone()).ok()).collect()
}

/// The journal as what is restored into.
pub(crate) struct JournalTarget(pub Journal);

impl Target for JournalTarget {
    fn head(&self, session: SessionId) -> Result<Option<Head>, SourceError> {
        Ok(self.0.read(|reader| reader.head(session))?)
    }

    fn hash_at(&self, session: SessionId, seq: Seq) -> Result<Option<Hash>, SourceError> {
        Ok(self.0.read(|reader| reader.hash_at(session, seq))?)
    }

    fn has_copy_of(&self, session: SessionId, head: Head) -> Result<bool, SourceError> {
        Ok(self.0.read(|reader| reader.copy_of(session, head.hash))?.is_some())
    }

    fn has_large(&self, hash: Hash) -> Result<bool, SourceError> {
        Ok(self.0.read(|reader| reader.blob_info(hash))?.is_some())
    }

    fn put_large(&mut self, hash: Hash, bytes: Vec<u8>) -> Result<(), SourceError> {
        let put = self.0.write_blocking(move |tx| tx.put_blob(&bytes, "application/octet-stream"))?;
        if put.hash == hash { Ok(()) } else { Err(format!("the large content {hash} does not match").into()) }
    }

    fn add(&mut self, session: &SessionRecord, after: Option<Head>, entries: Vec<Entry>) -> Result<(), SourceError> {
        let id = session.id;
        let origin = session.pin.map(|pin| gander_model::project::Origin {
            session_id: pin.session,
            seq: pin.head.seq,
            hash: pin.head.hash,
        });
        self.0.write_blocking(move |tx| tx.carry_in(id, origin, after, &entries))?;
        Ok(())
    }

    fn copy(&mut self, session: &SessionRecord, common: Option<Head>, entries: Vec<Entry>) -> Result<(), SourceError> {
        let id = session.id;
        self.0.write_blocking(move |tx| tx.recover_copy(id, common, &entries))?;
        Ok(())
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
}

impl Ctx {
    /// Where the vault is, for people.
    pub fn vault_place(&self) -> String {
        let settings = self.settings().backup;
        match (settings.bucket, settings.folder) {
            (Some(bucket), _) => format!("bucket {}", bucket.bucket),
            (None, Some(folder)) => folder.display().to_string(),
            (None, None) => self.data_dir.join("vault").display().to_string(),
        }
    }

    /// Opens the vault; blocks.
    pub fn vault(&self, runtime: tokio::runtime::Handle) -> Result<Vault, VaultError> {
        let settings = self.settings().backup;
        if let Some(mut bucket) = settings.bucket {
            bucket.secret_access_key = std::env::var("GANDER_BACKUP_SECRET").unwrap_or_default();
            return Vault::bucket(&bucket, runtime);
        }
        let folder = settings.folder.unwrap_or_else(|| self.data_dir.join("vault"));
        Vault::folder(&folder, runtime)
    }

    pub fn new_snapshot_id(&self) -> SnapshotId {
        SnapshotId::from_parts(self.now_ms(), &self.random10())
    }

    /// Makes a snapshot; whoever calls holds [`Backups::turn`].
    pub(crate) async fn back_up(self: &Arc<Self>, reason: Reason) -> Result<Created, BackupError> {
        let runtime = tokio::runtime::Handle::current();
        let ctx = self.clone();
        let made = blocking(move || {
            let vault = ctx.vault(runtime)?;
            let (source, revision) = JournalSource::seal(&ctx.journal)?;
            let now_ms = || ctx.now_ms();
            let distrust = lock(&ctx.backups.state).distrust.clone();
            let request = CreateRequest {
                id: ctx.new_snapshot_id(),
                now_ms: &now_ms,
                reason,
                machine: host_name(),
                version: gander_model::VERSION.to_owned(),
                distrust,
            };
            let created = vault.create(&source, &request)?;
            Ok::<_, BackupError>((created, revision))
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

    /// Once a week: everything in a snapshot is restored into a scratch store, which must have the same store root.
    async fn drill_if_due(self: &Arc<Self>, snapshot: SnapshotId) {
        let last = self.read(|reader| reader.setting(DRILLED)).await.ok().flatten();
        let last_ms = last.and_then(|last| last.parse::<i64>().ok()).unwrap_or(0);
        if self.now_ms().saturating_sub(last_ms) < DRILL_EVERY_MS {
            return;
        }
        let (ctx, runtime) = (self.clone(), tokio::runtime::Handle::current());
        let drilled = blocking(move || ctx.vault(runtime)?.snapshot(snapshot)?.drill()).await;
        let failed = match drilled {
            Ok(true) => {
                let at_ms = self.now_ms().to_string();
                // Without it the drill is done again sooner.
                let _ = self.write(move |tx| tx.set(DRILLED, Some(&at_ms))).await;
                return;
            }
            Ok(false) => "a drill restored it, and the store roots differ".to_owned(),
            Err(error) => with_sources(&error),
        };
        tracing::warn!(failed, "the drill of a snapshot failed");
        lock(&self.backups.state).failed = Some(format!("Snapshot {snapshot} cannot be relied on: {failed}"));
    }

    /// Whether anything changed since the last snapshot, of this run or an earlier one.
    pub(crate) fn has_changed(&self) -> bool {
        lock(&self.backups.state).revision != Some(*self.journal.revisions().borrow())
    }
}

fn host_name() -> String {
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let name = name.unwrap_or_default().trim().to_owned();
    if name.is_empty() { "this machine".to_owned() } else { name }
}

impl Gander {
    /// Snapshots on a timer, and soon after an erasure.
    pub(crate) async fn start_timed_backups(&self) -> Result<(), ReadError> {
        let kept = self.ctx.read(|reader| reader.setting(BACKED_UP)).await?;
        if let Some((revision, at_ms)) = kept.as_deref().and_then(|kept| kept.split_once(' ')) {
            let mut state = lock(&self.ctx.backups.state);
            (state.revision, state.last_ms) = (revision.parse().ok(), at_ms.parse().ok());
        }
        let weak = Arc::downgrade(&self.ctx);
        let mut stopping = self.ctx.stopping.subscribe();
        tokio::spawn(async move {
            loop {
                let Some(ctx) = weak.upgrade() else { return };
                let minutes = ctx.settings().backup.every_minutes.unwrap_or(EVERY_MINUTES);
                let wait = Duration::from_secs(60 * if minutes == 0 { EVERY_MINUTES } else { minutes });
                let asked = tokio::select! {
                    () = tokio::time::sleep(wait) => false,
                    () = ctx.backups.soon.notified() => true,
                    _ = stopping.wait_for(|stop| *stop) => return,
                };
                if ctx.has_changed() && (asked || minutes > 0) {
                    let _turn = ctx.backups.turn().await;
                    match ctx.back_up(Reason::Timer).await {
                        Ok(created) if created.damaged.is_empty() => ctx.drill_if_due(created.manifest.id).await,
                        // It lacks what the journal itself lost, which is the journal's finding.
                        Ok(_) => {}
                        Err(error) => tracing::warn!(error = with_sources(&error), "no timed snapshot"),
                    }
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
