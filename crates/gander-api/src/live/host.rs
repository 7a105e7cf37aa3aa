//! One agent process of one session: started, and listened to while it is asked things.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gander_acp::{Agent, AgentError, AgentEvent, AgentInfo, AgentSessionId, Events, StartOptions, Update};
use gander_model::SessionId;

use super::record;
use super::room::Place;
use crate::agents::Known;
use crate::gander::Ctx;

/// How long an agent may take to go when it is asked kindly.
const GRACE: Duration = Duration::from_secs(3);
/// Updates that are kept while something else is waited for.
const MAX_UNHEARD: usize = 1000;

/// A process and what it is bound to. Dropping it ends the process.
pub(crate) struct Host {
    pub agent: Agent,
    pub events: Events,
    pub known: Known,
    pub cwd: std::path::PathBuf,
    /// The agent's own session, once bound.
    pub bound: Option<AgentSessionId>,
    /// What came while something else was waited for.
    pub unheard: Vec<Update>,
    session: SessionId,
    ctx: Arc<Ctx>,
    _room: Place,
}

impl Host {
    /// Starts the process. It is recorded before it is there, so that a later epoch can end it.
    pub async fn start(ctx: &Arc<Ctx>, session: SessionId, known: Known, cwd: &Path) -> Result<Host, AgentError> {
        let room = ctx.live.room().await;
        let mut options = StartOptions::new(cwd, ctx.new_mark());
        options.timeouts = ctx.agent_timeouts.clone();
        // The mark is on disk before there is a process: killed at any instant, the next start finds and ends it.
        let mark = options.mark.clone();
        record::process_coming(ctx, session, &mark).await.map_err(|error| AgentError::Spawn {
            command: known.spec.command.clone(),
            source: std::io::Error::other(error),
        })?;
        let (agent, events) = match Agent::spawn(&known.spec, options) {
            Ok(spawned) => spawned,
            Err(error) => {
                record::process_gone(ctx, session, &mark).await;
                return Err(error);
            }
        };
        record::process_started(ctx, session, agent.process()).await;
        let mut host = Host {
            agent: agent.clone(),
            events,
            known,
            cwd: cwd.to_owned(),
            bound: None,
            unheard: Vec::new(),
            session,
            ctx: ctx.clone(),
            _room: room,
        };
        let info = host.listening(async move { agent.initialize().await }).await?;
        ctx.saw_agent(&host.known.spec.id, info.version.clone());
        Ok(host)
    }

    /// What the agent said that it can do.
    pub fn can(&self, what: impl FnOnce(&AgentInfo) -> bool) -> bool {
        self.agent.info().is_some_and(|info| what(&info))
    }

    /// Waits for an answer of the agent while its events are taken: an agent that cannot print does not answer.
    pub async fn listening<T>(&mut self, asked: impl Future<Output = Result<T, AgentError>>) -> Result<T, AgentError> {
        let mut asked = std::pin::pin!(asked);
        loop {
            tokio::select! {
                answer = &mut asked => {
                    // What was printed before the answer waits by now, and must not pass for part of the next turn.
                    while let Some(event) = self.events.try_recv() {
                        self.aside(event);
                    }
                    return answer;
                }
                event = self.events.recv() => match event {
                    Some(event) => self.aside(event),
                    None => return asked.await,
                },
            }
        }
    }

    /// What an agent says while it has no prompt: its commands and modes, a title; some greet.
    fn aside(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Update(update) if self.unheard.len() < MAX_UNHEARD => self.unheard.push(*update),
            AgentEvent::Stderr { line } => tracing::debug!(agent = %self.known.spec.id, line, "stderr"),
            // Dropping the reply answers "cancelled": nothing was asked of it yet.
            AgentEvent::Permission(permission) => drop(permission),
            other => tracing::debug!(agent = %self.known.spec.id, event = ?other, "aside"),
        }
    }

    /// Ends the process kindly, and forgets it.
    pub async fn stop(mut self) -> Vec<Update> {
        if let Some(bound) = self.bound.clone()
            && self.can(|info| info.close)
        {
            let agent = self.agent.clone();
            let closed = self.listening(async move { agent.close_session(&bound).await });
            let _ = tokio::time::timeout(GRACE, closed).await;
        }
        let agent = self.agent.clone();
        let _ = self.listening(async move { Ok::<_, AgentError>(agent.stop(GRACE).await) }).await;
        let unheard = std::mem::take(&mut self.unheard);
        self.gone().await;
        unheard
    }

    /// Ends the process at once, and forgets it.
    pub async fn kill(mut self) {
        let agent = self.agent.clone();
        let _ = self.listening(async move { Ok::<_, AgentError>(agent.kill().await) }).await;
        self.gone().await;
    }

    /// Forgets a process that is gone.
    pub async fn gone(self) {
        record::process_gone(&self.ctx, self.session, &self.agent.process().mark).await;
    }
}
