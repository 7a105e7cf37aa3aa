//! The data folder, and that one process shows its windows.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The platform's place for data: the same that `gander` uses.
fn platform() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(target_os = "macos") {
        return Some(variable("HOME")?.join("Library/Application Support/Gander"));
    }
    if cfg!(windows) {
        return Some(variable("LOCALAPPDATA")?.join("Gander"));
    }
    variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share"))).map(|data| data.join("gander"))
}

/// The data folder: what was said, `GANDER_HOME`, else the platform's own.
pub fn choose(said: Option<PathBuf>) -> Result<PathBuf, String> {
    let folder = said
        .or_else(|| std::env::var_os("GANDER_HOME").filter(|home| !home.is_empty()).map(PathBuf::from))
        .or_else(platform)
        .ok_or("There is no folder for Gander's data: HOME is not set. Name one with --data-dir or GANDER_HOME.")?;
    std::path::absolute(&folder).map_err(|error| format!("{} is no usable data folder: {error}.", folder.display()))
}

/// What is ours in the data folder: the lock, and what the web engine keeps (cookies, the pages' own storage, caches).
pub fn own(data_dir: &Path) -> io::Result<PathBuf> {
    let own = data_dir.join("desktop");
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(&own)?;
    Ok(own)
}

/// Held by the one process that shows this folder's windows; the operating system lets go of it when that process ends,
/// however it ends.
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes it, or says that somebody else has it.
    pub fn take(own: &Path) -> io::Result<Option<Self>> {
        let path = own.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut file = options.open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // For people and scripts: who it is.
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(Self { file, path }))
    }

    /// Nobody's any more; the file stays, because a removed one could be locked twice.
    pub fn release(self) {
        if let Err(error) = self.file.set_len(0).and_then(|()| self.file.unlock()) {
            tracing::warn!(%error, path = %self.path.display(), "the lock was not released");
        }
    }
}

/// Who holds the lock, where that can be read.
pub fn holder(own: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(own.join("lock")).ok()?.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Lock, holder, own};

    #[test]
    fn one_process_at_a_time_shows_the_windows() {
        let dir = tempfile::tempdir().unwrap();
        let own = own(&dir.path().join("data")).unwrap();
        let first = Lock::take(&own).unwrap().unwrap();
        assert_eq!(holder(&own), Some(std::process::id()));
        assert!(Lock::take(&own).unwrap().is_none());
        first.release();
        assert_eq!(holder(&own), None);
        assert!(Lock::take(&own).unwrap().is_some());
    }
}
