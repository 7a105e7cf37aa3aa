//! Sessions that are live: one task for each that runs a turn or keeps an agent process.
//!
//! The journal is the state. A task holds only what cannot be read back: the process, the replies that an agent waits
//! for, and what came within the last 40 ms. So it may be dropped at any time, and is started again by whoever writes
//! a turn that is to run.

mod bind;
mod content;
mod forget;
mod host;
mod items;
mod record;
mod room;
mod runner;
mod transcript;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gander_model::{PermissionId, SessionId, TurnId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::gander::Ctx;
pub(crate) use forget::{forget, forget_left, owe};
pub(crate) use record::is_saving;
use room::{Place, Room};
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
    /// End the agent if it has nothing to do; dropped when that is done.
    LetGo(mpsc::Sender<()>),
    /// The process stops.
    Stop,
}

/// How long the end of an agent that has nothing to do is waited for.
const LET_GO: Duration = Duration::from_secs(10);

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
    room: Room,
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
            room: Room::new(max_agents),
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
    async fn room(&self) -> Place {
        if let Some(place) = self.room.try_take() {
            return place;
        }
        self.evict(1);
        self.room.take().await
    }

    /// How many agent processes may run from now on. Those that are too many go when they have nothing to do.
    pub fn set_max_agents(&self, max_agents: usize) {
        let over = self.room.set_limit(max_agents);
        self.evict(over);
    }

    /// Asks those to go that have been idle the longest.
    fn evict(&self, count: usize) {
        let handles = lock(&self.handles);
        let mut idle: Vec<&Handle> =
            handles.values().filter(|handle| handle.shown.idle.load(Ordering::SeqCst)).collect();
        idle.sort_by_key(|handle| handle.shown.used_at_ms.load(Ordering::SeqCst));
        for handle in idle.into_iter().take(count) {
            // Whoever comes next asks another one.
            if handle.commands.try_send(Command::Evict).is_ok() {
                handle.shown.idle.store(false, Ordering::SeqCst);
            }
        }
    }

    /// Somebody waits for room.
    fn wanted(&self) -> bool {
        self.room.is_short()
    }

    /// Ends the agent that is kept for a session, and waits until it is gone.
    pub async fn let_go(&self, session: SessionId) {
        let Some(commands) = lock(&self.handles).get(&session).map(|handle| handle.commands.clone()) else { return };
        let (done, mut gone) = mpsc::channel(1);
        if commands.send(Command::LetGo(done)).await.is_ok() {
            // An agent that does not go in time is no reason to leave undone what was asked.
            let _ = tokio::time::timeout(LET_GO, gone.recv()).await;
        }
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
