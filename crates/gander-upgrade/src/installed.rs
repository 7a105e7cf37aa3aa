//! The installed program, as a version that serves sees it: a package manager may put another one there at any moment. It is
//! looked at, never trusted half written: a program is asked what it is once its file has stopped changing, and what it says
//! counts only if the file is still the same afterwards.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::versions::{self, Description};

/// Which file it is, and whether it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Option<Stamp>> {
        match std::fs::metadata(path) {
            Ok(found) => Ok(Some(Stamp {
                device: found.dev(),
                inode: found.ino(),
                bytes: found.len(),
                changed: (found.ctime(), found.ctime_nsec()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What stands in the installed program's place now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A program that says what it is.
    Program(Description),
    /// Nothing.
    Nothing,
    /// Something that does not say what it is, and why.
    Unusable(String),
}

/// Looks at the installed program again and again.
#[derive(Debug)]
pub struct Watched {
    program: PathBuf,
    /// What was told last.
    told: Option<Option<Stamp>>,
    /// What was seen at the last look.
    seen: Option<Stamp>,
}

impl Watched {
    /// Begins to watch. Where the installed program is the one that runs, there is nothing to tell until it changes.
    pub fn new(program: &Path) -> Watched {
        let seen = Stamp::of(program).ok().flatten();
        let own = std::env::current_exe().ok().and_then(|own| Stamp::of(&own).ok().flatten());
        let told = (seen.is_some() && seen == own).then_some(seen);
        Watched { program: program.to_owned(), told, seen }
    }

    /// The installed program's file.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What is there now, if it is not what was told before and did not change since the last look.
    pub async fn look(&mut self) -> Option<Found> {
        let now = Stamp::of(&self.program).ok()?;
        let settled = now == self.seen;
        self.seen = now;
        if !settled || self.told == Some(now) {
            return None;
        }
        let found = match now {
            None => Found::Nothing,
            Some(_) => match versions::describe(&self.program).await {
                Ok(description) => Found::Program(description),
                Err(error) => Found::Unusable(error.to_string()),
            },
        };
        if Stamp::of(&self.program).ok()? != now {
            return None;
        }
        self.told = Some(now);
        Some(found)
    }
}
