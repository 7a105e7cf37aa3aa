//! Large data of an open item: beside the entries in pieces before anything names it, and whole whatever is cut off.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gander_journal::{
    Ahead, Changes, Faults, ItemPart, Journal, NewContent, Options, Saving, TurnPhase, What, WriteError,
};
use gander_model::{ItemId, Kind, SessionId, updates};
use serde_json::value::RawValue;

use crate::support::{Bench, TestClock, bench, chunk, ended, json, options, send, turn_id, wait_until};

const ITEM: ItemId = ItemId::from_bytes([1; 16]);

fn running(bench: &Bench) -> SessionId {
    let session = bench.session();
    bench.send(send(session, turn_id(1), "Go"));
    bench.write(move |tx| tx.turn_state(session, turn_id(1), TurnPhase::Running));
    session
}

fn output(bytes: usize) -> Box<RawValue> {
    json(&format!(r#"{{"sessionUpdate":"tool_call_update","toolCallId":"t","rawOutput":"{}"}}"#, "x".repeat(bytes)))
}

fn part<'a>(session: SessionId, kind: Kind, updates: &'a [&'a RawValue]) -> ItemPart<'a> {
    ItemPart { session, turn: Some(turn_id(1)), item: ITEM, kind, updates }
}

fn append(bench: &Bench, session: SessionId, kind: Kind, update: Box<RawValue>) {
    bench.write(move |tx| tx.item_append(&part(session, kind, &[&update])));
}

fn put(
    bench: &Bench,
    session: SessionId,
    kind: Kind,
    updates: &[&RawValue],
    content: &mut NewContent,
) -> Result<Option<Ahead>, WriteError> {
    bench.journal.put_ahead(&part(session, kind, updates), content)
}

fn name(bench: &Bench, session: SessionId, kind: Kind, ahead: &Ahead) {
    let given = ahead.clone();
    bench.write(move |tx| tx.item_append_ahead(&part(session, kind, &[]), &given));
    bench.journal.clear_ahead(ahead).unwrap();
}

fn count(bench: &Bench, sql: &str) -> i64 {
    let conn = rusqlite::Connection::open(bench.dir.path().join("journal.db")).unwrap();
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn is_sound(bench: &Bench) {
    let report = bench.journal.verify(|_, _| {}, || false).unwrap();
    assert!(report.ok, "{:?}", report.findings);
}

/// The data of the session's last item, wherever it lies.
fn said(bench: &Bench, session: SessionId, kind: Kind) -> String {
    let page = bench.journal.read(|r| r.entries(session, gander_journal::Bounds { limit: 50, ..Default::default() }));
    let entry = page.unwrap().entries.into_iter().rfind(|view| view.entry.header.kind == kind).unwrap().entry;
    String::from_utf8(bench.journal.read(|r| r.entry_data(&entry)).unwrap().unwrap()).unwrap()
}

#[test]
fn g01_large_parts_and_small_ones_are_one_item_and_one_entry() {
    for kind in [Kind::TOOL_CALL, Kind::MESSAGE] {
        let bench = bench();
        let session = running(&bench);
        let large = || match kind == Kind::MESSAGE {
            true => chunk(&"é\n".repeat(1_500_000)),
            false => output(3_000_000),
        };
        let mut given = Vec::new();
        for round in 0..2 {
            given.push(chunk("before "));
            append(&bench, session, kind.clone(), chunk("before "));
            let update = large();
            let ahead = put(&bench, session, kind.clone(), &[&update], &mut NewContent::default()).unwrap().unwrap();
            // Nothing knows of it yet.
            assert_eq!(
                bench.journal.read(|r| r.open_items(session)).unwrap()[0].data.get().len() > 1_000_000,
                round > 0
            );
            let cursor = bench.journal.read(|r| r.cursor()).unwrap();
            name(&bench, session, kind.clone(), &ahead);
            given.push(update);
            let Changes::Page { changes, .. } = bench.journal.read(|r| r.changes(cursor, 10)).unwrap() else {
                panic!()
            };
            let What::OpenItem(told) = &changes[0].what else { panic!("{changes:?}") };
            assert!(told.updates.is_none() && told.bytes > 3_000_000, "windows are told how much it is");
            given.push(chunk("after"));
            append(&bench, session, kind.clone(), chunk("after"));
            let open = bench.journal.read(|r| r.open_items(session)).unwrap().remove(0);
            assert!(open.data.get() == updates::join(given.iter().map(|update| &**update)).get());
            let size: usize = given.iter().filter_map(|update| updates::text_of(update)).map(|text| text.len()).sum();
            assert_eq!(open.size, if kind == Kind::MESSAGE { size as u64 } else { given.len() as u64 });
        }
        // What came last is put there too, once; then the entry only names it.
        let ahead = put(&bench, session, Kind::NOTE, &[], &mut NewContent::default()).unwrap().unwrap();
        name(&bench, session, Kind::NOTE, &ahead);
        assert!(put(&bench, session, Kind::NOTE, &[], &mut NewContent::default()).unwrap().is_none());
        let pieces = count(&bench, "SELECT count(*) FROM content_chunks");
        bench.write(move |tx| tx.item_close(session, ITEM));
        assert!(said(&bench, session, kind.clone()) == updates::join(given.iter().map(|update| &**update)).get());
        let there =
            ["contents", "content_chunks", "content_uses"].map(|t| count(&bench, &format!("SELECT count(*) FROM {t}")));
        assert_eq!(there, [1, pieces, 1], "and nothing that was put on the way is left");
        is_sound(&bench);
    }
}

/// What its small parts have become is not joined anew in the write that ends a turn; nor is it lost when nobody put it ahead.
#[test]
fn g01_an_item_that_went_on_after_it_was_put_ahead_is_whole() {
    let bench = bench();
    let session = running(&bench);
    let update = output(2_000_000);
    let ahead = put(&bench, session, Kind::TOOL_CALL, &[&update], &mut NewContent::default()).unwrap().unwrap();
    append(&bench, session, Kind::TOOL_CALL, output(10));
    let late = ahead.clone();
    let error = bench.fails(move |tx| tx.item_append_ahead(&part(session, Kind::TOOL_CALL, &[]), &late));
    assert!(matches!(error, WriteError::Invalid(_)), "it was put for an item that is not so any more: {error}");
    bench.journal.clear_ahead(&ahead).unwrap();
    assert_eq!(count(&bench, "SELECT count(*) FROM contents"), 0);
    let ahead = put(&bench, session, Kind::TOOL_CALL, &[&update], &mut NewContent::default()).unwrap().unwrap();
    name(&bench, session, Kind::TOOL_CALL, &ahead);
    append(&bench, session, Kind::TOOL_CALL, output(20));
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
    let given = [output(10), update, output(20)];
    assert!(said(&bench, session, Kind::TOOL_CALL) == updates::join(given.iter().map(|update| &**update)).get());
    assert_eq!(count(&bench, "SELECT count(*) FROM contents"), 1);
    is_sound(&bench);
}

#[test]
fn g01_what_was_cut_off_before_it_was_named_is_dropped_and_what_was_named_stays() {
    let clock = Arc::new(TestClock::new(1_700_000_000_000));
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), Options { clock: clock.clone(), ..options(1) }).unwrap();
    let bench = Bench { dir, journal };
    let session = running(&bench);
    let update = output(2_500_000);
    put(&bench, session, Kind::TOOL_CALL, &[&update], &mut NewContent::default()).unwrap().unwrap();
    assert_eq!(count(&bench, "SELECT count(*) FROM content_chunks"), 3);
    is_sound(&bench);
    let bench = bench.reopen();
    assert_eq!(count(&bench, "SELECT count(*) FROM content_chunks"), 0);
    is_sound(&bench);

    let Bench { dir, journal } = bench;
    drop(journal);
    let journal = Journal::open(dir.path(), Options { clock: clock.clone(), ..options(2) }).unwrap();
    let bench = Bench { dir, journal };
    let ahead = put(&bench, session, Kind::TOOL_CALL, &[&update], &mut NewContent::default()).unwrap().unwrap();
    name(&bench, session, Kind::TOOL_CALL, &ahead);
    clock.advance(3 * 24 * 60 * 60 * 1000);
    bench.write(|tx| tx.put_blob(b"what drops what nothing names", "text/plain"));
    let bench = bench.reopen();
    is_sound(&bench);
    assert_eq!(bench.journal.recover().unwrap().interrupted, [session]);
    assert!(said(&bench, session, Kind::TOOL_CALL) == format!("[{}]", update.get()));
    assert!(bench.transcript(session).contains("tool_call [interrupted]"));
    is_sound(&bench);
}

/// Looks at what each commit has brought, and lets some fail that reached the disk.
struct Watched {
    database: Mutex<Option<PathBuf>>,
    chunks: AtomicI64,
    most: AtomicI64,
    commits: AtomicU64,
    fails: u64,
}

impl Watched {
    fn journal(fails: u64) -> (Bench, Arc<Watched>) {
        let (database, chunks, most, commits) = Default::default();
        let watched = Arc::new(Watched { database, chunks, most, commits, fails });
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), Options { faults: watched.clone(), ..options(1) }).unwrap();
        (Bench { dir, journal }, watched)
    }

    fn begin(&self, bench: &Bench) {
        self.commits.store(0, Ordering::SeqCst);
        *self.database.lock().unwrap() = Some(bench.dir.path().join("journal.db"));
    }
}

impl Faults for Watched {
    fn after_commit(&self) -> io::Result<()> {
        let Some(database) = self.database.lock().unwrap().clone() else { return Ok(()) };
        let conn = rusqlite::Connection::open(database).unwrap();
        let chunks = conn.query_row("SELECT count(*) FROM content_chunks", [], |row| row.get::<_, i64>(0)).unwrap();
        let more = chunks - self.chunks.swap(chunks, Ordering::SeqCst);
        self.most.fetch_max(more, Ordering::SeqCst);
        let commit = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        if commit == self.fails { Err(io::Error::other("injected")) } else { Ok(()) }
    }
}

#[test]
fn no_commit_of_a_large_item_brings_more_than_a_chunk() {
    let (bench, watched) = Watched::journal(0);
    let session = running(&bench);
    watched.begin(&bench);
    let update = output(12 << 20);
    let ahead = put(&bench, session, Kind::TOOL_CALL, &[&update], &mut NewContent::default()).unwrap().unwrap();
    name(&bench, session, Kind::TOOL_CALL, &ahead);
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
    assert_eq!((watched.chunks.load(Ordering::SeqCst), watched.most.load(Ordering::SeqCst)), (13, 1));
    let longest = "SELECT max(coalesce(length(updates), 0)) FROM changes";
    assert_eq!(count(&bench, longest), 0, "and a part's row holds none of it");
    assert!(said(&bench, session, Kind::TOOL_CALL) == format!("[{}]", update.get()));
}

#[test]
fn g01_a_commit_of_unknown_outcome_among_the_pieces_leaves_one_whole_item() {
    for fails in 1..=4 {
        let (bench, watched) = Watched::journal(fails);
        let session = running(&bench);
        watched.begin(&bench);
        let update = output(3_000_000);
        let mut content = NewContent::default();
        let heal = || wait_until(&bench.journal, |saving| *saving == Saving::Yes);
        let ahead = loop {
            match put(&bench, session, Kind::TOOL_CALL, &[&update], &mut content) {
                Ok(ahead) => break ahead.unwrap(),
                Err(WriteError::NotSaving(_)) => heal(),
                Err(error) => panic!("{error}"),
            }
        };
        // What names it may be done again when it was done.
        let (given, named) = (ahead.clone(), move |tx: &mut gander_journal::Tx<'_>, ahead: &Ahead| {
            match tx.item_went_on(session, Some(turn_id(1)), ITEM, None)? {
                true => Ok(()),
                false => tx.item_append_ahead(&part(session, Kind::TOOL_CALL, &[]), ahead),
            }
        });
        if let Err(error) = bench.journal.write_blocking(move |tx| named(tx, &given)) {
            assert!(matches!(error, WriteError::NotSaving(_)), "{error}");
            heal();
            let given = ahead.clone();
            bench.write(move |tx| named(tx, &given));
        }
        heal();
        bench.journal.clear_ahead(&ahead).unwrap();
        bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
        assert!(watched.commits.load(Ordering::SeqCst) > fails, "commit {fails} was one of them");
        // Of a content whose first piece is not known to be there only a start can tell that nobody writes it any more.
        let bench = bench.reopen();
        assert!(said(&bench, session, Kind::TOOL_CALL) == format!("[{}]", update.get()), "commit {fails}");
        let there =
            (count(&bench, "SELECT count(*) FROM contents"), count(&bench, "SELECT count(*) FROM content_chunks"));
        assert_eq!(there, (1, 3), "commit {fails}");
        is_sound(&bench);
    }
}

/// What a session was still being told is erased with it, wherever it lies.
#[test]
fn purge_reaches_what_lies_beside_an_item_that_is_no_entry_yet() {
    let bench = bench();
    let session = bench.session();
    let update = output(2_000_000);
    let of_no_turn = ItemPart { turn: None, ..part(session, Kind::TOOL_CALL, &[]) };
    let told = ItemPart { updates: &[&update], ..of_no_turn.clone() };
    let ahead = bench.journal.put_ahead(&told, &mut NewContent::default()).unwrap().unwrap();
    bench.write(move |tx| tx.item_append_ahead(&of_no_turn, &ahead));
    bench.write(move |tx| tx.set_status(session, gander_model::Status::Trashed));
    assert_eq!(count(&bench, "SELECT count(*) FROM content_chunks"), 2);
    bench.write(move |tx| tx.purge(session));
    assert_eq!(count(&bench, "SELECT count(*) FROM content_chunks"), 0);
    is_sound(&bench);
}
