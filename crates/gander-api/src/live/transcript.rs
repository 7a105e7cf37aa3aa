//! What was said before, read from the journal: for comparing it with what an agent remembers, and for telling it to a
//! new agent session. The transcript is not the request: a tool call is told by its title, never replayed.

use std::collections::HashSet;
use std::sync::Arc;

use gander_acp::replay::Who;
use gander_journal::{Bounds, ReadError, Reader};
use gander_model::{Body, Entry, Kind, Seq, SessionId, TurnId, text};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::gander::Ctx;

/// Longest transcript that a new agent session is told: what is older is left out, and that is said.
const TOLD_MAX_BYTES: usize = 200 * 1024;
const PAGE: usize = 500;

/// Stands in what a new agent session is told, and so in what it remembers.
pub(crate) const MARK: &str = "<transcript>";

/// A prompt or message of the journal.
#[derive(Debug)]
pub(crate) struct Heard {
    pub who: Who,
    pub what: What,
    /// Its turn.
    pub turn: Option<TurnId>,
    /// Its turn did not end well, so the agent may lack it.
    pub may_lack: bool,
    /// It was found in the agent's own session.
    elsewhere: bool,
}

/// What was said.
#[derive(Debug)]
pub(crate) enum What {
    /// A prompt's content blocks.
    Prompt(Vec<Value>),
    /// A message's text.
    Message(String),
}

impl Heard {
    fn text(&self) -> String {
        match &self.what {
            What::Message(text) => text.clone(),
            What::Prompt(blocks) => {
                let text = |block: &Value| block.get("text").and_then(Value::as_str).map(str::to_owned);
                blocks.iter().filter_map(text).collect::<Vec<_>>().join("\n")
            }
        }
    }
}

/// A transcript to tell.
pub(crate) struct Told {
    pub text: String,
}

/// Walks back from an entry; `visit` says whether to go on.
fn back(
    reader: &Reader<'_>,
    session: SessionId,
    before: Seq,
    mut visit: impl FnMut(&Entry, &Body, Option<Vec<u8>>) -> bool,
) -> Result<(), ReadError> {
    let mut before = before;
    loop {
        let page = reader.entries(session, Bounds { after: None, before: Some(before), limit: PAGE })?;
        if let Some(damage) = page.damage {
            return Err(ReadError::Damaged { session, damage });
        }
        for view in page.entries.iter().rev() {
            let Some(stored) = &view.entry.body else { continue };
            let Ok(body) = Body::parse(&stored.bytes) else { continue };
            let wanted = [Kind::PROMPT, Kind::MESSAGE, Kind::TOOL_CALL, Kind::LINKED, Kind::TURN_ENDED];
            let data = if wanted.contains(&view.entry.header.kind) { reader.entry_data(&view.entry)? } else { None };
            if !visit(&view.entry, &body, data) {
                return Ok(());
            }
        }
        match page.entries.first() {
            Some(first) if page.more_before => before = first.entry.header.seq,
            _ => return Ok(()),
        }
    }
}

fn raw(data: Option<Vec<u8>>) -> Option<Box<RawValue>> {
    serde_json::from_slice(&data?).ok()
}

#[derive(Deserialize)]
struct Linked {
    agent_session_id: String,
    via: String,
}

#[derive(Deserialize)]
struct Prompt {
    content: Vec<Value>,
}

#[derive(Deserialize)]
struct Ended {
    state: String,
    #[serde(default)]
    stop_reason: Option<String>,
}

fn heard(kind: &Kind, data: Option<Vec<u8>>) -> Option<Heard> {
    let (who, what) = if *kind == Kind::PROMPT {
        let prompt: Prompt = serde_json::from_slice(&data?).ok()?;
        (Who::User, What::Prompt(prompt.content))
    } else if *kind == Kind::MESSAGE {
        (Who::Agent, What::Message(text::updates_text(&raw(data)?)))
    } else {
        return None;
    };
    Some(Heard { who, what, turn: None, may_lack: false, elsewhere: false })
}

/// What was said since this agent session was new, without the prompt at `before`.
pub(crate) fn since_link(
    reader: &Reader<'_>,
    session: SessionId,
    agent_session: &str,
    before: Seq,
) -> Result<Vec<Heard>, ReadError> {
    let mut found: Vec<Heard> = Vec::new();
    let mut first_turn = None;
    let mut ended_well: HashSet<TurnId> = HashSet::new();
    back(reader, session, before, |entry, body, data| {
        let kind = &entry.header.kind;
        if *kind == Kind::TURN_ENDED {
            let ended = data.and_then(|data| serde_json::from_slice::<Ended>(&data).ok());
            let well = |ended: &Ended| ended.state == "ended" && ended.stop_reason.as_deref() != Some("cancelled");
            if ended.as_ref().is_some_and(well) {
                ended_well.extend(body.turn);
            }
            return true;
        }
        if *kind == Kind::LINKED && first_turn.is_none() {
            let linked = data.and_then(|data| serde_json::from_slice::<Linked>(&data).ok());
            if linked.is_some_and(|linked| linked.agent_session_id == agent_session && linked.via == "new") {
                first_turn = body.turn;
                return first_turn.is_some();
            }
            return true;
        }
        // The binding stands behind the prompt that it was made for: that prompt is the first one that it knows.
        // What was found elsewhere has the turn that it follows, and begins none.
        let first = first_turn.is_some() && *kind == Kind::PROMPT && body.turn == first_turn && !body.elsewhere;
        if first_turn.is_none() || first {
            // Found elsewhere means that the agent has it, whatever its turn.
            let may_lack = !body.elsewhere && !body.turn.is_some_and(|turn| ended_well.contains(&turn));
            let (turn, elsewhere) = (body.turn, body.elsewhere);
            found.extend(heard(kind, data).map(|heard| Heard { turn, may_lack, elsewhere, ..heard }));
        }
        !first
    })?;
    found.reverse();
    Ok(as_the_agent_heard(found))
}

/// What was found elsewhere stands behind the prompt that was about to be sent when it was found; the agent had heard
/// it before that prompt.
fn as_the_agent_heard(journal: Vec<Heard>) -> Vec<Heard> {
    let mut heard = Vec::with_capacity(journal.len());
    let mut about_to_be_sent: Option<Heard> = None;
    for next in journal {
        if !next.elsewhere {
            heard.extend(about_to_be_sent.take());
        }
        if next.who == Who::User && !next.elsewhere {
            about_to_be_sent = Some(next);
        } else {
            heard.push(next);
        }
    }
    heard.extend(about_to_be_sent);
    heard
}

/// The conversation before a prompt, as text for a new agent session; `None` when there was none.
pub(crate) async fn before(ctx: &Arc<Ctx>, session: SessionId, prompt: Seq) -> Result<Option<Told>, ReadError> {
    ctx.read(move |reader| {
        let mut lines: Vec<String> = Vec::new();
        let mut bytes = 0;
        let mut cut = false;
        back(reader, session, prompt, |entry, body, data| {
            let kind = &entry.header.kind;
            let line = match heard(kind, data.clone()) {
                Some(heard) if heard.who == Who::User => format!("User: {}", heard.text()),
                Some(heard) if body.interrupted => format!("Assistant (cut off): {}", heard.text()),
                Some(heard) => format!("Assistant: {}", heard.text()),
                None if *kind == Kind::TOOL_CALL => match title(data) {
                    Some(title) => format!("Assistant used a tool: {title}"),
                    None => return true,
                },
                None => return true,
            };
            bytes += line.len();
            cut = bytes > TOLD_MAX_BYTES;
            if !cut {
                lines.push(line);
            }
            !cut
        })?;
        if lines.is_empty() && !cut {
            return Ok(None);
        }
        lines.reverse();
        let omitted = if cut { "(Earlier messages are left out.)\n\n" } else { "" };
        let text = format!(
            "This conversation goes on from an earlier one. What was said so far, for your information only:\n\n\
             {MARK}\n{omitted}{}\n</transcript>\n\nThe next message is the user's.",
            lines.join("\n\n")
        );
        Ok(Some(Told { text }))
    })
    .await
}

/// A tool call's title, the last that the agent gave it.
fn title(data: Option<Vec<u8>>) -> Option<String> {
    let updates: Vec<Value> = serde_json::from_slice(&data?).ok()?;
    updates.iter().rev().find_map(|update| update.get("title")?.as_str()).map(text::tidy)
}

/// What is known of a turn that was cut off.
pub(crate) struct CutOff {
    /// Its prompt's content.
    pub prompt: Vec<Value>,
    /// The end of what the agent had said.
    pub said: String,
}

/// Reads a turn that was cut off.
pub(crate) fn cut_off(
    reader: &Reader<'_>,
    session: SessionId,
    turn: TurnId,
    prompt: Seq,
    max_bytes: usize,
) -> Result<CutOff, ReadError> {
    #[derive(Deserialize)]
    struct Content {
        content: Vec<Value>,
    }
    let missing = || ReadError::NotFound { what: "prompt of turn", id: turn.to_string() };
    let entry = reader.entry(session, prompt)?.ok_or_else(missing)?;
    let data = reader.entry_data(&entry.entry)?.ok_or_else(missing)?;
    let content: Content = serde_json::from_slice(&data).map_err(|_| missing())?;
    let head = reader.session(session)?.state.head.seq;
    let mut parts: Vec<String> = Vec::new();
    let mut bytes = 0;
    back(reader, session, head.next(), |entry, body, data| {
        if entry.header.seq <= prompt {
            return false;
        }
        if body.turn == Some(turn)
            && let Some(What::Message(text)) = heard(&entry.header.kind, data).map(|heard| heard.what)
        {
            bytes += text.len();
            parts.push(text);
        }
        bytes < max_bytes
    })?;
    parts.reverse();
    let said = parts.join("\n\n");
    let from = said.len().saturating_sub(max_bytes);
    let from = (from..said.len()).find(|at| said.is_char_boundary(*at)).unwrap_or(said.len());
    Ok(CutOff { prompt: content.content, said: said[from..].to_owned() })
}
