//! G3, G4: damage is found before it is shown, named, and confined to its session.

use gander_journal::{Bounds, EntryPage, WriteError};
use gander_model::chain::Damage;
use gander_model::{Seq, SessionId};
use rusqlite::{Connection, params};

use crate::support::{Bench, bench, send, turn_id};

/// Does what no trigger would allow.
fn tamper(bench: &Bench, sql: &str, session: SessionId) {
    let conn = Connection::open(bench.dir.path().join("journal.db")).unwrap();
    for trigger in
        ["entries_keep_update", "entries_keep_delete", "bodies_keep_update", "bodies_keep_delete", "heads_keep_update"]
    {
        conn.execute_batch(&format!("DROP TRIGGER IF EXISTS {trigger}")).unwrap();
    }
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let changed = conn.execute(sql, params![session.as_bytes()]).unwrap();
    assert!(changed > 0, "nothing was tampered with");
}

fn page(bench: &Bench, session: SessionId) -> EntryPage {
    bench.journal.read(|r| r.entries(session, Bounds { limit: 200, ..Bounds::default() })).unwrap()
}

fn seqs(page: &EntryPage) -> Vec<u64> {
    page.entries.iter().map(|view| view.entry.header.seq.0).collect()
}

fn check(sql: &str, damage: Damage, shown: &[u64]) {
    let bench = bench();
    let (bad, good) = (bench.session(), bench.session());
    bench.turn(bad, 1, "Hello", "Hi");
    bench.turn(good, 1, "Hello", "Hi");
    tamper(&bench, sql, bad);
    let found = page(&bench, bad);
    assert_eq!((found.damage.clone(), seqs(&found)), (Some(damage), shown.to_vec()), "{sql}");
    let other = page(&bench, good);
    assert_eq!((other.damage, other.entries.len()), (None, 6), "{sql}");
}

#[test]
fn g04_altered_headers_hide_what_is_not_linked_and_show_the_rest() {
    let header = |seq| Damage::Header { seq: Seq(seq) };
    check("UPDATE entries SET at_ms = 5 WHERE session_id = ?1 AND seq = 3", header(3), &[4, 5, 6]);
    check("UPDATE entries SET kind = 'note' WHERE session_id = ?1 AND seq = 1", header(1), &[2, 3, 4, 5, 6]);
    check("UPDATE entries SET hash = zeroblob(32) WHERE session_id = ?1 AND seq = 2", header(3), &[4, 5, 6]);
}

#[test]
fn g04_missing_entries_are_found() {
    let missing = |expected, found| Damage::Missing { expected: Seq(expected), found: Seq(found) };
    check("DELETE FROM entries WHERE session_id = ?1 AND seq = 3", missing(3, 2), &[5, 6]);
    check("DELETE FROM entries WHERE session_id = ?1 AND seq = 6", missing(6, 5), &[]);
    check("DELETE FROM entries WHERE session_id = ?1 AND seq <= 2", missing(2, 0), &[4, 5, 6]);
}

#[test]
fn g04_a_body_that_does_not_match_is_left_out_alone() {
    let sql = "UPDATE bodies SET body = CAST('{}' AS BLOB) WHERE position =
        (SELECT position FROM entries WHERE session_id = ?1 AND seq = 3)";
    check(sql, Damage::Body { seq: Seq(3) }, &[1, 2, 3, 4, 5, 6]);
    let sql = "DELETE FROM bodies WHERE position =
        (SELECT position FROM entries WHERE session_id = ?1 AND seq = 3)";
    check(sql, Damage::BodyGone { seq: Seq(3) }, &[1, 2, 3, 4, 5, 6]);
}

#[test]
fn g03_a_body_moved_to_another_session_is_found() {
    let bench = bench();
    let (one, two) = (bench.session(), bench.session());
    bench.turn(one, 1, "Mine", "A");
    bench.turn(two, 1, "Yours", "B");
    tamper(
        &bench,
        "UPDATE bodies SET (salt, body) = (SELECT salt, body FROM bodies JOIN entries USING (position)
            WHERE session_id <> ?1 AND seq = 3)
         WHERE position = (SELECT position FROM entries WHERE session_id = ?1 AND seq = 3)",
        one,
    );
    let found = page(&bench, one);
    assert_eq!(found.damage, Some(Damage::Body { seq: Seq(3) }));
    assert!(found.entries[2].damaged && found.entries[2].entry.body.is_none());
}

#[test]
fn g04_a_rolled_back_head_is_found() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "Hello", "Hi");
    tamper(
        &bench,
        "UPDATE heads SET hash = (SELECT hash FROM entries e WHERE e.session_id = ?1 AND e.seq = 4) WHERE session_id = ?1",
        session,
    );
    assert!(matches!(page(&bench, session).damage, Some(Damage::Head { .. })));
    let error = bench.fails(move |tx| tx.send(&send(session, turn_id(2), "more")));
    assert!(matches!(error, WriteError::Damaged { .. }), "{error:?}");
}

#[test]
fn g04_a_quarantined_session_takes_no_writes_and_others_do() {
    let bench = bench();
    let (bad, good) = (bench.session(), bench.session());
    bench.write(move |tx| tx.set_aside(bad, "entry 3 is missing"));
    let error = bench.fails(move |tx| tx.send(&send(bad, turn_id(1), "more")));
    assert!(matches!(error, WriteError::Quarantined { session, .. } if session == bad), "{error:?}");
    bench.send(send(good, turn_id(1), "fine"));
    let counts = bench.journal.read(|r| r.counts()).unwrap();
    assert_eq!((counts.quarantined, counts.active, counts.total()), (1, 1, 2));
    assert_eq!(bench.journal.read(|r| r.findings(10)).unwrap()[0].session, Some(bad));
    bench.write(move |tx| tx.release_quarantine(bad));
    bench.send(send(bad, turn_id(1), "more"));
}

#[test]
fn a_row_that_does_not_match_its_checksum_is_not_believed() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "Hello", "Hi");
    tamper(&bench, "UPDATE sessions SET name = 'Wrong name' WHERE session_id = ?1", session);
    let view = bench.journal.read(|r| r.session(session)).unwrap();
    assert_eq!(view.state.name.as_deref(), Some("Hello"));
    bench.turn(session, 2, "More", "Yes");
    let view = bench.journal.read(|r| r.session(session)).unwrap();
    assert_eq!((view.state.name.as_deref(), view.state.prompts), (Some("Hello"), 2));
}

/// 33,000 entries: every page verifies, in any order, and damage in the middle is found from either side.
#[test]
fn g04_pages_of_a_long_session_link_to_the_head() {
    let bench = bench();
    let session = bench.session();
    for _ in 0..33 {
        bench.write(move |tx| {
            for n in 0..1000 {
                let body = gander_model::Body::with(gander_model::By::Gander, &serde_json::json!({ "text": n }));
                tx.append(session, gander_model::Kind::NOTE, body.unwrap())?;
            }
            Ok(())
        });
    }
    let read = |bounds: Bounds| bench.journal.read(|r| r.entries(session, bounds)).unwrap();
    let middle = read(Bounds { before: Some(Seq(15_001)), limit: 200, ..Bounds::default() });
    assert_eq!((middle.damage, middle.entries.len(), middle.more_before, middle.more_after), (None, 200, true, true));
    let mut before = None;
    let mut count = 0;
    loop {
        let page = read(Bounds { before, limit: 500, ..Bounds::default() });
        assert_eq!(page.damage, None);
        count += page.entries.len();
        before = page.entries.first().map(|view| view.entry.header.seq);
        if !page.more_before {
            break;
        }
    }
    assert_eq!(count, 33_002);
    tamper(&bench, "UPDATE entries SET at_ms = 5 WHERE session_id = ?1 AND seq = 20000", session);
    let bench = bench.reopen();
    let read = |bounds: Bounds| bench.journal.read(|r| r.entries(session, bounds)).unwrap();
    assert_eq!(read(Bounds { limit: 200, ..Bounds::default() }).damage, None);
    let below = read(Bounds { before: Some(Seq(15_001)), limit: 200, ..Bounds::default() });
    assert_eq!((below.damage, below.entries.len()), (Some(Damage::Header { seq: Seq(20_000) }), 0));
}
