//! The pointer: one small file that says which version serves this data folder. It is the only thing that an upgrade
//! switches, and it switches at once or not at all.

use std::io;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::file;
use crate::place::Place;

const LIMIT: u64 = 64 * 1024;

/// `versions/current`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The version that serves.
    pub version: Version,
    /// The version of the installed program over which it was set. A program of another version that a package manager put
    /// there since, and that is newer than `version`, is not held back by an older pointer.
    pub set_over: Version,
    /// When, in milliseconds since 1970, UTC.
    pub at_ms: i64,
}

impl Pointer {
    /// The pointer of a data folder; `None` when there is none. One that cannot be read is an error, never "none".
    pub fn read(place: &Place) -> io::Result<Option<Pointer>> {
        let bytes = file::read(&place.pointer(), LIMIT)?;
        bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from)).transpose()
    }

    /// Sets the pointer, or takes it away; on return it is on the disk.
    pub fn set(place: &Place, pointer: Option<&Pointer>) -> io::Result<()> {
        match pointer {
            Some(pointer) => {
                file::make_folder(&place.versions())?;
                file::replace(&place.pointer(), &serde_json::to_vec_pretty(pointer)?)
            }
            None => file::remove(&place.pointer()),
        }
    }

    /// Whether an installed program of version `installed` lets this version serve in its place.
    pub fn leads(&self, installed: &Version) -> bool {
        self.version > *installed || self.set_over == *installed
    }
}
