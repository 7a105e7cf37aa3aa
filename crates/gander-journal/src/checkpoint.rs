//! Checkpoints beside the writer: pages go from the write-ahead log into the database without any commit waiting for
//! it. This connection writes no content of its own, only what was committed already.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use crate::connect;
use crate::witness::last_position;

/// Runs a passive checkpoint whenever it is woken, until nobody is left to wake it. `settled` is told the last entry
/// that the database file is known to hold.
pub fn run(path: PathBuf, woken: Receiver<()>, settled: &AtomicU64) {
    let mut conn = None;
    while woken.recv().is_ok() {
        let result = match &conn {
            Some(_) => Ok(()),
            None => connect::writer(&path).map(|opened| conn = Some(opened)),
        };
        let result = result.and_then(|()| match &conn {
            Some(open) => once(open, settled),
            None => Ok(()),
        });
        if let Err(error) = result {
            // Nothing is lost: the log keeps its pages. The writer meets the same fault and says so.
            tracing::warn!(%error, "a checkpoint failed");
            conn = None;
        }
    }
}

fn once(conn: &Connection, settled: &AtomicU64) -> rusqlite::Result<()> {
    let reached = last_position(conn)?;
    let all_moved: bool = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok(row.get::<_, i64>(0)? == 0 && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
    })?;
    if all_moved {
        settled.store(reached, Ordering::Relaxed);
    }
    Ok(())
}
