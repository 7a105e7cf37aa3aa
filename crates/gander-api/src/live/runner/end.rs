//! How a turn ends: by the agent's word, by a cancel, with the agent, or with us.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gander_acp::{AgentError, AgentEvent, Stop};
use gander_model::TurnId;
use tokio::time::Instant;

use super::{Runner, hear};
use crate::live::items::Step;
use crate::live::record::{self, Ending};

/// How long a stop of ours waits for the agent's last words.
const STOP_GRACE: Duration = Duration::from_secs(3);

impl Runner {
    pub(super) async fn prompt_ended(&mut self, result: Result<Stop, AgentError>) {
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
    pub(super) async fn finish(&mut self, ending: Ending) {
        let Some(mut running) = self.running.take() else { return };
        self.flush_at = None;
        for (_, reply) in running.permissions.drain() {
            reply.cancel();
        }
        let steps = running.items.last_steps();
        self.end_with(running.turn, steps, ending).await;
    }

    pub(super) async fn end(&mut self, turn: TurnId, ending: Ending) {
        self.end_with(turn, Vec::new(), ending).await;
    }

    pub(super) async fn end_with(&mut self, turn: TurnId, steps: Vec<Step>, ending: Ending) {
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
    pub(super) fn rest(&mut self) {
        if self.host.is_some() && self.running.is_none() {
            let wanted = self.ctx.live.wanted();
            let keep = if wanted { Duration::ZERO } else { self.ctx.agent_idle() };
            self.idle_at = Some(Instant::now() + keep);
            self.shown.used_at_ms.store(self.ctx.now_ms(), Ordering::SeqCst);
            self.shown.idle.store(true, Ordering::SeqCst);
        }
    }

    /// The journal has it as cancelling; now the agent is told, and ended when it does not stop.
    pub(super) async fn cancel(&mut self, turn: TurnId) {
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
    pub(super) async fn cancel_left(&mut self, turn: TurnId) {
        if self.running.is_none() && record::is_cancelling(&self.ctx, self.session, turn).await {
            self.end(turn, Ending::not_sent("cancelled before the agent had it")).await;
        }
    }

    /// The agent did not stop in time.
    pub(super) async fn kill(&mut self) {
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

    pub(super) async fn host_gone(&mut self) {
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

    pub(super) async fn drop_host(&mut self) {
        self.flush_late().await;
        self.idle_at = None;
        self.strays = 0;
        self.shown.idle.store(false, Ordering::SeqCst);
        if let Some(host) = self.host.take() {
            host.kill().await;
        }
    }

    /// The agent has nothing to do: it goes, and is bound again when it is needed.
    pub(super) async fn let_go(&mut self) {
        self.idle_at = None;
        self.flush_late().await;
        self.shown.idle.store(false, Ordering::SeqCst);
        if let Some(host) = self.host.take() {
            let bound = host.bound.clone();
            let unheard = host.stop().await;
            self.take_unheard(bound.as_ref(), unheard).await;
        }
    }

    /// Orderly: the agent is asked to stop (some keep an answer only then), what it said is kept, the turn is recorded. An agent
    /// that did not hear that hears nothing else either: once the turn is recorded it is killed, so that quitting takes seconds.
    pub(super) async fn stop(mut self) {
        let mut hears = true;
        if let Some(running) = &mut self.running {
            running.kill_at = None;
            for (_, reply) in running.permissions.drain() {
                reply.cancel();
            }
            running.cancelling = true;
            hears = self.last_words().await;
            self.finish(Ending::interrupted(self.ctx.stop_reason(), None)).await;
        }
        if hears {
            self.let_go().await;
        } else {
            self.drop_host().await;
        }
    }

    /// What the agent says when it is told to stop; false when it does not stop.
    pub(super) async fn last_words(&mut self) -> bool {
        let Some(host) = &mut self.host else { return true };
        let Some(id) = host.bound.clone() else { return true };
        if host.agent.cancel(&id).is_err() {
            return false;
        }
        let until = Instant::now() + STOP_GRACE;
        while let Ok(Some(event)) = tokio::time::timeout_at(until, hear(&mut self.host)).await {
            let Some(running) = &mut self.running else { return true };
            match event {
                AgentEvent::Update(update) if Some(&update.agent_session) == Some(&id) => running.items.update(*update),
                AgentEvent::Terminal(output) => running.items.terminal(&output),
                AgentEvent::Permission(permission) => permission.reply.cancel(),
                AgentEvent::PromptEnded { .. } | AgentEvent::Exited(_) => return true,
                _ => {}
            }
        }
        false
    }
}
