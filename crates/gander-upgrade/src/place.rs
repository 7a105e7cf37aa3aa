//! Where the upgrade's files are below a data folder.

use std::path::{Path, PathBuf};

use gander_model::UpgradeId;
use semver::Version;

/// The program's name in a version's folder and in a package.
pub const PROGRAM: &str = "gander";
/// The native windows' name, there and beside an installed program.
pub const DESKTOP: &str = "gander-desktop";
/// The licences' name in a version's folder.
pub const LICENCES: &str = "licences.txt";

/// A data folder, as the upgrade sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    data_dir: PathBuf,
}

impl Place {
    /// The upgrade's files of this data folder. Nothing is read or made.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into() }
    }

    /// The data folder itself.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// `upgrade/`
    pub fn dir(&self) -> PathBuf {
        self.data_dir.join("upgrade")
    }

    /// `upgrade/state.json`: the one upgrade that is under way or was the last.
    pub fn state(&self) -> PathBuf {
        self.dir().join("state.json")
    }

    /// `upgrade/lock`: held for the length of one change to the state.
    pub fn lock(&self) -> PathBuf {
        self.dir().join("lock")
    }

    /// `upgrade/driver.lock`: held by who drives the upgrade, for as long as it lives.
    pub fn driver_lock(&self) -> PathBuf {
        self.dir().join("driver.lock")
    }

    /// `journal.lock`: held by whoever serves.
    pub fn journal_lock(&self) -> PathBuf {
        self.data_dir.join("journal.lock")
    }

    /// `upgrade/history/`: earlier upgrades, one file each.
    pub fn history(&self) -> PathBuf {
        self.dir().join("history")
    }

    /// `upgrade/seal.json`: what the old version left behind, written by it.
    pub fn seal(&self) -> PathBuf {
        self.dir().join("seal.json")
    }

    /// `upgrade/sealed/`
    pub fn sealed(&self) -> PathBuf {
        self.dir().join("sealed")
    }

    /// `upgrade/sealed/journal.db`: the journal as it was sealed, where the new version migrates it.
    pub fn sealed_journal(&self) -> PathBuf {
        self.sealed().join("journal.db")
    }

    /// `upgrade/newer/journal.db`: the journal as a newer version left it, while a rollback by hand tries to do without it.
    pub fn newer_journal(&self) -> PathBuf {
        self.dir().join("newer").join("journal.db")
    }

    /// `upgrade/<id>.log`: what the new version said as it started.
    pub fn log(&self, id: UpgradeId) -> PathBuf {
        self.dir().join(format!("{id}.log"))
    }

    /// `upgrade/takeover.log`: what an installed program said that was asked to take over.
    pub fn takeover_log(&self) -> PathBuf {
        self.dir().join("takeover.log")
    }

    /// `upgrade/incoming/`: a package on its way in.
    pub fn incoming(&self) -> PathBuf {
        self.dir().join("incoming")
    }

    /// `versions/`
    pub fn versions(&self) -> PathBuf {
        self.data_dir.join("versions")
    }

    /// `versions/current`: the pointer.
    pub fn pointer(&self) -> PathBuf {
        self.versions().join("current")
    }

    /// `versions/<version>/`
    pub fn version(&self, version: &Version) -> PathBuf {
        self.versions().join(version.to_string())
    }

    /// `versions/<version>/gander`
    pub fn program(&self, version: &Version) -> PathBuf {
        self.version(version).join(PROGRAM)
    }

    /// `versions/<version>/gander-desktop`
    pub fn desktop(&self, version: &Version) -> PathBuf {
        self.version(version).join(DESKTOP)
    }

    /// `versions/<version>/manifest.json`
    pub fn manifest(&self, version: &Version) -> PathBuf {
        self.version(version).join("manifest.json")
    }
}
