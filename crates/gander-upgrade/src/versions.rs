//! The versions folder: a folder for each version that is kept, with its program and the manifest that names the
//! program's hash. A folder appears under its name complete and synced, or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use gander_model::UpgradeId;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::file;
use crate::package::{Manifest, Package, PackageError, Part};
use crate::place::{DESKTOP, PROGRAM, Place};

/// What stays free on a disk that an upgrade fills.
const MARGIN: u64 = 64 << 20;
/// How long a program may take to say what it is.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a program says of itself (`gander upgrade describe`): what `xtask package` writes into the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its version.
    pub version: Version,
    /// Its platform.
    pub target: String,
    /// The lowest format of a journal that it reads.
    pub reads_format: u32,
    /// The format that it writes.
    pub writes_format: u32,
}

/// Why a version in the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// It is not there.
    #[error("gander {0} is not kept here any more")]
    Gone(Version),
    /// It is not what its manifest says.
    #[error("{} is not the program that its manifest names", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// A file failed.
    #[error("{} cannot be read", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Unpacks a package into its version's folder, with the native windows where they are wanted. An equal one that is there
/// stays.
pub fn stage(place: &Place, id: UpgradeId, package: Package, desktop: bool) -> Result<PathBuf, PackageError> {
    let version = package.manifest().version.clone();
    if is_kept(place, package.manifest(), desktop) {
        return Ok(place.program(&version));
    }
    let fresh = place.versions().join(format!(".new-{id}"));
    file::make_folder(&fresh).map_err(PackageError::io(&fresh))?;
    let manifest = package.unpack(&fresh, desktop)?;
    publish(place, id, &fresh, &manifest).map_err(PackageError::io(&fresh))?;
    Ok(place.program(&version))
}

/// Whether all that is wanted of a package is in its version's folder, unchanged.
fn is_kept(place: &Place, wanted: &Manifest, desktop: bool) -> bool {
    let Ok(kept) = manifest(place, &wanted.version) else { return false };
    let windows = if desktop { wanted.desktop } else { kept.desktop };
    (kept.blake3, kept.licences, kept.desktop) == (wanted.blake3, wanted.licences, windows)
        && program(place, &wanted.version).is_ok()
        && (!desktop || self::desktop(place, &wanted.version).is_ok())
}

/// Keeps the program that serves now, and its native windows where there are any, so that there is something to go back to when
/// the installed files are replaced.
pub fn keep(
    place: &Place,
    id: UpgradeId,
    from: &Path,
    windows: Option<&Path>,
    description: &Description,
    now_ms: i64,
) -> io::Result<PathBuf> {
    let kept = place.program(&description.version);
    let windows_kept = windows.is_none() || matches!(desktop(place, &description.version), Ok(Some(_)));
    if kept == from || (program(place, &description.version).is_ok() && windows_kept) {
        return Ok(kept);
    }
    let fresh = place.versions().join(format!(".new-{id}"));
    file::make_folder(&fresh)?;
    let program = second(from, &fresh.join(PROGRAM))?;
    let mut manifest = Manifest::new(description.clone(), now_ms, i64::MAX);
    (manifest.bytes, manifest.blake3) = (program.bytes, program.blake3);
    manifest.desktop = windows.map(|windows| second(windows, &fresh.join(DESKTOP))).transpose()?;
    manifest.v = manifest.form();
    publish(place, id, &fresh, &manifest)?;
    Ok(kept)
}

/// A second name costs nothing and outlives the first; where that cannot be, a copy.
fn second(from: &Path, to: &Path) -> io::Result<Part> {
    let _ = file::remove(to);
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
        fs::File::open(to)?.sync_all()?;
    }
    Part::of(to)
}

/// Gives a complete folder its name.
fn publish(place: &Place, id: UpgradeId, fresh: &Path, manifest: &Manifest) -> io::Result<()> {
    file::replace(&fresh.join("manifest.json"), &serde_json::to_vec_pretty(manifest)?)?;
    crate::faults::point("publish");
    let folder = place.version(&manifest.version);
    let old = place.versions().join(format!(".old-{id}"));
    if folder.exists() {
        fs::rename(&folder, &old)?;
    }
    fs::rename(fresh, &folder)?;
    file::sync_folder(&place.versions())?;
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    Ok(())
}

/// What is known of a version that is kept.
pub fn manifest(place: &Place, version: &Version) -> Result<Manifest, VersionError> {
    let path = place.manifest(version);
    let bytes = file::read(&path, 64 * 1024).map_err(|source| VersionError::Io { path: path.clone(), source })?;
    let bytes = bytes.ok_or_else(|| VersionError::Gone(version.clone()))?;
    serde_json::from_slice(&bytes).map_err(|_| VersionError::Changed { path })
}

/// A kept version's program, compared with its manifest.
pub fn program(place: &Place, version: &Version) -> Result<PathBuf, VersionError> {
    let manifest = manifest(place, version)?;
    if manifest.version != *version {
        return Err(VersionError::Changed { path: place.manifest(version) });
    }
    compared(place.program(version), Part { bytes: manifest.bytes, blake3: manifest.blake3 }, version)
}

/// A kept version's native windows, compared with its manifest; none where it was kept without.
pub fn desktop(place: &Place, version: &Version) -> Result<Option<PathBuf>, VersionError> {
    let part = manifest(place, version)?.desktop;
    part.map(|part| compared(place.desktop(version), part, version)).transpose()
}

fn compared(path: PathBuf, part: Part, version: &Version) -> Result<PathBuf, VersionError> {
    match Part::of(&path) {
        Ok(found) if found == part => Ok(path),
        Ok(_) => Err(VersionError::Changed { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(VersionError::Gone(version.clone())),
        Err(source) => Err(VersionError::Io { path, source }),
    }
}

/// The native windows of a version that serves: those beside its program, or the ones that are open (a package manager may have
/// replaced their file). Only such as say that they are of this version.
pub async fn windows_of(place: &Place, version: &Version, program: &Path) -> Option<PathBuf> {
    if program == place.program(version) {
        // It is kept already, with what belongs to it.
        return None;
    }
    for windows in [Some(program.with_file_name(DESKTOP)), open_windows(place)].into_iter().flatten() {
        if says_version(&windows, version).await {
            return Some(windows);
        }
    }
    None
}

/// The program of the native windows that are open, where the system shows it.
fn open_windows(place: &Place) -> Option<PathBuf> {
    let pid = file::read(&place.data_dir().join("desktop/lock"), 64).ok()??;
    let pid: u32 = std::str::from_utf8(&pid).ok()?.trim().parse().ok()?;
    let program = PathBuf::from(format!("/proc/{pid}/exe"));
    // The lock's file stays when they are closed, and then the number is another process's.
    let is_windows = fs::read_link(&program).ok()?.file_name()?.to_str()?.starts_with(DESKTOP);
    is_windows.then_some(program)
}

/// Takes native windows out of a version's folder that do not start on this machine.
pub fn leave_windows_out(place: &Place, version: &Version) -> Result<(), PackageError> {
    let path = place.manifest(version);
    let mut manifest = manifest(place, version).map_err(|error| PackageError::DoesNotRun(error.to_string()))?;
    manifest.desktop = None;
    let written = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from);
    written.and_then(|bytes| file::replace(&path, &bytes)).map_err(PackageError::io(&path))?;
    let windows = place.desktop(version);
    file::remove(&windows).map_err(PackageError::io(&windows))
}

/// Whether native windows start on this machine, and are of this version.
pub async fn says_version(windows: &Path, version: &Version) -> bool {
    let command =
        tokio::process::Command::new(windows).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(DESCRIBE_TIMEOUT, command).await {
        Ok(Ok(said)) => said.status.success() && said.stdout == format!("{DESKTOP} {version}\n").into_bytes(),
        _ => false,
    }
}

/// The versions that are kept.
pub fn kept(place: &Place) -> io::Result<Vec<Version>> {
    let folder = match fs::read_dir(place.versions()) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut versions = Vec::new();
    for found in folder {
        let found = found?;
        if found.file_type()?.is_dir() {
            versions.extend(found.file_name().to_str().and_then(|name| name.parse::<Version>().ok()));
        }
    }
    versions.sort();
    Ok(versions)
}

/// Removes every version but these, and what cut-off upgrades left.
pub fn prune(place: &Place, keep: &[&Version]) -> io::Result<()> {
    for version in kept(place)? {
        if !keep.contains(&&version) {
            fs::remove_dir_all(place.version(&version))?;
        }
    }
    tidy(place)
}

/// Removes what cut-off upgrades left. Only for who drives.
pub fn tidy(place: &Place) -> io::Result<()> {
    match fs::remove_dir_all(place.incoming()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let Ok(folder) = fs::read_dir(place.versions()) else { return Ok(()) };
    for found in folder {
        let found = found?;
        let name = found.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(".new-") || name.starts_with(".old-")) {
            fs::remove_dir_all(found.path())?;
        }
    }
    Ok(())
}

/// Whether there is room for `needed` bytes more in the data folder, and something beside.
pub fn check_room(place: &Place, needed: u64) -> Result<(), PackageError> {
    let path = place.data_dir();
    let disk =
        rustix::fs::statvfs(path).map_err(|error| PackageError::Io { path: path.into(), source: error.into() })?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = needed.saturating_add(MARGIN);
    if free < needed { Err(PackageError::NoRoom { needed, free, path: path.into() }) } else { Ok(()) }
}

/// The bytes of a journal's files.
pub fn journal_bytes(place: &Place) -> u64 {
    ["journal.db", "journal.db-wal"]
        .iter()
        .filter_map(|name| fs::metadata(place.data_dir().join(name)).ok())
        .map(|found| found.len())
        .sum()
}

/// Has a program say what it is: it must start on this machine.
pub async fn describe(program: &Path) -> Result<Description, PackageError> {
    let wrong = |why: String| PackageError::DoesNotRun(why);
    let command = tokio::process::Command::new(program)
        .args(["upgrade", "describe", "--json"])
        .env("GANDER_NO_LAUNCH", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DESCRIBE_TIMEOUT, command).await;
    let output = output.map_err(|_| wrong("it did not say what it is".to_owned()))?;
    let output = output.map_err(|error| wrong(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(wrong(format!("{}: {}", output.status, said.lines().next().unwrap_or_default())));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| wrong(format!("it says nothing of itself: {error}")))
}
