//! G1: what is streamed is durable before it is visible, and nothing of it is dropped.

use gander_journal::{Bounds, ItemPart, TurnEnd, TurnPhase, WriteError};
use gander_model::{ItemId, Kind, SessionId, updates};
use insta::assert_snapshot;
use serde_json::value::RawValue;

use crate::support::{Bench, bench, chunk, ended, json, send, turn_id};

fn append(bench: &Bench, session: SessionId, item: ItemId, kind: Kind, parts: Vec<Box<RawValue>>) -> u32 {
    bench.write(move |tx| {
        let updates: Vec<&RawValue> = parts.iter().map(|part| &**part).collect();
        tx.item_append(&ItemPart { session, turn: Some(turn_id(1)), item, kind, updates: &updates })
    })
}

fn item(n: u8) -> ItemId {
    ItemId::from_bytes([n; 16])
}

fn running(bench: &Bench) -> SessionId {
    let session = bench.session();
    bench.send(send(session, turn_id(1), "Go"));
    bench.write(move |tx| tx.turn_state(session, turn_id(1), TurnPhase::Running));
    session
}

fn tool(status: &str) -> Box<RawValue> {
    json(&format!(r#"{{"sessionUpdate":"tool_call_update","toolCallId":"t1","status":"{status}"}}"#))
}

#[test]
fn g01_a_streamed_text_is_an_open_item_and_becomes_one_entry() {
    let bench = bench();
    let session = running(&bench);
    for word in ["Hel", "lo ", "wörld"] {
        append(&bench, session, item(1), Kind::MESSAGE, vec![chunk(word)]);
    }
    append(&bench, session, item(2), Kind::TOOL_CALL, vec![tool("pending"), tool("completed")]);
    append(&bench, session, item(1), Kind::MESSAGE, vec![chunk("!"), chunk("?")]);
    let open = bench.journal.read(|r| r.open_items(session)).unwrap();
    let shape: Vec<_> = open.iter().map(|open| (open.item, open.ord, open.size)).collect();
    assert_eq!(shape, [(item(1), 0, 14), (item(2), 1, 2)]);
    assert_snapshot!(open[0].data.get(), @r#"[{"content":{"text":"Hello wörld!?","type":"text"},"sessionUpdate":"agent_message_chunk"}]"#);

    bench.write(move |tx| tx.item_close(session, item(2)));
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
    assert!(bench.journal.read(|r| r.open_items(session)).unwrap().is_empty());
    let transcript = bench.transcript(session);
    let tail: Vec<&str> = transcript.lines().skip(4).collect();
    assert_snapshot!(tail.join("\n"), @r#"
    5 tool_call [{"sessionUpdate":"tool_call_update","toolCallId":"t1","status":"pending"},{"sessionUpdate":"tool_call_update","toolCallId":"t1","status":"completed"}]
    6 message [{"content":{"text":"Hello wörld!?","type":"text"},"sessionUpdate":"agent_message_chunk"}]
    7 turn_ended {"state":"ended","stop_reason":"end_turn"}
    "#);
}

#[test]
fn g01_a_turn_that_ends_at_any_revision_keeps_every_part_of_every_item() {
    let bench = bench();
    // Rows of open items are brought up to date at certain revisions only. Whichever revision a turn ends at, and
    // whichever of its items becomes an entry there, the newest part of the others counts.
    for round in 0..300 {
        let session = running(&bench);
        for n in 1..=4 {
            append(&bench, session, item(n), Kind::MESSAGE, vec![chunk(&format!("{n} begins"))]);
        }
        for n in 1..=4 {
            append(&bench, session, item(n), Kind::MESSAGE, vec![chunk(&format!(", {n} ends"))]);
        }
        bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
        let transcript = bench.transcript(session);
        for n in 1..=4 {
            assert!(transcript.contains(&format!("{n} begins, {n} ends")), "round {round}: {transcript}");
        }
    }
}

#[test]
fn g01_after_a_crash_what_was_streamed_is_an_entry_marked_interrupted() {
    let bench = bench();
    let session = running(&bench);
    append(&bench, session, item(1), Kind::THOUGHT, vec![chunk("Hm")]);
    append(&bench, session, item(2), Kind::MESSAGE, vec![chunk("Half an ans")]);
    let options = json(r#"[{"optionId":"yes","name":"Yes","kind":"allow_once"}]"#);
    bench.write(move |tx| tx.permission_asked(session, turn_id(1), &json("{\"toolCallId\":\"t\"}"), &options));
    let root = bench.journal.read(|r| r.root()).unwrap();
    let bench = bench.reopen();
    assert_eq!(bench.journal.read(|r| r.root()).unwrap(), root, "opening appends nothing");
    assert_eq!(bench.journal.recover().unwrap().interrupted, [session]);
    let transcript = bench.transcript(session);
    let tail: Vec<String> = transcript.lines().skip(4).map(|l| l.split('{').next().unwrap().to_owned()).collect();
    assert_eq!(tail, ["5 permission ", "6 thought [interrupted] [", "7 message [interrupted] [", "8 turn_ended "]);
    assert!(transcript.contains("Half an ans") && transcript.contains(r#""outcome":"lapsed""#));
    assert!(bench.journal.read(|r| r.turn(session)).unwrap().is_none());
}

#[test]
fn g01_a_closure_that_fails_leaves_nothing_and_harms_no_neighbour() {
    let bench = bench();
    let session = bench.session();
    let before = bench.transcript(session);
    let revision = *bench.journal.revisions().borrow();
    let error = bench.fails(move |tx| {
        tx.send(&send(session, turn_id(1), "never"))?;
        Err::<(), _>(WriteError::Invalid("on purpose".into()))
    });
    assert!(matches!(error, WriteError::Invalid(_)));
    let error = bench.fails(move |tx| -> Result<(), WriteError> {
        tx.send(&send(session, turn_id(1), "never"))?;
        panic!("on purpose")
    });
    assert!(matches!(error, WriteError::Panicked(text) if text == "on purpose"));
    assert_eq!(bench.transcript(session), before);
    assert_eq!(*bench.journal.revisions().borrow(), revision);
    bench.send(send(session, turn_id(1), "now"));
}

#[test]
fn a_permission_is_answered_once_with_an_option_that_was_offered() {
    let bench = bench();
    let session = running(&bench);
    let options = json(
        r#"[{"optionId":"yes","name":"Yes","kind":"allow_once"},{"optionId":"no","name":"No","kind":"reject_once"}]"#,
    );
    let call = json(r#"{"toolCallId":"t1", "title": "rm -rf"}"#);
    let (id, open) = bench.write(move |tx| tx.permission_asked(session, turn_id(1), &call, &options));
    let turn = bench.journal.read(|r| r.turn(session)).unwrap().unwrap();
    assert_eq!((turn.permissions.len(), turn.permissions[0].id, turn.permissions[0].item), (1, id, open));
    assert!(matches!(bench.fails(move |tx| tx.permission_answered(session, id, "maybe")), WriteError::Invalid(_)));
    bench.write(move |tx| tx.permission_answered(session, id, "no"));
    assert!(matches!(bench.fails(move |tx| tx.permission_answered(session, id, "yes")), WriteError::NotFound { .. }));
    let transcript = bench.transcript(session);
    let line = transcript.lines().last().unwrap();
    assert!(line.contains(r#""tool_call":{"toolCallId":"t1", "title": "rm -rf"}"#), "kept as written: {line}");
    assert!(line.ends_with(r#""outcome":"selected","option_id":"no"}"#), "{line}");
    assert!(bench.journal.read(|r| r.turn(session)).unwrap().unwrap().permissions.is_empty());
}

#[test]
fn cancelling_answers_open_permissions_as_cancelled() {
    let bench = bench();
    let session = running(&bench);
    let options = json("[]");
    bench.write(move |tx| tx.permission_asked(session, turn_id(1), &json("{}"), &options));
    bench.write(move |tx| tx.turn_state(session, turn_id(1), TurnPhase::Cancelling));
    let end = TurnEnd { stop_reason: Some("cancelled".into()), ..TurnEnd::default() };
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &end));
    assert!(bench.transcript(session).contains(r#""outcome":"cancelled""#));
}

#[test]
fn what_comes_late_or_was_found_elsewhere_is_marked() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "Q", "A");
    for (late, elsewhere) in [(true, false), (false, true)] {
        bench.write(move |tx| {
            let update = chunk("more");
            let item = tx.new_item_id();
            let part = ItemPart { session, turn: Some(turn_id(1)), item, kind: Kind::MESSAGE, updates: &[&update] };
            tx.record_item(&part, late, elsewhere)
        });
    }
    let transcript = bench.transcript(session);
    assert!(transcript.contains("7 message [late] ["), "{transcript}");
    assert!(transcript.contains("8 message [elsewhere] ["), "{transcript}");
}

#[test]
fn large_data_lies_beside_the_entries_once_and_is_checked_when_read() {
    let bench = bench();
    let session = running(&bench);
    let big = "x".repeat(3 * 1024 * 1024);
    for n in 1..=2 {
        append(&bench, session, item(n), Kind::MESSAGE, vec![chunk(&big)]);
    }
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
    let page = bench.journal.read(|r| r.entries(session, Bounds { limit: 10, ..Bounds::default() })).unwrap();
    let message = &page.entries[4].entry;
    assert!(message.body.as_ref().unwrap().bytes.len() < 400);
    let data = bench.journal.read(|r| r.entry_data(message)).unwrap().unwrap();
    let data = RawValue::from_string(String::from_utf8(data).unwrap()).unwrap();
    assert_eq!(gander_model::text::updates_text(&data), big);
    assert!(updates::text_of(&chunk("x")).is_some());
    let conn = rusqlite::Connection::open(bench.dir.path().join("journal.db")).unwrap();
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((count("SELECT count(*) FROM contents"), count("SELECT count(*) FROM content_uses")), (1, 2));
    conn.execute("UPDATE content_chunks SET data = zeroblob(10) WHERE n = 1", []).unwrap();
    let error = bench.journal.read(|r| r.entry_data(message)).unwrap_err();
    assert!(matches!(error, gander_journal::ReadError::ContentDamaged { .. }));
}

/// The row of an open item is not written with each of its parts: what they are is found all the same.
#[test]
fn g01_an_open_item_is_whole_however_long_ago_its_last_part_came() {
    let bench = bench();
    let session = running(&bench);
    let (mut said, mut stalled) = (String::new(), String::new());
    for n in 0..1100 {
        let (text, other) = (format!("{n} "), n < 10 || n == 600);
        said += &text;
        append(&bench, session, item(1), Kind::MESSAGE, vec![chunk(&text)]);
        if other {
            stalled += &text;
            append(&bench, session, item(2), Kind::THOUGHT, vec![chunk(&text)]);
        }
        if n % 97 == 0 || n > 1090 {
            let open = bench.journal.read(|r| r.open_items(session)).unwrap();
            let text = |n: usize| gander_model::text::updates_text(&open[n].data);
            assert_eq!((text(0), text(1)), (said.clone(), stalled.clone()), "after {n}");
            assert_eq!((open[0].size, open[1].size), (said.len() as u64, stalled.len() as u64));
        }
    }
    // Many parts in one write cross the same bounds.
    bench.write(move |tx| {
        let update = chunk("x");
        for _ in 0..1000 {
            let part = ItemPart { session, turn: None, item: item(1), kind: Kind::MESSAGE, updates: &[&update] };
            tx.item_append(&part)?;
        }
        Ok(())
    });
    said += &"x".repeat(1000);
    let bench = bench.reopen();
    bench.journal.recover().unwrap();
    let transcript = bench.transcript(session);
    assert!(transcript.contains(&said) && transcript.contains(&format!("\"{stalled}\"")), "{transcript}");
}

/// A part's commit costs the same whether the item is short or long.
#[test]
fn a_part_dirties_few_pages_however_long_its_item_is() {
    let bench = bench();
    let session = running(&bench);
    let wal = bench.dir.path().join("journal.db-wal");
    let conn = rusqlite::Connection::open(bench.dir.path().join("journal.db")).unwrap();
    let mut costs = Vec::new();
    for n in 0..1200 {
        if n % 400 == 0 {
            conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
        append(&bench, session, item(1), Kind::MESSAGE, vec![chunk("eleven char")]);
        if n % 400 == 399 {
            costs.push(std::fs::metadata(&wal).unwrap().len() / 400);
        }
    }
    assert!(costs.iter().all(|bytes| *bytes < 4120 * 3 / 2), "bytes a part: {costs:?}");
    assert!(costs[2] <= costs[0] + 512, "it grows: {costs:?}");
}

#[test]
fn a_content_that_comes_in_chunks_is_there_once_it_is_complete() {
    use gander_journal::{CONTENT_CHUNK_BYTES, NewContent, ReadError};
    let bench = bench();
    let bytes: Vec<u8> = (0..2 * CONTENT_CHUNK_BYTES + 4_321).map(|n| (n * 7 / 11) as u8).collect();
    let hash = gander_model::content_hash(&bytes);
    let put = |content: NewContent, chunk: &[u8]| {
        let (mut content, chunk) = (content, chunk.to_vec());
        bench.write(move |tx| {
            tx.put_chunk(&mut content, &chunk)?;
            Ok(content)
        })
    };
    let whole = || bytes.chunks(CONTENT_CHUNK_BYTES).fold(NewContent::default(), put);
    let chunks = || -> i64 {
        let conn = rusqlite::Connection::open(bench.dir.path().join("journal.db")).unwrap();
        conn.query_row("SELECT count(*) FROM content_chunks", [], |row| row.get(0)).unwrap()
    };
    let content = whole();
    assert_eq!(content.bytes(), bytes.len() as u64);
    // Nothing knows of it yet, and it is no damage.
    assert_eq!(bench.journal.read(|r| r.blob_info(hash)).unwrap(), None);
    assert!(bench.journal.verify(|_, _| {}, || false).unwrap().ok);
    let info = bench.write(move |tx| tx.finish_content(content, "image/png"));
    assert_eq!((info.hash, info.bytes, info.mime.as_str()), (hash, bytes.len() as u64, "image/png"));
    assert_eq!(bench.journal.read(|r| r.blob(hash)).unwrap().1, bytes);
    let second = bench.journal.read(|r| r.blob_chunk(hash, 1)).unwrap().unwrap();
    assert_eq!(second, &bytes[CONTENT_CHUNK_BYTES..2 * CONTENT_CHUNK_BYTES]);
    assert_eq!(bench.journal.read(|r| r.blob_chunk(hash, 3)).unwrap(), None);
    assert_eq!(chunks(), 3);
    // The same again, in whichever way, is there once; what is given up leaves nothing.
    let again = whole();
    assert_eq!(bench.write(move |tx| tx.finish_content(again, "text/plain")).mime, "image/png");
    let owned = bytes.clone();
    assert_eq!(bench.write(move |tx| tx.put_blob(&owned, "text/plain")).hash, hash);
    let given_up = put(NewContent::default(), &bytes[..100]);
    bench.write(move |tx| tx.abandon_content(given_up));
    assert_eq!(chunks(), 3);
    // Neither does what a crash cut off, or damage in the middle of what is there.
    put(NewContent::default(), &bytes[..100]);
    assert_eq!(chunks(), 4);
    let bench = bench.reopen();
    let conn = rusqlite::Connection::open(bench.dir.path().join("journal.db")).unwrap();
    assert_eq!(conn.query_row("SELECT count(*) FROM content_chunks", [], |row| row.get::<_, i64>(0)).unwrap(), 3);
    conn.execute("UPDATE content_chunks SET data = zeroblob(9) WHERE n = 1", []).unwrap();
    for read in
        [bench.journal.read(|r| r.check_blob(hash).map(drop)), bench.journal.read(|r| r.blob_chunk(hash, 1).map(drop))]
    {
        assert!(matches!(read, Err(ReadError::ContentDamaged { .. })), "{read:?}");
    }
}

#[test]
fn contents_that_nothing_names_are_dropped_after_a_day() {
    use gander_journal::{Draft, Journal, Options, ReadError, Send};
    let dir = tempfile::tempdir().unwrap();
    let clock = std::sync::Arc::new(crate::support::TestClock::new(1_700_000_000_000));
    let options = Options { clock: clock.clone(), ..crate::support::options(1) };
    let bench = Bench { journal: Journal::open(dir.path(), options).unwrap(), dir };
    let (window, session) = bench.window();
    let put = |bytes: &'static [u8]| bench.write(move |tx| Ok(tx.put_blob(bytes, "image/png")?.hash));
    let (unused, drafted, sent, queued) = (put(b"unused"), put(b"drafted"), put(b"sent"), put(b"queued"));
    let block = |hash: gander_model::Hash| {
        json(&serde_json::json!([{ "hash": hash, "mime": "image/png", "name": "a.png", "type": "blob" }]).to_string())
    };
    let draft = Draft { window, session, rev: 1, text: String::new(), attachments: block(drafted) };
    bench.write(move |tx| tx.save_draft(draft));
    bench.send(Send { content: block(sent), ..send(session, turn_id(1), "") });
    let when_busy = gander_journal::WhenBusy::Queue;
    bench.send(Send { content: block(queued), when_busy, ..send(session, turn_id(2), "") });
    let there = |hash| match bench.journal.read(|r| r.blob(hash)) {
        Ok(_) => true,
        Err(ReadError::NotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    };
    clock.advance(23 * 60 * 60 * 1000);
    put(b"later");
    assert!(there(unused), "a day has not passed");
    clock.advance(2 * 60 * 60 * 1000);
    put(b"later still");
    assert_eq!([unused, drafted, sent, queued].map(there), [false, true, true, true]);
}
