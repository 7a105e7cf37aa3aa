//! Comparing what an agent remembers of a session (its replay of `session/load`) with what the journal holds. Pure.
//!
//! Agents cut their messages differently from one run to the next, so it is turns that are compared: a prompt's text,
//! and all that the agent said until the next prompt, without regard to white space, nor to what stood where a character
//! had to be replaced. What an interrupted turn left may be missing from the agent's memory: agents lose partial answers
//! when they are killed.

use std::collections::HashSet;
use std::ops::Range;

use crate::alike::{Alike, alike};
use crate::{Update, UpdateKind};

/// What `session/load` replayed, in order.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// All updates, as received.
    pub updates: Vec<Update>,
    /// The answer to `session/load`, as received (modes, configuration options).
    pub raw: Option<Box<serde_json::value::RawValue>>,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A prompt.
    User,
    /// A message of the agent.
    Agent,
}

/// A prompt's or a message's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whose it is.
    pub who: Who,
    /// The text; empty for what has none, such as a picture.
    pub text: String,
    /// The agent may lack it: it belongs to a turn that was interrupted, cancelled or never sent. Only the journal says so.
    pub may_lack: bool,
}

/// What the comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// The agent remembers what the journal holds.
    Same,
    /// The agent lacks the end of it, and all of that is what it may lack. Continue supplies it.
    MissingTail,
    /// The agent has more than the journal: to be appended, marked as from elsewhere.
    ExtraTail(Vec<Extra>),
    /// They are not the same conversation, or the agent lost what it had finished. Nothing may be sent.
    Contradiction(String),
}

/// Something that only the agent has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// Whose it is.
    pub who: Who,
    /// The text that the journal lacks: all of the item's, or its rest.
    pub text: String,
    /// The item's place in what was compared.
    pub item: usize,
    /// The journal lacks all of the item, so that its updates can be appended as they are.
    pub whole: bool,
}

impl Replay {
    /// The prompts and messages of the replay, each with the updates that make it up: neighbours of one kind and message id.
    pub fn said(&self) -> Vec<(Said, Range<usize>)> {
        let mut said: Vec<(Said, Range<usize>)> = Vec::new();
        let mut last = None;
        for (at, update) in self.updates.iter().enumerate() {
            let who = match update.kind {
                UpdateKind::UserMessage => Who::User,
                UpdateKind::Message => Who::Agent,
                _ => {
                    last = None;
                    continue;
                }
            };
            let text = update.text().unwrap_or_default();
            let this = Some((who, update.item_key.clone()));
            match said.last_mut() {
                Some((item, updates)) if this == last => {
                    item.text.push_str(&text);
                    updates.end = at + 1;
                }
                _ => said.push((Said { who, text, may_lack: false }, at..at + 1)),
            }
            last = this;
        }
        said
    }
}

/// A prompt of the journal and what was said until the next one, without white space.
struct Turn {
    /// `None` for what was said before any prompt.
    prompt: Option<String>,
    answer: String,
    may_lack: bool,
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn turns(journal: &[Said]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for item in journal {
        if item.who == Who::User || turns.is_empty() {
            let prompt = (item.who == Who::User).then(|| bare(&item.text));
            turns.push(Turn { prompt, answer: String::new(), may_lack: false });
        }
        if let Some(turn) = turns.last_mut() {
            turn.may_lack |= item.may_lack;
            if item.who == Who::Agent {
                turn.answer.push_str(&bare(&item.text));
            }
        }
    }
    turns
}

/// Where the comparison stands: turns of the journal and items of the replay that are accounted for.
#[derive(Clone)]
struct At {
    turn: usize,
    item: usize,
    /// How many characters of that item are accounted for: agents join prompts that got no answer.
    offset: usize,
    matched: bool,
    /// The agent lacks something of the turn before.
    lacks: bool,
    /// It has more of that turn's answer: where the answer begins, and how many characters of it are known.
    more: Option<(usize, usize)>,
}

/// Compares what the journal holds (one item per prompt) with what the agent replayed, both in order.
///
/// A turn that the agent may lack is looked for first and passed over if that leads nowhere: a prompt that was sent
/// again stands in the journal twice, and in the agent's memory once or twice.
pub fn compare(journal: &[Said], replay: &[Said]) -> Compared {
    let ours = turns(journal);
    let mut open = vec![At { turn: 0, item: 0, offset: 0, matched: false, lacks: false, more: None }];
    let mut seen = HashSet::new();
    let mut furthest: Option<(usize, String)> = None;
    while let Some(at) = open.pop() {
        if !seen.insert((at.turn, at.item, at.offset, at.lacks, at.more)) {
            continue;
        }
        let why = match ours.get(at.turn) {
            None => match finish(&ours, replay, &at) {
                Ok(compared) => return compared,
                Err(why) => why,
            },
            Some(turn) => {
                if turn.may_lack {
                    open.push(At { turn: at.turn + 1, lacks: true, more: None, ..at.clone() });
                }
                match step(&ours, replay, &at, turn) {
                    // Taken up next, before the passing over.
                    Ok(next) => {
                        open.push(next);
                        continue;
                    }
                    Err(why) => why,
                }
            }
        };
        if furthest.as_ref().is_none_or(|(turn, _)| at.turn > *turn) {
            furthest = Some((at.turn, why));
        }
    }
    Compared::Contradiction(furthest.map(|(_, why)| why).unwrap_or_default())
}

/// Finds one turn of the journal at a place of the replay.
fn step(ours: &[Turn], replay: &[Said], at: &At, turn: &Turn) -> Result<At, String> {
    let number = at.turn + 1;
    let (begin, offset) = match &turn.prompt {
        None => (at.item, at.offset),
        Some(_) if at.item >= replay.len() => {
            return Err(format!("the agent does not remember turn {number}, which was finished"));
        }
        Some(prompt) => end_of_prompt(replay, at.item, at.offset, prompt)
            .ok_or_else(|| format!("turn {number} has another prompt in the agent's memory"))?,
    };
    // In the middle of an item the next prompt follows at once: there was no answer.
    let answer = if offset > 0 { 0 } else { replay[begin..].iter().take_while(|item| item.who == Who::Agent).count() };
    let end = begin + answer;
    let theirs: String = replay[begin..end].iter().map(|item| bare(&item.text)).collect();
    let last = at.turn + 1 == ours.len();
    let next = At { turn: at.turn + 1, item: end, offset, matched: true, lacks: false, more: None };
    match alike(&turn.answer, &theirs) {
        Alike::Same => Ok(next),
        Alike::Shorter if turn.may_lack => Ok(At { lacks: true, ..next }),
        Alike::Longer(known) if last => Ok(At { item: begin, more: Some((begin, known)), ..next }),
        // What it said more was of no use any more when the next prompt was sent.
        Alike::Longer(_) if turn.may_lack => Ok(next),
        _ => Err(format!("the answer of turn {number} is another one in the agent's memory")),
    }
}

/// Where a prompt ends that begins `offset` characters into an item: the item behind it, or a place in one. The agent may replay a
/// prompt in several pieces, and prompts without an answer between them as one.
fn end_of_prompt(replay: &[Said], begin: usize, offset: usize, prompt: &str) -> Option<(usize, usize)> {
    let mut rest = prompt;
    for (at, item) in replay.iter().enumerate().skip(begin) {
        if item.who != Who::User {
            return None;
        }
        let skipped = if at == begin { offset } else { 0 };
        let text: String = bare(&item.text).chars().skip(skipped).collect();
        if let Some(behind) = text.strip_prefix(rest).filter(|behind| !behind.is_empty()) {
            return Some((at, skipped + text[..text.len() - behind.len()].chars().count()))
                .filter(|_| !rest.is_empty());
        }
        rest = rest.strip_prefix(text.as_str())?;
        if rest.is_empty() {
            return Some((at + 1, 0));
        }
    }
    None
}

/// The journal is accounted for: what is left of the replay?
fn finish(ours: &[Turn], replay: &[Said], at: &At) -> Result<Compared, String> {
    if at.item >= replay.len() {
        return Ok(if at.lacks { Compared::MissingTail } else { Compared::Same });
    }
    // A prompt that only begins like ours is another one.
    if at.offset > 0 {
        return Err(format!("turn {} has another prompt in the agent's memory", ours.len()));
    }
    // Without anything in common it is somebody else's conversation, and not the rest of this one.
    if !at.matched && !ours.is_empty() {
        return Err("nothing of this session is in the agent's memory, but another conversation is".to_owned());
    }
    let mut known = at.more.map_or(0, |(_, known)| known);
    let mut extra = Vec::new();
    for (item, said) in replay.iter().enumerate().skip(at.item) {
        let length = bare(&said.text).chars().count();
        if known > 0 && known >= length {
            known -= length;
            continue;
        }
        let behind = |(at, _): (usize, char)| said.text[at..].to_owned();
        let rest = said.text.char_indices().filter(|(_, c)| !c.is_whitespace()).nth(known).map(behind);
        let text = if known == 0 { said.text.clone() } else { rest.unwrap_or_default() };
        extra.push(Extra { who: said.who, text, item, whole: known == 0 });
        known = 0;
    }
    Ok(Compared::ExtraTail(extra))
}
