//! The log in the data folder: what a maintainer needs after the fact, bounded and rotated. What is written to it never
//! holds a secret or what somebody said: events name things by id. Who cannot write it goes on without.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest file, in bytes.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// How many files are kept, the one that is written included.
const FILES: u32 = 4;
/// Longest line, in bytes: one event cannot fill a file.
const LINE_MAX_BYTES: usize = 8 * 1024;

/// `logs/gander.log` and its older ones, `gander.log.1` the newest of them. Clones write to the same file.
#[derive(Debug, Clone)]
pub struct LogFile(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl LogFile {
    /// Its place in a data folder.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("logs").join("gander.log")
    }

    /// Opens the log of a data folder, made when it is not there; both for their owner alone.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = Self::path(data_dir);
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let (file, bytes) = open(&path)?;
        Ok(LogFile(Arc::new(Mutex::new(Open { path, file: Some(file), bytes }))))
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// The name of an older file.
fn older(path: &Path, number: u32) -> PathBuf {
    path.with_extension(format!("log.{number}"))
}

impl Open {
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        for number in (1..FILES).rev() {
            let from = if number == 1 { self.path.clone() } else { older(&self.path, number - 1) };
            match fs::rename(from, older(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let cut = line.len() > LINE_MAX_BYTES;
        let line = if cut { &line[..LINE_MAX_BYTES] } else { line };
        if self.bytes > 0 && self.bytes + line.len() as u64 > FILE_MAX_BYTES {
            self.rotate()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                // After a rotation, or after a disk that was full.
                let (file, bytes) = open(&self.path)?;
                self.bytes = bytes;
                none.insert(file)
            }
        };
        file.write_all(line)?;
        if cut {
            file.write_all(b"...\n")?;
        }
        self.bytes += line.len() as u64;
        Ok(())
    }
}

/// One event a call, as `tracing-subscriber` writes.
impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // What the lock guards is whole after each statement.
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = open.line(line) {
            open.file = None;
            return Err(error);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::{FILE_MAX_BYTES, FILES, LINE_MAX_BYTES, LogFile};

    #[test]
    fn the_log_is_bounded_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path()).unwrap();
        let line = format!("{}\n", "x".repeat(1000));
        for n in 0..6000 {
            log.write_all(format!("{n:05} {line}").as_bytes()).unwrap();
        }
        log.write_all(&vec![b'y'; 100 * LINE_MAX_BYTES]).unwrap();
        let files: Vec<_> = std::fs::read_dir(dir.path().join("logs")).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(files.len(), FILES as usize);
        for file in &files {
            let meta = file.metadata().unwrap();
            assert!(meta.len() <= FILE_MAX_BYTES, "{:?}: {}", file.path(), meta.len());
            assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        }
        let newest = std::fs::read_to_string(LogFile::path(dir.path())).unwrap();
        assert!(newest.contains("05999 xxx") && newest.ends_with("yyy...\n"));
        // A later run goes on in the same file.
        let mut again = LogFile::open(dir.path()).unwrap();
        again.write_all(b"again\n").unwrap();
        assert!(std::fs::read_to_string(LogFile::path(dir.path())).unwrap().ends_with("again\n"));
    }

    #[test]
    fn a_log_that_cannot_be_written_comes_back_when_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path()).unwrap();
        log.write_all(&vec![b'x'; LINE_MAX_BYTES]).unwrap();
        std::fs::remove_dir_all(dir.path().join("logs")).unwrap();
        // Full: the next line has to go to a new file, for which there is no folder.
        let lines = FILE_MAX_BYTES as usize / LINE_MAX_BYTES + 1;
        let failed = (0..lines).filter(|_| log.write_all(&vec![b'x'; LINE_MAX_BYTES]).is_err()).count();
        assert!(failed > 0, "there is nowhere to write to");
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        log.write_all(b"back\n").unwrap();
        assert_eq!(std::fs::read_to_string(LogFile::path(dir.path())).unwrap(), "back\n");
    }
}
