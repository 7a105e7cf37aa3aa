//! G2, G4, G12: a damaged session is healed with what was kept elsewhere, where it fits; else nothing is touched.

use gander_journal::witness;
use gander_model::{Entry, Seq, SessionId};
use rusqlite::{Connection, params};

use crate::support::{Bench, bench, send, tamper, turn_id, until};

/// Two sessions whose entries lie between each other's.
fn two() -> (Bench, SessionId, SessionId) {
    let bench = bench();
    let (bad, good) = (bench.session(), bench.session());
    for n in 1..=3 {
        bench.turn(bad, n, "Hello", "Hi");
        bench.turn(good, n, "Hello", "Hi");
    }
    // What is harmed was witnessed before. A witness follows the commits, and one that follows the harm knows of it.
    let root = bench.journal.read(|r| r.root()).unwrap();
    until("a witness of the last commit", || {
        witness::read(bench.dir.path()).unwrap().is_some_and(|witness| witness.root == root)
    });
    (bench, bad, good)
}

fn own(bench: &Bench, session: SessionId) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut take = |entry| {
        entries.push(entry);
        true
    };
    bench.journal.read(|r| r.own_entries(session, Seq(0), Seq(10_000), &mut take)).unwrap();
    entries
}

/// Every row that an entry's truth stands in.
fn rows(bench: &Bench) -> Vec<String> {
    let conn = Connection::open(bench.dir.path().join("journal.db")).unwrap();
    let mut all = Vec::new();
    for sql in [
        "SELECT 'entry', position, hex(session_id), seq, at_ms, kind, hex(body_hash), hex(hash) FROM entries",
        "SELECT 'body', position, hex(salt), hex(body), 0, 0, 0, 0 FROM bodies",
        "SELECT 'head', position, hex(session_id), seq, hex(hash), 0, 0, 0 FROM heads",
        "SELECT 'erased', position, by_position, 0, 0, 0, 0, 0 FROM erasures",
    ] {
        let mut query = conn.prepare(sql).unwrap();
        let row = |row: &rusqlite::Row<'_>| {
            let fields = (0..8).map(|n| row.get::<_, rusqlite::types::Value>(n));
            fields.map(|field| field.map(|field| format!("{field:?}"))).collect::<rusqlite::Result<Vec<_>>>()
        };
        all.extend(query.query_map([], row).unwrap().map(|row| row.unwrap().join(" ")));
    }
    all.sort();
    all
}

fn harm(bench: &Bench, sql: &str, session: SessionId) {
    tamper(bench.dir.path(), |conn| {
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        assert!(conn.execute(sql, params![session.as_bytes()]).unwrap() > 0, "{sql} harms nothing");
    });
    bench.write(move |tx| tx.set_aside(session, "damaged"));
}

fn mend(bench: &Bench, session: SessionId, held: Vec<Entry>) -> Result<gander_journal::Mended, String> {
    bench.journal.write_blocking(move |tx| tx.mend(session, None, &held)).map_err(|error| error.to_string())
}

/// Whether everything verifies, nothing is set aside, and every rule stands.
fn is_well(bench: &Bench) {
    let report = bench.journal.verify(|_, _| {}, || false).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    assert_eq!(bench.journal.read(|r| r.quarantined()).unwrap(), []);
    let conn = Connection::open(bench.dir.path().join("journal.db")).unwrap();
    for sql in ["DELETE FROM entries", "UPDATE entries SET at_ms = 1", "UPDATE bodies SET salt = zeroblob(32)"] {
        conn.execute(sql, []).expect_err(sql);
    }
}

const HARM: &[&str] = &[
    "UPDATE entries SET at_ms = 5 WHERE session_id = ?1 AND seq = 3",
    "UPDATE entries SET kind = 'note' WHERE session_id = ?1 AND seq = 1",
    "UPDATE entries SET hash = zeroblob(32) WHERE session_id = ?1 AND seq = 2",
    "UPDATE entries SET body_hash = zeroblob(32) WHERE session_id = ?1 AND seq > 3",
    "UPDATE entries SET seq = 4711 WHERE session_id = ?1 AND seq = 5",
    "DELETE FROM entries WHERE session_id = ?1 AND seq = 3",
    "DELETE FROM entries WHERE session_id = ?1 AND seq <= 2",
    "DELETE FROM entries WHERE session_id = ?1 AND seq IN (3, 5, 6)",
    "DELETE FROM entries WHERE session_id = ?1 AND seq > 6",
    "DELETE FROM entries WHERE session_id = ?1",
    "DELETE FROM bodies WHERE position IN (SELECT position FROM entries WHERE session_id = ?1 AND seq IN (2, 4))",
    "UPDATE bodies SET body = x'7b7d' WHERE position IN (SELECT position FROM entries WHERE session_id = ?1)",
    "UPDATE bodies SET salt = zeroblob(32) WHERE position IN (SELECT position FROM entries WHERE session_id = ?1 AND seq = 1)",
    "UPDATE heads SET hash = zeroblob(32) WHERE session_id = ?1",
    "UPDATE heads SET seq = 4, hash = (SELECT hash FROM entries e WHERE e.session_id = ?1 AND e.seq = 4) WHERE session_id = ?1",
    "UPDATE heads SET position = 1 WHERE session_id = ?1",
];

#[test]
fn g04_every_harm_is_healed_to_the_same_rows() {
    for sql in HARM {
        let (bench, bad, _) = two();
        let (before, held) = (rows(&bench), own(&bench, bad));
        harm(&bench, sql, bad);
        assert_ne!(rows(&bench), before, "{sql}");
        mend(&bench, bad, held).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(rows(&bench), before, "{sql}");
        is_well(&bench);
        let next = send(bad, turn_id(99), "and on");
        bench.send(next);
        let root = bench.journal.read(|r| r.root()).unwrap();
        let bench = bench.reopen();
        assert_eq!(bench.journal.verify(|_, _| {}, || false).unwrap().findings.len(), 0, "{sql}");
        assert!(bench.journal.read(|r| r.root()).unwrap() != root || bench.journal.read(|r| r.head(bad)).is_ok());
    }
}

#[test]
fn g04_rows_and_bodies_that_went_together_come_back_in_order() {
    let (bench, bad, _) = two();
    let held = own(&bench, bad);
    let root = bench.journal.read(|r| r.root()).unwrap();
    let places = "position IN (SELECT position FROM entries WHERE session_id = ?1 AND seq > 4)";
    harm(&bench, &format!("DELETE FROM bodies WHERE {places}"), bad);
    harm(&bench, "DELETE FROM entries WHERE session_id = ?1 AND seq > 4", bad);
    let mended = mend(&bench, bad, held.clone()).unwrap();
    assert_eq!((mended.entries, mended.bodies), (held.len() as u64 - 4, held.len() as u64 - 4));
    assert_eq!(own(&bench, bad), held);
    assert_eq!(bench.journal.read(|r| r.root()).unwrap(), root);
    is_well(&bench);
    // A start compares with the witness, which must have seen the same.
    let bench = bench.reopen();
    assert_eq!(bench.journal.read(|r| r.findings(100)).unwrap().len(), 0);
}

#[test]
fn g04_an_older_copy_heals_what_it_holds() {
    let (bench, bad, _) = two();
    let (before, held) = (rows(&bench), own(&bench, bad));
    harm(&bench, "DELETE FROM entries WHERE session_id = ?1 AND seq = 2", bad);
    mend(&bench, bad, held[..6].to_vec()).unwrap();
    assert_eq!(rows(&bench), before);
    is_well(&bench);
}

#[test]
fn g04_what_does_not_fit_changes_nothing() {
    let (bench, bad, good) = two();
    let (held, other) = (own(&bench, bad), own(&bench, good));
    let mut elsewhere = held.clone();
    elsewhere[5].header.at_ms += 1;
    harm(&bench, "DELETE FROM entries WHERE session_id = ?1 AND seq IN (3, 9)", bad);
    let before = rows(&bench);
    for (what, wrong) in [
        ("another session's", other),
        ("altered", elsewhere),
        ("too short", held[..6].to_vec()),
        ("with a gap", held[1..].to_vec()),
        ("nothing", Vec::new()),
    ] {
        let refused = mend(&bench, bad, wrong);
        assert!(refused.is_err(), "{what}");
        assert_eq!(rows(&bench), before, "{what}");
        assert_eq!(bench.journal.read(|r| r.quarantined()).unwrap().len(), 1, "{what}");
    }
    mend(&bench, bad, held).unwrap();
    is_well(&bench);
}

#[test]
fn g02_what_was_erased_stays_erased() {
    let (bench, bad, _) = two();
    let held = own(&bench, bad);
    let prompt = held.iter().find(|entry| entry.header.kind == gander_model::Kind::PROMPT).unwrap().header.seq;
    bench.write(move |tx| tx.redact(bad, prompt));
    let before = rows(&bench);
    harm(&bench, "UPDATE entries SET at_ms = 5 WHERE session_id = ?1 AND seq IN (1, 2, 3)", bad);
    mend(&bench, bad, held).unwrap();
    assert_eq!(rows(&bench), before);
    is_well(&bench);
}
