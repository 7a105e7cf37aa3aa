//! Which program answers on a data folder: the installed one, or a version that was put in its place. Every command that
//! may touch the data asks here first.

use std::path::{Path, PathBuf};

use semver::Version;

use crate::lock::{Holder, Lock, Taken};
use crate::place::{DESKTOP, Place};
use crate::pointer::Pointer;
use crate::state::{State, StateError};
use crate::versions;

/// Set to anything: this program itself runs, whatever the pointer says.
pub const NO_LAUNCH: &str = "GANDER_NO_LAUNCH";
/// What the launcher tells the version that it starts: the version of the installed program.
pub const INSTALLED: &str = "GANDER_INSTALLED";
/// And beside it the installed program's file.
pub const INSTALLED_PROGRAM: &str = "GANDER_INSTALLED_PROGRAM";

/// Which program is to run.
#[derive(Debug, PartialEq, Eq)]
pub enum Program {
    /// This one.
    This,
    /// A version from the versions folder.
    Other(PathBuf),
    /// This one, though another was to run: that one cannot be used, and why.
    Instead(String),
}

/// An upgrade that has not ended.
#[derive(Debug)]
pub enum Unfinished {
    /// None.
    No,
    /// Somebody drives it right now.
    Driven(Box<State>, Option<Holder>),
    /// Its driver is gone: whoever has this lock settles it.
    Left(Box<State>, Lock),
}

/// The program that the pointer leads to. `this` is the version and the file of the program that asks.
pub fn program(place: &Place, this: &Version, file: &Path) -> Program {
    let pointer = match Pointer::read(place) {
        Ok(Some(pointer)) => pointer,
        Ok(None) => return Program::This,
        Err(error) => return Program::Instead(format!("{} cannot be read: {error}", place.pointer().display())),
    };
    let target = place.program(&pointer.version);
    if same_file(&target, file) || !pointer.leads(this) {
        return Program::This;
    }
    match versions::program(place, &pointer.version) {
        Ok(program) => Program::Other(program),
        Err(error) => Program::Instead(error.to_string()),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        // By path: an installed program may be the same file under another name, and is not started from here.
        (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()) => true,
        _ => false,
    }
}

/// The version of the installed program, as seen from the program that asks.
pub fn installed(place: &Place, this: &Version, file: &Path) -> Version {
    if !is_inside(place, file) {
        return this.clone();
    }
    let told = std::env::var(INSTALLED).ok().and_then(|told| told.parse().ok());
    let pointed = || Pointer::read(place).ok().flatten().map(|pointer| pointer.set_over);
    told.or_else(pointed).unwrap_or_else(|| this.clone())
}

/// The installed program's file, as seen from the program that asks; none where that was not told.
pub fn installed_program(place: &Place, file: &Path) -> Option<PathBuf> {
    if is_inside(place, file) {
        return std::env::var_os(INSTALLED_PROGRAM).map(PathBuf::from);
    }
    // So the system names the file of a program that was replaced since it was started.
    let name = file.to_str().and_then(|name| name.strip_suffix(" (deleted)"));
    Some(name.map_or_else(|| file.to_owned(), PathBuf::from))
}

/// The native windows that belong to the program that asks: of a version from the versions folder its own, where it has any that are
/// as its manifest says, else the installed ones.
pub fn desktop(place: &Place, this: &Version, file: &Path) -> Option<PathBuf> {
    let own = if is_inside(place, file) { versions::desktop(place, this).ok().flatten() } else { None };
    own.or_else(|| Some(installed_program(place, file)?.with_file_name(DESKTOP)).filter(|beside| beside.is_file()))
}

fn is_inside(place: &Place, file: &Path) -> bool {
    file.starts_with(place.versions())
        || place.versions().canonicalize().is_ok_and(|versions| file.starts_with(versions))
}

/// Whether an upgrade of this data folder has not ended, and whose it is to end it.
pub fn unfinished(place: &Place, now_ms: i64) -> Result<Unfinished, StateError> {
    match State::read(place)? {
        Some(state) if !state.phase.is_final() => {}
        _ => return Ok(Unfinished::No),
    }
    let path = place.driver_lock();
    let taken = Lock::try_take(&path, &Holder::this(now_ms)).map_err(|source| StateError::Io { path, source })?;
    // It may have ended while the lock was not ours.
    match (State::read(place)?, taken) {
        (Some(state), Taken::Ours(lock)) if !state.phase.is_final() => Ok(Unfinished::Left(Box::new(state), lock)),
        (Some(state), Taken::Theirs(holder)) if !state.phase.is_final() => {
            Ok(Unfinished::Driven(Box::new(state), holder))
        }
        _ => Ok(Unfinished::No),
    }
}
