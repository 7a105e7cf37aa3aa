//! Binding an agent's own session to one of ours before a prompt is sent to it: the one that is still open in its
//! process, else loaded and compared with the journal, else resumed, else a new one that is handed the transcript.

use std::path::Path;
use std::sync::Arc;

use gander_acp::replay::{Compared, Said, Who, compare};
use gander_acp::{AgentError, AgentSessionId, Replay};
use gander_model::SessionId;
use serde_json::{Value, json};

use super::host::Host;
use super::record::{self, Kept, NewLink, Task};
use super::{content, transcript};
use crate::agents::Known;
use crate::gander::Ctx;

/// What came of it.
pub(crate) enum Bound {
    /// The agent can have the prompt, once `kept` is on disk.
    Ready { host: Box<Host>, content: Vec<Value>, kept: Kept },
    /// Nobody wants it any more.
    Cancelled,
    /// The agent remembers another conversation.
    Contradiction { host: Box<Host>, detail: String },
    /// There is no agent to send it to.
    Failed { error: String },
}

/// Binds. Dropping the future ends the process that it started.
pub(crate) async fn bind(ctx: Arc<Ctx>, session: SessionId, host: Option<Host>, task: &Task) -> Bound {
    match try_bind(&ctx, session, host, task).await {
        Ok(bound) => bound,
        Err(error) => Bound::Failed { error },
    }
}

async fn try_bind(ctx: &Arc<Ctx>, session: SessionId, host: Option<Host>, task: &Task) -> Result<Bound, String> {
    let known = ctx.agent(&task.agent).ok_or_else(|| format!("There is no agent {} in the settings.", task.agent))?;
    if !known.available {
        return Err(known.detail);
    }
    let cwd = Path::new(&task.cwd);
    if !cwd.is_dir() {
        return Err(format!("The folder {} is gone. Choose another one for this session, then continue.", task.cwd));
    }
    if let Some(host) = host {
        let same = host.known.spec == known.spec && host.cwd == cwd && host.bound.is_some() && !task.hand_over;
        if same {
            let content = content::for_agent(ctx, &host, &task.content).await?;
            return Ok(Bound::Ready { host: Box::new(host), content, kept: Kept::default() });
        }
        host.stop().await;
    }
    let mut host = Host::start(ctx, session, known.clone(), cwd).await.map_err(said)?;
    if !task.hand_over
        && let Some(bound) = again(ctx, session, &mut host, task, &known).await?
    {
        return match bound {
            Again::Bound(kept) => {
                let content = content::for_agent(ctx, &host, &task.content).await?;
                Ok(Bound::Ready { host: Box::new(host), content, kept })
            }
            Again::Contradiction(detail) => Ok(Bound::Contradiction { host: Box::new(host), detail }),
        };
    }
    fresh(ctx, session, host, task, &known).await
}

enum Again {
    Bound(Kept),
    Contradiction(String),
}

/// Binds the agent session that was bound before, if there is one and the agent still has it.
async fn again(
    ctx: &Arc<Ctx>,
    session: SessionId,
    host: &mut Host,
    task: &Task,
    known: &Known,
) -> Result<Option<Again>, String> {
    let link = record::link(ctx, session, &known.spec.id, &known.store).await.map_err(|error| error.to_string())?;
    let Some(link) = link.filter(|link| link.machine == ctx.machine) else { return Ok(None) };
    let id = AgentSessionId(link.agent_session.clone());
    let cwd = host.cwd.clone();
    if host.can(|info| info.load) {
        let (agent, wanted, folder) = (host.agent.clone(), id.clone(), cwd.clone());
        match host.listening(async move { agent.load_session(&wanted, &folder).await }).await {
            Ok(replay) => {
                host.bound = Some(id);
                return check(ctx, session, host, &link.agent_session, task, &replay).await.map(Some);
            }
            Err(error) if is_gone(&error) => return Err(said(error)),
            Err(error) => not_bound(session, &error, "loaded"),
        }
    }
    if host.can(|info| info.resume) {
        let (agent, wanted, folder) = (host.agent.clone(), id.clone(), cwd);
        match host.listening(async move { agent.resume_session(&wanted, &folder).await }).await {
            Ok(_) => {
                host.bound = Some(id);
                let link = NewLink::new(known, &link.agent_session, "resume", "unverified");
                return Ok(Some(Again::Bound(Kept { link: Some(link), ..Kept::default() })));
            }
            Err(error) if is_gone(&error) => return Err(said(error)),
            Err(error) => not_bound(session, &error, "resumed"),
        }
    }
    Ok(None)
}

/// Compares what the agent remembers with the journal.
async fn check(
    ctx: &Arc<Ctx>,
    session: SessionId,
    host: &Host,
    agent_session: &str,
    task: &Task,
    replay: &Replay,
) -> Result<Again, String> {
    let heard =
        record::since_link(ctx, session, agent_session, task.prompt_seq).await.map_err(|error| error.to_string())?;
    let follows = heard.last().and_then(|heard| heard.turn);
    let mut journal = Vec::with_capacity(heard.len());
    for heard in heard {
        let text = match heard.what {
            transcript::What::Message(text) => text,
            transcript::What::Prompt(blocks) => texts(&content::for_agent(ctx, host, &blocks).await?),
        };
        journal.push(Said { who: heard.who, text, may_lack: heard.may_lack });
    }
    let (remembered, places): (Vec<Said>, Vec<_>) = replay.said().into_iter().unzip();
    told_before(&mut journal, &remembered);
    Ok(match compare(&journal, &remembered) {
        Compared::Same | Compared::MissingTail => Again::Bound(Kept::default()),
        Compared::ExtraTail(extras) => {
            let elsewhere = extras
                .into_iter()
                .map(|extra| {
                    let updates = match (extra.whole, places.get(extra.item)) {
                        (true, Some(place)) => replay.updates[place.clone()].iter().map(|u| u.update.clone()).collect(),
                        _ => vec![record::chunk(extra.who, &extra.text)],
                    };
                    (extra.who, updates)
                })
                .collect();
            Again::Bound(Kept { elsewhere, follows, ..Kept::default() })
        }
        Compared::Contradiction(detail) => Again::Contradiction(detail),
    })
}

/// The text blocks of a prompt as the agent got it.
fn texts(content: &[Value]) -> String {
    let text = |block: &Value| block.get("text").and_then(Value::as_str).map(str::to_owned);
    content.iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

/// A session that was handed over begins with a prompt before which the transcript was told; the agent remembers both
/// as one. What was told is not compared: it was this journal's own.
fn told_before(journal: &mut [Said], remembered: &[Said]) {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let Some(first) = journal.first_mut().filter(|first| first.who == Who::User) else { return };
    let theirs: String =
        remembered.iter().take_while(|said| said.who == Who::User).map(|said| said.text.as_str()).collect();
    if theirs.contains(transcript::MARK) && bare(&theirs).ends_with(&bare(&first.text)) {
        first.text = theirs;
    }
}

/// A new agent session, which is told what was said before.
async fn fresh(
    ctx: &Arc<Ctx>,
    session: SessionId,
    mut host: Host,
    task: &Task,
    known: &Known,
) -> Result<Bound, String> {
    let (agent, folder) = (host.agent.clone(), host.cwd.clone());
    let opened = host.listening(async move { agent.new_session(&folder).await }).await.map_err(said)?;
    let mut content = content::for_agent(ctx, &host, &task.content).await?;
    let link = NewLink::new(known, opened.agent_session.as_str(), "new", "fresh");
    host.bound = Some(opened.agent_session);
    if let Some(told) = transcript::before(ctx, session, task.prompt_seq).await.map_err(|error| error.to_string())? {
        content.insert(0, json!({"type": "text", "text": told.text}));
    }
    Ok(Bound::Ready { host: Box::new(host), content, kept: Kept { link: Some(link), ..Kept::default() } })
}

/// An agent's own words may repeat what was said, and do not belong in a log that is kept.
fn not_bound(session: SessionId, error: &AgentError, what: &str) {
    tracing::info!(%session, unknown = error.is_unknown_session(), "the agent's session could not be {what}");
    tracing::debug!(%session, %error, "the agent's answer");
}

/// The agent is no more, or answers nothing any more: another request would only wait as well.
fn is_gone(error: &AgentError) -> bool {
    matches!(error, AgentError::Exited { .. } | AgentError::Timeout { .. } | AgentError::Babble { .. })
}

fn said(error: AgentError) -> String {
    if error.is_auth_required() {
        return format!("{error}. Log in to the agent with its own program first.");
    }
    error.to_string()
}
