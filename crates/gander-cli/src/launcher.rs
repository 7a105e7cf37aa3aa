//! Before a command touches the data: an upgrade that was cut off is ended, and the version that serves this data folder
//! runs instead of this program, where that is another one.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gander_upgrade::driver::{self, Order, with_sources};
use gander_upgrade::launch::{self, INSTALLED, INSTALLED_PROGRAM, NO_LAUNCH, Program, Unfinished};
use gander_upgrade::{Phase, Place, State, UpgradeId, versions};

use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::Output;
use crate::upgrade_host::HttpHost;

/// How long a command waits for an upgrade that somebody else drives.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a new version may take to check a small journal.
const CHECK_PATIENCE: Duration = Duration::from_secs(120);
/// What a new version checks and migrates in a second, at least.
const CHECK_BYTES_PER_S: u64 = 10 << 20;

/// Milliseconds since 1970, UTC.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// An order with the usual patience.
pub fn order(data_dir: &Path, id: UpgradeId) -> Order {
    let place = Place::new(data_dir);
    let this = driver::this_version();
    let program = std::env::current_exe().unwrap_or_default();
    let check = CHECK_PATIENCE + Duration::from_secs(versions::journal_bytes(&place) / CHECK_BYTES_PER_S);
    Order {
        installed: launch::installed(&place, &this, &program),
        installed_program: launch::installed_program(&place, &program),
        place,
        id,
        now_ms,
        deadline: Duration::from_secs(120),
        interrupt: false,
        downgrade: false,
        check_patience: check,
    }
}

/// Ends an upgrade that was cut off, or waits for the one that somebody drives while nobody answers.
pub async fn settle(data_dir: &Path, output: &Output) -> Result<(), Failure> {
    let place = Place::new(data_dir);
    let unfinished = match launch::unfinished(&place, now_ms()) {
        Ok(unfinished) => unfinished,
        Err(error) => return set_aside(&place, &error, output),
    };
    match unfinished {
        Unfinished::No => Ok(()),
        Unfinished::Driven(state, _) if matches!(state.phase, Phase::Stage | Phase::Drill) => Ok(()),
        Unfinished::Driven(state, holder) => wait(data_dir, &place, &state, holder, output).await,
        Unfinished::Left(state, lock) => {
            let to = state.to.version.clone();
            output.note(&format!("An upgrade to gander {to} was cut off; ending it."));
            let mut host = HttpHost::new(data_dir);
            let mut tell = |progress: driver::Progress| output.note(&format!("  {}", progress.text));
            let ended = driver::settle(&order(data_dir, state.id), &mut host, &mut tell).await;
            drop(lock);
            let ended = ended.map_err(|error| {
                Failure::new(
                    "An upgrade was cut off and cannot be ended now.",
                    "See to the cause and start Gander again; every session is in the journal and in the snapshot.",
                )
                .because(&error)
            })?;
            output.note(&match ended.phase {
                Phase::Commit => format!("Gander {to} has taken over."),
                _ => format!("Gander {} stays.", ended.from.version),
            });
            Ok(())
        }
    }
}

/// Nothing is decided by a state that cannot be read; the journal's own gate checks whoever opens it.
fn set_aside(place: &Place, error: &gander_upgrade::StateError, output: &Output) -> Result<(), Failure> {
    let gander_upgrade::StateError::Damaged { path, .. } = error else {
        return Err(Failure::new(
            "It cannot be seen whether an upgrade is under way.",
            "Look at the folder's permissions.",
        )
        .because(error));
    };
    let aside = place.dir().join(format!("state.damaged-{}.json", now_ms()));
    output.note(&format!("{}; it is kept as {}.", with_sources(error), aside.display()));
    std::fs::rename(path, &aside)
        .map_err(|error| Failure::new("A damaged file could not be set aside.", "Look at its folder.").because(&error))
}

async fn wait(
    data_dir: &Path,
    place: &Place,
    state: &State,
    holder: Option<gander_upgrade::lock::Holder>,
    output: &Output,
) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    let mut told = false;
    while Instant::now() < until {
        if Instance::find(data_dir).await?.is_some() {
            return Ok(());
        }
        let now = State::read(place).ok().flatten();
        if now.is_none_or(|now| now.phase.is_final() || now.id != state.id) {
            return Ok(());
        }
        if gander_upgrade::state::driver(place).is_ok_and(|driver| driver.is_none()) {
            return Box::pin(settle(data_dir, output)).await;
        }
        if !told {
            told = true;
            output.note(&format!("An upgrade to gander {} is under way; waiting for its end.", state.to.version));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let who = holder.map(|holder| format!(", driven by {holder}")).unwrap_or_default();
    Err(Failure::new(
        format!("An upgrade to gander {} is under way{who}.", state.to.version),
        "See `gander upgrade status`, and try again when it has ended.",
    ))
}

/// Runs the version that serves this data folder in this program's place, where that is another one.
pub fn launch(data_dir: &Path, output: &Output) -> Result<(), Failure> {
    if std::env::var_os(NO_LAUNCH).is_some() {
        return Ok(());
    }
    let place = Place::new(data_dir);
    let (this, file) = (driver::this_version(), std::env::current_exe().unwrap_or_default());
    match launch::program(&place, &this, &file) {
        Program::This => Ok(()),
        Program::Instead(why) => {
            output.note(&format!(
                "Another version was put in this one's place and cannot be used: {why}. This is gander {this}."
            ));
            Ok(())
        }
        Program::Other(program) => {
            let installed = launch::installed(&place, &this, &file);
            let mut command = Command::new(&program);
            command.args(std::env::args_os().skip(1)).env(INSTALLED, installed.to_string());
            if let Some(file) = launch::installed_program(&place, &file) {
                command.env(INSTALLED_PROGRAM, file);
            }
            let failed = command.exec();
            Err(Failure::new(
                format!("{} could not be run.", program.display()),
                format!(
                    "Run this version with {NO_LAUNCH}=1, or go back with `{NO_LAUNCH}=1 gander upgrade rollback`."
                ),
            )
            .because(&failed))
        }
    }
}
