//! The wall around what an agent may have us do with files: the session's folder and the folders that the user allowed.
//!
//! A path is resolved first, symbolic links and `..` included, and the result has to lie below a root. It is then
//! opened from that root's own descriptor, component by component, following no link: what changes between the check
//! and the use is refused instead of followed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// The roots, resolved once.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    roots: Vec<PathBuf>,
    /// The roots as they were given, for telling "outside" without touching the disk.
    given: Vec<PathBuf>,
}

/// Why a path is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    #[error("the path {} is not absolute", .0.display())]
    Relative(PathBuf),
    #[error("the path {} is outside of the session's folder", .0.display())]
    Outside(PathBuf),
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    #[error("{} has {size} bytes, more than the limit of {limit}", path.display())]
    TooLarge { path: PathBuf, size: u64, limit: u64 },
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    #[error("{} was not found", .0.display())]
    NotFound(PathBuf),
    #[error("{} could not be used: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::NotFound => FolderError::NotFound(path.clone()),
        // A link where none was when the path was resolved.
        _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            FolderError::Outside(path.clone())
        }
        _ => FolderError::Io { path: path.clone(), source },
    }
}

/// The path without `.` and with each `..` taken literally.
fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

impl Folder {
    pub(crate) fn new(folder: &Path, extra: &[PathBuf]) -> io::Result<Self> {
        let mut given = vec![folder.to_owned()];
        given.extend(extra.iter().cloned());
        let mut roots = vec![folder.canonicalize()?];
        // An extra folder that is gone allows nothing; the session's own has to be there.
        roots.extend(extra.iter().filter_map(|root| root.canonicalize().ok()));
        Ok(Self { roots, given })
    }

    /// The session's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.roots[0]
    }

    fn relative_to_root(&self, real: &Path) -> Option<(&Path, PathBuf)> {
        self.roots.iter().find_map(|root| Some((root.as_path(), real.strip_prefix(root).ok()?.to_owned())))
    }

    fn check_given(&self, path: &Path) -> Result<(), FolderError> {
        if !path.is_absolute() {
            return Err(FolderError::Relative(path.to_owned()));
        }
        // Before the disk is asked, so that an answer does not tell what exists elsewhere.
        let lexical = lexical(path);
        if !self.roots.iter().chain(&self.given).any(|root| lexical.starts_with(root)) {
            return Err(FolderError::Outside(path.to_owned()));
        }
        Ok(())
    }

    /// A folder below the roots, resolved.
    pub(crate) fn folder(&self, path: &Path) -> Result<PathBuf, FolderError> {
        self.check_given(path)?;
        let real = path.canonicalize().map_err(io_error(path))?;
        self.relative_to_root(&real).ok_or_else(|| FolderError::Outside(path.to_owned()))?;
        Ok(real)
    }

    /// Reads a text file of at most `limit` bytes.
    pub(crate) fn read_text(&self, path: &Path, limit: u64) -> Result<String, FolderError> {
        self.check_given(path)?;
        let real = path.canonicalize().map_err(io_error(path))?;
        let (root, relative) = self.relative_to_root(&real).ok_or_else(|| FolderError::Outside(path.to_owned()))?;
        let name = relative.file_name().ok_or_else(|| FolderError::NotAFile(path.to_owned()))?;
        let parent = walk(root, relative.parent().unwrap_or(Path::new(""))).map_err(io_error(path))?;
        // Non-blocking: opening a pipe must not wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::empty()).map_err(|e| io_error(path)(e.into()))?;
        let file = File::from(file);
        let meta = file.metadata().map_err(io_error(path))?;
        if !meta.is_file() {
            return Err(FolderError::NotAFile(path.to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
        if bytes.len() as u64 > limit {
            return Err(FolderError::TooLarge { path: path.to_owned(), size: meta.len(), limit });
        }
        String::from_utf8(bytes).map_err(|_| FolderError::NotText(path.to_owned()))
    }

    /// Writes a text file whole or not at all; missing folders are made.
    pub(crate) fn write_text(&self, path: &Path, text: &str) -> Result<(), FolderError> {
        self.check_given(path)?;
        let (existing, missing) = self.split_existing(path)?;
        let (root, relative) = self.relative_to_root(&existing).ok_or_else(|| FolderError::Outside(path.to_owned()))?;
        let mut names: Vec<OsString> =
            relative.iter().chain(missing.iter().map(OsString::as_os_str)).map(Into::into).collect();
        let name = names.pop().ok_or_else(|| FolderError::NotAFile(path.to_owned()))?;
        let mut folder = open_root(root).map_err(io_error(path))?;
        for part in &names {
            match open_folder(&folder, part) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o777))
                        .map_err(|e| io_error(path)(e.into()))?;
                    folder = open_folder(&folder, part).map_err(io_error(path))?;
                }
                other => folder = other.map_err(io_error(path))?,
            }
        }
        replace(&folder, &name, text).map_err(|source| match source {
            None => FolderError::NotAFile(path.to_owned()),
            Some(source) => io_error(path)(source),
        })
    }

    /// Splits a path into what exists, resolved, and the names that do not.
    fn split_existing(&self, path: &Path) -> Result<(PathBuf, Vec<OsString>), FolderError> {
        let outside = || FolderError::Outside(path.to_owned());
        let mut missing = Vec::new();
        let mut at = path;
        loop {
            match at.canonicalize() {
                Ok(real) => {
                    missing.reverse();
                    return Ok((real, missing));
                }
                // A link that leads nowhere must not be written through.
                Err(_) if at.symlink_metadata().is_ok() => return Err(outside()),
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error(path)(e)),
                Err(_) => {
                    // `file_name` is `None` for a path that ends in `..`.
                    missing.push(at.file_name().ok_or_else(outside)?.to_owned());
                    at = at.parent().ok_or_else(outside)?;
                }
            }
        }
    }
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, root, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

fn open_folder(parent: &OwnedFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

fn walk(root: &Path, relative: &Path) -> io::Result<OwnedFd> {
    relative.iter().try_fold(open_root(root)?, |folder, name| open_folder(&folder, name))
}

/// Puts a new file in the place of `name`, keeping its permissions. `None`: there is something that is not a file.
fn replace(folder: &OwnedFd, name: &OsString, text: &str) -> Result<(), Option<io::Error>> {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let some = |e: rustix::io::Errno| Some(io::Error::from(e));
    let mode = match rustix::fs::statat(folder, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() => {
            Some(Mode::from_raw_mode(stat.st_mode))
        }
        Ok(_) => return Err(None),
        Err(rustix::io::Errno::NOENT) => None,
        Err(e) => return Err(some(e)),
    };
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let temporary = format!(".gander-write-{}-{count}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(folder, &temporary, flags, Mode::from_raw_mode(0o666)).map_err(some)?);
    let written = (|| {
        file.write_all(text.as_bytes())?;
        if let Some(mode) = mode {
            rustix::fs::fchmod(&file, mode)?;
        }
        file.sync_data()?;
        rustix::fs::renameat(folder, &temporary, folder, name.as_os_str())?;
        Ok(())
    })();
    if written.is_err() {
        let _ = rustix::fs::unlinkat(folder, &temporary, AtFlags::empty());
    }
    written.map_err(Some)
}
