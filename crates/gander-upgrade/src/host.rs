//! What the driver asks of the versions that serve. It refuses to know how they are asked.

use std::path::{Path, PathBuf};

use gander_model::UpgradeId;
use semver::Version;

use crate::state::Backup;

/// Why something asked for was not done; a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// Who serves.
#[derive(Clone, Debug)]
pub struct About {
    /// Its version.
    pub version: Version,
    /// The journal's format.
    pub format: u32,
    /// The program's file.
    pub program: PathBuf,
    /// Where the program that runs can be read, also when its file was replaced.
    pub running: PathBuf,
    /// Its process.
    pub pid: u32,
    /// Where it listens, which is where the next version is to listen.
    pub port: Option<u16>,
    /// Whether it served before the driver came: then somebody is to serve after it.
    pub was_running: bool,
}

/// What was saved before anything changes.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// The snapshot.
    pub backup: Backup,
    /// The folder with the readable exports.
    pub exports: Option<PathBuf>,
    /// What could not be saved whole; sentences for people.
    pub warnings: Vec<String>,
}

/// What a handover is asked with.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// The upgrade.
    pub upgrade: UpgradeId,
    /// The version that comes.
    pub to: Version,
    /// The format that it writes: another one means that a copy of the journal is to be kept.
    pub to_format: u32,
    /// How long running turns may go on; then they are interrupted, to be continued later.
    pub deadline_ms: u64,
    /// Whether they are interrupted at once.
    pub interrupt: bool,
}

/// How far a handover is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// `none`, `waiting`, `frozen` or `sealed`.
    pub state: String,
    /// The names of sessions whose turns still run.
    pub turns: Vec<String>,
    /// Drafts that are being saved.
    pub drafts: u64,
    /// Why it was given up.
    pub failed: Option<String>,
}

/// What serves a data folder, as the driver asks it.
pub trait Host {
    /// Who serves. Without anybody the host serves itself, until [`Host::let_go`].
    fn about(&mut self) -> impl Future<Output = Result<About, Trouble>>;
    /// Makes a snapshot, reads it back, restores it into a scratch store, and exports the open sessions.
    fn save(&mut self, to: &Version, tell: &mut dyn FnMut(&str)) -> impl Future<Output = Result<Saved, Trouble>>;
    /// Asks to freeze, to write the seal and to end.
    fn hand_over(&mut self, ask: &HandOver) -> impl Future<Output = Result<(), Trouble>>;
    /// How far that is.
    fn handover(&mut self) -> impl Future<Output = Result<Handover, Trouble>>;
    /// Takes it back.
    fn cancel(&mut self) -> impl Future<Output = Result<(), Trouble>>;
    /// Ends what the host serves itself.
    fn let_go(&mut self) -> impl Future<Output = ()>;
    /// Puts the journal back as it was sealed, if a newer version migrated it. Nobody has it open; it may be done again.
    fn put_back(&mut self) -> Result<(), Trouble>;
    /// Keeps the journal as it is as [`Place::newer_journal`](crate::Place::newer_journal). Nobody has it open.
    fn set_aside(&mut self) -> Result<(), Trouble>;
    /// Puts a kept copy of the journal in its place, if it has this store root and digest of documents. May be done again.
    fn put_back_copy(&mut self, copy: &Path, root: &str, documents: &str) -> Result<(), Trouble>;
    /// Who answers now, if anybody does: its process and version.
    fn answering(&mut self) -> impl Future<Output = Option<(u32, Version)>>;
    /// Asks who serves now to stop, and waits until it has.
    fn stop(&mut self) -> impl Future<Output = Result<(), Trouble>>;
}
