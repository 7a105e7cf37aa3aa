//! The runtime file: how a client on this machine finds the running instance. It holds the launch's token, so nobody
//! else may read it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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
    /// Its name in the data folder.
    pub const NAME: &str = "runtime.json";

    /// Reads the file of a data folder.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        let bytes = fs::read(data_dir.join(Self::NAME))?;
        serde_json::from_slice(&bytes).map_err(io::Error::from)
    }

    /// Writes it whole or not at all.
    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<()> {
        let path = data_dir.join(Self::NAME);
        let beside = data_dir.join(format!("{}.{}", Self::NAME, self.pid));
        // A left-over of an earlier process with this id may be there with other permissions.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    }

    /// Removes it, if it is still this launch's.
    pub(crate) fn remove(&self, data_dir: &Path) {
        if Self::read(data_dir).is_ok_and(|found| found == *self) {
            let _ = fs::remove_file(data_dir.join(Self::NAME));
        }
    }
}
