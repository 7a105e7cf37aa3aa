//! The journal's handle: open, write, read, watch, recover, close.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, oneshot, watch};

use crate::bell::Bell;
use crate::beside::{Beside, Spawn};
use crate::checkpoint::Log;
use crate::connect::Access;
use crate::error::{OpenError, ReadError, WriteError};
use crate::keeper::Keeper;
use crate::lock::Lock;
use crate::options::{Clock, Options};
use crate::read::{Pool, Reader};
use crate::search::{Search, SearchPage};
use crate::tx::{States, Tx};
use crate::verified::Verified;
use crate::writer::{Closure, Message, Saving, Writer};
use crate::{changes, connect, migrate, read_only, startup, witness};

/// Closures that wait for the writer, at most.
const QUEUE_MAX: usize = 1024;

/// An open journal. Cheap to clone; the last clone to go closes it.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    epoch: u64,
    unclean: bool,
    frozen: Arc<AtomicBool>,
    queue: Option<SyncSender<Message>>,
    room: Semaphore,
    saving: watch::Receiver<Saving>,
    revisions: watch::Receiver<u64>,
    pool: Arc<Pool>,
    verified: Arc<Verified>,
    search: Arc<Search>,
    clock: Arc<dyn Clock>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    read_only: Option<ReadOnly>,
}

struct ReadOnly {
    reason: String,
    /// Nobody else writes it meanwhile, where a lock could be had.
    _lock: Option<Lock>,
}

impl Journal {
    /// Opens the journal in the data folder `dir`, making it when there is none. Takes the operating system's lock
    /// and the next epoch. Changes no session: what a crash left open is settled by [`Journal::recover`].
    ///
    /// One that a newer version wrote, that may not be written, or whose structure is damaged is opened for reading
    /// where that is possible: [`Journal::read_only`] says why, and writes fail with [`WriteError::NotSaving`].
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Journal, OpenError> {
        match Self::inspect(&dir, options.clone()) {
            Ok(inspected) => inspected.open(),
            Err(error) => match read_only::reason(&error) {
                Some(reason) => Self::open_to_read(dir.as_ref().to_owned(), options, reason).unwrap_or(Err(error)),
                None => Err(error),
            },
        }
    }

    /// `None` when it cannot be read either.
    pub(crate) fn open_to_read(dir: PathBuf, options: Options, reason: String) -> Option<Result<Journal, OpenError>> {
        let path = dir.join("journal.db");
        let since_ms = options.clock.now_ms();
        let lock = match Lock::take(&dir, &options.version, since_ms) {
            Err(held @ OpenError::Held { .. }) => return Some(Err(held)),
            taken => taken.ok(),
        };
        let access = read_only::access(&path, lock.is_some());
        tracing::error!(reason, "the journal is opened for reading only");
        let shown = Self::shown(dir, &options, reason, lock, access, |r| {
            r.counts()?;
            r.windows()?;
            Ok(())
        });
        shown.ok().map(|(journal, ())| Ok(journal))
    }

    /// A journal that is only read, and what the first read of it gave.
    pub(crate) fn shown<T>(
        dir: PathBuf,
        options: &Options,
        reason: String,
        lock: Option<Lock>,
        access: Access,
        first: impl FnOnce(&Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<(Journal, T), ReadError> {
        let path = dir.join("journal.db");
        let since_ms = options.clock.now_ms();
        let pool = Arc::new(Pool::new(path, access, options.keep_readers));
        let verified = Arc::new(Verified::default());
        let (epoch, revision, found) = pool.read(&verified, |r| {
            Ok((migrate::meta::<i64>(r.conn, "epoch")?.unwrap_or(0), changes::last_revision(r.conn)?, first(r)?))
        })?;
        let bell = Arc::new(Bell::default());
        let journal = Journal(Arc::new(Inner {
            epoch: epoch.cast_unsigned(),
            unclean: false,
            frozen: Arc::default(),
            queue: None,
            room: Semaphore::new(QUEUE_MAX),
            saving: watch::channel(Saving::No { since_ms, reason: reason.clone() }).1,
            revisions: watch::channel(revision).1,
            search: Arc::new(Search::new(&dir, pool.clone(), bell)),
            pool,
            verified,
            clock: options.clock.clone(),
            threads: Mutex::new(Vec::new()),
            read_only: Some(ReadOnly { reason, _lock: lock }),
            dir,
        }));
        Ok((journal, found))
    }

    /// What [`Journal::inspect`] looked at, with the lock that it took.
    pub(crate) fn open_to_write(dir: PathBuf, options: Options, lock: Lock) -> Result<Journal, OpenError> {
        let path = dir.join("journal.db");
        make_file(&path)?;
        let mut conn = connect::keeping_log(&path)?;
        connect::settle_log(&conn)?;
        migrate::ensure(&mut conn, &options)?;
        let (epoch, unclean) = next_epoch(&conn, &options)?;
        let started = startup::check(&mut conn, &dir, &options, epoch, unclean)?;
        let epoch = started.epoch;
        let wal_pages = Arc::new(AtomicU32::new(0));
        connect::count_wal_pages(&mut conn, &wal_pages)?;

        let (queue, waiting) = sync_channel(2 * QUEUE_MAX);
        let (saving_sender, saving) = watch::channel(Saving::Yes);
        let (revision_sender, revisions) = watch::channel(changes::last_revision(&conn)?);
        let (wake, woken) = sync_channel(1);
        let pool = Arc::new(Pool::new(path.clone(), Access::Shared, options.keep_readers));
        let verified = Arc::new(Verified::default());
        let (witness_bell, search_bell) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        let log = Arc::new(Log::new(path.clone(), started.settled));
        let mut keeper = Keeper {
            dir: dir.clone(),
            pool: pool.clone(),
            journal: started.journal,
            epoch,
            heads: started.heads,
            log: log.clone(),
        };
        if started.writes_witness {
            // There was none, or what it said was told: what comes is compared with what is there now.
            keeper.write().map_err(|source| OpenError::Io { path: dir.join(witness::FILE), source })?;
        }
        let search = Arc::new(Search::new(&dir, pool.clone(), search_bell.clone()));
        let spawn = Spawn { dir: &dir };
        let beside = Beside {
            keeper: Some(spawn.thread("journal-witness", {
                let bell = witness_bell.clone();
                move || keeper.run(&bell)
            })?),
            indexer: Some(spawn.thread("journal-index", {
                let search = search.clone();
                move || search.run()
            })?),
            witness_bell,
            search_bell,
        };
        let clock = options.clock.clone();
        let frozen = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            frozen: frozen.clone(),
            path,
            options,
            conn,
            epoch,
            queue: waiting,
            saving: saving_sender,
            revisions: revision_sender,
            verified: verified.clone(),
            pool: pool.clone(),
            wal_pages,
            checkpoint: wake,
            log: log.clone(),
            lock,
            beside: Some(beside),
            closing: None,
            cut_owed: false,
            states: States::new(),
        };
        let threads = vec![
            spawn.thread("journal-writer", move || writer.run())?,
            spawn.thread("journal-checkpoint", move || log.run(woken))?,
        ];
        Ok(Journal(Arc::new(Inner {
            dir,
            epoch,
            unclean,
            frozen,
            queue: Some(queue),
            room: Semaphore::new(QUEUE_MAX),
            saving,
            revisions,
            pool,
            verified,
            search,
            clock,
            threads: Mutex::new(threads),
            read_only: None,
        })))
    }

    /// Why nothing can be written as long as this journal is open; `None` for an ordinary one.
    pub fn read_only(&self) -> Option<&str> {
        self.0.read_only.as_ref().map(|read_only| read_only.reason.as_str())
    }

    /// What a write is told that cannot even be put into the queue.
    fn refusal(&self) -> WriteError {
        match self.read_only() {
            Some(reason) => WriteError::NotSaving(reason.to_owned()),
            None => WriteError::Closed("it was closed".to_owned()),
        }
    }

    /// Runs a closure on the writer's thread, in its own savepoint, and waits until it is committed and synced. An
    /// error undoes everything that the closure did. Dropping the future after its first poll does not take the
    /// write back.
    pub async fn write<T, F>(&self, closure: F) -> Result<T, WriteError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, WriteError> + Send + 'static,
    {
        let closed = || WriteError::Closed("it was closed".to_owned());
        let _place = self.0.room.acquire().await.map_err(|_| closed())?;
        let (message, answer) = job(closure);
        let queue = self.0.queue.as_ref().ok_or_else(|| self.refusal())?;
        match queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Disconnected(_)) => return Err(closed()),
            // The places that were given out are half of the room there is; the other half is for blocking writes.
            Err(TrySendError::Full(_)) => return Err(WriteError::NotSaving("too many writes wait".to_owned())),
        }
        answer.await.map_err(|_| closed())?
    }

    /// [`Journal::write`] for a thread that may block.
    pub fn write_blocking<T, F>(&self, closure: F) -> Result<T, WriteError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, WriteError> + Send + 'static,
    {
        let closed = || WriteError::Closed("it was closed".to_owned());
        let (message, answer) = job(closure);
        self.0.queue.as_ref().ok_or_else(|| self.refusal())?.send(message).map_err(|_| closed())?;
        answer.blocking_recv().map_err(|_| closed())?
    }

    /// From when this returns nothing is written any more: every write gets [`WriteError::Frozen`], until
    /// [`Journal::thaw`]. What was acknowledged before is committed, and reading goes on.
    pub async fn freeze(&self) -> Result<(), WriteError> {
        self.0.frozen.store(true, Ordering::SeqCst);
        // Behind everything that was taken before; refused like all that comes now.
        match self.write(|_| Ok(())).await {
            Ok(()) | Err(WriteError::Frozen) => Ok(()),
            Err(error) => {
                self.thaw();
                Err(error)
            }
        }
    }

    /// Takes writes again.
    pub fn thaw(&self) {
        self.0.frozen.store(false, Ordering::SeqCst);
    }

    /// Reads in one transaction, on this thread.
    pub fn read<T>(&self, run: impl FnOnce(&Reader<'_>) -> Result<T, ReadError>) -> Result<T, ReadError> {
        self.0.pool.read(&self.0.verified, run)
    }

    /// [`Journal::read`] on a thread that may block.
    pub async fn read_async<T, F>(&self, run: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, ReadError> + Send + 'static,
    {
        let journal = self.clone();
        tokio::task::spawn_blocking(move || journal.read(run)).await.map_err(|_| ReadError::CutOff)?
    }

    /// Searches the text of entries: words, each of which may be the beginning of a longer one, and "phrases" in
    /// quotation marks. `after` is [`SearchPage::next`] of the page before.
    pub fn search(&self, text: &str, after: Option<u64>, limit: usize) -> Result<SearchPage, ReadError> {
        self.read(|reader| self.0.search.page(reader, text, after, limit))
    }

    /// Throws the search index away. It is built anew beside everything else.
    pub fn rebuild_search(&self) {
        self.0.search.discard();
    }

    /// Whether the journal saves; changes as it stops and heals.
    pub fn status(&self) -> watch::Receiver<Saving> {
        self.0.saving.clone()
    }

    /// The last revision; changes after each commit that a window could see.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.0.revisions.clone()
    }

    /// This writer's epoch: greater than that of every writer before.
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// Whether the last writer ended without closing.
    pub fn was_unclean(&self) -> bool {
        self.0.unclean
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }

    /// The data folder.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Ends cleanly: what waits is written, the log is emptied, the lock given back. Later writes fail.
    pub async fn close(&self) {
        let Ok(_place) = self.0.room.acquire().await else { return };
        let (done, closed) = oneshot::channel();
        let Some(queue) = &self.0.queue else { return };
        match queue.try_send(Message::Close(done)) {
            Ok(()) => {}
            Err(TrySendError::Disconnected(_)) => return,
            Err(TrySendError::Full(message)) => {
                // Behind all that waits, and waited for where that holds nobody up.
                let queue = queue.clone();
                let _ = tokio::task::spawn_blocking(move || queue.send(message)).await;
            }
        }
        // An error means that the writer has ended already.
        let _ = closed.await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.queue.take());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last clone can go on the writer's own thread, inside a closure: that thread cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

type Answer<T> = oneshot::Receiver<Result<T, WriteError>>;

fn job<T, F>(closure: F) -> (Message, Answer<T>)
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>) -> Result<T, WriteError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Message::Run(Box::new(Closure { closure: Some(closure), result: None, reply })), answer)
}

/// Takes the next epoch, and notes that a writer is at work.
fn next_epoch(conn: &rusqlite::Connection, options: &Options) -> Result<(u64, bool), OpenError> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let epoch: i64 = migrate::meta(conn, "epoch")?.unwrap_or(0) + 1;
    let clean: i64 = migrate::meta(conn, "clean")?.unwrap_or(0);
    migrate::set_meta(conn, "epoch", epoch)?;
    migrate::set_meta(conn, "clean", 0)?;
    migrate::set_meta(conn, "written_by", &options.version)?;
    conn.execute_batch("COMMIT")?;
    Ok((epoch.cast_unsigned(), clean == 0))
}

/// The data folder, for its owner alone.
pub(crate) fn make_private(dir: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: dir.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
    let mode = fs::metadata(dir).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(io)?;
    }
    Ok(())
}

/// The database file, for its owner alone; SQLite gives its log the same permissions. Only a new one is made here:
/// opening and closing one that SQLite has open would drop its locks.
fn make_file(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io)
        }
        Err(error) => Err(io(error)),
    }
}
