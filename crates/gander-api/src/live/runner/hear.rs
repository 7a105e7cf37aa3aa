//! What an agent says and does: sorted, collected for a moment, and written down.

use std::time::Duration;

use gander_acp::{AgentEvent, AgentSessionId, Permission, TerminalOutput, Update, UpdateKind};
use tokio::time::Instant;

use super::Runner;
use crate::live::record::{self, Ending};

/// Commits of one session's stream are so far apart at least; what comes meanwhile is one commit.
const COLLECT: Duration = Duration::from_millis(40);
/// What comes after a turn's end is collected for longer: no window waits for it.
const COLLECT_LATE: Duration = Duration::from_millis(250);
/// What waits for a commit is bounded too.
const COLLECT_BYTES: usize = 512 * 1024;
/// Updates for sessions that are not ours: how many are kept of one process.
const MAX_STRAYS: u32 = 20;

impl Runner {
    pub(super) async fn heard(&mut self, event: AgentEvent) {
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

    pub(super) async fn update(&mut self, update: Update) {
        let bound = self.host.as_ref().and_then(|host| host.bound.clone());
        if !self.ours(bound.as_ref(), &update).await {
            return;
        }
        match &mut self.running {
            Some(running) => {
                running.items.update(update);
                self.collected().await;
            }
            None => self.take_late(update).await,
        }
    }

    pub(super) async fn terminal(&mut self, output: &TerminalOutput) {
        let ours = self.host.as_ref().and_then(|host| host.bound.as_ref()) == Some(&output.agent_session);
        if let (Some(running), true) = (&mut self.running, ours) {
            running.items.terminal(output);
            self.collected().await;
        }
    }

    /// Something waits to be written: not for long, and not without bound. The first after a pause does not wait.
    pub(super) async fn collected(&mut self) {
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

    pub(super) async fn take_late(&mut self, update: Update) {
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

    pub(super) async fn permission(&mut self, permission: Permission) {
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

    pub(super) async fn flush(&mut self) {
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
    pub(super) async fn take_unheard(&mut self, bound: Option<&AgentSessionId>, unheard: Vec<Update>) {
        for update in unheard {
            if self.ours(bound, &update).await {
                self.take_late(update).await;
            }
        }
        self.flush_late().await;
    }

    /// Whether an update is for the bound session: then what it says beside the conversation is taken, the session's name and
    /// the commands for its composer. Another session's is kept as a finding.
    async fn ours(&mut self, bound: Option<&AgentSessionId>, update: &Update) -> bool {
        if bound != Some(&update.agent_session) {
            self.strays += 1;
            if self.strays <= MAX_STRAYS {
                record::stray(&self.ctx, self.session, update).await;
            }
            return false;
        }
        if let Some(title) = &update.title {
            record::titled(&self.ctx, self.session, title).await;
        }
        if update.kind == UpdateKind::Commands
            && let Some(host) = &self.host
        {
            let agent = host.known.spec.id.clone();
            self.ctx.offers(self.session, &agent, update.update.get()).await;
        }
        true
    }

    pub(super) async fn flush_late(&mut self) {
        let late = std::mem::take(&mut self.late);
        if !late.is_empty() {
            record::late(&self.ctx, self.session, self.last_turn, late).await;
        }
    }
}
