//! The thread that keeps the witness within a second of the commits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gander_model::JournalId;

use crate::bell::Bell;
use crate::checkpoint::Log;
use crate::migrate;
use crate::read::Pool;
use crate::witness::{self, Heads, Witness};

/// A witness follows the first commit that it does not cover after this long.
const AFTER: Duration = Duration::from_millis(400);

/// What a witness is written from.
pub struct Keeper {
    /// The data folder.
    pub dir: PathBuf,
    /// Where it reads.
    pub pool: Arc<Pool>,
    /// The journal.
    pub journal: JournalId,
    /// The epoch of this process.
    pub epoch: u64,
    /// The heads at some position; what came later is taken in.
    pub heads: Heads,
    /// Says which entries have left it for the database file.
    pub log: Arc<Log>,
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
        // Before the entries are looked at: what is settled is among them.
        let settled = self.log.settled();
        let heads = &mut self.heads;
        let read = self.pool.with(|conn| {
            let epoch: i64 = migrate::meta(conn, "epoch")?.unwrap_or(0);
            if epoch.cast_unsigned() != self.epoch {
                return Ok::<_, rusqlite::Error>(None);
            }
            heads.advance(conn)?;
            witness::last_revision(conn).map(Some)
        });
        let Some(revision) = read.map_err(std::io::Error::other)? else { return Ok(()) };
        let witness = Witness {
            journal: self.journal,
            epoch: self.epoch,
            revision,
            position: self.heads.position(),
            root: self.heads.root(),
            settled,
        };
        witness::write(&self.dir, &witness)
    }
}
