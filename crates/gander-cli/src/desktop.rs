//! The native windows, where they are installed beside this program and there is a screen to see them on.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gander_upgrade::{Place, driver, launch};

use crate::browser;

/// `gander-desktop`, where it can be used: the one that belongs to this version.
fn program(data_dir: &Path) -> Option<PathBuf> {
    if !browser::has_display() {
        return None;
    }
    launch::desktop(&Place::new(data_dir), &driver::this_version(), &std::env::current_exe().ok()?)
}

/// Runs the native windows in this program's place. Returns where there are none, or they cannot be run: then it is a browser.
pub fn instead(data_dir: &Path, what: Option<&str>) {
    let Some(program) = program(data_dir) else { return };
    let mut command = Command::new(&program);
    command.arg("--data-dir").arg(data_dir).args(what);
    let error = command.exec();
    eprintln!("gander: {} cannot be run ({error}); opening the browser.", program.display());
}
