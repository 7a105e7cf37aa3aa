//! What an agent keeps of a purged session in a store of its own: it is asked to delete it, and where it cannot be asked,
//! that is said plainly.

use std::sync::Arc;
use std::time::Duration;

use gander_acp::{AgentError, AgentSessionId};
use gander_journal::{Link, Tx, WriteError};
use gander_model::SessionId;
use serde::{Deserialize, Serialize};

use super::host::Host;
use crate::dto::AgentMemory;
use crate::gander::Ctx;

/// How long an agent may take to start and to delete a session.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is still to be deleted at agents, across restarts.
const OWED: &str = "agent_memory_owed";
/// More than this is not remembered: the answer to the purge has said what stays.
const MAX_OWED: usize = 1000;

/// An agent session to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owed {
    session: SessionId,
    agent: String,
    store: String,
    agent_session: String,
}

fn owed(tx: &mut Tx<'_>) -> Result<Vec<Owed>, WriteError> {
    let kept = tx.reader()?.setting(OWED)?;
    Ok(kept.and_then(|kept| serde_json::from_str(&kept).ok()).unwrap_or_default())
}

fn keep(tx: &mut Tx<'_>, all: &[Owed]) -> Result<(), WriteError> {
    let text = serde_json::to_string(all).map_err(|error| WriteError::Invalid(error.to_string()))?;
    tx.set(OWED, (!all.is_empty()).then_some(text.as_str()))
}

/// In the purge's own transaction: a crash behind it does not forget what an agent is still to be asked.
pub(crate) fn owe(tx: &mut Tx<'_>, session: SessionId, links: &[Link]) -> Result<Vec<Owed>, WriteError> {
    let of = |link: &Link| Owed {
        session,
        agent: link.agent.clone(),
        store: link.store.clone(),
        agent_session: link.agent_session.clone(),
    };
    let new: Vec<Owed> = links.iter().map(of).collect();
    let mut all = owed(tx)?;
    all.extend(new.iter().filter(|new| !all.contains(new)).cloned().collect::<Vec<_>>());
    all.truncate(MAX_OWED);
    keep(tx, &all)?;
    Ok(new)
}

/// What came of asking.
enum Asked {
    Deleted,
    /// It never had it, or has it no more.
    Unknown,
    /// Asking again would give the same.
    Never(String),
    /// Perhaps another time.
    Later(String),
}

/// Asks the agent to delete its session.
pub(crate) async fn forget(ctx: &Arc<Ctx>, owed: Owed) -> AgentMemory {
    let asked = tokio::time::timeout(PATIENCE, ask(ctx, &owed)).await;
    let asked = asked.unwrap_or_else(|_| Asked::Later("it did not answer in time".to_owned()));
    if !matches!(asked, Asked::Later(_)) {
        let done = owed.clone();
        let settled = ctx
            .write_saved(move |tx| {
                let mut all = self::owed(tx)?;
                all.retain(|owed| *owed != done);
                keep(tx, &all)
            })
            .await;
        if let Err(error) = settled {
            tracing::warn!(session = %owed.session, %error, "that an agent forgot a session could not be recorded");
        }
    }
    let Owed { agent, store, agent_session, .. } = owed;
    let place = if store.is_empty() { String::new() } else { format!(" ({store})") };
    let (erased, detail) = match asked {
        Asked::Deleted => (true, format!("{agent} deleted its own session {agent_session}.")),
        Asked::Unknown => (true, format!("{agent} has no session {agent_session} any more.")),
        Asked::Never(why) => (
            false,
            format!("{agent} keeps its own session {agent_session} in its store{place}: {why}. Delete it there."),
        ),
        Asked::Later(why) => (
            false,
            format!(
                "{agent} still has its own session {agent_session} in its store{place}: {why}. It is asked again at the next start."
            ),
        ),
    };
    AgentMemory { agent, store, agent_session_id: agent_session, erased, detail }
}

async fn ask(ctx: &Arc<Ctx>, owed: &Owed) -> Asked {
    let Some(known) = ctx.agent(&owed.agent) else {
        return Asked::Never("it is not in the settings any more".to_owned());
    };
    if known.store != owed.store {
        return Asked::Never("its settings name another store now".to_owned());
    }
    if !known.available {
        return Asked::Later(known.detail);
    }
    let mut host = match Host::start(ctx, owed.session, known, &ctx.data_dir).await {
        Ok(host) => host,
        Err(error) => return Asked::Later(error.to_string()),
    };
    let (agent, id) = (host.agent.clone(), AgentSessionId(owed.agent_session.clone()));
    let deleted = host.listening(async move { agent.delete_session(&id).await }).await;
    host.stop().await;
    match deleted {
        Ok(()) => Asked::Deleted,
        Err(error) if error.is_unknown_session() => Asked::Unknown,
        Err(error) if error.is_method_not_found() => Asked::Never("it does not offer to delete one".to_owned()),
        Err(error @ AgentError::Refused { .. }) => Asked::Never(error.to_string()),
        Err(error) => Asked::Later(error.to_string()),
    }
}

/// Asks for what was left to be asked, beside the work.
pub(crate) async fn forget_left(ctx: Arc<Ctx>) {
    let left = ctx.read(|reader| reader.setting(OWED)).await.ok().flatten();
    let left: Vec<Owed> = left.and_then(|left| serde_json::from_str(&left).ok()).unwrap_or_default();
    for owed in left {
        if *ctx.stopping.borrow() {
            return;
        }
        let told = forget(&ctx, owed).await;
        tracing::info!(agent = told.agent, erased = told.erased, "an agent was asked to forget a purged session");
    }
}
