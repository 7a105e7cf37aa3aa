//! Starting a version, detached: it outlives the driver.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::driver::Order;
use crate::file;
use crate::launch::{INSTALLED, INSTALLED_PROGRAM, NO_LAUNCH};
use crate::place::Place;
use crate::state::State;
use gander_model::UpgradeId;

/// Starts `program serve`, in a process group of its own, its words going to the upgrade's log.
pub fn start(place: &Place, state: &State, program: &Path, checks: bool, order: &Order) -> io::Result<Child> {
    let log = log(&place.log(state.id))?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--data-dir").arg(place.data_dir());
    if checks {
        command.arg("--upgrade").arg(state.id.to_string());
    }
    // Where nobody served it is ended again. Pages that still wait at the journal's port are not to take it for who stays.
    if let Some(port) = if state.was_running { state.port } else { Some(0) } {
        command.arg("--port").arg(port.to_string());
    }
    command.env(INSTALLED, order.installed.to_string());
    if let Some(installed) = &order.installed_program {
        command.env(INSTALLED_PROGRAM, installed);
    }
    command.env_remove(NO_LAUNCH).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn()
}

/// Has an installed program take over from the version that serves: it drives, in a process group of its own. Running turns may
/// go on for `deadline`.
pub fn take_over(place: &Place, program: &Path, deadline: Duration) -> io::Result<Command> {
    let path = place.takeover_log();
    // Of the last one only.
    file::remove(&path)?;
    file::make_folder(&place.dir())?;
    let log = log(&path)?;
    let mut command = Command::new(program);
    command.args(["upgrade", "apply", "--installed", "--deadline"]).arg(deadline.as_secs().to_string());
    command.arg("--data-dir").arg(place.data_dir());
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    Ok(command)
}

fn log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The last lines that a version said as it started.
pub fn last_words(place: &Place, id: UpgradeId) -> String {
    last_lines(&place.log(id))
}

/// The last lines of a log.
pub fn last_lines(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut log = File::open(path)?;
        let bytes = log.metadata()?.len();
        log.seek(SeekFrom::Start(bytes.saturating_sub(2000)))?;
        let mut tail = Vec::new();
        log.take(2000).read_to_end(&mut tail)?;
        Ok(String::from_utf8_lossy(&tail).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(4)..].join(" ")
}
