//! The writer: one thread, the only connection that writes, and commits in groups.
//!
//! Closures wait in a bounded queue. The thread takes what is there, runs each inside its own savepoint, and
//! acknowledges all of them after one COMMIT, which in WAL mode with `synchronous=FULL` is one fsync. While that
//! fsync runs the next group gathers by itself; nobody waits for company.
//!
//! An I/O error, wherever it shows, ends the group: nothing of it is acknowledged, and nothing is tried again as if
//! nothing had happened. [`crate::heal`] opens the files anew, and verifies them, before the next group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use crate::beside::Beside;
use crate::checkpoint::{Checkpoint, Log, Wait};
use crate::error::{StoreError, WriteError};
use crate::group::Group;
use crate::lock::Lock;
use crate::options::Options;
use crate::read::Pool;
use crate::tx::{States, Tx};
use crate::verified::Verified;
use crate::{connect, heal};

/// Closures in one commit, at most.
const GROUP_MAX: usize = 256;
/// Time spent on one group before its commit.
const GROUP_TIME: Duration = Duration::from_millis(5);
/// WAL pages that were not moved yet, after which the checkpointer is woken.
const CHECKPOINT_PAGES: u32 = 1_000;
/// WAL pages after which the writer moves what the checkpointer has left, so that the log begins anew in the place
/// that it has: a log that grows costs each sync several times what one that is written over does.
const WRAP_PAGES: u32 = 3_000;
/// What it has left is little: as a rule the writer waits until it is.
const LITTLE_PAGES: u32 = 200;
/// WAL pages (below what `journal_size_limit` cuts) after which the writer no longer does.
const WRAP_LATE_PAGES: u32 = 4_000;
/// WAL pages (64 MiB) after which the writer waits for readers to let go of the log: it stays bounded.
const WAL_MAX_PAGES: u32 = 16_384;
/// A pause in which the log is brought into the database without anybody waiting for it.
const IDLE: Duration = Duration::from_millis(15);
/// Pauses in a row in which that is tried: a reader can keep the log for long.
const IDLE_TRIES: u32 = 20;

/// How long an erasing write waits for readers before the log is cut.
const CUT_TIME: Duration = Duration::from_secs(3);

/// Whether the journal saves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saving {
    /// Everything that was acknowledged is on disk.
    Yes,
    /// Nothing is acknowledged at present. What was acknowledged before is safe.
    No {
        /// Since when.
        since_ms: i64,
        /// Why, for people.
        reason: String,
    },
}

/// Why a group was not acknowledged.
#[derive(Clone, Debug)]
pub enum Unsaved {
    Frozen,
    Fault(String),
    Closed(String),
}

impl From<Unsaved> for WriteError {
    fn from(why: Unsaved) -> Self {
        match why {
            Unsaved::Frozen => WriteError::Frozen,
            Unsaved::Fault(reason) => WriteError::NotSaving(reason),
            Unsaved::Closed(reason) => WriteError::Closed(reason),
        }
    }
}

/// What a closure's run means for its savepoint and its group.
pub enum Verdict {
    Keep,
    Undo,
    Stop(String),
}

/// A closure that waits to be run, and then to be acknowledged.
pub trait Job: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> Verdict;
    fn settle(self: Box<Self>, outcome: Result<(), Unsaved>);
}

pub enum Message {
    Run(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

pub struct Closure<F, T> {
    pub closure: Option<F>,
    pub result: Option<Result<T, WriteError>>,
    pub reply: oneshot::Sender<Result<T, WriteError>>,
}

impl<F, T> Job for Closure<F, T>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, WriteError> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Verdict {
        let Some(closure) = self.closure.take() else { return Verdict::Undo };
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let value = closure(tx)?;
            tx.finish()?;
            Ok(value)
        }));
        let result = caught.unwrap_or_else(|panic| Err(WriteError::Panicked(panic_text(&*panic))));
        let verdict = match &result {
            Ok(_) => Verdict::Keep,
            Err(WriteError::Store(error)) if error.fault.stops_writing() => Verdict::Stop(reason(error)),
            Err(_) => Verdict::Undo,
        };
        self.result = Some(result);
        verdict
    }

    fn settle(self: Box<Self>, outcome: Result<(), Unsaved>) {
        let result = match (outcome, self.result) {
            // A closure that failed wrote nothing, so it does not matter to it whether the group was saved.
            (_, Some(Err(error))) if !matches!(error, WriteError::Store(_)) => Err(error),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(WriteError::Closed("it was never run".to_owned())),
            (Err(why), _) => Err(why.into()),
        };
        // Nobody waits any more: what was done stays done.
        let _ = self.reply.send(result);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// An error in words for people, with its cause.
pub fn reason(error: &StoreError) -> String {
    use std::error::Error;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Everything that the writer's thread owns.
pub struct Writer {
    pub path: std::path::PathBuf,
    pub options: Options,
    pub conn: Connection,
    pub epoch: u64,
    pub queue: Receiver<Message>,
    pub saving: watch::Sender<Saving>,
    pub revisions: watch::Sender<u64>,
    pub verified: Arc<Verified>,
    pub pool: Arc<Pool>,
    pub wal_pages: Arc<AtomicU32>,
    /// Nothing is written: what comes is refused.
    pub frozen: Arc<AtomicBool>,
    pub checkpoint: SyncSender<()>,
    /// The log on its way into the database.
    pub log: Arc<Log>,
    /// Given back when the writer is done, and not before.
    pub lock: Lock,
    /// The threads that follow the commits.
    pub beside: Option<Beside>,
    /// A close that came while a group was gathering: it waits for that group.
    pub closing: Option<oneshot::Sender<()>>,
    /// The log still holds what was erased.
    pub cut_owed: bool,
    /// Rows of the projection as the last groups, all committed, have stored them. Only this thread stores any.
    pub states: States,
}

/// How a group ended when it was not acknowledged.
pub enum Failure {
    /// The files cannot be trusted until they were opened again.
    Fault(String),
    /// Another process took the journal over.
    Fenced(u64),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Fault(reason(&error.into()))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Fault(error.to_string())
    }
}

impl Writer {
    /// The thread's whole life.
    pub fn run(mut self) {
        let (done, sound) = loop {
            if let Some(done) = self.closing.take() {
                break (Some(done), true);
            }
            let grouped = match self.next() {
                Ok(Some(Message::Run(job))) => self.group(job),
                Ok(Some(Message::Close(done))) => break (Some(done), true),
                Ok(None) => break (None, true),
                Err(failure) => Err(failure),
            };
            match grouped {
                Ok(()) => {}
                Err(Failure::Fenced(epoch)) => {
                    let text = format!("another process took the journal over (epoch {epoch})");
                    tracing::error!("{text}");
                    self.refuse_all(&Unsaved::Closed(text));
                    return;
                }
                Err(Failure::Fault(text)) => {
                    if let Some(done) = heal::until_saving(&mut self, text) {
                        break (done, false);
                    }
                }
            }
        };
        // Witness and index are of this process until the lock is given back, and who reads keeps the log from being
        // cut. Nothing that a witness knows of changes after this.
        drop(self.beside.take());
        self.pool.clear();
        self.log.end();
        if sound {
            self.finish();
        }
        let Writer { queue, conn, lock, pool, .. } = self;
        pool.clear();
        drop(conn);
        drop(lock);
        if let Some(done) = done {
            let _ = done.send(());
            refuse(&queue, &Unsaved::Closed("it was closed".to_owned()));
        }
    }

    /// The next message; `None` when nobody is left to send one. A pause is used to keep the log short.
    fn next(&mut self) -> Result<Option<Message>, Failure> {
        let mut tries = 0;
        loop {
            trust(&self.log)?;
            let pages = self.wal_pages.load(Ordering::Relaxed);
            let is_long = tries < IDLE_TRIES && pages > CHECKPOINT_PAGES;
            if !self.cut_owed && !is_long && !self.log.is_moving() {
                return Ok(self.queue.recv().ok());
            }
            tries += 1;
            match self.queue.recv_timeout(IDLE) {
                Ok(message) => return Ok(Some(message)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) if self.cut_owed => self.truncate_wal()?,
                // How it went is waited for.
                Err(RecvTimeoutError::Timeout) if self.log.is_moving() || !is_long => {}
                // Who comes now waits for what is done here, so most of it is done elsewhere.
                Err(RecvTimeoutError::Timeout) if self.log.left(pages) > LITTLE_PAGES => self.wake_checkpoint(),
                Err(RecvTimeoutError::Timeout) => self.move_log()?,
            }
        }
    }

    fn wake_checkpoint(&self) {
        self.log.expect();
        // Full means that it was woken already.
        let _ = self.checkpoint.try_send(());
    }

    /// Moves what is in the log into the database, as far as readers let it.
    fn move_log(&mut self) -> Result<(), Failure> {
        if self.log.checkpoint(&self.conn, Wait::No).map_err(Failure::Fault)? == Checkpoint::All {
            self.wal_pages.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Runs what waits, commits once, and acknowledges.
    fn group(&mut self, first: Box<dyn Job>) -> Result<(), Failure> {
        let (mut jobs, mut refused) = (Vec::new(), Vec::new());
        let result = self.run_group(first, &mut jobs, &mut refused);
        let outcome = match &result {
            Ok(_) => Ok(()),
            Err(Failure::Fault(text)) => Err(Unsaved::Fault(text.clone())),
            Err(Failure::Fenced(_)) => Err(Unsaved::Closed("another process took the journal over".to_owned())),
        };
        if outcome.is_err() {
            self.states.clear();
            if !self.conn.is_autocommit() {
                let _ = self.conn.execute_batch("ROLLBACK");
            }
        }
        if let Err(Unsaved::Fault(reason)) = &outcome {
            let since_ms = self.options.clock.now_ms();
            self.saving.send_replace(Saving::No { since_ms, reason: reason.clone() });
        }
        if let Ok(revision) = &result {
            // Before the acknowledgements: who has one finds the revision there.
            self.revisions.send_if_modified(|known| std::mem::replace(known, *revision) != *revision);
        }
        for job in jobs {
            job.settle(outcome.clone());
        }
        // Not before: who freezes is told by such an answer that everything that came earlier is in.
        for job in refused {
            job.settle(Err(Unsaved::Frozen));
        }
        result?;
        if let Some(beside) = &self.beside {
            beside.committed();
        }
        self.keep_wal_short()
    }

    fn run_group(
        &mut self,
        first: Box<dyn Job>,
        jobs: &mut Vec<Box<dyn Job>>,
        refused: &mut Vec<Box<dyn Job>>,
    ) -> Result<u64, Failure> {
        let started = Instant::now();
        let mut next = Some(first);
        let mut group = Group::new(&self.conn, &self.options, self.epoch, &self.verified, &mut self.states);
        let begun = trust(&self.log).and_then(|()| group.begin());
        while let Some(mut job) = next.take() {
            if self.frozen.load(Ordering::SeqCst) {
                refused.push(job);
            } else {
                let run = if begun.is_ok() { group.run(&mut *job) } else { Ok(()) };
                jobs.push(job);
                run?;
            }
            if begun.is_ok() && jobs.len() + refused.len() < GROUP_MAX && started.elapsed() < GROUP_TIME {
                next = match self.queue.try_recv() {
                    Ok(Message::Run(job)) => Some(job),
                    Ok(Message::Close(done)) => {
                        self.closing = Some(done);
                        None
                    }
                    Err(_) => None,
                };
            }
        }
        begun?;
        let committed = group.commit()?;
        if committed.erased {
            // What was erased must not live on in the WAL.
            self.truncate_wal()?;
        }
        Ok(committed.revision)
    }

    fn keep_wal_short(&mut self) -> Result<(), Failure> {
        trust(&self.log)?;
        let pages = self.wal_pages.load(Ordering::Relaxed);
        let left = self.log.left(pages);
        if pages > WAL_MAX_PAGES {
            self.log.checkpoint(&self.conn, Wait::Restart).map_err(Failure::Fault)?;
        } else if pages > WRAP_LATE_PAGES || (pages > WRAP_PAGES && left <= LITTLE_PAGES) {
            self.move_log()?;
        } else if left > CHECKPOINT_PAGES {
            self.wake_checkpoint();
        }
        Ok(())
    }

    /// Empties the write-ahead log and its file. A checkpoint that runs beside is waited for, and so are readers, but
    /// not for ever: then it is owed, and tried again in the next pause.
    fn truncate_wal(&mut self) -> Result<(), Failure> {
        trust(&self.log)?;
        self.cut_log().map_err(Failure::Fault)?;
        if self.cut_owed {
            tracing::warn!("a reader kept the write-ahead log from being cut; it is cut in the next pause");
        }
        Ok(())
    }

    /// [`Writer::truncate_wal`], also of a log that was opened anew after a failure.
    pub fn cut_log(&mut self) -> Result<(), String> {
        let started = Instant::now();
        self.cut_owed = true;
        while self.cut_owed && started.elapsed() < CUT_TIME {
            self.cut_owed = self.log.checkpoint(&self.conn, Wait::Truncate)? == Checkpoint::Busy;
            if self.cut_owed {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// A clean end: the next start need not look for what a crash left. One in the middle of a fault is none: nobody
    /// has looked yet at what the fault left.
    fn finish(&mut self) {
        if let Err(Failure::Fault(error)) = self.mark_clean() {
            tracing::warn!(error, "the journal was closed, but not marked as clean");
        }
    }

    fn mark_clean(&mut self) -> Result<(), Failure> {
        // Only what the database file holds is called clean.
        self.truncate_wal()?;
        self.conn.execute("UPDATE meta SET value = 1 WHERE key = 'clean'", [])?;
        self.truncate_wal()?;
        // Whoever closes it last takes the empty log away.
        Ok(connect::keep_log(&self.conn, false)?)
    }

    fn refuse_all(&self, why: &Unsaved) {
        self.saving.send_replace(Saving::No {
            since_ms: self.options.clock.now_ms(),
            reason: match why {
                Unsaved::Frozen => WriteError::Frozen.to_string(),
                Unsaved::Fault(text) | Unsaved::Closed(text) => text.clone(),
            },
        });
        refuse(&self.queue, why);
    }

    /// Refuses what comes within `time`; a close ends it early.
    pub fn refuse_for(&self, time: Duration, why: &Unsaved) -> Option<Option<oneshot::Sender<()>>> {
        let until = Instant::now() + time;
        loop {
            match self.queue.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Run(job)) => job.settle(Err(why.clone())),
                Ok(Message::Close(done)) => return Some(Some(done)),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => return Some(None),
            }
        }
    }
}

/// Nothing is accepted, and the log stays as it is, once what was moved of it cannot be believed.
fn trust(log: &Log) -> Result<(), Failure> {
    log.failure().map_or(Ok(()), |text| Err(Failure::Fault(text)))
}

/// Refuses everything until nobody is left to ask.
fn refuse(queue: &Receiver<Message>, why: &Unsaved) {
    while let Ok(message) = queue.recv() {
        match message {
            Message::Run(job) => job.settle(Err(why.clone())),
            Message::Close(done) => drop(done.send(())),
        }
    }
}
