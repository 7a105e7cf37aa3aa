//! Every released format keeps a journal in `tests/fixtures`, opened by every later version.
//!
//! The one of the current format is made by `GANDER_WRITE_FIXTURES=1 cargo nextest run -p gander-journal fixture`, and
//! never again once that format was released: from then on a change of the tables is a migration.

use std::fs;
use std::path::{Path, PathBuf};

use gander_journal::{Draft, Journal, Options, Send, WhenBusy};
use gander_model::{Body, By, Kind, Seq, Status};
use insta::assert_snapshot;
use rusqlite::Connection;
use serde_json::json;

use crate::support::{self, Bench, bench, send, transcript, turn_id};

pub fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}/journal.db"))
}

/// A journal with something of everything.
fn everything() -> Bench {
    let bench = bench();
    let (window, session) = bench.window();
    bench.turn(session, 1, "Where do geese go in winter?", "South, mostly.");
    let large = Body::with(By::Gander, &json!({ "text": "a long flight ".repeat(6_000) })).unwrap();
    bench.write(move |tx| tx.append(session, Kind::NOTE, large));
    bench.turn(session, 2, "My password is swordfish", "Noted.");
    bench.write(move |tx| tx.redact(session, Seq(8)));
    let fork = bench.write(move |tx| tx.fork(session, Seq(7), None));
    bench.turn(fork, 3, "And in summer?", "They come back.");
    bench.write(move |tx| tx.set_status(fork, Status::Archived));
    let other = bench.window().1;
    bench.send(send(other, turn_id(4), "Still running"));
    bench.send(Send { when_busy: WhenBusy::Queue, ..send(other, turn_id(5), "Waiting") });
    let draft = Draft { window, session, rev: 1, text: "unsent".to_owned(), attachments: support::json("[]") };
    bench.write(move |tx| tx.save_draft(draft));
    let unknown = Body::with(By::Other("someone".to_owned()), &json!({ "of": "a later version" })).unwrap();
    bench.write(move |tx| tx.append(session, Kind::new("unheard_of"), unknown));
    bench
}

pub fn schema(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let mut query =
        conn.prepare("SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1").unwrap();
    let rows = query.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn the_fixture_of_format_1_opens_verifies_and_says_what_it_said() {
    let path = fixture(1);
    if std::env::var_os("GANDER_WRITE_FIXTURES").is_some() && gander_journal::FORMAT == 1 {
        let Bench { dir, journal } = everything();
        drop(journal);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        let conn = Connection::open(dir.path().join("journal.db")).unwrap();
        conn.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    fs::copy(&path, dir.path().join("journal.db")).unwrap();
    let journal = Journal::open(dir.path(), Options::default()).unwrap();
    assert_eq!(journal.read_only(), None);
    let report = journal.verify(|_, _| {}, || false).unwrap();
    assert!(report.ok && report.complete, "{:?}", report.findings);
    let sessions = journal.read(|r| r.heads()).unwrap();
    let all: Vec<String> = sessions.iter().map(|(session, _)| transcript(&journal, *session)).collect();
    let mut all = all.join("\n");
    for (n, (session, head)) in sessions.iter().enumerate() {
        all = all.replace(&session.to_string(), &format!("SESSION{n}")).replace(&head.hash.to_string(), "HEAD");
    }
    let ids = without_ids(&all);
    assert_snapshot!(ids, @r#"
    1 created {"window_id":"ID"}
    2 configured {"agent":"scratch","cwd":"/tmp"}
    3 prompt {"content":[{"text":"Where do geese go in winter?","type":"text"}]}
    4 named {"after":0,"name":"Where do geese go in winter?","named_by":"auto"}
    5 message [{"content":{"text":"South, mostly.","type":"text"},"sessionUpdate":"agent_message_chunk"}]
    6 turn_ended {"state":"ended","stop_reason":"end_turn"}
    7 note (84011 bytes beside)
    8 prompt (erased)
    9 message [{"content":{"text":"Noted.","type":"text"},"sessionUpdate":"agent_message_chunk"}]
    10 turn_ended {"state":"ended","stop_reason":"end_turn"}
    11 redacted {"erased":[{"body_hash":"ID","seq":8,"session_id":"SESSION0"}],"why":"redact"}
    12 unheard_of {"of":"a later version"}

    ^1 created {"window_id":"ID"}
    ^2 configured {"agent":"scratch","cwd":"/tmp"}
    ^3 prompt {"content":[{"text":"Where do geese go in winter?","type":"text"}]}
    ^4 named {"after":0,"name":"Where do geese go in winter?","named_by":"auto"}
    ^5 message [{"content":{"text":"South, mostly.","type":"text"},"sessionUpdate":"agent_message_chunk"}]
    ^6 turn_ended {"state":"ended","stop_reason":"end_turn"}
    ^7 note (84011 bytes beside)
    8 forked {"session_id":"SESSION0","seq":7,"hash":"ID"}
    9 configured {"agent":"scratch","cwd":"/tmp"}
    10 named {"after":0,"name":"Where do geese go in winter? (fork)","named_by":"auto"}
    11 prompt {"content":[{"text":"And in summer?","type":"text"}]}
    12 message [{"content":{"text":"They come back.","type":"text"},"sessionUpdate":"agent_message_chunk"}]
    13 turn_ended {"state":"ended","stop_reason":"end_turn"}
    14 status {"status":"archived"}

    1 created {"window_id":"ID"}
    2 configured {"agent":"scratch","cwd":"/tmp"}
    3 prompt {"content":[{"text":"Still running","type":"text"}]}
    4 named {"after":0,"name":"Still running","named_by":"auto"}
    "#);
    let queue = journal.read(|r| r.queue(sessions[2].0)).unwrap();
    assert_eq!(queue.items.len() + journal.read(|r| r.queue(sessions[1].0)).unwrap().items.len(), 1);
    let recovered = journal.recover().unwrap();
    assert_eq!((recovered.interrupted.len(), recovered.held.len()), (1, 1));
    let texts: Vec<String> =
        journal.read(|r| r.windows()).unwrap().into_iter().filter_map(|w| w.draft).map(|d| d.text).collect();
    assert_eq!(texts, ["unsent"]);
}

#[test]
fn a_fresh_schema_equals_the_migrated_one() {
    let migrated = tempfile::tempdir().unwrap();
    fs::copy(fixture(1), migrated.path().join("journal.db")).unwrap();
    drop(Journal::open(migrated.path(), Options::default()).unwrap());
    let fresh = tempfile::tempdir().unwrap();
    drop(Journal::open(fresh.path(), Options::default()).unwrap());
    assert_eq!(schema(&migrated.path().join("journal.db")), schema(&fresh.path().join("journal.db")));
}

/// Hashes and ids, which a fixture made anew has others of, as `ID`.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let word = |word: &str| {
            let hex = word.len() >= 32 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
            if hex { "ID".to_owned() } else { word.to_owned() }
        };
        let parts: Vec<String> = line.split('"').map(word).collect();
        out.push_str(&parts.join("\""));
        out.push('\n');
    }
    out
}
