//! The operating system's lock on a data folder: one process at a time, and a second one is told who it is (G8).
//!
//! The lock is on `journal.lock`, never on the database: SQLite's own POSIX locks are dropped by any stray open and
//! close of its files. The file says who holds it, as one line of JSON; its text alone means nothing, since a process
//! that was killed leaves it behind while the operating system has let go of the lock.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::OpenError;

/// The lock's file in the data folder.
pub const FILE: &str = "journal.lock";

/// Who holds a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The program's file.
    pub program: String,
    /// When it took the lock, in milliseconds since 1970, UTC.
    pub since_ms: i64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}, gander {} ({})", self.pid, self.version, self.program)?;
        match jiff::Timestamp::from_millisecond(self.since_ms) {
            Ok(since) => write!(f, ", since {since:.0}"),
            Err(_) => Ok(()),
        }
    }
}

/// Held while it lives; the operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the data folder `dir`, and writes into it who holds it.
    pub fn take(dir: &Path, version: &str, now_ms: i64) -> Result<Lock, OpenError> {
        let path = dir.join(FILE);
        let io = |source| OpenError::Io { path: path.clone(), source };
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(io)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let holder = named(&mut file).map_or_else(|| "another process".to_owned(), |h| h.to_string());
                    return Err(OpenError::Held { dir: dir.to_owned(), holder });
                }
                Err(error) => return Err(io(error.into())),
            }
            // A lock on a file that is no longer the one in the folder excludes nobody.
            let held = file.metadata().map_err(io)?;
            match std::fs::metadata(&path) {
                Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => {}
                _ => continue,
            }
            let program = std::env::current_exe().map(|p| p.display().to_string()).unwrap_or_default();
            let holder = Holder { pid: std::process::id(), version: version.to_owned(), program, since_ms: now_ms };
            let mut line = serde_json::to_vec(&holder).map_err(|error| io(error.into()))?;
            line.push(b'\n');
            file.set_len(0).map_err(io)?;
            file.seek(SeekFrom::Start(0)).map_err(io)?;
            file.write_all(&line).map_err(io)?;
            return Ok(Lock { _file: file });
        }
    }
}

/// Who holds the lock of a data folder, as its file says. It may have ended since.
pub fn holder(dir: &Path) -> Option<Holder> {
    read(&mut File::open(dir.join(FILE)).ok()?)
}

/// A holder writes its name just after it took the lock, so an unreadable name is worth a few more looks.
fn named(file: &mut File) -> Option<Holder> {
    for _ in 0..20 {
        if let Some(holder) = read(file) {
            return Some(holder);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(16 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(text.trim()).ok()
}
