//! A process that writes at random is killed in the middle, again and again: what it was told is saved is there,
//! exactly once and in its own session; what it only tried is there whole or not at all.
//!
//! The child prints a line before it tries and one after it was acknowledged. Every text carries a token of its own,
//! so each can be looked for everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use gander_journal::{Bounds, Draft, ItemPart, Journal, OpenError, Options, Random, TurnPhase, WhenBusy};
use gander_model::{Body, Kind, Seq, SessionId, WindowId, chain::Walk};
use serde::{Deserialize, Serialize};

use crate::support::{Seeded, chunk, ended, json, open, send, turn_id};

/// What a line tells of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Op {
    Window { window: WindowId, session: SessionId },
    Show { window: WindowId, session: SessionId, n: u64 },
    Prompt { session: SessionId, token: String },
    Queue { session: SessionId, token: String },
    Part { session: SessionId, token: String },
    Draft { window: WindowId, session: SessionId, rev: u64, token: String },
    Name { session: SessionId, n: u64, token: String },
    End { session: SessionId, token: String },
}

const CHILD: &str = "GANDER_TEST_CRASH_CHILD";
const THREADS: u64 = 3;
const ROUNDS: u64 = 6;

fn say(what: &str, op: &Op) {
    let line = format!("{what} {}\n", serde_json::to_string(op).unwrap());
    let mut out = std::io::stdout().lock();
    // The parent may be gone already; then nobody counts any more.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

fn pick(random: &Seeded, n: u64) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    u64::from_le_bytes(bytes) % n
}

/// One thread of the child: a window and a session of its own, and random work on them until it is killed.
fn work(journal: &Journal, round: u64, thread: u64, random: &Seeded) {
    let base = (round * 10 + thread) * 100_000;
    let token = |n: u64| format!("token-{}-", base + n);
    let (window, session) = journal.write_blocking(|tx| tx.open_window_new("scratch", "/tmp")).unwrap();
    say("ack", &Op::Window { window, session });
    let attempt = |op: Op, run: &dyn Fn()| {
        say("try", &op);
        run();
        say("ack", &op);
    };
    let mut running = None;
    for n in 1.. {
        let token = token(n);
        match (pick(random, 8), running) {
            (0, None) => {
                let prompt = send(session, turn_id(base + n), &token);
                running = Some(base + n);
                attempt(Op::Prompt { session, token }, &|| {
                    let prompt = prompt.clone();
                    journal.write_blocking(move |tx| tx.send(&prompt)).unwrap();
                });
            }
            (0, Some(_)) => {
                let prompt =
                    gander_journal::Send { when_busy: WhenBusy::Queue, ..send(session, turn_id(base + n), &token) };
                attempt(Op::Queue { session, token }, &|| {
                    let prompt = prompt.clone();
                    journal.write_blocking(move |tx| tx.send(&prompt)).unwrap();
                });
            }
            (1, Some(turn)) => {
                attempt(Op::End { session, token }, &|| {
                    journal
                        .write_blocking(move |tx| {
                            tx.end_turn(session, turn_id(turn), TurnPhase::Ended, &ended())?;
                            Ok(())
                        })
                        .unwrap();
                });
                let next = journal.write_blocking(move |tx| tx.start_queued(session)).unwrap();
                running = next.map(|(turn, _)| u64::from_be_bytes(turn.as_bytes()[8..].try_into().unwrap()));
            }
            (2, _) => attempt(Op::Draft { window, session, rev: n, token: token.clone() }, &|| {
                let text = token.clone();
                let draft = Draft { window, session, rev: n, text, attachments: json("[]") };
                journal.write_blocking(move |tx| tx.save_draft(draft)).unwrap();
            }),
            (3, _) => attempt(Op::Name { session, n, token: token.clone() }, &|| {
                let name = token.clone();
                journal.write_blocking(move |tx| tx.name(session, &name, gander_model::NamedBy::User, None)).unwrap();
            }),
            (_, Some(turn)) => {
                let update = chunk(&token);
                // A few items a turn, so that some are open and some are closed.
                let item = gander_model::ItemId::from_parts(turn as i64, &[(n / 10 % 3) as u8; 10]);
                attempt(Op::Part { session, token }, &|| {
                    let update = update.clone();
                    journal
                        .write_blocking(move |tx| {
                            let kind = Kind::MESSAGE;
                            let turn = Some(turn_id(turn));
                            tx.item_append(&ItemPart { session, turn, item, kind, updates: &[&update] })
                        })
                        .unwrap();
                });
            }
            (_, None) => {}
        }
    }
}

fn child(dir: &Path, seed: u64, round: u64) {
    let journal = Journal::open(dir, Options { random: Arc::new(Seeded::new(seed)), ..Options::default() }).unwrap();
    journal.recover().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let journal = &journal;
            scope.spawn(move || work(journal, round, thread, &Seeded::new(seed ^ (thread + 1))));
        }
    });
}

#[derive(Default)]
struct Told {
    tried: BTreeSet<Op>,
    acknowledged: BTreeSet<Op>,
}

/// Runs a child and kills it after so many lines.
fn run_and_kill(dir: &Path, seed: u64, round: u64, lines: u64, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crashes::g01_what_was_acknowledged_survives_sigkill", "--exact", "--nocapture"])
        .env(CHILD, format!("{seed} {round} {}", dir.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The first line may follow the test runner's own words.
        let (word, op) = match line.find("try {").or_else(|| line.find("ack {")) {
            Some(at) => line[at..].split_at(4),
            None => continue,
        };
        let Ok(op) = serde_json::from_str::<Op>(op) else { panic!("torn line {line:?}") };
        if word == "ack " {
            told.acknowledged.insert(op)
        } else {
            told.tried.insert(op)
        };
        seen += 1;
        if seen == lines {
            // G8, between two real processes: refused, and told by whom.
            let refused = Journal::open(dir, Options::default()).err();
            let held_by = format!("process {}, gander", child.id());
            assert!(
                matches!(&refused, Some(OpenError::Held { holder, .. }) if holder.starts_with(&held_by)),
                "{refused:?}"
            );
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= lines, "the child ended by itself after {seen} lines");
}

/// All that a session says now, by where it says it.
#[derive(Default)]
struct Said {
    prompts: String,
    messages: String,
    queue: String,
}

fn said(journal: &Journal, session: SessionId) -> Said {
    let mut said = Said::default();
    let mut walk = Walk::from_start();
    let mut after = Some(Seq(0));
    while after.is_some() {
        let page = journal.read(|r| r.entries(session, Bounds { after, limit: 500, ..Bounds::default() })).unwrap();
        assert_eq!(page.damage, None);
        for view in &page.entries {
            walk.step(&view.entry.header).unwrap();
            let bytes = &view.entry.body.as_ref().unwrap().bytes;
            Body::parse(bytes).unwrap();
            let text = String::from_utf8(bytes.clone()).unwrap();
            if view.entry.header.kind == Kind::PROMPT {
                said.prompts += &text;
            } else if view.entry.header.kind == Kind::MESSAGE {
                said.messages += &text;
            }
        }
        after = page.entries.last().map(|view| view.entry.header.seq).filter(|_| page.more_after);
    }
    let head = journal.read(|r| r.head(session)).unwrap().unwrap();
    walk.finish(head).unwrap();
    for open in journal.read(|r| r.open_items(session)).unwrap() {
        said.messages += open.data.get();
    }
    for item in journal.read(|r| r.queue(session)).unwrap().items {
        said.queue += item.content.get();
    }
    said
}

fn check(journal: &Journal, told: &Told) {
    let mut sessions: BTreeMap<SessionId, Said> = BTreeMap::new();
    for (session, _) in journal.read(|r| r.heads()).unwrap() {
        sessions.insert(session, said(journal, session));
    }
    let everywhere = |token: &str| -> Vec<(SessionId, &str, usize)> {
        let places = sessions.iter().flat_map(|(session, said)| {
            [("prompt", &said.prompts), ("message", &said.messages), ("queue", &said.queue)]
                .map(|(place, text)| (*session, place, text.matches(token).count()))
        });
        places.filter(|(_, _, count)| *count > 0).collect()
    };
    let once = |op: &Op, session: SessionId, token: &str, places: &[&str]| {
        let found = everywhere(token);
        let acknowledged = told.acknowledged.contains(op);
        assert!(found.len() <= 1 && (!acknowledged || found.len() == 1), "{op:?} is found at {found:?}");
        for (at, place, count) in found {
            assert!(at == session && count == 1 && places.contains(&place), "{op:?} is found at {at} {place} {count}");
        }
    };
    for op in told.tried.union(&told.acknowledged) {
        match op {
            Op::Window { window, session } => {
                assert_eq!(journal.read(|r| r.window(*window)).unwrap().session, *session);
            }
            Op::Prompt { session, token } => once(op, *session, token, &["prompt"]),
            Op::Queue { session, token } => once(op, *session, token, &["prompt", "queue"]),
            Op::Part { session, token } => once(op, *session, token, &["message"]),
            Op::Draft { window, session, rev, token } => {
                let kept = journal.read(|r| r.draft(*window, *session)).unwrap();
                let kept_rev = kept.as_ref().map_or(0, |kept| kept.rev);
                assert!(!told.acknowledged.contains(op) || kept_rev >= *rev, "{op:?}: kept is {kept:?}");
                assert!(kept_rev != *rev || kept.is_some_and(|kept| kept.text == *token), "{op:?}");
            }
            Op::Name { session, n, token } => {
                let name = journal.read(|r| r.session(*session)).unwrap().state.name.unwrap_or_default();
                let kept: u64 = name.strip_prefix("token-").map_or(0, |t| t.trim_end_matches('-').parse().unwrap());
                assert!(!told.acknowledged.contains(op) || kept % 100_000 >= *n, "{op:?}: it is called {name}");
                assert!(kept % 100_000 != *n || name == *token, "{op:?}");
            }
            Op::Show { .. } | Op::End { .. } => {}
        }
    }
}

#[test]
fn g01_what_was_acknowledged_survives_sigkill() {
    if let Ok(given) = std::env::var(CHILD) {
        let (seed, rest) = given.split_once(' ').unwrap();
        let (round, dir) = rest.split_once(' ').unwrap();
        child(Path::new(dir), seed.parse().unwrap(), round.parse().unwrap());
        return;
    }
    let seed = match std::env::var("GANDER_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => {
            let mut bytes = [0; 8];
            gander_journal::SystemRandom.fill(&mut bytes);
            u64::from_le_bytes(bytes)
        }
    };
    println!("GANDER_TEST_SEED={seed}");
    let random = Seeded::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    for round in 0..ROUNDS {
        let lines = THREADS + pick(&random, 400);
        run_and_kill(dir.path(), seed.wrapping_add(round), round, lines, &mut told);
        // Before and after what the crash left is settled, and settled twice.
        let journal = open(dir.path());
        assert!(journal.was_unclean());
        // The witness is never ahead of what a crash leaves, and nothing that a crash leaves is taken for damage.
        let findings = journal.read(|r| r.findings(9)).unwrap();
        assert!(findings.is_empty(), "{findings:?}");
        check(&journal, &told);
        if pick(&random, 2) == 0 {
            journal.recover().unwrap();
            let root = journal.read(|r| r.root()).unwrap();
            check(&journal, &told);
            assert_eq!(journal.recover().unwrap().interrupted, []);
            assert_eq!(journal.read(|r| r.root()).unwrap(), root);
        }
    }
    assert!(told.acknowledged.len() > 50);
    let report = open(dir.path()).verify(|_, _| {}, || false).unwrap();
    assert!(report.ok && report.audit.balances(), "{report:?}");
}
