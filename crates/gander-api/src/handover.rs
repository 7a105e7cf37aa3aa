//! Handing the store over to another version: no new turns, running ones end or are interrupted, then nothing is
//! written, a snapshot holds everything, a seal says what there was, and the process ends. Whoever opens the store next
//! compares it with the seal.
//!
//! Nothing here is kept anywhere but in memory until the seal: a process that is killed at any moment before leaves a
//! store that starts as after any other kill, and a handover that is called off goes on as if nothing had been.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gander_model::{UpgradeId, WindowId};
use gander_upgrade::place::Place;
use gander_upgrade::state::{self, Phase as UpgradePhase, State as UpgradeState};
use gander_vault::Reason;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::dto::{self, rfc3339};
use crate::error::{ApiError, Code};
use crate::feed::{self, with_sources};
use crate::gander::{Ctx, Gander, blocking, lock};
use crate::live::Command;
use crate::seal::{FILE, Seal};

/// A page saves a draft within 250 ms of the keyboard: one that was quiet for longer has nothing unsaved.
const QUIET: Duration = Duration::from_millis(400);
/// Somebody who never stops typing is not waited for longer: the page keeps what comes after.
const TYPING: Duration = Duration::from_secs(3);
/// How often it is looked whether whoever drives the upgrade still lives.
const LOOK: Duration = Duration::from_secs(1);

/// Where a handover stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    None,
    Waiting,
    /// What was waited for is there: it can no longer be called off.
    Closing,
    Frozen,
    Sealed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Wait,
    Interrupt,
    Cancel,
}

#[derive(Default)]
struct Standing {
    phase: Phase,
    asked: dto::HandoverBody,
    deadline: Option<(Instant, i64)>,
    failed: Option<String>,
    seal: Option<dto::SealSummary>,
}

/// The one handover of this process.
pub(crate) struct Handover {
    /// No turn is started.
    holding: AtomicBool,
    standing: Mutex<Standing>,
    wish: watch::Sender<Wish>,
    /// When a draft was saved last, by window.
    typed: Mutex<HashMap<WindowId, Instant>>,
}

impl Default for Handover {
    fn default() -> Self {
        Handover {
            holding: AtomicBool::new(false),
            standing: Mutex::default(),
            wish: watch::channel(Wish::Wait).0,
            typed: Mutex::default(),
        }
    }
}

impl Handover {
    /// Whether no turn may be started. Asked on the writer's thread, so that who comes after it was set never starts one.
    pub fn is_holding(&self) -> bool {
        self.holding.load(Ordering::SeqCst)
    }

    /// A draft of this window was saved.
    pub fn typed(&self, window: WindowId) {
        lock(&self.typed).insert(window, Instant::now());
    }

    /// Whether anybody typed within this time.
    pub fn typed_within(&self, time: Duration) -> bool {
        lock(&self.typed).values().any(|at| at.elapsed() < time)
    }

    /// Windows in which somebody typed just now.
    fn typing(&self) -> u64 {
        lock(&self.typed).values().filter(|at| at.elapsed() < QUIET).count() as u64
    }

    fn phase(&self) -> Phase {
        lock(&self.standing).phase
    }

    fn enter(&self, phase: Phase) {
        lock(&self.standing).phase = phase;
    }

    /// From now on it cannot be called off, unless it was.
    fn close(&self) -> bool {
        let mut standing = lock(&self.standing);
        let goes_on = *self.wish.borrow() != Wish::Cancel;
        if goes_on {
            standing.phase = Phase::Closing;
        }
        goes_on
    }
}

/// How a handover ended.
enum End {
    Sealed,
    Cancelled,
}

impl Gander {
    /// Begins to hand over. Done when no new turn can start; the rest goes on beside. A repeat shows how far it is.
    pub async fn begin_handover(&self, body: dto::HandoverBody) -> Result<dto::Handover, ApiError> {
        self.check_serving()?;
        let ctx = &self.ctx;
        if let Some(reason) = ctx.journal.read_only() {
            return Err(ApiError::new(Code::NotSaving, format!("This store is only read: {reason}.")));
        }
        if body.upgrade.as_deref().is_some_and(|id| id.parse::<UpgradeId>().is_err()) {
            return Err(ApiError::bad("`upgrade` is not the id of an upgrade."));
        }
        {
            let mut standing = lock(&ctx.handover.standing);
            if standing.phase != Phase::None {
                if standing.asked.upgrade != body.upgrade {
                    return Err(ApiError::new(Code::WrongState, "Another handover is under way.")
                        .todo("Wait for it, or call it off first."));
                }
            } else {
                let wish = if body.interrupt { Wish::Interrupt } else { Wish::Wait };
                ctx.handover.wish.send_replace(wish);
                let patience = body.deadline_ms.map(|ms| Duration::from_millis(ms.min(7 * 24 * 60 * 60 * 1000)));
                let deadline = patience.map(|patience| {
                    let ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
                    (Instant::now() + patience, ctx.now_ms().saturating_add(ms))
                });
                *standing = Standing { phase: Phase::Waiting, asked: body, deadline, ..Standing::default() };
                ctx.handover.holding.store(true, Ordering::SeqCst);
                tokio::spawn(run(ctx.clone()));
            }
        }
        self.handover().await
    }

    /// How far a handover is.
    pub async fn handover(&self) -> Result<dto::Handover, ApiError> {
        Ok(self.ctx.handover_now().await?)
    }

    /// Calls a handover off: everything goes on as if it had not been.
    pub async fn cancel_handover(&self) -> Result<dto::Handover, ApiError> {
        {
            let standing = lock(&self.ctx.handover.standing);
            match standing.phase {
                Phase::None => {}
                Phase::Waiting => {
                    self.ctx.handover.wish.send_replace(Wish::Cancel);
                    self.ctx.installed.put_off();
                }
                Phase::Closing | Phase::Frozen | Phase::Sealed => {
                    return Err(ApiError::new(Code::WrongState, "It is too late to call the handover off.")
                        .safe("Everything is saved, and the windows come back by themselves.")
                        .todo("Wait a moment."));
                }
            }
        }
        // It is over when turns are taken again.
        let mut passing = self.ctx.passing.subscribe();
        while self.ctx.handover.phase() == Phase::Waiting {
            let _ = tokio::time::timeout(Duration::from_millis(50), passing.recv()).await;
        }
        self.handover().await
    }

    /// Interrupts running turns now; each can be continued afterwards.
    pub async fn interrupt_handover(&self) -> Result<dto::Handover, ApiError> {
        if self.ctx.handover.phase() == Phase::None {
            return Err(ApiError::new(Code::WrongState, "No handover is under way."));
        }
        self.ctx.handover.wish.send_if_modified(|wish| {
            let waits = *wish == Wish::Wait;
            if waits {
                *wish = Wish::Interrupt;
            }
            waits
        });
        self.handover().await
    }
}

impl Ctx {
    /// Why a turn was cut off by this process.
    pub fn stop_reason(&self) -> &'static str {
        match self.handover.phase() {
            Phase::None | Phase::Waiting => "Gander was stopped",
            _ => "interrupted, to hand over to another version of Gander",
        }
    }

    async fn running_turns(&self) -> Result<Vec<dto::HandoverTurn>, gander_journal::ReadError> {
        self.read(|reader| {
            let turns = reader.running_turns()?.into_iter();
            let turn = |(session_id, turn_id)| {
                // A damaged session's name is not what this is about.
                let name = reader.session(session_id).ok().and_then(|view| view.state.name);
                dto::HandoverTurn { session_id, turn_id, name }
            };
            Ok(turns.map(turn).collect())
        })
        .await
    }

    /// The document that pages and programs get.
    pub async fn handover_now(&self) -> Result<dto::Handover, gander_journal::ReadError> {
        let turns = match self.handover.phase() {
            Phase::Waiting | Phase::Closing => self.running_turns().await?,
            _ => Vec::new(),
        };
        let standing = lock(&self.handover.standing);
        let (state, safe) = match standing.phase {
            Phase::None => ("none", "Everything is saved as it comes."),
            Phase::Waiting | Phase::Closing => (
                "waiting",
                "Everything is saved as it comes; running answers go on, and new prompts stay in the draft.",
            ),
            Phase::Frozen => ("frozen", "Everything is saved; what is typed now stays in the page."),
            Phase::Sealed => {
                ("sealed", "Everything is saved, backed up and sealed; the windows come back by themselves.")
            }
        };
        Ok(dto::Handover {
            state: state.into(),
            upgrade: standing.asked.upgrade.clone(),
            from: gander_model::VERSION.to_owned(),
            to: standing.asked.to.clone(),
            turns,
            drafts: if standing.phase == Phase::None { 0 } else { self.handover.typing() },
            deadline_at: standing.deadline.map(|(_, at_ms)| rfc3339(at_ms)),
            can_cancel: standing.phase == Phase::Waiting,
            failed: standing.failed.clone(),
            safe: safe.into(),
            seal: standing.seal.clone(),
        })
    }

    /// For a feed that begins: nothing while there is no handover.
    pub async fn handover_push(&self) -> Option<feed::Push> {
        if self.handover.phase() == Phase::None {
            return None;
        }
        Some(feed::handover(&self.handover_now().await.ok()?))
    }

    async fn tell_handover(&self) {
        if let Ok(now) = self.handover_now().await {
            // Nobody listening is no error.
            let _ = self.passing.send(feed::handover(&now));
        }
    }
}

/// The handover's whole life.
async fn run(ctx: Arc<Ctx>) {
    ctx.tell_handover().await;
    let failed = match drive(&ctx).await {
        Ok(End::Sealed) => {
            ctx.stop_wanted.send_replace(true);
            return;
        }
        Ok(End::Cancelled) => None,
        Err(why) => {
            tracing::error!(why, "the store was not handed over; everything goes on");
            Some(why)
        }
    };
    go_on(&ctx, failed).await;
}

/// As if it had not been: writes and turns are taken, and queues that waited go on.
async fn go_on(ctx: &Arc<Ctx>, failed: Option<String>) {
    ctx.journal.thaw();
    if *ctx.stopping.borrow() {
        return;
    }
    ctx.live.reopen();
    ctx.handover.holding.store(false, Ordering::SeqCst);
    let waiting = ctx.read(|reader| reader.waiting_queues()).await.unwrap_or_default();
    for session in waiting {
        let started = ctx.write(move |tx| Ok(tx.start_queued(session)?.is_some())).await;
        if started.unwrap_or(false) {
            ctx.live.tell(ctx, session, Command::Wake);
        }
    }
    *lock(&ctx.handover.standing) = Standing { failed, ..Standing::default() };
    ctx.tell_handover().await;
}

async fn drive(ctx: &Arc<Ctx>) -> Result<End, String> {
    let text = |error: &dyn std::error::Error| with_sources(error);
    // Behind everything that was taken before: no turn starts any more.
    ctx.write(|_| Ok(())).await.map_err(|error| text(&error))?;
    if !wait_for_turns(ctx).await? || !wait_for_drafts(ctx).await? {
        return Ok(End::Cancelled);
    }
    let _turn = tokio::select! {
        turn = ctx.backups.turn() => turn,
        () = called_off(ctx) => return Ok(End::Cancelled),
    };
    // The larger part, while everything still works; what comes after it is small.
    let mut snapshot = ctx.back_up(Reason::Upgrade).await.map_err(|error| no_backup(&error))?;
    if !ctx.handover.close() {
        return Ok(End::Cancelled);
    }
    ctx.live.stop().await;
    let upgrade = lock(&ctx.handover.standing).asked.upgrade.as_deref().and_then(|id| id.parse().ok());
    if let Some(id) = upgrade {
        advance(ctx, id).await?;
    }
    ctx.journal.freeze().await.map_err(|error| text(&error))?;
    ctx.handover.enter(Phase::Frozen);
    ctx.tell_handover().await;
    if ctx.has_changed() {
        snapshot = ctx.back_up(Reason::Upgrade).await.map_err(|error| no_backup(&error))?;
    }
    let manifest = snapshot.manifest;
    let seal = sealed(ctx, manifest.id.to_string()).await?;
    if seal.root != manifest.root {
        return Err("the snapshot does not hold what is in the journal".to_owned());
    }
    let (dir, written) = (ctx.data_dir.clone(), seal.clone());
    blocking(move || written.write(&dir)).await.map_err(|error| text(&error))?;
    let summary = seal.summary(&ctx.data_dir);
    if let Some(id) = upgrade {
        record(ctx, id, &summary).await;
    }
    {
        let mut standing = lock(&ctx.handover.standing);
        standing.phase = Phase::Sealed;
        standing.seal = Some(summary);
    }
    tracing::info!(root = %seal.root, "the store was sealed in {FILE}");
    ctx.tell_handover().await;
    Ok(End::Sealed)
}

fn no_backup(error: &dyn std::error::Error) -> String {
    format!("no backup could be made: {}", with_sources(error))
}

async fn sealed(ctx: &Arc<Ctx>, snapshot: String) -> Result<Seal, String> {
    let asked = lock(&ctx.handover.standing).asked.upgrade.clone();
    let id = asked.unwrap_or_else(|| ctx.new_mark());
    let facts = (id, gander_model::VERSION.to_owned(), ctx.journal.epoch(), ctx.now_ms());
    let sealed = ctx.read(move |reader| Seal::of(reader, facts, snapshot)).await;
    sealed.map_err(|error| with_sources(&error))
}

/// True when nothing runs any more, or what runs is to be interrupted; false when it was called off.
async fn wait_for_turns(ctx: &Arc<Ctx>) -> Result<bool, String> {
    let mut revisions = ctx.journal.revisions();
    let mut wish = ctx.handover.wish.subscribe();
    let mut stopping = ctx.stopping.subscribe();
    let deadline = lock(&ctx.handover.standing).deadline;
    let mut told = Vec::new();
    let mut looked = Instant::now();
    loop {
        match *wish.borrow_and_update() {
            Wish::Cancel => return Ok(false),
            Wish::Interrupt => return Ok(true),
            Wish::Wait => {}
        }
        revisions.borrow_and_update();
        let turns = ctx.running_turns().await.map_err(|error| with_sources(&error))?;
        if turns.is_empty() {
            return Ok(true);
        }
        if turns != told {
            ctx.tell_handover().await;
            told = turns;
        }
        if looked.elapsed() >= LOOK {
            driver_lives(ctx).await?;
            looked = Instant::now();
        }
        tokio::select! {
            _ = revisions.changed() => {}
            _ = wish.changed() => {}
            () = at(deadline.map(|(at, _)| at)) => return Ok(true),
            () = tokio::time::sleep(LOOK) => {}
            _ = stopping.wait_for(|stop| *stop) => return Ok(false),
        }
    }
}

/// Until pages had the time to save what was typed.
async fn wait_for_drafts(ctx: &Arc<Ctx>) -> Result<bool, String> {
    let until = Instant::now() + TYPING;
    let mut wish = ctx.handover.wish.subscribe();
    // A page that hears of the handover saves at once.
    ctx.tell_handover().await;
    loop {
        let waited = tokio::select! {
            () = tokio::time::sleep(QUIET) => true,
            _ = wish.wait_for(|wish| *wish == Wish::Cancel) => false,
        };
        if !waited {
            return Ok(false);
        }
        if ctx.handover.typing() == 0 || Instant::now() >= until {
            return Ok(true);
        }
        ctx.tell_handover().await;
        driver_lives(ctx).await?;
    }
}

async fn called_off(ctx: &Arc<Ctx>) {
    let mut wish = ctx.handover.wish.subscribe();
    if wish.wait_for(|wish| *wish == Wish::Cancel).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// A store that nobody will take over is not given away.
async fn driver_lives(ctx: &Arc<Ctx>) -> Result<(), String> {
    if lock(&ctx.handover.standing).asked.upgrade.is_none() {
        return Ok(());
    }
    let place = Place::new(&ctx.data_dir);
    match blocking(move || state::driver(&place)).await {
        Ok(None) => Err("the process that upgraded has ended".to_owned()),
        // Not to know is no reason to stop.
        Ok(Some(_)) | Err(_) => Ok(()),
    }
}

/// Who upgrades has not given up, and cannot from here on without noticing the seal.
async fn advance(ctx: &Arc<Ctx>, id: UpgradeId) -> Result<(), String> {
    let (place, now_ms) = (Place::new(&ctx.data_dir), ctx.now_ms());
    let advanced = blocking(move || {
        UpgradeState::advance(&place, id, &[UpgradePhase::Prepare], UpgradePhase::Seal, now_ms, |_| {})
    });
    advanced.await.map(drop).map_err(|error| format!("the upgrade was given up: {}", with_sources(&error)))
}

async fn record(ctx: &Arc<Ctx>, id: UpgradeId, summary: &dto::SealSummary) {
    let (place, seal) = (Place::new(&ctx.data_dir), serde_json::to_value(summary).ok());
    let recorded = blocking(move || UpgradeState::record(&place, id, &[UpgradePhase::Seal], |state| state.seal = seal));
    if let Err(error) = recorded.await {
        // The seal itself is on the disk, and says the same.
        tracing::warn!(error = with_sources(&error), "the seal was not noted in the upgrade's state");
    }
}
