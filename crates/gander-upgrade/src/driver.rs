//! Walks an upgrade through its phases. Killed at any instruction, the state says how far it was, and the next driver
//! (or the next start of any version) ends it: [`settle`].

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gander_model::{UpgradeId, VERSION};
use semver::Version;

use crate::fetch::{self, FetchError};
use crate::file;
use crate::host::{About, HandOver, Host, Trouble};
use crate::keys::Keys;
use crate::lock::{self, Holder, Lock, Taken};
use crate::package::{self, Package, PackageError, Wanted};
use crate::place::{DESKTOP, Place};
use crate::pointer::Pointer;
use crate::rollback::{self, RollbackError};
use crate::state::{Kind, Phase, Side, State, StateError, Step};
use crate::versions::{self, Description, VersionError};
use crate::{TARGET, child, faults};

/// How often what cannot be waited for otherwise is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How much longer than the deadline for turns the old version may take to freeze and seal.
const SEAL_PATIENCE: Duration = Duration::from_secs(60);
/// How long the old version may take to end after the seal.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// How long a version that has taken over may take until it answers.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// How often a new version is started before it is given up.
const STARTS: u32 = 3;

const BEFORE_SWITCH: &[Phase] = &[Phase::Stage, Phase::Drill, Phase::Prepare, Phase::Seal];
const STARTING: &[Phase] = &[Phase::Start, Phase::Check];

/// How an upgrade is to be done.
pub struct Order {
    /// The data folder.
    pub place: Place,
    /// The id that it is to have.
    pub id: UpgradeId,
    /// The version of the installed program.
    pub installed: Version,
    /// The installed program's file, where it is known.
    pub installed_program: Option<PathBuf>,
    /// The clock: milliseconds since 1970, UTC.
    pub now_ms: fn() -> i64,
    /// How long running turns may go on; then they are interrupted, to be continued later.
    pub deadline: Duration,
    /// Whether they are interrupted at once.
    pub interrupt: bool,
    /// Whether an older version may be installed.
    pub downgrade: bool,
    /// How long the new version may take to migrate and check.
    pub check_patience: Duration,
}

/// What goes on.
#[derive(Clone, Debug)]
pub struct Progress {
    /// In which phase; none before there is a state.
    pub phase: Option<Phase>,
    /// What; a few words for people.
    pub text: String,
}

/// Why an upgrade was not done. Unless it says otherwise, everything is as it was.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Another one is being driven.
    #[error("another upgrade of this data folder is under way{}", .0.as_ref().map(|h| format!(": {h}")).unwrap_or_default())]
    Driven(Option<Holder>),
    /// The package is refused.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The installed program does not fit.
    #[error("the installed program does not take over")]
    Installed(#[source] PackageError),
    /// The package could not be got.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The way back is not done.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// A kept version cannot be used.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// Nobody serves, so there is nobody to take over from.
    #[error("no gander serves this data folder")]
    NobodyServes,
    /// There is nothing to go back to, or no way.
    #[error("there is no way back: {0}")]
    NoWayBack(String),
    /// Who serves could not do what was asked.
    #[error("the running version was asked, and did not do it")]
    Host(#[from] Trouble),
    /// A file failed.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing was changed; the old version serves.
    #[error("the upgrade was given up before anything changed: {}", .0.failed.as_deref().unwrap_or("no reason is known"))]
    Abandoned(Box<State>),
    /// The old version serves again.
    #[error("the upgrade was rolled back: {}", .0.failed.as_deref().unwrap_or("no reason is known"))]
    RolledBack(Box<State>),
    /// It is not over: the journal is held, or cannot be put back now.
    #[error("the upgrade has not ended: {0}")]
    Stuck(String),
}

type Tell<'a> = &'a mut dyn FnMut(Progress);

/// Upgrades to the package at `source`, a file or an address.
pub async fn apply(
    order: &Order,
    source: &str,
    keys: &Keys,
    host: &mut impl Host,
    tell: Tell<'_>,
) -> Result<State, UpgradeError> {
    let lock = drive(&order.place, (order.now_ms)())?;
    settle_left(order, host, tell).await?;
    let path = bring_in(order, source, tell).await?;
    let applied = apply_package(order, &path, keys, host, tell).await;
    // A scratch folder: what is left of it is removed by the next upgrade as well.
    let _ = versions::tidy(&order.place);
    drop(lock);
    applied
}

/// Has the installed program take over from the version that serves: a package manager put it there, so there is no package to
/// verify, and it stays where it is. The same walk else. The version that serves is kept first, from its process: its file is gone.
pub async fn adopt(order: &Order, program: &Path, host: &mut impl Host, tell: Tell<'_>) -> Result<State, UpgradeError> {
    let _lock = drive(&order.place, (order.now_ms)())?;
    settle_left(order, host, tell).await?;
    let place = &order.place;
    let about = host.about().await?;
    if !about.was_running {
        return Err(UpgradeError::NobodyServes);
    }
    let is = versions::describe(program).await.map_err(UpgradeError::Installed)?;
    package::check(
        &is,
        &Wanted {
            running: about.version.clone(),
            target: TARGET.to_owned(),
            format: about.format,
            now_ms: (order.now_ms)(),
            downgrade: false,
        },
    )
    .map_err(UpgradeError::Installed)?;
    let journal = versions::journal_bytes(place);
    let copies = if is.writes_format == about.format { 1 } else { 3 };
    let kept_bytes = std::fs::metadata(&about.running).map(|found| found.len()).unwrap_or_default();
    let needed = kept_bytes.saturating_add(journal.saturating_mul(copies));
    versions::check_room(place, needed).map_err(UpgradeError::Installed)?;
    let to = Side { version: is.version.clone(), program: program.to_owned(), format: is.writes_format };
    let mut state = new_state(order, Kind::Upgrade, &about, to)?;
    state.from.program = place.program(&about.version);
    state.pointer_after = None;
    // Rolled back, the version that served goes on over just this installed one, until another one is installed.
    state.pointer_before =
        Some(Pointer { version: about.version.clone(), set_over: is.version, at_ms: (order.now_ms)() });
    State::begin(place, &state)?;
    say(tell, Some(Phase::Stage), format!("keeping gander {}", about.version));
    if let Err(why) = keep_running(order, &state, &about).await {
        let given_up = give_up(place, state.id, why, (order.now_ms)())?;
        return Err(UpgradeError::Abandoned(Box::new(given_up)));
    }
    walk(order, state, host, tell).await
}

/// Keeps the program of a process, and sees that it is what serves: it is what the way back starts.
async fn keep_running(order: &Order, state: &State, about: &About) -> Result<(), String> {
    let is = Description {
        version: about.version.clone(),
        target: TARGET.to_owned(),
        reads_format: 1,
        writes_format: about.format,
    };
    let windows = versions::windows_of(&order.place, &about.version, &about.program).await;
    let kept = versions::keep(&order.place, state.id, &about.running, windows.as_deref(), &is, (order.now_ms)());
    let kept = kept.map_err(|error| format!("the program that serves could not be kept: {error}"))?;
    let says = versions::describe(&kept).await.map_err(|error| with_sources(&error))?;
    if says.version != about.version || says.writes_format != about.format {
        let _ = std::fs::remove_dir_all(order.place.version(&about.version));
        return Err(format!("the program that was kept is gander {}, and {} serves", says.version, about.version));
    }
    Ok(())
}

/// Goes back to the version before, by hand: the same walk, the other way.
pub async fn back(order: &Order, host: &mut impl Host, tell: Tell<'_>) -> Result<State, UpgradeError> {
    let _lock = drive(&order.place, (order.now_ms)())?;
    settle_left(order, host, tell).await?;
    let place = &order.place;
    let last = way_back(place)?;
    let about = host.about().await?;
    if about.version != last.to.version {
        return Err(no_way(format!(
            "gander {} serves, and the last upgrade was to {}",
            about.version, last.to.version
        )));
    }
    let to = Side { program: versions::program(place, &last.from.version)?, ..last.from.clone() };
    let mut state = new_state(order, Kind::Rollback, &about, to)?;
    if state.from.format != state.to.format {
        state.back_to = last.check.map(|check| (check.root_before, check.documents_before));
        // The copy of today's journal, the one that goes back, and the backup.
        versions::check_room(place, versions::journal_bytes(place).saturating_mul(3))?;
    }
    host_begins(order, &state, host, tell).await
}

/// The upgrade that a rollback by hand would undo: the last one that went through. Attempts after it that changed nothing, or were
/// taken back, are not in the way.
pub fn way_back(place: &Place) -> Result<State, UpgradeError> {
    let mut last = State::read(place)?.ok_or_else(|| no_way("there was no upgrade".to_owned()))?;
    let mut earlier = State::earlier(place)?.into_iter();
    let mut copied = false;
    while matches!(last.phase, Phase::Abandoned | Phase::RolledBack) {
        // An attempt that migrated keeps its own copy, where the one of the upgrade before was.
        copied |= last.sealed_copy && last.kind != Kind::Rollback;
        let next = earlier.next().ok_or_else(|| no_way("no upgrade went through so far".to_owned()))?;
        last = State::read_earlier(place, next)?;
    }
    if last.phase != Phase::Commit || last.kind == Kind::Rollback {
        return Err(no_way("the last upgrade has not ended, or was taken back already".to_owned()));
    }
    last.sealed_copy &= !copied;
    let copy = place.sealed_journal();
    if last.from.format != last.to.format && !(last.sealed_copy && last.check.is_some() && copy.is_file()) {
        return Err(no_way(format!(
            "the journal has format {} since the upgrade, which gander {} cannot write, and the copy from before is not kept; \
             everything is in the snapshots",
            last.to.format, last.from.version,
        )));
    }
    Ok(last)
}

fn no_way(why: String) -> UpgradeError {
    UpgradeError::NoWayBack(why)
}

/// Ends an upgrade whose driver is gone. Whoever calls holds the driver's lock. Nobody serves afterwards, unless the old
/// version never stopped.
pub async fn settle(order: &Order, host: &mut impl Host, tell: Tell<'_>) -> Result<State, UpgradeError> {
    let mut state = State::read(&order.place)?.ok_or(StateError::None)?;
    state.was_running = false;
    let now_ms = (order.now_ms)();
    match state.phase {
        phase if phase.is_final() => Ok(state),
        phase if phase.is_before_switch() => {
            let why = format!("it was cut off in its phase \u{201c}{}\u{201d}", phase.word());
            let state = give_up(&order.place, state.id, why, now_ms)?;
            let _ = versions::tidy(&order.place);
            Ok(state)
        }
        Phase::Rollback => {
            let place = &order.place;
            Ok(rollback::carry_out(place, &state, now_ms, || journal_back(place, &state, host))?)
        }
        _ => match finish(order, state, host, tell).await {
            Err(UpgradeError::RolledBack(state)) => Ok(*state),
            other => other,
        },
    }
}

/// Takes the lock of who drives, or says who has it.
pub fn drive(place: &Place, now_ms: i64) -> Result<Lock, UpgradeError> {
    let path = place.driver_lock();
    match Lock::try_take(&path, &Holder::this(now_ms)) {
        Ok(Taken::Ours(lock)) => Ok(lock),
        Ok(Taken::Theirs(holder)) => Err(UpgradeError::Driven(holder)),
        Err(source) => Err(UpgradeError::Io { path, source }),
    }
}

async fn settle_left(order: &Order, host: &mut impl Host, tell: Tell<'_>) -> Result<(), UpgradeError> {
    if let Some(left) = State::read(&order.place)?.filter(|state| !state.phase.is_final()) {
        say(tell, Some(left.phase), format!("ending the upgrade to {} that was cut off", left.to.version));
        settle(order, host, tell).await?;
    }
    Ok(())
}

/// Copies or downloads the package to a folder of ours.
async fn bring_in(order: &Order, source: &str, tell: Tell<'_>) -> Result<PathBuf, UpgradeError> {
    let place = &order.place;
    let folder = place.incoming();
    let io = |source| UpgradeError::Io { path: folder.clone(), source };
    versions::tidy(place).map_err(io)?;
    file::make_folder(&folder).map_err(io)?;
    let path = folder.join(package::incoming_name(order.id));
    if !fetch::is_address(source) {
        let source = Path::new(source);
        let bytes = std::fs::metadata(source).map_err(PackageError::io(source))?.len();
        versions::check_room(place, bytes)?;
        package::copy(source, &path)?;
        return Ok(path);
    }
    let mut told = 0;
    fetch::fetch(source, &path, |got, said| {
        if got - told >= 4 << 20 {
            told = got;
            let of = said.map(|said| format!(" of {}", mib(said))).unwrap_or_default();
            say(tell, None, format!("downloading: {}{of}", mib(got)));
        }
    })
    .await?;
    Ok(path)
}

async fn apply_package(
    order: &Order,
    path: &Path,
    keys: &Keys,
    host: &mut impl Host,
    tell: Tell<'_>,
) -> Result<State, UpgradeError> {
    let place = &order.place;
    let package = Package::open(path, keys)?;
    let manifest = package.manifest().clone();
    say(tell, None, format!("gander {} for {}: the signature is good", manifest.version, manifest.target));
    let about = host.about().await?;
    package.check(&Wanted {
        running: about.version.clone(),
        target: TARGET.to_owned(),
        format: about.format,
        now_ms: (order.now_ms)(),
        downgrade: order.downgrade,
    })?;
    let migrates = manifest.writes_format != about.format;
    let journal = versions::journal_bytes(place);
    // The snapshot at worst, and the copy that a rollback needs, with room to put it back.
    let copies = if migrates { 3 } else { 1 };
    versions::check_room(place, manifest.unpacked_bytes().saturating_add(journal.saturating_mul(copies)))?;
    let desktop = manifest.desktop.is_some() && has_windows(order, &about);
    let older = manifest.version < about.version;
    let to = Side {
        version: manifest.version.clone(),
        program: place.program(&manifest.version),
        format: manifest.writes_format,
    };
    let mut state = new_state(order, if older { Kind::Downgrade } else { Kind::Upgrade }, &about, to)?;
    if older {
        state.warnings.push(format!(
            "gander {} is older: it reads journals up to format {}, and shows what newer versions added as unknown kinds",
            manifest.version, manifest.writes_format
        ));
    }
    State::begin(place, &state)?;
    faults::point("stage:after");
    let id = state.id;
    say(tell, Some(Phase::Stage), format!("unpacking gander {}", manifest.version));
    let staged = async {
        let program = versions::stage(place, id, package, desktop)?;
        let described = versions::describe(&program).await?;
        let said = Description {
            version: manifest.version.clone(),
            target: manifest.target.clone(),
            reads_format: manifest.reads_format,
            writes_format: manifest.writes_format,
        };
        if described != said {
            return Err(PackageError::DoesNotRun("it is not what its manifest says".to_owned()));
        }
        if desktop && !versions::says_version(&place.desktop(&manifest.version), &manifest.version).await {
            versions::leave_windows_out(place, &manifest.version)?;
            return Ok(Some("The native windows in the package do not start here: those that are installed stay."));
        }
        Ok(None)
    };
    match staged.await {
        Ok(None) => {}
        Ok(Some(warning)) => {
            State::record(place, id, &[Phase::Stage], |state| state.warnings.push(warning.to_owned()))?;
        }
        Err(error) => {
            give_up(place, id, with_sources(&error), (order.now_ms)())?;
            drop_version(place, &state);
            return Err(error.into());
        }
    }
    walk(order, state, host, tell).await
}

/// Records a walk without a package, and begins it.
async fn host_begins(
    order: &Order,
    state: &State,
    host: &mut impl Host,
    tell: Tell<'_>,
) -> Result<State, UpgradeError> {
    State::begin(&order.place, state)?;
    walk(order, state.clone(), host, tell).await
}

/// Whether native windows are installed here. Who has none does not get them by an upgrade: a browser stays what `gander` opens.
fn has_windows(order: &Order, about: &About) -> bool {
    let programs = [Some(&about.program), order.installed_program.as_ref()];
    programs.into_iter().flatten().any(|program| program.with_file_name(DESKTOP).is_file())
}

fn new_state(order: &Order, kind: Kind, about: &About, to: Side) -> Result<State, UpgradeError> {
    let place = &order.place;
    let now_ms = (order.now_ms)();
    let pointer_before = Pointer::read(place).map_err(|source| UpgradeError::Io { path: place.pointer(), source })?;
    let pointer = Pointer { version: to.version.clone(), set_over: order.installed.clone(), at_ms: now_ms };
    Ok(State {
        v: 1,
        id: order.id,
        kind,
        from: Side { version: about.version.clone(), program: about.program.clone(), format: about.format },
        to,
        phase: Phase::Stage,
        steps: vec![Step { phase: Phase::Stage, at_ms: now_ms }],
        driver: Holder::this(now_ms),
        pointer_before,
        pointer_after: Some(pointer),
        was_running: about.was_running,
        starts: 0,
        port: about.port,
        backup: None,
        exports: None,
        seal: None,
        sealed_copy: false,
        back_to: None,
        check: None,
        failed: None,
        warnings: Vec::new(),
    })
}

/// Drill, prepare, seal; then what [`finish`] does.
async fn walk(order: &Order, state: State, host: &mut impl Host, tell: Tell<'_>) -> Result<State, UpgradeError> {
    let place = &order.place;
    let id = state.id;
    // Before anybody waits for it: native windows take a moment to say what they are.
    let windows = versions::windows_of(place, &state.from.version, &state.from.program).await;
    let mut sealed = until_sealed(order, &state, host, tell).await;
    if sealed.is_ok() && state.carries_back() {
        sealed = host.set_aside().map_err(|error| error.0);
    }
    match sealed {
        Ok(()) => {
            // So that there is something to go back to when the installed file is replaced or removed.
            let from = Description {
                version: state.from.version.clone(),
                target: TARGET.to_owned(),
                reads_format: 1,
                writes_format: state.from.format,
            };
            let kept = versions::keep(place, id, &state.from.program, windows.as_deref(), &from, (order.now_ms)());
            let aside = state.carries_back();
            let state = State::advance(place, id, &[Phase::Seal], Phase::Switch, (order.now_ms)(), |state| {
                state.sealed_copy |= aside;
                if let Err(error) = kept {
                    state.warnings.push(format!("The old program could not be kept: {error}."));
                }
            })?;
            finish(order, state, host, tell).await
        }
        Err(why) => {
            let _ = host.cancel().await;
            let given_up = give_up(place, id, why, (order.now_ms)())?;
            drop_version(place, &given_up);
            // It may have sealed, and ended, in the same moment.
            restart_old(order, &given_up, host, tell).await;
            Err(UpgradeError::Abandoned(Box::new(given_up)))
        }
    }
}

async fn until_sealed(order: &Order, state: &State, host: &mut impl Host, tell: Tell<'_>) -> Result<(), String> {
    let (place, id) = (&order.place, state.id);
    let told = |error: StateError| with_sources(&error);
    State::advance(place, id, &[Phase::Stage], Phase::Drill, (order.now_ms)(), |_| {}).map_err(told)?;
    say(tell, Some(Phase::Drill), "making a backup and reading it back".to_owned());
    let mut saying = |text: &str| say(tell, Some(Phase::Drill), text.to_owned());
    let saved = host.save(&state.to.version, &mut saying).await.map_err(|error| error.0)?;
    faults::point("drill:saved");
    State::advance(place, id, &[Phase::Drill], Phase::Prepare, (order.now_ms)(), |state| {
        state.backup = Some(saved.backup);
        state.exports = saved.exports;
        state.warnings.extend(saved.warnings);
    })
    .map_err(told)?;
    say(tell, Some(Phase::Prepare), "asking the running version to hand over".to_owned());
    let ask = HandOver {
        upgrade: id,
        to: state.to.version.clone(),
        to_format: state.to.format,
        deadline_ms: u64::try_from(order.deadline.as_millis()).unwrap_or(u64::MAX),
        interrupt: order.interrupt,
    };
    host.hand_over(&ask).await.map_err(|error| error.0)?;
    faults::point("prepare:asked");
    let until = Instant::now() + order.deadline + SEAL_PATIENCE;
    let mut last = None;
    loop {
        let now = State::read(place).map_err(told)?.ok_or("the state is gone")?;
        if now.phase == Phase::Seal && now.seal.is_some() {
            break;
        }
        match host.handover().await {
            Ok(handover) => {
                if handover.state == "none" && State::read(place).map_err(told)?.is_some_and(|s| s.seal.is_none()) {
                    let why = handover.failed.unwrap_or_else(|| "the handover was called off".to_owned());
                    return Err(why);
                }
                if last.as_ref() != Some(&handover) {
                    if !handover.turns.is_empty() {
                        let names = handover.turns.join(", ");
                        say(
                            tell,
                            Some(Phase::Prepare),
                            format!("waiting for {}: {names}", turns(handover.turns.len())),
                        );
                    } else if handover.drafts > 0 {
                        say(tell, Some(Phase::Prepare), format!("waiting for {} drafts to be saved", handover.drafts));
                    }
                    last = Some(handover);
                }
            }
            // It answers no more: it may have ended, sealed or not.
            Err(error) => {
                let sealed = State::read(place).map_err(told)?.is_some_and(|s| s.seal.is_some());
                if !sealed && is_free(place)? {
                    return Err(format!("the running version ended without a seal: {error}"));
                }
            }
        }
        if Instant::now() > until {
            return Err("the running version did not freeze in time".to_owned());
        }
        tokio::time::sleep(LOOK).await;
    }
    say(tell, Some(Phase::Seal), "sealed; waiting for the old version to end".to_owned());
    host.let_go().await;
    let until = Instant::now() + END_PATIENCE;
    while !is_free(place)? {
        if Instant::now() > until {
            return Err("the old version has sealed the journal and does not end".to_owned());
        }
        tokio::time::sleep(LOOK).await;
    }
    faults::point("seal:ended");
    Ok(())
}

/// From the switch to the end.
async fn finish(order: &Order, mut state: State, host: &mut impl Host, tell: Tell<'_>) -> Result<State, UpgradeError> {
    let (place, id, was_running) = (&order.place, state.id, state.was_running);
    if state.phase == Phase::Switch {
        if let Some((root, documents)) = &state.back_to {
            say(
                tell,
                Some(Phase::Switch),
                "putting the journal back; what was written since is carried there".to_owned(),
            );
            if let Err(error) = host.put_back_copy(&place.sealed_journal(), root, documents) {
                let why = error.0;
                State::advance(place, id, &[Phase::Switch], Phase::Rollback, (order.now_ms)(), |state| {
                    state.failed = Some(why);
                })?;
                return roll_back(order, was_running, host, tell).await;
            }
            faults::point("switch:back");
        }
        Pointer::set(place, state.pointer_after.as_ref())
            .map_err(|source| UpgradeError::Io { path: place.pointer(), source })?;
        faults::point("switch:set");
        state = State::advance(place, id, &[Phase::Switch], Phase::Start, (order.now_ms)(), |_| {})?;
    }
    say(tell, Some(Phase::Start), format!("starting gander {}", state.to.version));
    let why = match start_and_check(order, &state, tell).await? {
        Outcome::Committed(child) => {
            let state = State::read(place)?.ok_or(StateError::None)?;
            return committed(order, State { was_running, ..state }, child, host, tell).await;
        }
        Outcome::Failed(why) => why,
    };
    say(tell, Some(Phase::Rollback), format!("rolling back: {why}"));
    roll_back(order, was_running, host, tell).await
}

/// What the phase `rollback` stands for: pointer and journal as before, and the old version runs.
async fn roll_back(
    order: &Order,
    was_running: bool,
    host: &mut impl Host,
    tell: Tell<'_>,
) -> Result<State, UpgradeError> {
    let place = &order.place;
    let state = State::read(place)?.ok_or(StateError::None)?;
    let mut rolled = rollback::carry_out(place, &state, (order.now_ms)(), || journal_back(place, &state, host))?;
    rolled.was_running = was_running;
    drop_version(place, &rolled);
    restart_old(order, &rolled, host, tell).await;
    Err(UpgradeError::RolledBack(Box::new(rolled)))
}

/// The journal as the old version sealed it: of a rollback by hand that is the newer one.
fn journal_back(place: &Place, state: &State, host: &mut impl Host) -> Result<(), Trouble> {
    if !state.carries_back() {
        return host.put_back();
    }
    let seal = state.seal.as_ref().ok_or_else(|| Trouble("there is no seal".to_owned()))?;
    let text = |name: &str| seal[name].as_str().unwrap_or_default();
    host.put_back_copy(&place.newer_journal(), text("root"), text("documents_digest"))
}

enum Outcome {
    Committed(Option<std::process::Child>),
    /// The phase is `rollback`, and whoever was started is gone.
    Failed(String),
}

async fn start_and_check(order: &Order, state: &State, tell: Tell<'_>) -> Result<Outcome, UpgradeError> {
    let (place, id) = (&order.place, state.id);
    let until = Instant::now() + order.check_patience;
    // A version that an earlier driver started may be at it.
    loop {
        let now = State::read(place)?.ok_or(StateError::None)?;
        match now.phase {
            Phase::Commit => return Ok(Outcome::Committed(None)),
            _ if is_free(place).map_err(UpgradeError::Stuck)? => break,
            _ if Instant::now() > until => {
                let holder = lock::look(&place.journal_lock()).ok().flatten();
                let holder = holder.map_or_else(|| "another process".to_owned(), |holder| holder.to_string());
                return Err(UpgradeError::Stuck(format!(
                    "the journal is held by {holder}; end it and start Gander again"
                )));
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
    if state.starts >= STARTS {
        let why = format!("gander {} was started {} times and never got to its end", state.to.version, state.starts);
        return to_rollback(order, id, why);
    }
    State::record(place, id, STARTING, |state| state.starts += 1)?;
    faults::point("start:counted");
    let program = match next_program(place, state).await {
        Ok(program) => program,
        Err(why) => return to_rollback(order, id, why),
    };
    let started = child::start(place, state, &program, true, order);
    let mut process = match started {
        Ok(process) => process,
        Err(error) => return to_rollback(order, id, format!("gander {} does not start: {error}", state.to.version)),
    };
    faults::point("start:spawned");
    let mut told = Phase::Start;
    loop {
        let now = State::read(place)?.ok_or(StateError::None)?;
        if now.phase == Phase::Commit {
            return Ok(Outcome::Committed(Some(process)));
        }
        if now.phase != told {
            told = now.phase;
            say(tell, Some(told), "comparing the journal with the seal".to_owned());
        }
        let ended = process.try_wait().ok().flatten();
        let late = Instant::now() > until;
        if ended.is_some() || late {
            let words = child::last_words(place, id);
            let why = match (now.failed, ended) {
                (Some(failed), _) => failed,
                (None, Some(status)) => format!("gander {} ended as it started ({status}): {words}", state.to.version),
                (None, None) => format!("gander {} did not come to its end in time: {words}", state.to.version),
            };
            let outcome = to_rollback(order, id, why)?;
            if matches!(outcome, Outcome::Failed(_)) {
                let _ = process.kill();
                let _ = process.wait();
                return Ok(outcome);
            }
            return Ok(Outcome::Committed(Some(process)));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The program that is to take over: one that is kept, or the installed one, if it still is that version.
async fn next_program(place: &Place, state: &State) -> Result<PathBuf, String> {
    let to = &state.to;
    if to.program == place.program(&to.version) {
        return versions::program(place, &to.version).map_err(|error| with_sources(&error));
    }
    let is = versions::describe(&to.program).await.map_err(|error| with_sources(&error))?;
    if is.version != to.version || is.writes_format != to.format {
        return Err(format!("{} is gander {} by now, and not {}", to.program.display(), is.version, to.version));
    }
    Ok(to.program.clone())
}

/// Decides for the old version, unless the new one has decided for itself in the same moment.
fn to_rollback(order: &Order, id: UpgradeId, why: String) -> Result<Outcome, UpgradeError> {
    let failed = why.clone();
    let moved = State::advance(&order.place, id, STARTING, Phase::Rollback, (order.now_ms)(), |state| {
        state.failed.get_or_insert(failed);
    });
    match moved {
        Ok(_) => Ok(Outcome::Failed(why)),
        Err(StateError::Moved { found: Phase::Commit }) => Ok(Outcome::Committed(None)),
        Err(error) => Err(error.into()),
    }
}

/// The new version has taken over. What is left is to see it answer, and to tidy up.
async fn committed(
    order: &Order,
    mut state: State,
    mut process: Option<std::process::Child>,
    host: &mut impl Host,
    tell: Tell<'_>,
) -> Result<State, UpgradeError> {
    let place = &order.place;
    say(tell, Some(Phase::Commit), format!("gander {} has taken over; waiting for it to answer", state.to.version));
    let until = Instant::now() + ANSWER_PATIENCE;
    loop {
        if host.answering().await.is_some_and(|(_, version)| version == state.to.version) {
            break;
        }
        let ended = process.as_mut().is_some_and(|process| process.try_wait().ok().flatten().is_some());
        if ended || Instant::now() > until {
            let words = child::last_words(place, state.id);
            let warning = format!("gander {} has taken over and does not answer yet: {words}", state.to.version);
            state = State::record(place, state.id, &[Phase::Commit], |state| state.warnings.push(warning))?;
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    if let Err(error) = versions::prune(place, &[&state.to.version, &state.from.version]) {
        let warning = format!("Older versions could not be removed: {error}.");
        state = State::record(place, state.id, &[Phase::Commit], |state| state.warnings.push(warning))?;
    }
    if !state.was_running {
        say(tell, Some(Phase::Commit), "nothing was running before: ending it again".to_owned());
        host.stop().await?;
        if let Some(process) = &mut process {
            let _ = process.wait();
        }
    }
    Ok(state)
}

/// Starts the old version again, where one served before. The upgrade has ended by then: what fails is said and no more.
async fn restart_old(order: &Order, state: &State, host: &mut impl Host, tell: Tell<'_>) {
    let place = &order.place;
    host.let_go().await;
    if !state.was_running {
        return;
    }
    // A version that has sealed needs a moment to end; one that has not goes on serving.
    let until = Instant::now() + Duration::from_secs(if state.seal.is_some() { 20 } else { 0 });
    while !is_free(place).unwrap_or(false) {
        if Instant::now() >= until {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    say(tell, Some(state.phase), format!("starting gander {} again", state.from.version));
    let until = Instant::now() + ANSWER_PATIENCE;
    let started = child::start(place, state, &state.from.program, false, order);
    while started.is_ok() && Instant::now() < until {
        if host.answering().await.is_some() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    say(tell, Some(state.phase), format!("gander {} does not answer; start it by hand", state.from.version));
}

fn give_up(place: &Place, id: UpgradeId, why: String, now_ms: i64) -> Result<State, StateError> {
    State::advance(place, id, BEFORE_SWITCH, Phase::Abandoned, now_ms, |state| state.failed = Some(why))
}

/// A version that did not make it is not kept, unless it was there before for another reason.
fn drop_version(place: &Place, state: &State) {
    let pointed = Pointer::read(place).ok().flatten().map(|pointer| pointer.version);
    let used = [Some(&state.from.version), pointed.as_ref()].contains(&Some(&state.to.version));
    if !used && state.kind != Kind::Rollback {
        let _ = std::fs::remove_dir_all(place.version(&state.to.version));
    }
}

/// Whether nobody holds the journal.
fn is_free(place: &Place) -> Result<bool, String> {
    let path = place.journal_lock();
    lock::look(&path).map(|holder| holder.is_none()).map_err(|error| format!("{}: {error}", path.display()))
}

fn say(tell: Tell<'_>, phase: Option<Phase>, text: String) {
    tell(Progress { phase, text });
}

fn turns(count: usize) -> String {
    if count == 1 { "one turn".to_owned() } else { format!("{count} turns") }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// An error and what caused it.
pub fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// The version of this program.
pub fn this_version() -> Version {
    VERSION.parse().unwrap_or_else(|_| Version::new(0, 0, 0))
}
