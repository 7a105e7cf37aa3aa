//! Sessions that are live: one task for each that runs a turn or keeps an agent process.
//!
//! The journal is the state. A task holds only what cannot be read back: the process, the replies that an agent waits
//! for, and what came within the last 40 ms. So it may be dropped at any time, and is started again by whoever writes
//! a turn that is to run.

mod bind;
mod content;
mod host;
mod items;
mod record;
mod runner;
mod transcript;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gander_model::{PermissionId, SessionId, TurnId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::gander::Ctx;
pub(crate) use record::is_saving;
use runner::Runner;
pub(crate) use transcript::{CutOff, cut_off};

/// What a session's task is told. Each is told after the journal has it.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// A turn is to run, or a name was given: look.
    Wake,
    /// The turn is to be cancelled.
    Cancel(TurnId),
    /// The user's answer.
    Answered(PermissionId, String),
    /// Another session needs the room: end the agent if it has nothing to do.
    Evict,
    /// The process stops.
    Stop,
}

/// What others see of a task.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// It keeps an agent that has nothing to do.
    pub idle: AtomicBool,
    /// When that agent was last used.
    pub used_at_ms: AtomicI64,
}

struct Handle {
    commands: mpsc::Sender<Command>,
    shown: Arc<Shown>,
}

/// All live sessions.
pub(crate) struct Live {
    handles: Mutex<HashMap<SessionId, Handle>>,
    tasks: Mutex<JoinSet<()>>,
    room: Arc<Semaphore>,
    waiting: AtomicUsize,
    stopping: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is whole after each statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    pub fn new(max_agents: usize) -> Self {
        Live {
            handles: Mutex::default(),
            tasks: Mutex::default(),
            room: Arc::new(Semaphore::new(max_agents.max(1))),
            waiting: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// Tells a session's task, starting it where there is none. Never waits.
    pub fn tell(&self, ctx: &Arc<Ctx>, session: SessionId, command: Command) {
        let mut handles = lock(&self.handles);
        let command = match handles.get(&session) {
            Some(handle) => match handle.commands.try_send(command) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(command)) => {
                    let commands = handle.commands.clone();
                    tokio::spawn(async move { commands.send(command).await });
                    return;
                }
                Err(mpsc::error::TrySendError::Closed(command)) => command,
            },
            None => command,
        };
        if self.stopping.load(Ordering::SeqCst) || !matches!(command, Command::Wake | Command::Cancel(_)) {
            return;
        }
        let (commands, inbox) = mpsc::channel(64);
        let shown = Arc::new(Shown::default());
        // The room for one is known to be there.
        let _ = commands.try_send(command);
        handles.insert(session, Handle { commands, shown: shown.clone() });
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(Runner::new(ctx.clone(), session, inbox, shown).run());
    }

    /// Lets a task go that has nothing left, unless it was told something meanwhile.
    fn leave(&self, session: SessionId, inbox: &mpsc::Receiver<Command>) -> bool {
        let mut handles = lock(&self.handles);
        if !inbox.is_empty() {
            return false;
        }
        handles.remove(&session);
        true
    }

    /// Room for one more agent process. Where there is none, the one that has been idle the longest is asked to go.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.room.clone().try_acquire_owned() {
            return Some(permit);
        }
        let _waits = Waits::new(&self.waiting);
        self.evict();
        self.room.clone().acquire_owned().await.ok()
    }

    fn evict(&self) {
        let handles = lock(&self.handles);
        let idle = handles.values().filter(|handle| handle.shown.idle.load(Ordering::SeqCst));
        if let Some(handle) = idle.min_by_key(|handle| handle.shown.used_at_ms.load(Ordering::SeqCst)) {
            let _ = handle.commands.try_send(Command::Evict);
        }
    }

    /// Somebody waits for room.
    fn wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Takes turns again after a [`Live::stop`] that was not the end.
    pub fn reopen(&self) {
        self.stopping.store(false, Ordering::SeqCst);
    }

    /// Stops every task: turns are recorded as interrupted, agents are ended. Returns when all are done.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let senders: Vec<_> = lock(&self.handles).values().map(|handle| handle.commands.clone()).collect();
        for commands in senders {
            // A task with a full queue is busy and will take them; one that is gone needs nothing.
            let _ = commands.send(Command::Stop).await;
        }
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }
}

/// Counts who waits for room, also when the waiting is given up.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Waits(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
