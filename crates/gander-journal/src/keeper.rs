//! The thread that keeps the witness within a second of the commits.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gander_model::JournalId;
use rusqlite::Connection;

use crate::bell::Bell;
use crate::migrate;
use crate::witness::{self, Heads, Witness};

/// A witness follows the first commit that it does not cover after this long.
const AFTER: Duration = Duration::from_millis(400);

/// What a witness is written from.
pub struct Keeper {
    /// The data folder.
    pub dir: PathBuf,
    /// A connection of its own that reads.
    pub conn: Connection,
    /// The journal.
    pub journal: JournalId,
    /// The epoch of this process.
    pub epoch: u64,
    /// The heads at some position; what came later is taken in.
    pub heads: Heads,
    /// Entries up to here have left the log for the database file.
    pub settled: Arc<AtomicU64>,
}

impl Keeper {
    /// The thread's whole life; gives the keeper back for a last witness.
    pub fn run(mut self, bell: &Bell) -> Self {
        let mut heard = u64::MAX;
        while let Some(rings) = bell.wait(heard) {
            heard = rings;
            if let Err(error) = self.write() {
                // The journal itself is not harmed; the next commit, or the end, tries again.
                tracing::error!(%error, "the witness cannot be kept");
            }
            if !bell.pause(AFTER) {
                break;
            }
        }
        self
    }

    /// Writes the witness of what is committed now. A process that was fenced leaves it to the one that took over.
    pub fn write(&mut self) -> std::io::Result<()> {
        let other = std::io::Error::other;
        let read = self.conn.unchecked_transaction().map_err(other)?;
        let epoch: i64 = migrate::meta(&read, "epoch").map_err(other)?.unwrap_or(0);
        if epoch.cast_unsigned() != self.epoch {
            return Ok(());
        }
        self.heads.advance(&read).map_err(other)?;
        let revision = witness::last_revision(&read).map_err(other)?;
        read.finish().map_err(other)?;
        let witness = Witness {
            journal: self.journal,
            epoch: self.epoch,
            revision,
            position: self.heads.position(),
            root: self.heads.root(),
            settled: self.settled.load(Ordering::Relaxed),
        };
        witness::write(&self.dir, &witness)
    }
}
