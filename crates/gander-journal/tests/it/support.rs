//! A journal whose clock and randomness belong to the test.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use gander_journal::{
    Clock, Journal, NewSession, Options, Random, Saving, Send, TurnEnd, TurnPhase, WhenBusy, WriteError,
};
use gander_model::{Head, Kind, SessionId, TurnId, WindowId};
use serde_json::value::RawValue;
use tempfile::TempDir;

/// Counts up by one at each look.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn new(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A small generator with a seed (splitmix64).
pub struct Seeded(AtomicU64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn coin(&self) -> bool {
        self.next().is_multiple_of(2)
    }
}

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

pub fn options(seed: u64) -> Options {
    Options {
        clock: Arc::new(TestClock(AtomicI64::new(1_700_000_000_000))),
        random: Arc::new(Seeded::new(seed)),
        ..Options::default()
    }
}

pub struct Bench {
    pub dir: TempDir,
    pub journal: Journal,
}

/// A new journal in a folder of its own.
pub fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    Bench { dir, journal }
}

/// Opens a journal, each time with other randomness: two openings must not make the same ids.
pub fn open(dir: &Path) -> Journal {
    static OPENED: AtomicU64 = AtomicU64::new(1);
    Journal::open(dir, options(OPENED.fetch_add(1, Ordering::Relaxed))).unwrap()
}

pub fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

pub fn text_content(text: &str) -> Box<RawValue> {
    json(&serde_json::json!([{ "text": text, "type": "text" }]).to_string())
}

pub fn chunk(text: &str) -> Box<RawValue> {
    let update = serde_json::json!({
        "content": { "text": text, "type": "text" }, "sessionUpdate": "agent_message_chunk"
    });
    json(&update.to_string())
}

pub fn turn_id(n: u64) -> TurnId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    TurnId::from_bytes(bytes)
}

pub fn new_session() -> NewSession {
    NewSession { window: None, agent: "scratch".into(), cwd: "/tmp".into() }
}

/// A send from no window, against the head that it finds.
pub fn send(session: SessionId, turn: TurnId, text: &str) -> Send {
    Send {
        session,
        turn,
        window: None,
        draft_rev: None,
        expected_head: None,
        content: text_content(text),
        when_busy: WhenBusy::Refuse,
        continues: None,
    }
}

impl Bench {
    pub fn write<T: std::marker::Send + 'static>(
        &self,
        closure: impl FnOnce(&mut gander_journal::Tx<'_>) -> Result<T, WriteError> + std::marker::Send + 'static,
    ) -> T {
        self.journal.write_blocking(closure).unwrap()
    }

    pub fn fails<T: std::marker::Send + std::fmt::Debug + 'static>(
        &self,
        closure: impl FnOnce(&mut gander_journal::Tx<'_>) -> Result<T, WriteError> + std::marker::Send + 'static,
    ) -> WriteError {
        self.journal.write_blocking(closure).unwrap_err()
    }

    pub fn session(&self) -> SessionId {
        self.write(|tx| tx.create_session(new_session()))
    }

    pub fn window(&self) -> (WindowId, SessionId) {
        self.write(|tx| tx.open_window_new("scratch", "/tmp"))
    }

    pub fn send(&self, send: Send) -> gander_journal::Sent {
        self.write(move |tx| tx.send(&send))
    }

    /// A whole turn: prompt, one message, its end.
    pub fn turn(&self, session: SessionId, n: u64, prompt: &str, answer: &str) {
        self.send(send(session, turn_id(n), prompt));
        let answer = answer.to_owned();
        self.write(move |tx| {
            tx.turn_state(session, turn_id(n), TurnPhase::Running)?;
            let item = tx.new_item_id();
            let update = chunk(&answer);
            tx.item_append(&gander_journal::ItemPart {
                session,
                turn: Some(turn_id(n)),
                item,
                kind: Kind::MESSAGE,
                updates: &[&update],
            })?;
            tx.end_turn(session, turn_id(n), TurnPhase::Ended, &ended())
        });
    }

    pub fn head(&self, session: SessionId) -> Head {
        self.journal.read(|r| r.head(session)).unwrap().unwrap()
    }

    /// Every entry of a session as `seq kind by data`, verified.
    pub fn transcript(&self, session: SessionId) -> String {
        transcript(&self.journal, session)
    }

    /// Closes the journal and opens it again.
    pub fn reopen(self) -> Bench {
        let Bench { dir, journal } = self;
        drop(journal);
        let journal = open(dir.path());
        Bench { dir, journal }
    }
}

pub fn ended() -> TurnEnd {
    TurnEnd { stop_reason: Some("end_turn".into()), ..TurnEnd::default() }
}

pub fn transcript(journal: &Journal, session: SessionId) -> String {
    let page =
        journal.read(|r| r.entries(session, gander_journal::Bounds { limit: 500, ..Default::default() })).unwrap();
    assert_eq!(page.damage, None);
    let mut out = String::new();
    for view in page.entries {
        let header = &view.entry.header;
        let owner = if header.session_id == session { "" } else { "^" };
        out += &format!("{owner}{} {}", header.seq, header.kind);
        match &view.entry.body {
            None if view.erased => out += " (erased)",
            None => out += " (damaged)",
            Some(body) => {
                let body = gander_model::Body::parse(&body.bytes).unwrap();
                for (flag, set) in
                    [("interrupted", body.interrupted), ("late", body.late), ("elsewhere", body.elsewhere)]
                {
                    if set {
                        out += &format!(" [{flag}]");
                    }
                }
                match body.data {
                    gander_model::Data::Inline(data) => out += &format!(" {}", data.get()),
                    gander_model::Data::Ref(large) => out += &format!(" ({} bytes beside)", large.bytes),
                    gander_model::Data::None => {}
                }
            }
        }
        out.push('\n');
    }
    out
}

/// Does what nothing may do: the triggers that guard the database are away meanwhile.
pub fn tamper<T>(dir: &Path, work: impl FnOnce(&rusqlite::Connection) -> T) -> T {
    let conn = rusqlite::Connection::open(dir.join("journal.db")).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let triggers: Vec<(String, String)> = conn
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    triggers.iter().for_each(|(name, _)| conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    let done = work(&conn);
    triggers.iter().for_each(|(_, sql)| conn.execute_batch(sql).unwrap());
    done
}

/// Waits until whether the journal saves is as wanted.
pub fn wait_until(journal: &Journal, wanted: impl FnMut(&Saving) -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(journal.status().wait_for(wanted)).unwrap();
}

/// Waits for something that another thread does.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !holds() {
        assert!(started.elapsed().as_secs() < 60, "waited in vain for {what}");
        std::thread::yield_now();
    }
}
