//! The task of one live session: takes its turns from the journal one after the other, and records what comes of each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gander_acp::{AgentError, AgentEvent, Permission, PermissionReply, Stop, TerminalOutput, Update, UpdateKind};
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

/// Commits of one session's stream are so far apart at least; what comes meanwhile is one commit.
const COLLECT: Duration = Duration::from_millis(40);
/// What comes after a turn's end is collected for longer: no window waits for it.
const COLLECT_LATE: Duration = Duration::from_millis(250);
/// What waits for a commit is bounded too.
const COLLECT_BYTES: usize = 512 * 1024;
/// How long a stop of ours waits for the agent's last words.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// Updates for sessions that are not ours: how many are kept of one process.
const MAX_STRAYS: u32 = 20;

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
                let reason = if self.stopping { "Gander was stopped" } else { "cancelled before the agent had it" };
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
        let title = host.title.take();
        let unheard = std::mem::take(&mut host.unheard);
        let sent = match &host.bound {
            Some(id) => host.agent.prompt(id, &content),
            None => return,
        };
        self.host = Some(host);
        if let Err(error) = sent {
            self.end(turn, Ending::not_sent("agent_failed").error(&error.to_string())).await;
            self.drop_host().await;
            return;
        }
        let items = Items::new(self.ctx.item_ids());
        self.running = Some(Running { turn, items, permissions: HashMap::new(), kill_at: None, cancelling: false });
        if let Some(title) = title {
            record::titled(&self.ctx, self.session, &title).await;
        }
        self.take_unheard(unheard).await;
        // A cancel may have come between the binding and the prompt.
        if record::is_cancelling(&self.ctx, self.session, turn).await {
            self.cancel(turn).await;
        }
    }

    async fn heard(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Update(update) => self.update(*update).await,
            AgentEvent::Terminal(output) => self.terminal(&output).await,
            AgentEvent::Permission(permission) => self.permission(*permission).await,
            AgentEvent::PromptEnded { result, .. } => self.prompt_ended(result).await,
            AgentEvent::Garbage { line, why, bytes, count } => {
                record::garbage(&self.ctx, self.session, &line, &format!("{why:?}"), bytes, count).await;
            }
            AgentEvent::Notification { method, params } => {
                let params = params.as_ref().map_or("null", |params| params.get());
                tracing::debug!(session = %self.session, method, params, "a notification");
            }
            AgentEvent::Stderr { line } => tracing::debug!(session = %self.session, line, "stderr"),
            AgentEvent::Exited(exit) => {
                tracing::info!(session = %self.session, %exit, "the agent is gone");
                self.host_gone().await;
            }
        }
    }

    async fn update(&mut self, update: Update) {
        let ours = self.host.as_ref().and_then(|host| host.bound.as_ref()) == Some(&update.agent_session);
        if !ours {
            self.strays += 1;
            if self.strays <= MAX_STRAYS {
                record::stray(&self.ctx, self.session, &update).await;
            }
            return;
        }
        if let Some(title) = &update.title {
            record::titled(&self.ctx, self.session, title).await;
        }
        match &mut self.running {
            Some(running) => {
                running.items.update(update);
                self.collected().await;
            }
            None => self.take_late(update).await,
        }
    }

    async fn terminal(&mut self, output: &TerminalOutput) {
        let ours = self.host.as_ref().and_then(|host| host.bound.as_ref()) == Some(&output.agent_session);
        if let (Some(running), true) = (&mut self.running, ours) {
            running.items.terminal(output);
            self.collected().await;
        }
    }

    /// Something waits to be written: not for long, and not without bound. The first after a pause does not wait.
    async fn collected(&mut self) {
        let Some(running) = &self.running else { return };
        if running.items.is_empty() {
            return;
        }
        let now = Instant::now();
        let due = self.flushed_at.map_or(now, |flushed| flushed + COLLECT);
        if due <= now || running.items.waiting_bytes() >= COLLECT_BYTES {
            self.flush().await;
        } else {
            self.flush_at.get_or_insert(due);
        }
    }

    async fn take_late(&mut self, update: Update) {
        match update.kind {
            // What the composer offers may change at any time; it is no part of the conversation.
            UpdateKind::Commands | UpdateKind::Mode | UpdateKind::ConfigOptions | UpdateKind::SessionInfo => {}
            _ => {
                self.late.push(update.update);
                self.flush_at.get_or_insert_with(|| Instant::now() + COLLECT_LATE);
                if self.late.iter().map(|update| update.get().len()).sum::<usize>() >= COLLECT_BYTES {
                    self.flush_late().await;
                }
            }
        }
    }

    async fn permission(&mut self, permission: Permission) {
        let ours = self.host.as_ref().and_then(|host| host.bound.as_ref()) == Some(&permission.agent_session);
        let Some(running) = self.running.as_mut().filter(|running| ours && !running.cancelling) else {
            // Nobody can be asked: no turn runs, or it is being cancelled.
            permission.reply.cancel();
            return;
        };
        let steps = running.items.take_steps();
        self.flush_at = None;
        let asked = (permission.tool_call, permission.options);
        match record::permission_asked(&self.ctx, self.session, running.turn, steps, asked).await {
            Ok(id) => {
                running.permissions.insert(id, permission.reply);
            }
            Err(error) => {
                tracing::warn!(session = %self.session, %error, "a permission could not be asked");
                permission.reply.cancel();
            }
        }
    }

    async fn prompt_ended(&mut self, result: Result<Stop, AgentError>) {
        let Some(running) = &mut self.running else { return };
        let usage = running.items.take_usage();
        let ending = match result {
            Ok(stop) => Ending::ended(&stop, usage),
            Err(_) if running.cancelling => Ending::cancelled(usage),
            Err(error) => Ending::interrupted("agent_failed", usage).error(&error.to_string()),
        };
        self.finish(ending).await;
    }

    /// Records the running turn's end with all that waits, and looks for the next.
    async fn finish(&mut self, ending: Ending) {
        let Some(mut running) = self.running.take() else { return };
        self.flush_at = None;
        for (_, reply) in running.permissions.drain() {
            reply.cancel();
        }
        let steps = running.items.take_steps();
        self.end_with(running.turn, steps, ending).await;
    }

    async fn end(&mut self, turn: TurnId, ending: Ending) {
        self.end_with(turn, Vec::new(), ending).await;
    }

    async fn end_with(&mut self, turn: TurnId, steps: Vec<super::items::Step>, ending: Ending) {
        if let Err(error) = record::ended(&self.ctx, self.session, turn, steps, ending).await {
            // The next start finds the turn as it stands in the journal and records it as interrupted.
            tracing::error!(session = %self.session, %turn, %error, "a turn's end could not be recorded");
        }
        self.rest();
        if !self.stopping {
            // Boxed because a turn's end starts the next turn, whose end comes here again.
            Box::pin(self.look()).await;
        }
    }

    /// Nothing runs: the agent may stay for a while.
    fn rest(&mut self) {
        if self.host.is_some() && self.running.is_none() {
            let wanted = self.ctx.live.wanted();
            let keep = if wanted { Duration::ZERO } else { self.ctx.agent_idle() };
            self.idle_at = Some(Instant::now() + keep);
            self.shown.used_at_ms.store(self.ctx.now_ms(), Ordering::SeqCst);
            self.shown.idle.store(true, Ordering::SeqCst);
        }
    }

    async fn flush(&mut self) {
        self.flush_at = None;
        self.flush_late().await;
        let Some(running) = &mut self.running else { return };
        // Counted from the beginning: on a slow disk there is no further wait behind the commit.
        self.flushed_at = Some(Instant::now());
        let steps = running.items.take_steps();
        if let Err(error) = record::steps(&self.ctx, self.session, running.turn, steps).await {
            tracing::error!(session = %self.session, %error, "what an agent said could not be recorded");
            let detail = format!("What the agent said could not be recorded: {error}");
            self.drop_host().await;
            self.finish(Ending::interrupted("not_recorded", None).error(&detail)).await;
        }
    }

    /// What came while nobody listened belongs to no turn.
    async fn take_unheard(&mut self, unheard: Vec<Update>) {
        for update in unheard {
            self.take_late(update).await;
        }
        self.flush_late().await;
    }

    async fn flush_late(&mut self) {
        let late = std::mem::take(&mut self.late);
        if !late.is_empty() {
            record::late(&self.ctx, self.session, self.last_turn, late).await;
        }
    }

    /// The journal has it as cancelling; now the agent is told, and ended when it does not stop.
    async fn cancel(&mut self, turn: TurnId) {
        let Some(running) = self.running.as_mut().filter(|running| running.turn == turn) else {
            return self.cancel_left(turn).await;
        };
        if running.cancelling {
            return;
        }
        running.cancelling = true;
        running.kill_at = Some(Instant::now() + self.ctx.cancel_grace);
        for (_, reply) in running.permissions.drain() {
            reply.cancel();
        }
        if let Some(host) = &self.host
            && let Some(id) = &host.bound
            && let Err(error) = host.agent.cancel(id)
        {
            tracing::info!(session = %self.session, %error, "the agent could not be told to stop");
            running.kill_at = Some(Instant::now());
        }
    }

    /// A turn that is to be cancelled and that no agent works on.
    async fn cancel_left(&mut self, turn: TurnId) {
        if self.running.is_none() && record::is_cancelling(&self.ctx, self.session, turn).await {
            self.end(turn, Ending::not_sent("cancelled before the agent had it")).await;
        }
    }

    /// The agent did not stop in time.
    async fn kill(&mut self) {
        if let Some(running) = &mut self.running {
            running.kill_at = None;
        }
        self.flush().await;
        if let Some(host) = self.host.take() {
            host.kill().await;
        }
        let usage = self.running.as_mut().and_then(|running| running.items.take_usage());
        self.finish(Ending::cancelled(usage).reason("the agent did not stop in time and was ended")).await;
    }

    async fn host_gone(&mut self) {
        let tail = self.host.as_ref().map(|host| host.agent.stderr_tail()).unwrap_or_default();
        self.drop_host().await;
        if let Some(running) = &mut self.running {
            let usage = running.items.take_usage();
            let ending = if running.cancelling {
                Ending::cancelled(usage)
            } else {
                let said = if tail.is_empty() { String::new() } else { format!(" It last wrote: {tail}") };
                Ending::interrupted("agent_exited", usage).error(&format!("The agent is gone.{said}"))
            };
            self.finish(ending).await;
        }
    }

    async fn drop_host(&mut self) {
        self.flush_late().await;
        self.idle_at = None;
        self.strays = 0;
        self.shown.idle.store(false, Ordering::SeqCst);
        if let Some(host) = self.host.take() {
            host.kill().await;
        }
    }

    /// The agent has nothing to do: it goes, and is bound again when it is needed.
    async fn let_go(&mut self) {
        self.idle_at = None;
        self.flush_late().await;
        self.shown.idle.store(false, Ordering::SeqCst);
        if let Some(host) = self.host.take() {
            let unheard = host.stop().await;
            self.take_unheard(unheard).await;
        }
    }

    /// Orderly: the agent is asked to stop (some keep an answer only then), what it said is kept, the turn is recorded.
    async fn stop(mut self) {
        if let Some(running) = &mut self.running {
            running.kill_at = None;
            for (_, reply) in running.permissions.drain() {
                reply.cancel();
            }
            running.cancelling = true;
            self.last_words().await;
            self.finish(Ending::interrupted("Gander was stopped", None)).await;
        }
        self.let_go().await;
    }

    async fn last_words(&mut self) {
        let Some(host) = &mut self.host else { return };
        let Some(id) = host.bound.clone() else { return };
        if host.agent.cancel(&id).is_err() {
            return;
        }
        let until = Instant::now() + STOP_GRACE;
        while let Ok(Some(event)) = tokio::time::timeout_at(until, hear(&mut self.host)).await {
            let Some(running) = &mut self.running else { return };
            match event {
                AgentEvent::Update(update) if Some(&update.agent_session) == Some(&id) => running.items.update(*update),
                AgentEvent::Terminal(output) => running.items.terminal(&output),
                AgentEvent::Permission(permission) => permission.reply.cancel(),
                AgentEvent::PromptEnded { .. } | AgentEvent::Exited(_) => return,
                _ => {}
            }
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
