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
use crate::package::{Manifest, Package, PackageError, hash_file};
use crate::place::{PROGRAM, Place};

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

/// Unpacks a package into its version's folder. An equal one that is there stays.
pub fn stage(place: &Place, id: UpgradeId, package: Package) -> Result<PathBuf, PackageError> {
    let version = package.manifest().version.clone();
    if manifest(place, &version).is_ok_and(|kept| kept.blake3 == package.manifest().blake3)
        && program(place, &version).is_ok()
    {
        return Ok(place.program(&version));
    }
    let fresh = place.versions().join(format!(".new-{id}"));
    file::make_folder(&fresh).map_err(PackageError::io(&fresh))?;
    let manifest = package.unpack(&fresh.join(PROGRAM))?;
    publish(place, id, &fresh, &manifest).map_err(PackageError::io(&fresh))?;
    Ok(place.program(&version))
}

/// Keeps the program that serves now, so that there is something to go back to when the installed file is replaced.
pub fn keep(place: &Place, id: UpgradeId, from: &Path, description: &Description, now_ms: i64) -> io::Result<PathBuf> {
    let kept = place.program(&description.version);
    if kept == from || program(place, &description.version).is_ok() {
        return Ok(kept);
    }
    let fresh = place.versions().join(format!(".new-{id}"));
    file::make_folder(&fresh)?;
    let target = fresh.join(PROGRAM);
    let _ = file::remove(&target);
    // A second name costs nothing and outlives the first; where that cannot be, a copy.
    if fs::hard_link(from, &target).is_err() {
        fs::copy(from, &target)?;
        fs::File::open(&target)?.sync_all()?;
    }
    let (blake3, bytes) = hash_file(&target)?;
    let manifest = Manifest {
        v: 1,
        version: description.version.clone(),
        target: description.target.clone(),
        bytes,
        blake3,
        made_at_ms: now_ms,
        expires_at_ms: i64::MAX,
        reads_format: description.reads_format,
        writes_format: description.writes_format,
    };
    publish(place, id, &fresh, &manifest)?;
    Ok(kept)
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
    let path = place.program(version);
    match hash_file(&path) {
        Ok((hash, _)) if hash == manifest.blake3 && manifest.version == *version => Ok(path),
        Ok(_) => Err(VersionError::Changed { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(VersionError::Gone(version.clone())),
        Err(source) => Err(VersionError::Io { path, source }),
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
