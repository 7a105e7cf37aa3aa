//! The store with everything around it: opened once, shared by all who serve from it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gander_journal::{Journal, ReadError, Reader, Tx, WriteError};
use gander_model::{ItemId, JournalId};
use tokio::sync::{broadcast, watch};

use crate::agents::{self, Known, Programs};
use crate::attach::Attachments;
use crate::backups::Backups;
use crate::commands::Offered;
use crate::config::{ConfigFile, Settings};
use crate::error::ApiError;
use crate::feed::Live as LiveChange;
use crate::feed::with_sources;
use crate::gate::{self, Gate, Passed};
use crate::jobs::{self, Jobs};
use crate::live::Live;
use crate::place::SafePlace;
use crate::seal::Seal;

/// How a store is opened.
pub struct Options {
    /// Clock, randomness and faults of the journal.
    pub journal: gander_journal::Options,
    /// Our own program, which is also the built-in agent; found by itself when left out.
    pub program: Option<PathBuf>,
    /// Where agents are looked for; `PATH` when left out.
    pub path: Option<OsString>,
    /// The settings; `config.toml` in the data folder when left out.
    pub config: Option<PathBuf>,
    /// Where new chats start; the home folder when left out.
    pub home: Option<PathBuf>,
    /// How long agents may take.
    pub agent_timeouts: gander_acp::Timeouts,
    /// How long an agent may take to stop a turn before it is ended.
    pub cancel_grace: Duration,
    /// Whether a journal of an older format is brought to this version's; only what stays (serve, the desktop, an
    /// upgrade) may.
    pub may_migrate: bool,
    /// The upgrade that this start is part of: the journal is compared with the seal first, and the upgrade committed.
    pub upgrade: Option<gander_model::UpgradeId>,
    /// The installed program, which a package manager may replace: another version there takes over. Nothing is watched
    /// where it is left out.
    pub installed: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            journal: gander_journal::Options::default(),
            program: None,
            path: None,
            config: None,
            home: None,
            agent_timeouts: gander_acp::Timeouts::default(),
            cancel_grace: Duration::from_secs(10),
            may_migrate: true,
            upgrade: None,
            installed: None,
        }
    }
}

/// Why a store is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal is not.
    #[error(transparent)]
    Journal(#[from] gander_journal::OpenError),
    /// Another version wrote it last, and the backup before this one writes could not be made.
    #[error(
        "gander {from} wrote this journal last; before gander {to} writes to it a backup is made, and that failed; nothing was changed"
    )]
    NoBackup {
        /// The version that wrote it last.
        from: String,
        /// This version.
        to: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It has an older format, and who asks may not change that.
    #[error("the journal has format {found}, and this version writes format {known}; nothing was changed")]
    MigrationWanted {
        /// The format found.
        found: u32,
        /// The format that this version writes.
        known: u32,
    },
    /// The start is part of an upgrade, and the journal is not what was sealed, or the upgrade was given up.
    #[error("the new version does not take over: {0}")]
    CheckFailed(String),
    /// The seal that is there cannot be used.
    #[error(transparent)]
    Seal(#[from] crate::seal::SealError),
    /// It was opened, and recovery failed.
    #[error("the journal could not be recovered")]
    Recover(#[source] WriteError),
    /// It was opened, and a first read failed.
    #[error("the journal could not be read")]
    Read(#[from] ReadError),
}

impl OpenError {
    /// What to do next, for a person.
    pub fn todo(&self) -> &'static str {
        match self {
            OpenError::NoBackup { .. } => {
                "See to the cause (free some space, or mend what [backup] in config.toml names) and start again; the \
                 version that wrote it still opens it."
            }
            OpenError::MigrationWanted { .. } => {
                "Run `gander serve`, or open Gander: it makes a backup, then brings the journal to its format."
            }
            OpenError::CheckFailed(_) => "The version before goes on; see `gander upgrade status`.",
            _ => "Look at it with `gander doctor`; nothing was changed.",
        }
    }
}

/// What operations and sessions' tasks share.
pub(crate) struct Ctx {
    pub journal: Journal,
    pub data_dir: PathBuf,
    pub live: Live,
    /// Names this machine and journal: a link made elsewhere is not bound here.
    pub machine: String,
    pub agent_timeouts: gander_acp::Timeouts,
    pub cancel_grace: Duration,
    pub started_at_ms: i64,
    pub(crate) attachments: Attachments,
    pub(crate) jobs: Jobs,
    pub(crate) offered: Offered,
    pub(crate) backups: Backups,
    pub(crate) handover: crate::handover::Handover,
    pub(crate) installed: crate::installed::Installed,
    /// Attachments that are being taken in.
    pub(crate) uploads: Arc<tokio::sync::Semaphore>,
    /// Changes that are not kept: which windows are attached.
    pub(crate) passing: broadcast::Sender<LiveChange>,
    pub(crate) hub: crate::feed::Hub,
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) stop_wanted: watch::Sender<bool>,
    clock: Arc<dyn gander_journal::Clock>,
    random: Arc<dyn gander_journal::Random>,
    config: Mutex<ConfigFile>,
    programs: Programs,
    home: PathBuf,
    versions: Mutex<HashMap<String, String>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is whole after each statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ctx {
    /// Reads, away from the threads that serve.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.journal.read_async(read).await
    }

    /// Writes; done when it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Tx<'_>) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, WriteError> {
        self.journal.write(write).await
    }

    /// Writes what an agent said or did: while the journal cannot save, this waits and then does it again. Gives up
    /// only when the process stops. For what may be done twice; everything else goes through [`Ctx::write_once`].
    pub async fn write_saved<T: Send + 'static>(
        &self,
        write: impl Fn(&mut Tx<'_>) -> Result<T, WriteError> + Send + Sync + 'static,
    ) -> Result<T, WriteError> {
        let write = Arc::new(write);
        loop {
            let again = write.clone();
            match self.journal.write(move |tx| again(tx)).await {
                Err(WriteError::NotSaving(reason)) => self.saves_again(reason).await?,
                other => return other,
            }
        }
    }

    /// Waits until the journal saves again, or the process stops.
    pub async fn saves_again(&self, reason: String) -> Result<(), WriteError> {
        tracing::warn!(reason, "waiting until the journal saves again");
        let mut saving = self.journal.status();
        let mut stopping = self.stopping.subscribe();
        let healed = tokio::select! {
            healed = saving.wait_for(crate::live::is_saving) => healed.is_ok(),
            _ = stopping.wait_for(|stop| *stop) => false,
        };
        if !healed {
            return Err(WriteError::NotSaving(reason));
        }
        // The status may say "saving" an instant before writes are taken.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// [`Ctx::write_saved`] of what must not be there twice. A commit that failed may have reached the disk all the same,
    /// and it did so as a whole or not at all. So `before` looks at something that only this write changes, when it is
    /// first tried; ere it is tried again, `done` says from that whether the write is there.
    pub async fn write_once<B: Send + 'static>(
        &self,
        before: impl Fn(&mut Tx<'_>) -> Result<B, WriteError> + Send + Sync + 'static,
        done: impl Fn(&mut Tx<'_>, &B) -> Result<bool, WriteError> + Send + Sync + 'static,
        write: impl Fn(&mut Tx<'_>) -> Result<(), WriteError> + Send + Sync + 'static,
    ) -> Result<(), WriteError> {
        let tried = Mutex::new(None);
        self.write_saved(move |tx| {
            let mut tried = lock(&tried);
            match &*tried {
                Some(before) if done(tx, before)? => return Ok(()),
                Some(_) => {}
                None => *tried = Some(before(tx)?),
            }
            write(tx)
        })
        .await
    }

    /// Beside the work: what passed the gate is kept, and the last seal is compared with what is there.
    fn after_the_gate(self: &Arc<Self>, passed: Option<Passed>) {
        if self.journal.read_only().is_some() {
            return;
        }
        let ctx = self.clone();
        tokio::spawn(async move {
            if let Some(Ok(passed)) = passed.map(|passed| serde_json::to_string(&passed)) {
                // For people; the snapshot itself says the same.
                let _ = ctx.write(move |tx| tx.set("last_gate", Some(&passed))).await;
            }
            let (journal, dir) = (ctx.journal.clone(), ctx.data_dir.clone());
            let lacks = blocking(move || match Seal::read(&dir) {
                Ok(Some(seal)) => {
                    gate::lacks(&journal, &seal).map(|lacks| Some((lacks, seal))).map_err(|e| with_sources(&e))
                }
                Ok(None) => Ok(None),
                Err(error) => Err(with_sources(&error)),
            });
            match lacks.await {
                Ok(Some((lacks, seal))) => {
                    let noted = ctx.write(move |tx| gate::note(tx, &lacks, &seal)).await;
                    if let Err(error) = noted {
                        tracing::error!(%error, "what the seal says could not be noted");
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(error, "the last seal could not be compared"),
            }
        });
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    pub(crate) fn random10(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.random.fill(&mut bytes);
        bytes
    }

    pub fn new_item_id(&self) -> ItemId {
        ItemId::from_parts(self.now_ms(), &self.random10())
    }

    /// A source of item ids that outlives a borrow.
    pub fn item_ids(self: &Arc<Self>) -> impl FnMut() -> ItemId + Send + 'static {
        let ctx = self.clone();
        move || ctx.new_item_id()
    }

    /// Marks an agent's process and all that comes from it.
    pub fn new_mark(&self) -> String {
        self.new_item_id().to_string()
    }

    pub fn settings(&self) -> Settings {
        lock(&self.config).settings.clone()
    }

    /// Why the settings' file is not used.
    pub fn settings_broken(&self) -> Option<String> {
        lock(&self.config).broken.clone()
    }

    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) -> Result<(), ApiError> {
        lock(&self.config).change(change).map_err(|error| {
            ApiError::bad(error.to_string())
                .safe("The settings' file is as it was.")
                .todo("Correct the file, then try again.")
        })
    }

    pub fn agents(&self) -> Vec<Known> {
        agents::all(&self.settings(), &self.programs)
    }

    pub fn agent(&self, id: &str) -> Option<Known> {
        self.agents().into_iter().find(|agent| agent.spec.id == id)
    }

    /// What an agent says of itself is shown until it says something else.
    pub fn saw_agent(&self, id: &str, version: Option<String>) {
        if let Some(version) = version {
            lock(&self.versions).insert(id.to_owned(), version);
        }
    }

    pub fn agent_version(&self, id: &str) -> Option<String> {
        lock(&self.versions).get(id).cloned()
    }

    pub fn agent_idle(&self) -> Duration {
        Duration::from_secs(self.settings().agent_idle_minutes.unwrap_or(DEFAULT_IDLE_MINUTES) * 60)
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn default_cwd(&self) -> PathBuf {
        self.settings().default_cwd.unwrap_or_else(|| self.home.clone())
    }
}

pub(crate) const DEFAULT_IDLE_MINUTES: u64 = 10;
pub(crate) const DEFAULT_MAX_AGENTS: u64 = 24;

/// The store. Clones are the same one.
#[derive(Clone)]
pub struct Gander {
    pub(crate) ctx: Arc<Ctx>,
}

impl Gander {
    /// Opens a data folder: takes its lock, ends agents of an earlier run, and records what that run left unfinished.
    pub async fn open(data_dir: &Path, options: Options) -> Result<Gander, OpenError> {
        let dir = data_dir.to_owned();
        let (clock, random) = (options.journal.clock.clone(), options.journal.random.clone());
        let config = ConfigFile::open(options.config.unwrap_or_else(|| data_dir.join("config.toml")));
        let gate = Gate {
            data_dir: dir,
            journal: options.journal,
            place: SafePlace::with(data_dir, config.settings.backup.clone()),
            may_migrate: options.may_migrate,
            upgrade: options.upgrade,
            runtime: tokio::runtime::Handle::current(),
        };
        let (journal, passed) = blocking(move || gate.open()).await?;
        // A journal that is only shown has nobody's agents to end.
        if journal.read_only().is_none() {
            let left = journal.read_async(|reader| reader.agent_processes()).await?;
            let marks: Vec<String> = left.iter().map(|process| process.mark.clone()).collect();
            end_earlier(left).await;
            journal
                .write(move |tx| marks.iter().try_for_each(|mark| tx.agent_process_remove(mark)))
                .await
                .map_err(OpenError::Recover)?;
        }
        let recovering = journal.clone();
        blocking(move || recovering.recover()).await.map_err(OpenError::Recover)?;
        let machine = machine(&journal, &*random).await.map_err(OpenError::Recover)?;
        let max_agents = config.settings.max_agents.unwrap_or(DEFAULT_MAX_AGENTS);
        let path = options.path.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
        let home = options.home.or_else(std::env::home_dir).unwrap_or_else(|| PathBuf::from("/"));
        let ctx = Arc::new(Ctx {
            data_dir: data_dir.to_owned(),
            live: Live::new(usize::try_from(max_agents).unwrap_or(usize::MAX)),
            machine,
            agent_timeouts: options.agent_timeouts,
            cancel_grace: options.cancel_grace,
            started_at_ms: clock.now_ms(),
            attachments: Attachments::default(),
            jobs: Jobs::default(),
            offered: Offered::default(),
            backups: Backups::default(),
            handover: crate::handover::Handover::default(),
            installed: crate::installed::Installed::default(),
            uploads: Arc::new(tokio::sync::Semaphore::new(4)),
            passing: broadcast::channel(256).0,
            hub: crate::feed::Hub::new(),
            stopping: watch::channel(false).0,
            stop_wanted: watch::channel(false).0,
            clock,
            random,
            config: Mutex::new(config),
            programs: Programs { own: options.program, path, scratch_home: data_dir.join("scratch") },
            home,
            versions: Mutex::default(),
            journal,
        });
        crate::feed::start(&ctx).await?;
        ctx.after_the_gate(passed);
        jobs::verify_by_itself(&ctx);
        if ctx.journal.read_only().is_none() {
            tokio::spawn(crate::live::forget_left(ctx.clone()));
            if let Some(program) = options.installed {
                crate::installed::watch(&ctx, program);
            }
        }
        let gander = Gander { ctx };
        gander.start_timed_backups().await?;
        Ok(gander)
    }

    /// Signal, drain, done: no new turns, running ones are stopped and recorded, agents are ended, the journal is closed.
    pub async fn stop(&self) {
        if self.ctx.stopping.send_replace(true) {
            return;
        }
        self.ctx.live.stop().await;
        self.back_up_at_quit().await;
        self.ctx.hub.stop().await;
        self.ctx.journal.close().await;
    }

    /// Asks whoever serves to stop.
    pub fn request_stop(&self) {
        self.ctx.stop_wanted.send_replace(true);
    }

    /// Resolves when somebody asked.
    pub async fn stop_requested(&self) {
        let mut wanted = self.ctx.stop_wanted.subscribe();
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Grows with every launch.
    pub fn epoch(&self) -> u64 {
        self.ctx.journal.epoch()
    }

    /// The journal itself, for maintenance.
    pub fn journal(&self) -> &Journal {
        &self.ctx.journal
    }

    /// The journal's id.
    pub async fn journal_id(&self) -> Result<JournalId, ApiError> {
        Ok(self.ctx.read(|reader| reader.journal_id()).await?)
    }

    /// The port that this journal is served on.
    pub async fn kept_port(&self) -> Result<Option<u16>, ApiError> {
        let port = self.ctx.read(|reader| reader.setting("port")).await?;
        Ok(port.and_then(|port| port.parse().ok()))
    }

    /// Keeps the port, so that addresses and what a browser kept for them stay good.
    pub async fn keep_port(&self, port: u16) -> Result<(), ApiError> {
        if self.ctx.journal.read_only().is_some() {
            return Ok(());
        }
        Ok(self.ctx.write(move |tx| tx.set("port", Some(&port.to_string()))).await?)
    }

    /// Fails while the process stops.
    pub(crate) fn check_serving(&self) -> Result<(), ApiError> {
        if *self.ctx.stopping.borrow() {
            return Err(ApiError::new(crate::error::Code::Stopping, "Gander is stopping."));
        }
        Ok(())
    }
}

/// Runs what blocks away from the threads that serve.
pub(crate) async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(run).await {
        Ok(done) => done,
        // The task cannot be cancelled; so it panicked, and so does whoever waited for it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Ends what an earlier run left running, before anything is bound again.
async fn end_earlier(left: Vec<gander_journal::AgentProcess>) {
    blocking(move || {
        for process in left {
            let process = gander_acp::AgentProcess {
                pid: process.pid,
                started: process.started,
                group: process.group,
                mark: process.mark,
            };
            let ended = gander_acp::process::end_earlier(&process);
            if ended > 0 {
                tracing::info!(pid = process.pid, ended, "an agent of an earlier run was ended");
            }
        }
    })
    .await;
}

/// A random name for this machine and journal. It is made anew where the journal was carried to another machine.
async fn machine(journal: &Journal, random: &dyn gander_journal::Random) -> Result<String, WriteError> {
    let host = std::fs::read_to_string("/etc/machine-id").unwrap_or_default().trim().to_owned();
    let mut bytes = [0u8; 10];
    random.fill(&mut bytes);
    let fresh = ItemId::from_parts(0, &bytes).to_string();
    if journal.read_only().is_some() {
        return Ok(fresh);
    }
    journal
        .write(move |tx| {
            let kept = tx.reader()?.setting("machine")?;
            if let Some((name, of)) = kept.as_deref().and_then(|kept| kept.split_once(' '))
                && of == host
            {
                return Ok(name.to_owned());
            }
            tx.set("machine", Some(&format!("{fresh} {host}")))?;
            Ok(fresh.clone())
        })
        .await
}
