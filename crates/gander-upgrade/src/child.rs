//! Starting a version, detached: it outlives the driver.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gander_model::UpgradeId;
use semver::Version;

use crate::launch::INSTALLED;
use crate::place::Place;
use crate::state::State;

/// Starts `program serve`, in a process group of its own, its words going to the upgrade's log.
pub fn start(
    place: &Place,
    state: &State,
    program: &Path,
    checks: bool,
    installed: Option<&Version>,
) -> io::Result<Child> {
    let mut log = OpenOptions::new();
    let log = log.append(true).create(true).mode(0o600).open(place.log(state.id))?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--data-dir").arg(place.data_dir());
    if checks {
        command.arg("--upgrade").arg(state.id.to_string());
    }
    if let Some(port) = state.port {
        command.arg("--port").arg(port.to_string());
    }
    if let Some(installed) = installed {
        command.env(INSTALLED, installed.to_string());
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn()
}

/// The last lines that a version said as it started.
pub fn last_words(place: &Place, id: UpgradeId) -> String {
    let read = || -> io::Result<String> {
        let mut log = std::fs::File::open(place.log(id))?;
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
