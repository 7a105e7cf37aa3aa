//! Changes: without gaps, read back from the journal, and a reset where they cannot be served.

use gander_journal::{Changes, Cursor, Draft, ItemPart, Journal, Options, TurnPhase, What};
use gander_model::{JournalId, Kind};

use crate::support::{Bench, bench, chunk, ended, json, options, send, turn_id};

/// Everything after a revision, as short words.
fn after(bench: &Bench, revision: u64) -> (Vec<String>, u64) {
    let mut words = Vec::new();
    let mut at = revision;
    loop {
        let journal = bench.journal.read(|r| r.journal_id()).unwrap();
        let cursor = Cursor { journal, revision: at };
        match bench.journal.read(|r| r.changes(cursor, 100)).unwrap() {
            Changes::Reset => panic!("reset at {at}"),
            Changes::Page { changes, revision, more } => {
                for change in changes {
                    assert!(change.revision > at && change.revision <= revision);
                    words.push(word(change.what));
                }
                at = revision;
                if !more {
                    return (words, at);
                }
            }
        }
    }
}

fn word(what: What) -> String {
    match what {
        What::Entry { entry, .. } => format!("entry {} {}", entry.entry.header.seq, entry.entry.header.kind),
        What::OpenItem(part) => {
            let text: String =
                serde_json::from_str::<Vec<&serde_json::value::RawValue>>(part.updates.as_ref().unwrap().get())
                    .unwrap()
                    .into_iter()
                    .filter_map(gander_model::updates::text_of)
                    .collect();
            format!("part {} from {} {text}", part.kind, part.from)
        }
        What::Session(view) => format!("session {} running {}", view.state.head.seq, view.turn.is_some()),
        What::Window(view) => format!("window open {}", view.open),
        What::Draft(draft) => format!("draft {} {:?}", draft.rev, draft.text),
        What::Queue { queue, .. } => format!("queue {}", queue.items.len()),
        What::Finding(finding) => format!("finding {}", finding.kind),
        What::Agents => "agents".into(),
        What::Config => "config".into(),
    }
}

#[test]
fn g01_every_visible_commit_is_a_change_in_order() {
    let bench = bench();
    let (window, session) = bench.window();
    let (_, start) = after(&bench, 1);
    let draft = Draft { window, session, rev: 1, text: "Hel".into(), attachments: json("[]") };
    bench.write(move |tx| tx.save_draft(draft));
    bench.send(gander_journal::Send { window: Some(window), draft_rev: Some(1), ..send(session, turn_id(1), "Hello") });
    bench.write(move |tx| tx.turn_state(session, turn_id(1), TurnPhase::Running));
    for text in ["Aä", "b"] {
        bench.write(move |tx| {
            let update = chunk(text);
            let item = gander_model::ItemId::from_bytes([1; 16]);
            tx.item_append(&ItemPart {
                session,
                turn: Some(turn_id(1)),
                item,
                kind: Kind::MESSAGE,
                updates: &[&update],
            })
        });
    }
    let (words, streamed) = after(&bench, start);
    insta::assert_snapshot!(words.join("\n"), @r#"
    entry 3 prompt
    entry 4 named
    draft 1 ""
    session 4 running true
    part message from 0 Aä
    part message from 3 b
    "#);
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
    bench.write(move |tx| tx.close_window(window));
    let (words, end) = after(&bench, streamed);
    insta::assert_snapshot!(words.join("\n"), @"
    entry 5 message
    entry 6 turn_ended
    session 6 running false
    window open false
    ");
    // A part whose item is an entry by now is not given any more; the entry is.
    let (words, _) = after(&bench, start);
    assert!(words.contains(&"entry 5 message".to_owned()) && !words.iter().any(|word| word.starts_with("part")));
    assert_eq!(*bench.journal.revisions().borrow(), end);
    let bench = bench.reopen();
    assert_eq!(after(&bench, end).0, Vec::<String>::new(), "a cursor outlives a restart");
}

#[test]
fn a_cursor_that_cannot_be_served_resets() {
    let bench = bench();
    bench.session();
    let journal = bench.journal.read(|r| r.journal_id()).unwrap();
    let changes = |journal, revision| bench.journal.read(|r| r.changes(Cursor { journal, revision }, 10)).unwrap();
    assert!(matches!(changes(JournalId::from_bytes([1; 16]), 1), Changes::Reset), "another journal");
    assert!(matches!(changes(journal, 10_000), Changes::Reset), "from the future");
    assert!(matches!(changes(journal, 1), Changes::Page { .. }));
    let text = Cursor { journal, revision: 7 }.to_string();
    assert_eq!(text.parse::<Cursor>().unwrap(), Cursor { journal, revision: 7 });
    for bad in ["", "7", "x.7", "01890a5d-ac96-774b-bcce-b302099a8057.x"] {
        assert!(bad.parse::<Cursor>().is_err(), "{bad}");
    }
}

#[test]
fn old_changes_are_trimmed_but_never_the_parts_of_an_open_item() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), Options { keep_changes: 100, ..options(1) }).unwrap();
    let bench = Bench { dir, journal };
    let session = bench.session();
    bench.send(send(session, turn_id(1), "Go"));
    let item = gander_model::ItemId::from_bytes([1; 16]);
    let part = move |tx: &mut gander_journal::Tx<'_>| {
        let update = chunk("x");
        tx.item_append(&ItemPart { session, turn: Some(turn_id(1)), item, kind: Kind::MESSAGE, updates: &[&update] })
    };
    for _ in 0..2000 {
        bench.write(part);
    }
    let open = bench.journal.read(|r| r.open_items(session)).unwrap();
    assert_eq!(open[0].size, 2000, "nothing of an open item is trimmed");
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
    for _ in 0..20 {
        bench.session();
    }
    let conn = rusqlite::Connection::open(bench.dir.path().join("journal.db")).unwrap();
    let count: i64 = conn.query_row("SELECT count(*) FROM changes", [], |row| row.get(0)).unwrap();
    assert!(count < 1000, "{count} changes are kept");
    let journal = bench.journal.read(|r| r.journal_id()).unwrap();
    let old = bench.journal.read(|r| r.changes(Cursor { journal, revision: 5 }, 10)).unwrap();
    assert!(matches!(old, Changes::Reset), "an expired cursor");
}

#[test]
fn an_announcement_reaches_windows() {
    let bench = bench();
    let (_, start) = after(&bench, 1);
    bench.write(|tx| tx.announce(gander_journal::Announcement::Agents));
    bench.write(|tx| tx.announce(gander_journal::Announcement::Config));
    assert_eq!(after(&bench, start).0, ["agents", "config"]);
}
