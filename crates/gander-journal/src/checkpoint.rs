//! Checkpoints beside the writer: pages go from the write-ahead log into the database without any commit waiting for
//! it. This connection writes no content of its own, only what was committed already.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use crate::connect;

/// Runs a passive checkpoint whenever it is woken, until nobody is left to wake it.
pub fn run(path: PathBuf, woken: Receiver<()>) {
    let mut conn = None;
    while woken.recv().is_ok() {
        let result = match &conn {
            Some(_) => Ok(()),
            None => connect::writer(&path).map(|opened| conn = Some(opened)),
        };
        let result = result.and_then(|()| match &conn {
            Some(open) => open.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())),
            None => Ok(()),
        });
        if let Err(error) = result {
            // Nothing is lost: the log keeps its pages. The writer meets the same fault and says so.
            tracing::warn!(%error, "a checkpoint failed");
            conn = None;
        }
    }
}
