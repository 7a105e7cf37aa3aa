//! What a session's task reads from the journal and writes to it. Everything here is on disk when it returns.

use std::sync::{Arc, Mutex};

use gander_acp::replay::Who;
use gander_acp::{AgentProcess, Stop, Update};
use gander_journal::{
    Ahead, ItemPart, Link, NewContent, NewFinding, ReadError, Saving, TurnEnd, TurnPhase, Tx, WriteError,
};
use gander_model::{Body, By, ItemId, Kind, NamedBy, PermissionId, Seq, SessionId, TurnId, text};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::items::{LARGE_BYTES, Step};
use super::transcript;
use crate::agents::Known;
use crate::gander::{Ctx, lock};

pub(crate) fn is_saving(saving: &Saving) -> bool {
    matches!(saving, Saving::Yes)
}

/// A turn that is to run.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub turn: TurnId,
    pub prompt_seq: Seq,
    pub content: Vec<Value>,
    pub agent: String,
    pub cwd: String,
    /// A new agent session is wanted, whatever was bound before.
    pub hand_over: bool,
}

/// What binding found, to be on disk before the prompt is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub link: Option<NewLink>,
    /// What the agent remembers beyond the journal.
    pub elsewhere: Vec<(Who, Vec<Box<RawValue>>)>,
    /// The turn that this follows.
    pub follows: Option<TurnId>,
}

/// An agent session to bind.
#[derive(Debug, Clone)]
pub(crate) struct NewLink {
    pub agent: String,
    pub store: String,
    pub agent_session: String,
    pub via: &'static str,
    pub check: &'static str,
}

impl NewLink {
    pub fn new(known: &Known, agent_session: &str, via: &'static str, check: &'static str) -> Self {
        NewLink {
            agent: known.spec.id.clone(),
            store: known.store.clone(),
            agent_session: agent_session.to_owned(),
            via,
            check,
        }
    }
}

/// How a turn ended.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub phase: TurnPhase,
    pub end: TurnEnd,
}

impl Ending {
    fn new(phase: TurnPhase, end: TurnEnd) -> Self {
        Ending { phase, end }
    }

    /// The agent said that it stopped.
    pub fn ended(stop: &Stop, usage: Option<Box<RawValue>>) -> Self {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            usage: Option<Box<RawValue>>,
        }
        let own = serde_json::from_str::<Answer>(stop.raw.get()).ok().and_then(|answer| answer.usage);
        let end = TurnEnd { stop_reason: Some(stop.reason.clone()), usage: own.or(usage), ..TurnEnd::default() };
        Self::new(TurnPhase::Ended, end)
    }

    /// The user cancelled it, and the agent did not say anything more.
    pub fn cancelled(usage: Option<Box<RawValue>>) -> Self {
        let end = TurnEnd { stop_reason: Some("cancelled".to_owned()), usage, ..TurnEnd::default() };
        Self::new(TurnPhase::Ended, end)
    }

    /// It was cut off.
    pub fn interrupted(reason: &str, usage: Option<Box<RawValue>>) -> Self {
        let end = TurnEnd { reason: Some(reason.to_owned()), usage, ..TurnEnd::default() };
        Self::new(TurnPhase::Interrupted, end)
    }

    /// The agent never had it.
    pub fn not_sent(reason: &str) -> Self {
        Self::new(TurnPhase::NotSent, TurnEnd { reason: Some(reason.to_owned()), ..TurnEnd::default() })
    }

    pub fn error(mut self, message: &str) -> Self {
        self.end.error = Some(json!({ "message": message }));
        self
    }

    pub fn reason(mut self, reason: &str) -> Self {
        self.end.reason = Some(reason.to_owned());
        self
    }
}

#[derive(Deserialize)]
struct Prompt {
    content: Vec<Value>,
    #[serde(default)]
    continues: Option<Continues>,
}

#[derive(Deserialize)]
struct Continues {
    how: String,
}

/// The turn that is recorded and that no agent has yet.
pub(crate) async fn turn_to_run(ctx: &Arc<Ctx>, session: SessionId) -> Result<Option<Task>, ReadError> {
    ctx.read(move |reader| {
        let view = reader.session(session)?;
        let Some(turn) = view.turn.filter(|turn| turn.phase == TurnPhase::Starting) else { return Ok(None) };
        let Some(prompt_seq) = reader.turn_record(session, turn.id)?.and_then(|record| record.prompt) else {
            return Ok(None);
        };
        let missing = || ReadError::NotFound { what: "prompt of turn", id: turn.id.to_string() };
        let entry = reader.entry(session, prompt_seq)?.ok_or_else(missing)?;
        let data = reader.entry_data(&entry.entry)?.ok_or_else(missing)?;
        let prompt: Prompt = serde_json::from_slice(&data).map_err(|_| missing())?;
        Ok(Some(Task {
            turn: turn.id,
            prompt_seq,
            content: prompt.content,
            agent: view.state.agent.unwrap_or_default(),
            cwd: view.state.cwd.unwrap_or_default(),
            hand_over: prompt.continues.is_some_and(|continues| continues.how == "hand_over"),
        }))
    })
    .await
}

pub(crate) async fn is_cancelling(ctx: &Arc<Ctx>, session: SessionId, turn: TurnId) -> bool {
    let view = ctx.read(move |reader| reader.session(session)).await;
    view.ok()
        .and_then(|view| view.turn)
        .is_some_and(|running| running.id == turn && running.phase == TurnPhase::Cancelling)
}

/// The agent session that is bound to this session.
pub(crate) async fn link(
    ctx: &Arc<Ctx>,
    session: SessionId,
    agent: &str,
    store: &str,
) -> Result<Option<Link>, ReadError> {
    let (agent, store) = (agent.to_owned(), store.to_owned());
    let links = ctx.read(move |reader| reader.links(session)).await?;
    Ok(links.into_iter().find(|link| link.agent == agent && link.store == store))
}

/// The prompts and messages since this agent session was bound, without the prompt at `before`.
pub(crate) async fn since_link(
    ctx: &Arc<Ctx>,
    session: SessionId,
    agent_session: &str,
    before: Seq,
) -> Result<Vec<transcript::Heard>, ReadError> {
    let agent_session = agent_session.to_owned();
    ctx.read(move |reader| transcript::since_link(reader, session, &agent_session, before)).await
}

/// The agent is about to have the prompt: the binding, what was found in the agent's own session, and the state.
pub(crate) async fn running(ctx: &Arc<Ctx>, session: SessionId, turn: TurnId, kept: Kept) -> Result<(), WriteError> {
    let machine = ctx.machine.clone();
    let context = ctx.clone();
    ctx.write_once(
        |_| Ok(()),
        // Nothing else has it run. One that is being cancelled meanwhile is refused below, as if this came first.
        move |tx, ()| Ok(tx.turn(session, turn)?.is_some_and(|record| record.phase == TurnPhase::Running)),
        move |tx| {
            if let Some(link) = &kept.link {
                tx.link(&gander_journal::NewLink {
                    session,
                    agent: link.agent.clone(),
                    store: link.store.clone(),
                    agent_session: link.agent_session.clone(),
                    machine: machine.clone(),
                    via: link.via.to_owned(),
                    check: link.check.to_owned(),
                })?;
            }
            for (who, updates) in &kept.elsewhere {
                elsewhere(tx, &context, session, kept.follows, (*who, updates))?;
            }
            tx.turn_state(session, turn, TurnPhase::Running)
        },
    )
    .await
}

/// Text as the update that an agent would have sent.
pub(crate) fn chunk(who: Who, text: &str) -> Box<RawValue> {
    let tag = match who {
        Who::User => "user_message_chunk",
        Who::Agent => "agent_message_chunk",
    };
    raw(&json!({"sessionUpdate": tag, "content": {"type": "text", "text": text}}))
}

fn elsewhere(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    session: SessionId,
    turn: Option<TurnId>,
    (who, updates): (Who, &[Box<RawValue>]),
) -> Result<(), WriteError> {
    let kind = if who == Who::User { Kind::PROMPT } else { Kind::MESSAGE };
    let updates: Vec<&RawValue> = updates.iter().map(|update| &**update).collect();
    let part = ItemPart { session, turn, item: ctx.new_item_id(), kind, updates: &updates };
    tx.record_item(&part, false, true).map(|_| ())
}

fn apply(tx: &mut Tx<'_>, session: SessionId, turn: TurnId, steps: &[Step]) -> Result<(), WriteError> {
    for step in steps {
        match step {
            Step::Grow { item, kind, updates } => {
                let updates: Vec<&RawValue> = updates.iter().map(|update| &**update).collect();
                let part = ItemPart { session, turn: Some(turn), item: *item, kind: kind.clone(), updates: &updates };
                tx.item_append(&part)?;
            }
            Step::Ahead { item, kind, ahead } => {
                let part = ItemPart { session, turn: Some(turn), item: *item, kind: kind.clone(), updates: &[] };
                tx.item_append_ahead(&part, ahead)?;
            }
            // Done by what made an `Ahead` of it.
            Step::Settle { .. } => {}
            Step::Close { item } => {
                tx.item_close(session, *item)?;
            }
            Step::Note { item, data } => {
                let mut body = Body::new(By::Agent, gander_model::Data::Inline(data.clone()));
                (body.turn, body.item) = (Some(turn), Some(*item));
                tx.append(session, Kind::NOTE, body)?;
            }
        }
    }
    Ok(())
}

/// Writes what concerns an item, and all that `write` does beside it, once: whether it is there is told by how far the
/// item has come.
async fn once(
    ctx: &Arc<Ctx>,
    session: SessionId,
    turn: Option<TurnId>,
    item: ItemId,
    write: impl Fn(&mut Tx<'_>) -> Result<(), WriteError> + Send + Sync + 'static,
) -> Result<(), WriteError> {
    let before = move |tx: &mut Tx<'_>| tx.item_bytes(session, item);
    let done = move |tx: &mut Tx<'_>, before: &Option<u64>| tx.item_went_on(session, turn, item, *before);
    ctx.write_once(before, done, write).await
}

pub(crate) async fn steps(
    ctx: &Arc<Ctx>,
    session: SessionId,
    turn: TurnId,
    steps: Vec<Step>,
) -> Result<(), WriteError> {
    let (steps, aheads) = large_first(ctx, session, turn, steps).await?;
    commit(ctx, session, turn, steps, aheads).await
}

/// One commit of steps, none of them large; then what they have made superfluous is dropped.
async fn commit(
    ctx: &Arc<Ctx>,
    session: SessionId,
    turn: TurnId,
    steps: Vec<Step>,
    aheads: Vec<Ahead>,
) -> Result<(), WriteError> {
    let Some(item) = steps.first().map(Step::item) else { return Ok(()) };
    once(ctx, session, Some(turn), item, move |tx| apply(tx, session, turn, &steps)).await?;
    clear(ctx, session, aheads).await;
    Ok(())
}

/// Puts what is large beside the entries, and writes down all that comes before it. What is left is one small commit: each
/// other session waits for no more than a piece of it.
async fn large_first(
    ctx: &Arc<Ctx>,
    session: SessionId,
    turn: TurnId,
    steps: Vec<Step>,
) -> Result<(Vec<Step>, Vec<Ahead>), WriteError> {
    let mut small: Vec<Step> = Vec::new();
    let mut aheads = Vec::new();
    for step in steps {
        let bytes = |updates: &[Box<RawValue>]| updates.iter().map(|update| update.get().len()).sum::<usize>();
        let (item, kind, updates) = match step {
            Step::Grow { item, kind, updates } if bytes(&updates) > LARGE_BYTES => (item, kind, updates),
            Step::Settle { item } if !matches!(small.last(), Some(Step::Ahead { item: last, .. }) if *last == item) => {
                // It is open, and its own kind counts.
                (item, Kind::NOTE, Vec::new())
            }
            Step::Settle { .. } => continue,
            other => {
                small.push(other);
                continue;
            }
        };
        commit(ctx, session, turn, std::mem::take(&mut small), std::mem::take(&mut aheads)).await?;
        if let Some(ahead) = put_ahead(ctx, session, turn, (item, kind.clone()), updates).await? {
            aheads.push(ahead.clone());
            small.push(Step::Ahead { item, kind, ahead: Box::new(ahead) });
        }
    }
    Ok((small, aheads))
}

/// Puts an item's data and these updates beside the entries. While nothing can be saved this waits, and begins anew.
async fn put_ahead(
    ctx: &Arc<Ctx>,
    session: SessionId,
    turn: TurnId,
    (item, kind): (ItemId, Kind),
    updates: Vec<Box<RawValue>>,
) -> Result<Option<Ahead>, WriteError> {
    let given = Arc::new((updates, Mutex::new(NewContent::default())));
    loop {
        let (journal, kind, given) = (ctx.journal.clone(), kind.clone(), given.clone());
        let put = tokio::task::spawn_blocking(move || {
            let updates: Vec<&RawValue> = given.0.iter().map(|update| &**update).collect();
            let part = ItemPart { session, turn: Some(turn), item, kind, updates: &updates };
            journal.put_ahead(&part, &mut lock(&given.1))
        });
        match put.await.unwrap_or_else(|error| Err(WriteError::Panicked(error.to_string()))) {
            Err(WriteError::NotSaving(reason)) => ctx.saves_again(reason).await?,
            other => return other,
        }
    }
}

async fn clear(ctx: &Arc<Ctx>, session: SessionId, aheads: Vec<Ahead>) {
    for ahead in aheads {
        let journal = ctx.journal.clone();
        let cleared = tokio::task::spawn_blocking(move || journal.clear_ahead(&ahead)).await;
        if !matches!(cleared, Ok(Ok(()))) {
            tracing::info!(%session, "what a large item has left behind is dropped later");
        }
    }
}

/// What came before the request, and the request.
pub(crate) async fn permission_asked(
    ctx: &Arc<Ctx>,
    session: SessionId,
    turn: TurnId,
    steps: Vec<Step>,
    (tool_call, options): (Box<RawValue>, Box<RawValue>),
) -> Result<PermissionId, WriteError> {
    let (steps, aheads) = large_first(ctx, session, turn, steps).await?;
    let permission = PermissionId::from_parts(ctx.now_ms(), &ctx.random10());
    let item = ctx.new_item_id();
    once(ctx, session, Some(turn), item, move |tx| {
        apply(tx, session, turn, &steps)?;
        tx.permission_asked_as((permission, item), session, turn, (&tool_call, &options))
    })
    .await?;
    clear(ctx, session, aheads).await;
    Ok(permission)
}

/// All that waits, the end, and the next prompt's start where there is one.
pub(crate) async fn ended(
    ctx: &Arc<Ctx>,
    session: SessionId,
    turn: TurnId,
    steps: Vec<Step>,
    ending: Ending,
) -> Result<(), WriteError> {
    let (steps, aheads) = large_first(ctx, session, turn, steps).await?;
    let context = ctx.clone();
    ctx.write_once(
        |_| Ok(()),
        move |tx, ()| Ok(tx.turn(session, turn)?.is_some_and(|record| !record.phase.is_active())),
        move |tx| {
            apply(tx, session, turn, &steps)?;
            let queue_may_go_on = tx.end_turn(session, turn, ending.phase, &ending.end)?.is_some();
            if queue_may_go_on && !context.handover.is_holding() {
                tx.start_queued(session)?;
            }
            Ok(())
        },
    )
    .await?;
    clear(ctx, session, aheads).await;
    Ok(())
}

/// What came after the turn's end, as entries marked late.
pub(crate) async fn late(ctx: &Arc<Ctx>, session: SessionId, turn: Option<TurnId>, updates: Vec<Box<RawValue>>) {
    let (context, first) = (ctx.clone(), ctx.new_item_id());
    let written = once(ctx, session, turn, first, move |tx| {
        for (n, (kind, updates)) in runs(&updates).into_iter().enumerate() {
            let item = if n == 0 { first } else { context.new_item_id() };
            tx.record_item(&ItemPart { session, turn, item, kind, updates: &updates }, true, false)?;
        }
        Ok(())
    })
    .await;
    if let Err(error) = written {
        tracing::error!(%session, %error, "late updates could not be recorded");
    }
}

/// Neighbours of one kind.
fn runs(updates: &[Box<RawValue>]) -> Vec<(Kind, Vec<&RawValue>)> {
    #[derive(Deserialize)]
    struct Tag {
        #[serde(default, rename = "sessionUpdate")]
        tag: String,
    }
    let mut runs: Vec<(Kind, Vec<&RawValue>)> = Vec::new();
    for update in updates {
        let tag = serde_json::from_str::<Tag>(update.get()).map(|tag| tag.tag).unwrap_or_default();
        let kind = match tag.as_str() {
            "agent_message_chunk" => Kind::MESSAGE,
            "agent_thought_chunk" => Kind::THOUGHT,
            "tool_call" | "tool_call_update" => Kind::TOOL_CALL,
            "plan" => Kind::PLAN,
            _ => Kind::NOTE,
        };
        match runs.last_mut() {
            Some((last, run)) if *last == kind => run.push(update),
            _ => runs.push((kind, vec![update])),
        }
    }
    runs
}

/// The agent gave its session a title. It never replaces a user's name (G7).
pub(crate) async fn titled(ctx: &Arc<Ctx>, session: SessionId, title: &str) {
    let Some(name) = text::made_name(title) else { return };
    let named = ctx
        .write_saved(move |tx| {
            let state = tx.reader()?.session(session)?.state;
            if state.named_by == NamedBy::User || state.name.as_deref() == Some(&name) {
                return Ok(());
            }
            tx.name(session, &name, NamedBy::Agent, Some(state.named_seq)).map(|_| ())
        })
        .await;
    match named {
        Ok(()) | Err(WriteError::NameTaken { .. }) => {}
        Err(error) => tracing::warn!(%session, %error, "the agent's title could not be recorded"),
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

async fn finding(ctx: &Arc<Ctx>, new: NewFinding) {
    if let Err(error) = ctx.write_saved(move |tx| tx.finding_add(new.clone()).map(|_| ())).await {
        tracing::warn!(%error, "a finding could not be recorded");
    }
}

/// An update for a session that is not the bound one: kept as it came.
pub(crate) async fn stray(ctx: &Arc<Ctx>, session: SessionId, update: &Update) {
    let bytes = update.update.get().as_bytes().to_vec();
    finding(
        ctx,
        NewFinding {
            kind: "unknown_session_update".into(),
            severity: "warning".into(),
            session: Some(session),
            subject: raw(&json!({"agent_session": update.agent_session.as_str()})),
            detail: "The agent sent an update for a session that is not bound here. It is kept as it came and stands in no session."
                .into(),
            remedy: "Nothing needs to be done, unless an answer is missing somewhere.".into(),
            raw: Some(bytes),
        },
    )
    .await;
}

/// The agent printed something that is no message.
pub(crate) async fn garbage(ctx: &Arc<Ctx>, session: SessionId, line: &str, why: &str, bytes: u64, count: u64) {
    finding(
        ctx,
        NewFinding {
            kind: "agent_garbage".into(),
            severity: "info".into(),
            session: Some(session),
            subject: raw(&json!({"why": why, "bytes": bytes, "count": count})),
            detail: format!("The agent printed a line that is no protocol message ({count} so far). The conversation goes on without it."),
            remedy: "Report it to the agent's makers if an answer looks incomplete.".into(),
            raw: Some(line.as_bytes().to_vec()),
        },
    )
    .await;
}

/// The agent remembers another conversation.
pub(crate) async fn contradiction(ctx: &Arc<Ctx>, session: SessionId, detail: &str) {
    finding(
        ctx,
        NewFinding {
            kind: "agent_memory_contradicts".into(),
            severity: "warning".into(),
            session: Some(session),
            subject: raw(&json!({})),
            detail: format!("What the agent remembers is not this conversation: {detail} Nothing was sent to it."),
            remedy: "Continue with a hand-over: a new agent session is given this conversation.".into(),
            raw: None,
        },
    )
    .await;
}

/// An agent is about to be started. Only its mark is known yet.
pub(crate) async fn process_coming(ctx: &Arc<Ctx>, session: SessionId, mark: &str) -> Result<(), WriteError> {
    let (epoch, mark) = (ctx.journal.epoch(), mark.to_owned());
    let coming = gander_journal::AgentProcess { session, pid: 0, started: None, group: 0, mark, epoch };
    ctx.write_saved(move |tx| tx.agent_process_put(&coming)).await
}

pub(crate) async fn process_started(ctx: &Arc<Ctx>, session: SessionId, process: &AgentProcess) {
    let kept = gander_journal::AgentProcess {
        session,
        pid: process.pid,
        started: process.started.clone(),
        group: process.group,
        mark: process.mark.clone(),
        epoch: ctx.journal.epoch(),
    };
    if let Err(error) = ctx.write_saved(move |tx| tx.agent_process_put(&kept)).await {
        tracing::warn!(%session, %error, "an agent's process could not be recorded");
    }
}

pub(crate) async fn process_gone(ctx: &Arc<Ctx>, session: SessionId, mark: &str) {
    let mark = mark.to_owned();
    if let Err(error) = ctx.write_saved(move |tx| tx.agent_process_remove(&mark)).await {
        tracing::warn!(%session, %error, "an agent's end could not be recorded");
    }
}
