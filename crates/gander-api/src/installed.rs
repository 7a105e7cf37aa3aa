//! What a package manager does to the installed program while this version serves: it is noticed, told in every window, and the
//! new version takes over once the running answers have ended, or when somebody says so. It drives that itself, as a process of
//! its own; this one only starts it (who is to be replaced does not replace itself).
//!
//! Nothing happens by itself where the installed version was tried and rolled back, or was left by hand: the pointer in the
//! versions folder says so. Nothing is kept anywhere but in memory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gander_upgrade::installed::{Found, Watched};
use gander_upgrade::package::{self, Wanted};
use gander_upgrade::{Place, Pointer, Version, child, driver};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::dto;
use crate::error::{ApiError, Code};
use crate::feed;
use crate::feed::with_sources;
use crate::gander::{Ctx, Gander, blocking, lock};

/// How often the installed program is looked at. One call to the system, and nothing is read.
const LOOK: Duration = Duration::from_secs(2);
/// How long it is told before anything happens by itself, so that a person may put it off.
const NOTICE: Duration = Duration::from_secs(8);
/// How long nobody may have typed.
const QUIET: Duration = Duration::from_secs(3);
/// How long turns may go on that began in the same moment as a takeover by itself: for as long as they like.
const NO_HURRY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long running turns may go on after somebody said "now"; they are interrupted then, and can be continued.
const NOW_PATIENCE: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Stage {
    /// The installed program is this version, or there is none that could be told.
    #[default]
    None,
    /// It takes over as soon as everything is quiet.
    Waits,
    /// It was tried and did not take over: only when somebody says so.
    Offered,
    /// Somebody put it off, or went back from it before.
    Later,
    TakingOver,
    /// It is older, or cannot read this journal, or a service manager is to restart this one: it does not take over.
    Unfit,
}

#[derive(Default)]
struct Standing {
    stage: Stage,
    version: Option<Version>,
    why: Option<String>,
    since: Option<Instant>,
    /// Somebody said "now".
    now: bool,
    turns: u64,
}

/// The installed program, as this process knows it.
#[derive(Default)]
pub(crate) struct Installed {
    standing: Mutex<Standing>,
    wake: Notify,
}

impl Installed {
    /// Somebody called the handover off: it does not begin again by itself.
    pub fn put_off(&self) {
        let mut standing = lock(&self.standing);
        if standing.stage == Stage::TakingOver {
            standing.stage = Stage::Later;
        }
    }
}

impl Gander {
    /// Has the installed version take over now: running turns may end, or are interrupted in a while.
    pub async fn take_over_now(&self) -> Result<(), ApiError> {
        self.change(|standing| {
            standing.now = true;
            standing.stage = Stage::Waits;
        })
    }

    /// Leaves the installed version alone until somebody says otherwise, or Gander is started again.
    pub async fn take_over_later(&self) -> Result<(), ApiError> {
        self.change(|standing| standing.stage = Stage::Later)
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) -> Result<(), ApiError> {
        self.check_serving()?;
        {
            let mut standing = lock(&self.ctx.installed.standing);
            match standing.stage {
                Stage::Waits | Stage::Offered | Stage::Later => change(&mut standing),
                Stage::TakingOver => {
                    return Err(ApiError::new(Code::WrongState, "It is taking over already.")
                        .safe("Everything is saved, and the windows come back by themselves."));
                }
                Stage::None | Stage::Unfit => {
                    return Err(ApiError::new(Code::WrongState, "No other version is installed that could take over."));
                }
            }
        }
        self.ctx.installed.wake.notify_one();
        self.ctx.tell_installed();
        Ok(())
    }
}

impl Ctx {
    /// What is told of the installed program; nothing where it is this version.
    pub fn installed_now(&self) -> Option<dto::Installed> {
        let standing = lock(&self.installed.standing);
        let state = match standing.stage {
            Stage::None => return None,
            Stage::Waits => "waits",
            Stage::Offered => "offered",
            Stage::Later => "later",
            Stage::TakingOver => "taking_over",
            Stage::Unfit => "unfit",
        };
        let version = standing.version.as_ref()?.to_string();
        Some(dto::Installed { state: state.into(), version, why: standing.why.clone(), turns: standing.turns })
    }

    fn tell_installed(&self) {
        self.tell(feed::installed(self.installed_now().as_ref()));
    }

    fn enter(&self, stage: Stage, version: Option<Version>, why: Option<String>) {
        *lock(&self.installed.standing) =
            Standing { stage, version, why, since: Some(Instant::now()), now: false, turns: 0 };
        self.tell_installed();
    }
}

/// Watches the installed program for as long as this process serves.
pub(crate) fn watch(ctx: &Arc<Ctx>, program: PathBuf) {
    let ctx = ctx.clone();
    tokio::spawn(async move {
        let mut watched = Watched::new(&program);
        let mut stopping = ctx.stopping.subscribe();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = ctx.installed.wake.notified() => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
            if let Some(found) = watched.look().await {
                noticed(&ctx, found).await;
            }
            if let Some(deadline) = may_take_over(&ctx).await {
                take_over(&ctx, &program, deadline).await;
            }
        }
    });
}

/// Another file stands where the installed program is.
async fn noticed(ctx: &Arc<Ctx>, found: Found) {
    let is = match found {
        Found::Program(is) => is,
        Found::Nothing => return ctx.enter(Stage::None, None, None),
        Found::Unusable(why) => {
            tracing::warn!(why, "the installed program was replaced by one that does not say what it is");
            return ctx.enter(Stage::None, None, None);
        }
    };
    let wanted = Wanted {
        running: driver::this_version(),
        target: gander_upgrade::TARGET.to_owned(),
        format: gander_journal::FORMAT,
        now_ms: ctx.now_ms(),
        downgrade: false,
    };
    let version = is.version.clone();
    tracing::info!(%version, "the installed program was replaced");
    match package::check(&is, &wanted) {
        Ok(()) => {}
        Err(package::PackageError::Same(_)) => return ctx.enter(Stage::None, None, None),
        Err(error) => return ctx.enter(Stage::Unfit, Some(version), Some(with_sources(&error))),
    }
    if is_a_service() {
        let why = "this Gander runs as a service; restart the service, and the new version starts behind a backup";
        return ctx.enter(Stage::Unfit, Some(version), Some(why.to_owned()));
    }
    let place = Place::new(&ctx.data_dir);
    let pointer = blocking(move || Pointer::read(&place)).await;
    match pointer {
        Ok(pointer) if pointer.as_ref().is_some_and(|pointer| pointer.leads(&version)) => {
            // Somebody, or a check, has decided so already: that is not asked again at each start.
            let why = format!("gander {} was put in its place before", driver::this_version());
            ctx.enter(Stage::Later, Some(version), Some(why));
        }
        Ok(_) => ctx.enter(Stage::Waits, Some(version), None),
        Err(error) => ctx.enter(Stage::Offered, Some(version), Some(error.to_string())),
    }
}

/// Whether systemd started this very process: at its end it would also end whoever took over.
fn is_a_service() -> bool {
    std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|pid| pid == std::process::id().to_string())
}

/// Whether the installed version is to take over at this moment, and how long turns may go on then.
async fn may_take_over(ctx: &Arc<Ctx>) -> Option<Duration> {
    {
        let standing = lock(&ctx.installed.standing);
        if standing.stage != Stage::Waits || ctx.handover.is_holding() {
            return None;
        }
        if standing.now {
            return Some(NOW_PATIENCE);
        }
    }
    let turns = ctx.read(|reader| reader.running_turns()).await.ok()?.len() as u64;
    let (told, since) = {
        let mut standing = lock(&ctx.installed.standing);
        (std::mem::replace(&mut standing.turns, turns), standing.since?)
    };
    if told != turns {
        ctx.tell_installed();
    }
    (turns == 0 && since.elapsed() >= NOTICE && !ctx.handover.typed_within(QUIET)).then_some(NO_HURRY)
}

/// Starts the installed version, which drives the rest. Done when it has ended, which this process sees only where it goes on.
async fn take_over(ctx: &Arc<Ctx>, program: &Path, deadline: Duration) {
    let version = {
        let mut standing = lock(&ctx.installed.standing);
        if standing.stage != Stage::Waits {
            return;
        }
        standing.stage = Stage::TakingOver;
        standing.version.clone()
    };
    ctx.tell_installed();
    let place = Place::new(&ctx.data_dir);
    let why = match driven(&place, program, deadline).await {
        Ok(()) => return,
        Err(why) => why,
    };
    let put_off = lock(&ctx.installed.standing).stage == Stage::Later;
    if put_off {
        return ctx.enter(Stage::Later, version, None);
    }
    tracing::error!(why, "the installed version did not take over; this one goes on");
    ctx.enter(Stage::Offered, version, Some(why));
}

async fn driven(place: &Place, program: &Path, deadline: Duration) -> Result<(), String> {
    let command = child::take_over(place, program, deadline).map_err(|error| error.to_string())?;
    let status = tokio::process::Command::from(command).status().await.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let words = child::last_lines(&place.takeover_log());
    Err(if words.is_empty() { format!("it ended ({status})") } else { words })
}
