//! Not saving, and healing from it without a restart.
//!
//! After a failed write or sync the operating system may have dropped what it could not write, and a later sync may
//! say that all is well. So nothing is repeated on the same files: they are opened again, the write-ahead log is
//! brought into the database (which writes and syncs those pages anew; all of them, where the database file itself
//! could not be synced), the newest entries are verified against the witnessed heads, and a probe is written before
//! anybody is told that the journal saves again.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::writer::{Saving, Unsaved, Writer, reason};
use crate::{checkpoint, connect, migrate, tail};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Entries whose hashes are recomputed before the journal says that it saves again.
const TAIL_ENTRIES: u64 = 512;
/// How long reads are waited for when every connection is to be closed.
const READS_END: Duration = Duration::from_secs(3);
/// The probe must find room for more than its own row, or the next ordinary write would fail again.
const PROBE_BYTES: usize = 256 * 1024;

/// Tries until the journal saves again. `Some` when it is to be closed instead.
pub fn until_saving(writer: &mut Writer, mut text: String) -> Option<Option<oneshot::Sender<()>>> {
    let since_ms = writer.options.clock.now_ms();
    let mut pause = FIRST_PAUSE;
    tracing::error!(reason = text, "the journal is not saving");
    loop {
        if let Some(done) = writer.closing.take() {
            return Some(Some(done));
        }
        writer.saving.send_replace(Saving::No { since_ms, reason: text.clone() });
        if let Some(closed) = writer.refuse_for(pause, &Unsaved::Fault(text.clone())) {
            return Some(closed);
        }
        match try_once(writer) {
            Ok(()) => {
                tracing::info!("the journal saves again");
                writer.saving.send_replace(Saving::Yes);
                return None;
            }
            Err(again) => text = again,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn try_once(writer: &mut Writer) -> Result<(), String> {
    writer.options.faults.before_reopen().map_err(|error| error.to_string())?;
    writer.pool.clear();
    writer.verified.forget();
    reopen(writer)?;
    if writer.log.failure().is_some() {
        recover_log(writer)?;
    }
    writer.cut_log()?;
    tail::verify(&writer.conn, TAIL_ENTRIES).map_err(|damage| damage.to_string())?;
    probe(writer)
}

fn words(error: rusqlite::Error) -> String {
    reason(&StoreError::from(error))
}

fn reopen(writer: &mut Writer) -> Result<(), String> {
    let mut conn = connect::keeping_log(&writer.path).map_err(words)?;
    connect::count_wal_pages(&mut conn, &writer.wal_pages).map_err(words)?;
    let epoch: Option<i64> = migrate::meta(&conn, "epoch").map_err(words)?;
    if epoch.map(i64::cast_unsigned) != Some(writer.epoch) {
        return Err("another process took the journal over".to_owned());
    }
    writer.conn = conn;
    Ok(())
}

/// Has the engine forget which pages it has moved, and moves the whole log again: what it counts is kept in memory that
/// goes with the last connection, and is then made anew from the log itself, with nothing moved.
fn recover_log(writer: &mut Writer) -> Result<(), String> {
    // A commit whose sync failed is still to be read in the log, and would be taken for one that is on the disk. This
    // one goes in its place. Its content is new, so that it is written at all.
    let mut mark = [0; 16];
    writer.options.random.fill(&mut mark);
    migrate::set_meta(&writer.conn, "probe", mark).map_err(words)?;
    let pool = writer.pool.clone();
    let closed =
        pool.close(READS_END).ok_or("a read has not ended yet, and the log cannot be opened anew beside it")?;
    writer.log.let_go();
    // No connection to the journal is left once this took the place of the last.
    writer.conn = rusqlite::Connection::open_in_memory().map_err(words)?;
    reopen(writer)?;
    if checkpoint::counted(&writer.conn).map_err(words)? > 0 {
        return Err(
            "another program has journal.db open, and the log cannot be opened anew beside it: close it".to_owned()
        );
    }
    writer.cut_log()?;
    if writer.cut_owed {
        return Err("another program reads journal.db, and the log cannot be moved beside it: close it".to_owned());
    }
    writer.log.believe();
    drop(closed);
    Ok(())
}

/// Writes, commits and takes back more than a page.
fn probe(writer: &Writer) -> Result<(), String> {
    writer.options.faults.before_commit().map_err(|error| error.to_string())?;
    migrate::set_meta(&writer.conn, "probe", vec![0_u8; PROBE_BYTES]).map_err(words)?;
    writer.options.faults.after_commit().map_err(|error| error.to_string())?;
    migrate::set_meta(&writer.conn, "probe", 0).map_err(words)
}
