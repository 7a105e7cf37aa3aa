//! The upgrade of Gander itself: signed packages, the versions folder with its one pointer, the journal of phases, and
//! the way back. It refuses to know the journal of sessions: what a version checks before it takes over is that
//! version's own affair, and it says here, in one step, that it has.
//!
//! Read [`state`] first: every effect of an upgrade comes after a synced line there that says it is about to happen.

pub mod child;
pub mod driver;
pub mod faults;
pub mod fetch;
pub mod file;
pub mod host;
pub mod installed;
pub mod keys;
pub mod launch;
pub mod lock;
pub mod package;
pub mod place;
pub mod pointer;
pub mod rollback;
pub mod state;
pub mod versions;

pub use gander_model::{UpgradeId, VERSION};
pub use place::Place;
pub use pointer::Pointer;
pub use semver::Version;
pub use state::{Phase, State, StateError};

/// The platform that this binary was built for, as packages name it.
pub const TARGET: &str = env!("GANDER_TARGET");
