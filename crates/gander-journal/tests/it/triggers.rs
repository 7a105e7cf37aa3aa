//! G2: entries are append only, whoever asks.

use crate::support::{Bench, bench, until};
use rusqlite::Connection;

fn raw(bench: &Bench) -> Connection {
    Connection::open(bench.dir.path().join("journal.db")).unwrap()
}

#[test]
fn g02_triggers_refuse_every_change_of_an_entry_a_body_or_a_head() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "Hello", "Hi");
    let before = bench.transcript(session);
    let conn = raw(&bench);
    for sql in [
        "UPDATE entries SET at_ms = at_ms + 1",
        "UPDATE entries SET kind = 'note' WHERE seq = 3",
        "DELETE FROM entries WHERE seq = 3",
        "INSERT OR REPLACE INTO entries SELECT position, session_id, seq, 0, kind, body_hash, hash FROM entries",
        "INSERT OR REPLACE INTO entries (session_id, seq, at_ms, kind, body_hash, hash)
            SELECT session_id, seq, 0, kind, body_hash, hash FROM entries",
        "UPDATE bodies SET body = '{}'",
        "DELETE FROM bodies",
        "INSERT OR REPLACE INTO bodies SELECT position, salt, '{}' FROM bodies",
        "UPDATE heads SET seq = seq - 1",
        "UPDATE heads SET seq = seq + 1",
        "UPDATE heads SET hash = zeroblob(32)",
        "DELETE FROM heads",
        "INSERT OR REPLACE INTO heads SELECT session_id, 1, hash, position FROM heads",
        // Erasing needs a `redacted` entry.
        "INSERT INTO erasures (position, by_position) VALUES (3, 4)",
    ] {
        let refused = conn.execute_batch(sql);
        assert!(refused.is_err(), "not refused: {sql}");
    }
    assert_eq!(bench.transcript(session), before);
}

#[test]
fn g02_not_every_kind_can_be_erased_and_nothing_erased_comes_back() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "Secret", "Hi");
    bench.write(move |tx| tx.redact(session, gander_model::Seq(3)));
    let conn = raw(&bench);
    for sql in [
        // 1 is `created`, the last is `redacted`.
        "INSERT INTO erasures (position, by_position) SELECT 1, max(position) FROM entries",
        "INSERT INTO erasures (position, by_position) SELECT max(position), max(position) FROM entries",
        "INSERT INTO bodies (position, salt, body) VALUES (3, zeroblob(32), '{}')",
        "UPDATE erasures SET position = 4",
        "DELETE FROM erasures",
    ] {
        assert!(conn.execute_batch(sql).is_err(), "not refused: {sql}");
    }
}

#[test]
fn g08_the_engine_is_new_enough_and_a_commit_is_synced() {
    let bench = bench();
    assert!(rusqlite::version_number() >= 3_051_003);
    let conn = raw(&bench);
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench();
    bench.session();
    until("the index", || bench.journal.search("goose", None, 1).unwrap().complete());
    let mode = |path: &std::path::Path| std::fs::metadata(path).ok().map(|about| about.permissions().mode() & 0o777);
    assert_eq!(mode(bench.dir.path()), Some(0o700));
    let mut files = 0;
    for entry in std::fs::read_dir(bench.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        // One that was there only while another took its place has gone.
        files += usize::from(mode(&path).is_some_and(|mode| mode == 0o600 || panic!("{}: {mode:o}", path.display())));
    }
    assert!(files >= 4, "database, lock, witness and index at least");
}
