//! Checkpoints beside the writer: pages go from the write-ahead log into the database without any commit waiting for
//! it. This connection writes no content of its own, only what was committed already.
//!
//! A log begins anew in the place that it has once all of it was moved, which under steady writing only the writer can
//! bring about, between two commits. What it then finds is little: most pages were moved here, and synced here.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use crate::connect;
use crate::witness::last_position;

/// How far the log was moved when a checkpoint last looked: the pages that it had, and how many of them were moved.
#[derive(Debug, Default)]
pub struct Moved(AtomicU64);

impl Moved {
    fn set(&self, log: u32, moved: u32) {
        self.0.store(u64::from(log) << 32 | u64::from(moved), Ordering::Relaxed);
    }

    /// How many pages of a log of `pages` are still to be moved. What is known of a longer log is of the one before.
    pub fn left(&self, pages: u32) -> u32 {
        let known = self.0.load(Ordering::Relaxed);
        let (log, moved) = ((known >> 32) as u32, known as u32);
        if log <= pages { pages - moved } else { pages }
    }
}

/// Runs a passive checkpoint whenever it is woken, until nobody is left to wake it. `settled` is told the last entry
/// that the database file is known to hold.
pub fn run(path: PathBuf, woken: Receiver<()>, settled: &AtomicU64, moved: &Moved) {
    let mut conn = None;
    while woken.recv().is_ok() {
        let result = match &conn {
            Some(_) => Ok(()),
            None => connect::writer(&path).map(|opened| conn = Some(opened)),
        };
        let result = result.and_then(|()| match &conn {
            Some(open) => once(open, settled, moved),
            None => Ok(()),
        });
        if let Err(error) = result {
            // Nothing is lost: the log keeps its pages. The writer meets the same fault and says so.
            tracing::warn!(%error, "a checkpoint failed");
            conn = None;
        }
    }
}

fn once(conn: &Connection, settled: &AtomicU64, moved: &Moved) -> rusqlite::Result<()> {
    let reached = last_position(conn)?;
    match passive(conn, moved)? {
        Checkpoint::All => settled.store(reached, Ordering::Relaxed),
        // The engine syncs the database only with the last page. The writer, which moves that one, would wait for all.
        Checkpoint::Some => connect::sync_database(conn)?,
        Checkpoint::Busy => {}
    }
    Ok(())
}

/// What a checkpoint came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// All of the log is in the database, and synced.
    All,
    /// Some of it: readers need the rest, or it was written meanwhile.
    Some,
    /// Another checkpoint is running.
    Busy,
}

/// Moves as much of the log as can be moved without anybody waiting.
pub fn passive(conn: &Connection, moved: &Moved) -> rusqlite::Result<Checkpoint> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let (busy, log, done) = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], row)?;
    if busy != 0 {
        return Ok(Checkpoint::Busy);
    }
    let pages = |count: i64| u32::try_from(count).unwrap_or(0);
    moved.set(pages(log), pages(done));
    Ok(if log == done { Checkpoint::All } else { Checkpoint::Some })
}
