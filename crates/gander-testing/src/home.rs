//! A home of its own for each test: nothing of the machine's real configuration is read, nothing is left behind.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that goes away with it, with the places that Gander and its agents look at.
pub struct TempHome {
    folder: TempDir,
}

impl TempHome {
    /// An empty home.
    pub fn new() -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("gander-test-").tempdir()?;
        std::fs::create_dir(folder.path().join("project"))?;
        Ok(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What is given as `GANDER_HOME`: does not exist yet.
    pub fn gander_home(&self) -> PathBuf {
        self.folder.path().join("gander")
    }

    /// An empty folder for sessions to work in.
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }
}
