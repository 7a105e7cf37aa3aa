//! Locks of the operating system: they are gone with the process that held them, however it ended. A lock's file says
//! who holds it, as one line of JSON; the text alone means nothing.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::file;

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its version of Gander.
    pub version: String,
    /// The program's file.
    pub program: String,
    /// Since when, in milliseconds since 1970, UTC.
    pub since_ms: i64,
}

impl Holder {
    /// This process.
    pub fn this(now_ms: i64) -> Self {
        let program = std::env::current_exe().map(|program| program.display().to_string()).unwrap_or_default();
        Self { pid: std::process::id(), version: gander_model::VERSION.to_owned(), program, since_ms: now_ms }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}, gander {} ({})", self.pid, self.version, self.program)
    }
}

/// Held while it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What came of asking for a lock.
#[derive(Debug)]
pub enum Taken {
    /// It is ours.
    Ours(Lock),
    /// It is another's, who may have given no name.
    Theirs(Option<Holder>),
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub fn try_take(path: &Path, holder: &Holder) -> io::Result<Taken> {
        let mut file = open(path)?;
        let mut tries = 0;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    sign(&mut file, holder)?;
                    return Ok(Taken::Ours(Lock { _file: file }));
                }
                // Who looks has it for an instant, and who has just taken it has not signed yet.
                Err(rustix::io::Errno::WOULDBLOCK) if tries < 20 => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Taken::Theirs(name(&mut file))),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the lock, waiting for who has it. Only for locks that are held for moments.
    pub fn take(path: &Path) -> io::Result<Lock> {
        let file = open(path)?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Who holds a lock, or held it last, as its file says.
pub fn holder(path: &Path) -> Option<Holder> {
    name(&mut File::open(path).ok()?)
}

/// Who holds a lock now; `None` when nobody does. Leaves the lock alone.
pub(crate) fn look(path: &Path) -> io::Result<Option<Holder>> {
    let mut file = open(path)?;
    // A shared lock for an instant: two who look do not see each other.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let unknown = Holder { pid: 0, version: String::new(), program: String::new(), since_ms: 0 };
            Ok(Some(name(&mut file).unwrap_or(unknown)))
        }
        Err(error) => Err(error.into()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        file::make_folder(folder)?;
    }
    // The file is never removed, so the lock is always on the one that is named so.
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn sign(file: &mut File, holder: &Holder) -> io::Result<()> {
    let mut line = serde_json::to_vec(holder)?;
    line.push(b'\n');
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&line)
}

fn name(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(16 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(text.trim()).ok()
}
