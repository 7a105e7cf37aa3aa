//! The search index: found as typed, newest first, erased with what it indexes, and disposable.

use std::fs;

use gander_journal::{Journal, SearchPage};
use gander_model::{Body, By, Kind, SessionId};
use insta::assert_snapshot;
use rusqlite::Connection;
use serde_json::json;

use crate::support::{Bench, bench, open, until};

fn search(journal: &Journal, text: &str) -> SearchPage {
    until("the index", || journal.search(text, None, 1).unwrap().complete());
    journal.search(text, None, 50).unwrap()
}

/// Results as `seq kind line`, matches in brackets.
fn found(bench: &Bench, text: &str) -> String {
    lines(&search(&bench.journal, text))
}

fn lines(page: &SearchPage) -> String {
    let line = |hit: &gander_journal::Hit| {
        format!("{} {} {}", hit.seq, hit.kind, hit.snippet.replace('\u{2}', "[").replace('\u{3}', "]"))
    };
    page.hits.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn note(bench: &Bench, session: SessionId, text: &str) {
    let body = Body::with(By::Gander, &json!({ "text": text })).unwrap();
    bench.write(move |tx| tx.append(session, Kind::NOTE, body));
}

#[test]
fn words_are_found_by_their_beginning_newest_first() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "Where do geese go in winter?", "South, mostly. Some geese stay: Überwinterung.");
    bench.turn(session, 2, "And the goose?", "It stays with <b>you</b>.");
    assert_snapshot!(found(&bench, "gee"), @"
    5 message South, mostly. Some [geese] stay: Überwinterung.
    4 named Where do [geese] go in winter?
    3 prompt Where do [geese] go in winter?
    ");
    assert_snapshot!(found(&bench, "ubErwint"), @"5 message South, mostly. Some geese stay: [Überwinterung].");
    assert_snapshot!(found(&bench, "stay you"), @"8 message It [stays] with <b>[you]</b>.");
    assert_snapshot!(found(&bench, "\"some geese\""), @"5 message South, mostly. [Some geese] stay: Überwinterung.");
    // The engine's own syntax has no meaning here.
    for odd in ["goose*", "NOT goose", "(goose", "text:goose", "\"goose", "goose\u{0}", "^goose", "go-ose OR"] {
        search(&bench.journal, odd);
    }
    for nothing in ["", "   ", "\"\"", "!?", "geesex"] {
        assert_eq!(found(&bench, nothing), "", "{nothing:?}");
    }
}

#[test]
fn pages_go_on_where_the_one_before_ended() {
    let bench = bench();
    let session = bench.session();
    (0..25).for_each(|n| note(&bench, session, &format!("feather {n}")));
    search(&bench.journal, "feather");
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = bench.journal.search("feather", after, 10).unwrap();
        seen.extend(page.hits.iter().map(|hit| hit.seq.0));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (3..28).rev().collect::<Vec<u64>>());
}

#[test]
fn strings_of_tool_calls_are_found_and_marks_of_the_protocol_are_not() {
    let bench = bench();
    let session = bench.session();
    let call = json!([
        { "rawInput": { "command": "cargo nextest" }, "sessionUpdate": "tool_call", "title": "Run the tests", "toolCallId": "call_feather" },
        { "sessionUpdate": "tool_call_update", "toolCallId": "call_feather", "content": [
            { "type": "content", "content": { "type": "text", "text": "error[E0277]: gaggle" } },
            { "type": "image", "data": "ZmVhdGhlcg", "mimeType": "image/png" },
        ] },
    ]);
    let body = Body::with(By::Agent, &call).unwrap();
    bench.write(move |tx| tx.append(session, Kind::TOOL_CALL, body));
    assert_snapshot!(found(&bench, "e0277"), @"3 tool_call cargo nextest Run the tests error[[E0277]]: gaggle");
    for mark in ["call_feather", "tool_call_update", "ZmVhdGhlcg"] {
        assert_eq!(found(&bench, mark), "", "{mark}");
    }
    // Text that lies beside the entries is found by its beginning.
    note(&bench, session, &format!("plumage\nquill {}", "x ".repeat(80_000)));
    assert!(found(&bench, "quill plumage").starts_with("4 note"), "{}", found(&bench, "quill plumage"));
}

#[test]
fn a_lost_or_damaged_index_is_built_anew_and_nothing_else_notices() {
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 5] = [
        ("lost", |path| fs::remove_file(path).unwrap()),
        ("garbage", |path| fs::write(path, vec![0x5a; 40_000]).unwrap()),
        ("cut short", |path| fs::write(path, &fs::read(path).unwrap()[..5000]).unwrap()),
        ("without tables", |path| Connection::open(path).unwrap().execute_batch("DROP TABLE shards").unwrap()),
        ("bits flipped", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes.iter_mut().skip(4096).step_by(97).for_each(|byte| *byte ^= 0x55);
            fs::write(path, bytes).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let bench = bench();
        let session = bench.session();
        bench.turn(session, 1, "Hello goose", "Hi");
        let before = found(&bench, "goose");
        let (transcript, dir) = (bench.transcript(session), bench.dir);
        drop(bench.journal);
        damage(&dir.path().join("index.db"));
        let bench = Bench { journal: open(dir.path()), dir };
        until(what, || lines(&bench.journal.search("goose", None, 50).unwrap()) == before);
        assert_eq!(bench.transcript(session), transcript, "{what}");
        assert_eq!(bench.journal.read(|r| r.findings(9)).unwrap().len(), 0, "{what}");

        // And once more under the running journal, by the one thing that a user does to it.
        fs::remove_file(bench.dir.path().join("index.db")).unwrap();
        note(&bench, session, "goose again");
        until(what, || bench.journal.search("goose", None, 50).unwrap().hits.len() == 3);
        bench.journal.rebuild_search();
        until(what, || bench.journal.search("goose", None, 50).unwrap().hits.len() == 3);
    }
}

#[test]
fn an_index_of_another_journal_is_not_believed() {
    let (one, two) = (bench(), bench());
    let session = one.session();
    one.turn(session, 1, "Hello goose", "Hi");
    found(&one, "goose");
    let index = fs::read(one.dir.path().join("index.db"));
    let dir = two.dir;
    drop(two.journal);
    fs::write(dir.path().join("index.db"), index.unwrap()).unwrap();
    let two = Bench { journal: open(dir.path()), dir };
    assert_eq!(found(&two, "goose"), "");
}

#[test]
fn erasing_reaches_the_index() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "My password is Xylophonquux", "I forgot it already");
    let (bystander, mut seen) = (bench.session(), Vec::new());
    bench.turn(bystander, 1, "Unconcerned goose", "Yes");
    assert_eq!(search(&bench.journal, "xylophonq").hits.len(), 2);
    let holds = || {
        ["index.db", "index.db-wal"].iter().any(|name| {
            let bytes = fs::read(bench.dir.path().join(name)).unwrap_or_default();
            bytes.windows(7).any(|window| window == b"ylophon")
        })
    };
    assert!(holds(), "or the test looks for the wrong thing");
    for seq in [3, 4] {
        bench.write(move |tx| tx.redact(session, gander_model::Seq(seq)));
        // Not shown from the moment on at which it is erased, whatever the index still knows.
        seen.push(bench.journal.search("xylophonq", None, 9).unwrap().hits.len());
    }
    assert_eq!(seen, [1, 0]);
    until("the index to forget", || !holds());
    assert_eq!(search(&bench.journal, "goose").hits.len(), 2);
    assert_eq!(search(&bench.journal, "forgot").hits.len(), 1);
}
