//! The task of one live session: takes its turns from the journal one after the other, and records what comes of each.
//! Here it waits and begins turns; `hear` writes down what the agent does, `end` is how turns end.

mod end;
mod hear;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gander_acp::{AgentEvent, PermissionReply};
use gander_model::{PermissionId, SessionId, TurnId};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::bind::{self, Bound};
use super::host::Host;
use super::items::Items;
use super::record::{self, Ending, Kept};
use super::{Command, Shown};
use crate::gander::Ctx;

/// The turn that the agent works on.
struct Running {
    turn: TurnId,
    items: Items,
    permissions: HashMap<PermissionId, PermissionReply>,
    kill_at: Option<Instant>,
    cancelling: bool,
}

pub(crate) struct Runner {
    ctx: Arc<Ctx>,
    session: SessionId,
    inbox: mpsc::Receiver<Command>,
    shown: Arc<Shown>,
    host: Option<Host>,
    running: Option<Running>,
    /// What came after the last turn's end.
    late: Vec<Box<RawValue>>,
    last_turn: Option<TurnId>,
    flush_at: Option<Instant>,
    flushed_at: Option<Instant>,
    idle_at: Option<Instant>,
    strays: u32,
    stopping: bool,
}

/// What woke the task.
enum Woken {
    Told(Option<Command>),
    Heard(Option<AgentEvent>),
    Flush,
    Kill,
    Idle,
    Saving,
}

impl Runner {
    pub fn new(ctx: Arc<Ctx>, session: SessionId, inbox: mpsc::Receiver<Command>, shown: Arc<Shown>) -> Self {
        Runner {
            ctx,
            session,
            inbox,
            shown,
            host: None,
            running: None,
            late: Vec::new(),
            last_turn: None,
            flush_at: None,
            flushed_at: None,
            idle_at: None,
            strays: 0,
            stopping: false,
        }
    }

    pub async fn run(mut self) {
        loop {
            match self.woken().await {
                Woken::Told(Some(command)) => self.told(command).await,
                Woken::Told(None) => self.stopping = true,
                Woken::Heard(Some(event)) => self.heard(event).await,
                Woken::Heard(None) => self.host_gone().await,
                Woken::Flush => self.flush().await,
                Woken::Kill => self.kill().await,
                Woken::Idle => self.let_go().await,
                Woken::Saving => {}
            }
            if self.stopping {
                return self.stop().await;
            }
            if self.host.is_none() && self.running.is_none() && self.ctx.live.leave(self.session, &self.inbox) {
                return;
            }
        }
    }

    async fn woken(&mut self) -> Woken {
        let mut saving = self.ctx.journal.status();
        // While nothing can be saved, agents are not read: their pipes fill and they wait.
        let saves = record::is_saving(&saving.borrow_and_update());
        let kill_at = self.running.as_ref().and_then(|running| running.kill_at);
        let host = &mut self.host;
        tokio::select! {
            command = self.inbox.recv() => Woken::Told(command),
            event = hear(host), if saves && host.is_some() => Woken::Heard(event),
            () = at(self.flush_at), if saves => Woken::Flush,
            () = at(kill_at) => Woken::Kill,
            () = at(self.idle_at) => Woken::Idle,
            _ = saving.changed() => Woken::Saving,
        }
    }

    async fn told(&mut self, command: Command) {
        match command {
            Command::Wake => self.look().await,
            Command::Cancel(turn) => self.cancel(turn).await,
            Command::Answered(permission, option) => {
                if let Some(reply) = self.running.as_mut().and_then(|running| running.permissions.remove(&permission)) {
                    reply.select(option);
                }
            }
            Command::Evict if self.running.is_none() => self.let_go().await,
            Command::Evict => {}
            Command::LetGo(done) => {
                if self.running.is_none() {
                    self.let_go().await;
                }
                drop(done);
            }
            Command::Stop => self.stopping = true,
        }
    }

    /// Starts the turn that is to run, if there is one and none runs.
    async fn look(&mut self) {
        while self.running.is_none() && !self.stopping {
            match record::turn_to_run(&self.ctx, self.session).await {
                // A turn whose end could not be recorded still stands as one to run; it is not run twice.
                Ok(Some(task)) if self.last_turn == Some(task.turn) => return,
                Ok(Some(task)) => self.begin(task).await,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(session = %self.session, %error, "a turn could not be read");
                    return;
                }
            }
        }
    }

    /// Binds the agent's session, records that, and sends the prompt.
    async fn begin(&mut self, task: record::Task) {
        self.idle_at = None;
        self.shown.idle.store(false, Ordering::SeqCst);
        self.flush_late().await;
        let turn = task.turn;
        self.last_turn = Some(turn);
        let bound = {
            let host = self.host.take();
            let binding = bind::bind(self.ctx.clone(), self.session, host, &task);
            let mut binding = std::pin::pin!(binding);
            loop {
                tokio::select! {
                    bound = &mut binding => break bound,
                    command = self.inbox.recv() => match command {
                        Some(Command::Cancel(id)) if id == turn => break Bound::Cancelled,
                        Some(Command::Stop) | None => {
                            self.stopping = true;
                            break Bound::Cancelled;
                        }
                        // Nothing else concerns a turn that the agent does not have yet; `look` runs again at its end.
                        Some(_) => {}
                    },
                }
            }
        };
        match bound {
            Bound::Ready { host, content, kept } => self.prompt(turn, *host, content, kept).await,
            Bound::Cancelled => {
                let reason = if self.stopping { self.ctx.stop_reason() } else { "cancelled before the agent had it" };
                self.end(turn, Ending::not_sent(reason)).await;
            }
            Bound::Contradiction { host, detail } => {
                host.stop().await;
                record::contradiction(&self.ctx, self.session, &detail).await;
                self.end(turn, Ending::not_sent("contradiction").error(&detail)).await;
            }
            Bound::Failed { error } => self.end(turn, Ending::not_sent("agent_failed").error(&error)).await,
        }
    }

    async fn prompt(&mut self, turn: TurnId, mut host: Host, content: Vec<serde_json::Value>, kept: Kept) {
        // On disk that the agent has it, then it has it: a crash between the two asks the user, and repeats nothing.
        match record::running(&self.ctx, self.session, turn, kept).await {
            Ok(()) => {}
            Err(error) => {
                // The turn was cancelled meanwhile, or the journal is closed.
                tracing::info!(session = %self.session, %error, "the turn does not start");
                self.host = Some(host);
                self.end(turn, Ending::not_sent("cancelled before the agent had it")).await;
                return;
            }
        }
        let unheard = std::mem::take(&mut host.unheard);
        let Some(bound) = host.bound.clone() else { return };
        let sent = host.agent.prompt(&bound, &content);
        self.host = Some(host);
        if let Err(error) = sent {
            self.end(turn, Ending::not_sent("agent_failed").error(&error.to_string())).await;
            self.drop_host().await;
            return;
        }
        let items = Items::new(self.ctx.item_ids());
        self.running = Some(Running { turn, items, permissions: HashMap::new(), kill_at: None, cancelling: false });
        self.take_unheard(Some(&bound), unheard).await;
        // A cancel may have come between the binding and the prompt.
        if record::is_cancelling(&self.ctx, self.session, turn).await {
            self.cancel(turn).await;
        }
    }
}

async fn hear(host: &mut Option<Host>) -> Option<AgentEvent> {
    match host {
        Some(host) => host.events.recv().await,
        None => std::future::pending().await,
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
