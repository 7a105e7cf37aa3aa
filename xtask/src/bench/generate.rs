//! A journal as somebody has it after years: 10,000 sessions, a million entries, one session of 33,000.

use std::path::Path;
use std::time::Instant;

use gander_journal::{Journal, NewSession, Options, Tx, WriteError};
use gander_model::{Body, By, Kind, NamedBy, SessionId};
use serde_json::json;

use super::Result;

pub const SESSIONS: u64 = 10_000;
pub const ENTRIES: u64 = 1_000_000;
/// The entries of the one long session, which is the first.
pub const LONG: u64 = 33_000;

const WORDS: &[&str] = &[
    "anchor", "binary", "cursor", "daemon", "entry", "feather", "goose", "header", "index", "journal", "kernel",
    "ledger", "mirror", "needle", "offset", "packet", "quorum", "rename", "schema", "thread", "update", "vector",
    "window", "xylem", "yarrow", "zephyr", "branch", "commit", "draft", "escape", "folder", "glacier", "harbour",
    "island", "jacket", "kettle", "lantern", "meadow", "novel", "orchard",
];

/// A small generator with a seed (splitmix64), so that every run has the same journal.
pub struct Seeded(pub u64);

impl Seeded {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// A text of so many words, and now and then a rare one.
    pub fn text(&mut self, words: u64) -> String {
        let mut text = String::new();
        for _ in 0..words {
            if self.below(400) == 0 {
                text.push_str(&format!("rare{} ", self.below(5_000)));
            }
            text.push_str(WORDS[self.below(WORDS.len() as u64) as usize]);
            text.push(' ');
        }
        text
    }
}

/// Fills `dir`; every session has turns of a prompt, two messages and an end.
pub fn generate(dir: &Path) -> Result<()> {
    let started = Instant::now();
    let journal = Journal::open(dir, Options::default())?;
    let mut random = Seeded(7);
    let mut written = 0;
    for n in 0..SESSIONS {
        let rest = (ENTRIES - LONG).div_ceil(SESSIONS - 1);
        let entries = if n == 0 { LONG } else { rest };
        written += entries;
        let name = format!("{} {n}", random.text(3).trim_end());
        let texts: Vec<String> = (3..entries).map(|i| random.text(if i % 4 == 0 { 12 } else { 40 })).collect();
        journal.write_blocking(move |tx| {
            let session =
                tx.create_session(NewSession { window: None, agent: "scratch".into(), cwd: "/tmp".into() })?;
            tx.name(session, &name, NamedBy::User, None)?;
            texts.iter().enumerate().try_for_each(|(i, text)| append(tx, session, i, text))
        })?;
        if n % 500 == 0 {
            eprintln!("  {n} sessions, {written} entries, {:.0} s", started.elapsed().as_secs_f64());
        }
    }
    eprintln!("  {written} entries in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// One more entry of the kind that comes at this place of a turn.
pub fn append(tx: &mut Tx<'_>, session: SessionId, place: usize, text: &str) -> std::result::Result<(), WriteError> {
    let (kind, by, data) = match place % 4 {
        0 => (Kind::PROMPT, By::User, json!({ "content": [{ "type": "text", "text": text }] })),
        3 => (Kind::TURN_ENDED, By::Gander, json!({ "state": "ended", "stop_reason": "end_turn" })),
        _ => (
            Kind::MESSAGE,
            By::Agent,
            json!([{ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": text } }]),
        ),
    };
    let body = Body::with(by, &data).map_err(|error| WriteError::Invalid(error.to_string()))?;
    tx.append(session, kind, body)?;
    Ok(())
}
