//! Checkpoints: pages go from the write-ahead log into the database, for the most part on a thread beside the writer,
//! without any commit waiting for it. Its connection writes no content of its own, only what was committed already.
//!
//! A log begins anew in the place that it has once all of it was moved, which under steady writing only the writer can
//! bring about, between two commits. What it then finds is little: most pages were moved here, and synced here.
//!
//! The engine counts a page as moved when it was written, and syncs the database only with the last one. A sync that
//! fails may lose pages that it has counted, and the next one may say that all is well. So one at a time moves the log
//! and syncs what it moved; and after a failure nobody does, until the log was opened anew with none of it counted
//! ([`crate::heal`]). Until then the log keeps every page.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;

use crate::connect;
use crate::witness::last_position;
use crate::writer::reason;

/// The log on its way into the database.
pub struct Log {
    path: PathBuf,
    /// The connection of the thread beside the writer. Whoever has it moves the log, nobody else.
    beside: Mutex<Option<Connection>>,
    /// The thread has nothing more to do.
    ended: AtomicBool,
    /// The thread was woken, and has not done yet what it was woken for.
    moving: AtomicBool,
    /// Why what was moved cannot be believed.
    failed: Mutex<Option<String>>,
    has_failed: AtomicBool,
    /// The pages that the log had when it was last looked at (the upper half), and how many of them were moved.
    moved: AtomicU64,
    /// Entries up to here have left the log for the database file.
    settled: AtomicU64,
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

/// How far the writer's checkpoint goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// As far as readers let it.
    No,
    /// To the end, so that the log begins anew.
    Restart,
    /// To the end, and the log's file is cut.
    Truncate,
}

impl Log {
    /// The log of a journal whose entries up to `settled` have left it.
    pub fn new(path: PathBuf, settled: u64) -> Self {
        Self {
            path,
            beside: Mutex::default(),
            ended: AtomicBool::new(false),
            moving: AtomicBool::new(false),
            failed: Mutex::default(),
            has_failed: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            settled: AtomicU64::new(settled),
        }
    }

    /// The last entry that the database file is known to hold.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    /// How many pages of a log of `pages` are still to be moved. What is known of a longer log is of the one before.
    pub fn left(&self, pages: u32) -> u32 {
        let known = self.moved.load(Ordering::Relaxed);
        let (log, moved) = ((known >> 32) as u32, known as u32);
        if log <= pages { pages - moved } else { pages }
    }

    /// The thread is about to be woken.
    pub fn expect(&self) {
        self.moving.store(true, Ordering::Release);
    }

    /// Whether the thread has still to say how it went.
    pub fn is_moving(&self) -> bool {
        self.moving.load(Ordering::Acquire)
    }

    /// Why the log must stay as it is; `None` as long as what was moved can be believed.
    pub fn failure(&self) -> Option<String> {
        if !self.has_failed.load(Ordering::Acquire) {
            return None;
        }
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, error: rusqlite::Error) -> String {
        let text = format!("the log could not be moved into journal.db and synced: {}", reason(&error.into()));
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.clone());
        self.has_failed.store(true, Ordering::Release);
        text
    }

    /// The log was opened anew, and all of it was moved again.
    pub fn believe(&self) {
        self.has_failed.store(false, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the thread's connection; it opens another when it is next woken.
    pub fn let_go(&self) {
        *self.lock() = None;
    }

    /// Closes the thread's connection, and it opens no other.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.let_go();
    }

    /// The thread's whole life: moves and syncs whenever it is woken, until nobody is left to wake it.
    pub fn run(&self, woken: Receiver<()>) {
        while woken.recv().is_ok() {
            self.beside();
            self.moving.store(false, Ordering::Release);
        }
    }

    fn beside(&self) {
        let mut conn = self.lock();
        if self.ended.load(Ordering::Acquire) || self.failure().is_some() {
            return;
        }
        let open = match &*conn {
            Some(open) => open,
            None => match connect::keeping_log(&self.path) {
                Ok(opened) => conn.insert(opened),
                // Nothing was moved and nothing is lost: the log keeps its pages.
                Err(error) => return tracing::warn!(%error, "a checkpoint could not begin"),
            },
        };
        if let Err(error) = self.move_and_sync(open) {
            let text = self.fail(error);
            tracing::error!("{text}");
            *conn = None;
        }
    }

    fn move_and_sync(&self, conn: &Connection) -> rusqlite::Result<()> {
        let reached = last_position(conn)?;
        match self.once(conn, Wait::No)? {
            Checkpoint::All => self.settled.store(reached, Ordering::Relaxed),
            // The engine syncs the database only with the last page. The writer, which moves that one, would wait for all.
            Checkpoint::Some => connect::sync_database(conn)?,
            Checkpoint::Busy => {}
        }
        Ok(())
    }

    fn once(&self, conn: &Connection, wait: Wait) -> rusqlite::Result<Checkpoint> {
        let sql = match wait {
            Wait::No => "PRAGMA wal_checkpoint(PASSIVE)",
            Wait::Restart => "PRAGMA wal_checkpoint(RESTART)",
            Wait::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (busy, log, done) = conn.query_row(sql, [], row)?;
        if busy != 0 {
            return Ok(Checkpoint::Busy);
        }
        let pages = |count: i64| u64::from(u32::try_from(count).unwrap_or(0));
        self.moved.store(pages(log) << 32 | pages(done), Ordering::Relaxed);
        Ok(if log == done { Checkpoint::All } else { Checkpoint::Some })
    }

    /// A checkpoint on the writer's own connection. While the thread is at work, one that does not wait does nothing.
    /// Only who heals may ask for one after a failure.
    pub fn checkpoint(&self, conn: &Connection, wait: Wait) -> Result<Checkpoint, String> {
        let _alone = match (self.beside.try_lock(), wait) {
            (Ok(alone), _) => alone,
            (Err(TryLockError::WouldBlock), Wait::No) => return Ok(Checkpoint::Busy),
            (Err(_), _) => self.lock(),
        };
        self.once(conn, wait).map_err(|error| self.fail(error))
    }
}

/// How many pages of the log count as moved.
pub fn counted(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(2))
}
