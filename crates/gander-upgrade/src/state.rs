//! The journal of phases: `upgrade/state.json`, one upgrade at a time. A phase is written here, and synced, before its
//! effect; so whoever finds the file after a cut knows what may have happened, and which version is to run:
//!
//! | phase found | what may have happened | what is done |
//! |---|---|---|
//! | `stage`, `drill`, `prepare`, `seal` | nothing that the old version would notice | abandoned; the old version runs |
//! | `switch` | the pointer is old or new | the pointer is set, the new version is started |
//! | `start`, `check` | the new version was started; the journal may be migrated, nothing else is written | it is started again, and checks |
//! | `commit` | the new version serves | nothing: it stands |
//! | `rollback` | pointer or journal may be put back | both are put back; the old version runs |
//! | `rolled_back`, `abandoned` | the old version serves | nothing: it stands |
//!
//! Every change is a compare-and-set on the phase under the lock `upgrade/lock`: of a driver that gives up and a new
//! version that has checked everything, exactly one wins.

use std::io;
use std::path::PathBuf;

use gander_model::UpgradeId;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::file;
use crate::lock::{Holder, Lock};
use crate::place::Place;
use crate::pointer::Pointer;

/// A state is small; more is not ours.
const LIMIT: u64 = 16 * 1024 * 1024;

/// What is being done, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The package is verified and unpacked.
    Stage,
    /// A backup is made and read back; open sessions are exported.
    Drill,
    /// The old version takes no new turns and lets running ones end.
    Prepare,
    /// The old version writes the seal and ends.
    Seal,
    /// The pointer changes.
    Switch,
    /// The new version is started.
    Start,
    /// The new version compares the journal with the seal.
    Check,
    /// Ended: the new version serves.
    Commit,
    /// Pointer and journal are put back.
    Rollback,
    /// Ended: the old version serves, after the pointer had changed.
    RolledBack,
    /// Ended: the old version serves, and nothing had changed.
    Abandoned,
}

impl Phase {
    /// Whether nothing more happens.
    pub fn is_final(self) -> bool {
        matches!(self, Phase::Commit | Phase::RolledBack | Phase::Abandoned)
    }

    /// Its word in files.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Stage => "stage",
            Phase::Drill => "drill",
            Phase::Prepare => "prepare",
            Phase::Seal => "seal",
            Phase::Switch => "switch",
            Phase::Start => "start",
            Phase::Check => "check",
            Phase::Commit => "commit",
            Phase::Rollback => "rollback",
            Phase::RolledBack => "rolled_back",
            Phase::Abandoned => "abandoned",
        }
    }

    /// Whether the old version still is the one to run.
    pub fn is_before_switch(self) -> bool {
        matches!(self, Phase::Stage | Phase::Drill | Phase::Prepare | Phase::Seal)
    }
}

/// What kind of change of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// To a newer version (or the same again).
    Upgrade,
    /// To an older one from a package, as asked.
    Downgrade,
    /// By hand, back to the version before.
    Rollback,
}

/// A version and its program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The version.
    pub version: Version,
    /// The program's file.
    pub program: PathBuf,
    /// The journal's format that it writes.
    pub format: u32,
}

/// When a phase began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The phase.
    pub phase: Phase,
    /// In milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// The snapshot that was made and read back before anything changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backup {
    /// Its id in the vault.
    pub snapshot: String,
    /// Where the vault is, for people.
    pub place: String,
    /// The store root in it.
    pub root: String,
    /// Sessions in it.
    pub sessions: u64,
    /// Entries in it.
    pub entries: u64,
    /// Whether all of it was restored into a scratch store, whose store root was the same.
    pub drilled: bool,
}

/// What the new version compared before it took over, or what it found otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// Whether everything was the same.
    pub ok: bool,
    /// The store root in the seal.
    pub root_before: String,
    /// The store root in the journal as the new version opened it.
    pub root_after: String,
    /// The digest of windows, drafts, queue and open items in the seal.
    pub documents_before: String,
    /// The same, as the new version opened them.
    pub documents_after: String,
    /// The format before.
    pub format_before: u32,
    /// The format after its migration.
    pub format_after: u32,
    /// How many of each were compared: `sessions`, `windows`, `drafts`, `queue`, `open_items`.
    pub counts: std::collections::BTreeMap<String, u64>,
    /// What differs or failed; sentences for people.
    pub differences: Vec<String>,
}

/// One upgrade, from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Of this file's form: 1.
    pub v: u32,
    /// The upgrade.
    pub id: UpgradeId,
    /// Which way.
    pub kind: Kind,
    /// The version that served before.
    pub from: Side,
    /// The version that is to serve.
    pub to: Side,
    /// The phase that is under way, or how it ended.
    pub phase: Phase,
    /// The phases so far.
    pub steps: Vec<Step>,
    /// Who drives, or drove, it.
    pub driver: Holder,
    /// The pointer as it was before, to be put back.
    pub pointer_before: Option<Pointer>,
    /// The pointer that is to be set; none where going back means the installed program.
    pub pointer_after: Option<Pointer>,
    /// Whether somebody served when it began, so that somebody is to serve when it has ended.
    #[serde(default)]
    pub was_running: bool,
    /// How often the new version was started.
    #[serde(default)]
    pub starts: u32,
    /// The port to serve on.
    #[serde(default)]
    pub port: Option<u16>,
    /// The backup.
    #[serde(default)]
    pub backup: Option<Backup>,
    /// The folder with the readable exports of open sessions.
    #[serde(default)]
    pub exports: Option<PathBuf>,
    /// What the seal says, in short: the document that the old version gave out with it.
    #[serde(default)]
    pub seal: Option<Value>,
    /// Whether `upgrade/sealed/journal.db` is the journal as it was sealed.
    #[serde(default)]
    pub sealed_copy: bool,
    /// For a rollback by hand to an older format: store root and digest of documents of the copy that is put back.
    #[serde(default)]
    pub back_to: Option<(String, String)>,
    /// What the new version compared.
    #[serde(default)]
    pub check: Option<Check>,
    /// Why it did not go through; sentences for people.
    #[serde(default)]
    pub failed: Option<String>,
    /// What a person should know that stopped nothing.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Why a state could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file failed.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is there and is no state.
    #[error("{} is damaged; it was left as it is", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// There is no upgrade.
    #[error("there is no upgrade")]
    None,
    /// It is another upgrade.
    #[error("the upgrade {wanted} is not the one under way, which is {found}")]
    Other {
        /// The one that was meant.
        wanted: UpgradeId,
        /// The one that is there.
        found: UpgradeId,
    },
    /// Somebody was quicker.
    #[error("the upgrade is in phase {found:?} by now")]
    Moved {
        /// The phase.
        found: Phase,
    },
    /// Another upgrade has not ended.
    #[error("an upgrade from {} to {} is under way (phase {:?})", .0.from.version, .0.to.version, .0.phase)]
    UnderWay(Box<State>),
}

impl State {
    /// Whether the journal goes back to an older format, and what was written since has to be carried there.
    pub fn carries_back(&self) -> bool {
        self.kind == Kind::Rollback && self.back_to.is_some()
    }

    /// The current or last upgrade of a data folder; `None` when there never was one.
    pub fn read(place: &Place) -> Result<Option<State>, StateError> {
        let path = place.state();
        let bytes = file::read(&path, LIMIT).map_err(|source| StateError::Io { path: path.clone(), source })?;
        bytes
            .map(|bytes| serde_json::from_slice(&bytes).map_err(|source| StateError::Damaged { path, source }))
            .transpose()
    }

    /// The upgrades before the current or last one, the latest first.
    pub fn earlier(place: &Place) -> Result<Vec<UpgradeId>, StateError> {
        let path = place.history();
        let folder = match std::fs::read_dir(&path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StateError::Io { path, source }),
        };
        let mut ids = Vec::new();
        for found in folder {
            let name = found.map_err(|source| StateError::Io { path: path.clone(), source })?.file_name();
            ids.extend(name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<UpgradeId>().ok()));
        }
        // An id begins with its time.
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// One of the upgrades that [`State::earlier`] names.
    pub fn read_earlier(place: &Place, id: UpgradeId) -> Result<State, StateError> {
        let path = place.history().join(format!("{id}.json"));
        let bytes = file::read(&path, LIMIT).map_err(|source| StateError::Io { path: path.clone(), source })?;
        let bytes = bytes.ok_or(StateError::None)?;
        serde_json::from_slice(&bytes).map_err(|source| StateError::Damaged { path, source })
    }

    /// Records a new upgrade. One that has not ended is in its way; one that has goes to the history.
    pub fn begin(place: &Place, state: &State) -> Result<(), StateError> {
        let _lock = take(place)?;
        if let Some(last) = Self::read(place)? {
            if !last.phase.is_final() {
                return Err(StateError::UnderWay(Box::new(last)));
            }
            let history = place.history();
            let path = history.join(format!("{}.json", last.id));
            let kept =
                file::make_folder(&history).and_then(|()| file::replace(&path, &serde_json::to_vec_pretty(&last)?));
            kept.map_err(|source| StateError::Io { path, source })?;
        }
        state.write(place)
    }

    /// Moves the upgrade `id` from one of the phases `expected` to `to`, with what else is recorded then. On return it is on the
    /// disk. [`StateError::Moved`] if it is in none of them: then nothing was changed.
    pub fn advance(
        place: &Place,
        id: UpgradeId,
        expected: &[Phase],
        to: Phase,
        now_ms: i64,
        record: impl FnOnce(&mut State),
    ) -> Result<State, StateError> {
        crate::faults::point(&format!("{}:before", to.word()));
        let state = Self::change(place, id, expected, |state| {
            record(state);
            state.phase = to;
            state.steps.push(Step { phase: to, at_ms: now_ms });
        })?;
        crate::faults::point(&format!("{}:after", to.word()));
        Ok(state)
    }

    /// Records something in the phase that is under way.
    pub fn record(
        place: &Place,
        id: UpgradeId,
        expected: &[Phase],
        record: impl FnOnce(&mut State),
    ) -> Result<State, StateError> {
        Self::change(place, id, expected, |state| {
            let phase = state.phase;
            record(state);
            state.phase = phase;
        })
    }

    fn change(
        place: &Place,
        id: UpgradeId,
        expected: &[Phase],
        change: impl FnOnce(&mut State),
    ) -> Result<State, StateError> {
        let _lock = take(place)?;
        let mut state = Self::read(place)?.ok_or(StateError::None)?;
        if state.id != id {
            return Err(StateError::Other { wanted: id, found: state.id });
        }
        if !expected.contains(&state.phase) {
            return Err(StateError::Moved { found: state.phase });
        }
        change(&mut state);
        state.write(place)?;
        Ok(state)
    }

    fn write(&self, place: &Place) -> Result<(), StateError> {
        let path = place.state();
        let written = serde_json::to_vec_pretty(self).map_err(io::Error::from);
        written.and_then(|bytes| file::replace(&path, &bytes)).map_err(|source| StateError::Io { path, source })
    }
}

fn take(place: &Place) -> Result<Lock, StateError> {
    let path = place.lock();
    Lock::take(&path).map_err(|source| StateError::Io { path, source })
}

/// Who drives an upgrade of this data folder at this moment. A serving process that was asked to hand over and finds
/// nobody takes its work up again.
pub fn driver(place: &Place) -> io::Result<Option<Holder>> {
    let path = place.driver_lock();
    if path.exists() { crate::lock::look(&path) } else { Ok(None) }
}
