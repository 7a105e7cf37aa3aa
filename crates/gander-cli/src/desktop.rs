//! The native windows, where they are installed beside this program and there is a screen to see them on.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::browser;

/// `gander-desktop`, where it can be used.
fn program() -> Option<PathBuf> {
    if !browser::has_display() {
        return None;
    }
    let beside = std::env::current_exe().ok()?.parent()?.join("gander-desktop");
    beside.is_file().then_some(beside)
}

/// Runs the native windows in this program's place. Returns where there are none, or they cannot be run: then it is a browser.
pub fn instead(data_dir: &Path, what: Option<&str>) {
    let Some(program) = program() else { return };
    let mut command = Command::new(&program);
    command.arg("--data-dir").arg(data_dir).args(what);
    let error = command.exec();
    eprintln!("gander: {} cannot be run ({error}); opening the browser.", program.display());
}
