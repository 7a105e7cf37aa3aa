//! The runtime file: how a client on this machine finds the running instance. It holds the launch's token, so nobody
//! else may read it.
//!
//! It lies in the data folder. Where that cannot be written (a read-only or full disk, which is served for reading) it
//! lies in a folder of the user's own outside, named after the data folder, where clients look as well.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gander_model::content_hash;
use serde::{Deserialize, Serialize};

/// What `runtime.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeFile {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// The bearer token of this launch.
    pub token: String,
    /// The process.
    pub pid: u32,
    /// Of Gander.
    pub version: String,
    /// The journal's epoch: it grows with every launch.
    pub epoch: u64,
}

impl RuntimeFile {
    /// Its name in its folder.
    pub const NAME: &str = "runtime.json";

    /// Reads the file of a data folder.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        read(&data_dir.join(Self::NAME)).or_else(|error| Self::elsewhere(data_dir).ok_or(error))
    }

    /// All that there are of a data folder, the one in it first. One of a killed process may lie there still.
    pub fn all(data_dir: &Path) -> Vec<Self> {
        read(&data_dir.join(Self::NAME)).ok().into_iter().chain(Self::elsewhere(data_dir)).collect()
    }

    fn elsewhere(data_dir: &Path) -> Option<Self> {
        let folder = outside(data_dir);
        is_ours(&folder).then(|| read(&folder.join(Self::NAME)).ok()).flatten()
    }

    /// Writes it whole or not at all; gives where.
    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<PathBuf> {
        let first = match self.write_in(data_dir) {
            Ok(path) => return Ok(path),
            Err(error) => error,
        };
        let folder = outside(data_dir);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        // Somebody else may have made it first, to read what is put there.
        if !is_ours(&folder) {
            return Err(first);
        }
        self.write_in(&folder)
    }

    fn write_in(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join(Self::NAME);
        let beside = folder.join(format!("{}.{}", Self::NAME, self.pid));
        // A left-over of an earlier process with this id may be there with other permissions.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).and_then(|mut file| {
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()
        });
        let placed = written.and_then(|()| fs::rename(&beside, &path));
        if placed.is_err() {
            // On a full disk there is a name and nothing in it.
            let _ = fs::remove_file(&beside);
        }
        placed.map(|()| path)
    }

    /// Removes it, if it is still this launch's.
    pub(crate) fn remove(&self, path: &Path) {
        if read(path).is_ok_and(|found| found == *self) {
            let _ = fs::remove_file(path);
        }
    }
}

fn read(path: &Path) -> io::Result<RuntimeFile> {
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::from)
}

/// The folder outside of a data folder, the same for every way of naming it.
fn outside(data_dir: &Path) -> PathBuf {
    let named = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let id: String = content_hash(named.as_os_str().as_encoded_bytes()).to_string().chars().take(16).collect();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_dir());
    let base = match runtime {
        Some(folder) => folder.join("gander"),
        None => std::env::temp_dir().join(format!("gander-{}", rustix::process::getuid().as_raw())),
    };
    base.join(id)
}

/// Nobody else can write or read what lies in it or has put another folder in its place.
fn is_ours(folder: &Path) -> bool {
    let ours = |folder: &Path| {
        fs::symlink_metadata(folder).is_ok_and(|meta| {
            meta.is_dir() && meta.uid() == rustix::process::getuid().as_raw() && meta.mode() & 0o077 == 0
        })
    };
    ours(folder) && folder.parent().is_some_and(ours)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{RuntimeFile, is_ours};

    #[test]
    fn a_folder_that_others_can_look_into_takes_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("gander/0123");
        std::fs::create_dir_all(&folder).unwrap();
        let set = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(folder.parent().unwrap(), 0o700);
        set(&folder, 0o700);
        assert!(is_ours(&folder));
        set(&folder, 0o755);
        assert!(!is_ours(&folder));
        set(&folder, 0o700);
        set(folder.parent().unwrap(), 0o770);
        assert!(!is_ours(&folder));
        set(folder.parent().unwrap(), 0o700);
        std::os::unix::fs::symlink(&folder, dir.path().join("gander/link")).unwrap();
        assert!(!is_ours(&dir.path().join("gander/link")));
        assert!(RuntimeFile::read(dir.path()).is_err());
    }
}
