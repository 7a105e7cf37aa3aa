//! Verification, quarantine and rebuild: whatever is done to the database, it is named, stays in its session, and
//! nothing that was said is shown altered.

use std::collections::BTreeMap;
use std::fs;

use gander_journal::{Audit, Bounds, Journal, Report, WriteError};
use gander_model::{Body, By, Kind, SessionId};
use rusqlite::Connection;
use serde_json::json;

use crate::support::{Bench, Seeded, bench, open, send, tamper, turn_id};

fn verify(journal: &Journal) -> Report {
    journal.verify(|_, _| {}, || false).unwrap()
}

fn kinds(report: &Report) -> Vec<(&str, Option<SessionId>)> {
    let mut kinds: Vec<_> = report.findings.iter().map(|f| (f.kind.as_str(), f.session)).collect();
    kinds.sort_unstable();
    kinds
}

struct Sessions {
    bad: SessionId,
    good: SessionId,
    fork: SessionId,
}

/// Two sessions with everything in them, and a fork of the second.
fn sessions(bench: &Bench) -> Sessions {
    let (bad, good) = (bench.session(), bench.session());
    for session in [bad, good] {
        bench.turn(session, 1, "Hello", "Hi");
        let large =
            Body::with(By::Gander, &json!({ "text": format!("{session} {}", "large ".repeat(20_000)) })).unwrap();
        bench.write(move |tx| tx.append(session, Kind::NOTE, large));
        bench.turn(session, 2, "Password: swordfish", "Ok");
        bench.write(move |tx| tx.redact(session, gander_model::Seq(8)));
    }
    let fork = bench.write(move |tx| tx.fork(good, gander_model::Seq(6), None));
    bench.turn(fork, 3, "On the fork", "Yes");
    Sessions { bad, good, fork }
}

fn reopened(bench: Bench, sql: &str, session: SessionId) -> Bench {
    let Bench { dir, journal } = bench;
    drop(journal);
    let id: String = session.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    tamper(dir.path(), |conn| {
        let before = conn.total_changes();
        conn.execute_batch(&sql.replace("?1", &format!("x'{id}'"))).unwrap();
        assert!(conn.total_changes() > before, "nothing was tampered with: {sql}");
    });
    Bench { journal: open(dir.path()), dir }
}

#[test]
fn g03_a_sound_journal_verifies_and_says_how_far_it_came() {
    let bench = bench();
    let Sessions { .. } = sessions(&bench);
    let mut progress = Vec::new();
    let report = bench.journal.verify(|done, total| progress.push((done, total)), || false).unwrap();
    assert_eq!(kinds(&report), []);
    assert!(report.ok && report.complete);
    assert_eq!((report.sessions, report.entries), (3, 28));
    assert_eq!(report.root, bench.journal.read(|r| r.root()).unwrap());
    assert_eq!((progress.first(), progress.last()), (Some(&(0, 28)), Some(&(28, 28))));
    assert_eq!(report.audit, Audit { on_disk: 3, active: 3, ..Audit::default() });
    let cut = bench.journal.verify(|_, _| {}, || true).unwrap();
    assert!(!cut.complete && cut.entries == 0);
}

/// Each is done to the first session while the journal is closed. It alone is set aside, and says why.
#[test]
fn g04_damage_is_named_and_confined_to_its_session() {
    let entry = |seq: u64| format!("(SELECT position FROM entries WHERE session_id = ?1 AND seq = {seq})");
    let cases = [
        (
            "a header's time",
            "UPDATE entries SET at_ms = at_ms + 1 WHERE session_id = ?1 AND seq = 3".to_owned(),
            "entry 3 does not follow",
        ),
        (
            "a header's kind",
            "UPDATE entries SET kind = 'thought' WHERE session_id = ?1 AND seq = 5".to_owned(),
            "entry 5 does not follow",
        ),
        (
            "a header's hash",
            "UPDATE entries SET hash = zeroblob(32) WHERE session_id = ?1 AND seq = 2".to_owned(),
            "entry 2 does not follow",
        ),
        (
            "a header's body hash",
            "UPDATE entries SET body_hash = zeroblob(32) WHERE session_id = ?1 AND seq = 2".to_owned(),
            "entry 2 does not follow",
        ),
        (
            "a body",
            format!(
                "UPDATE bodies SET body = CAST(replace(body, 'Hello', 'hello') AS BLOB) WHERE position = {}",
                entry(3)
            ),
            "body of entry 3 does not match",
        ),
        (
            "a salt",
            format!("UPDATE bodies SET salt = zeroblob(32) WHERE position = {}", entry(3)),
            "body of entry 3 does not match",
        ),
        ("a body gone", format!("DELETE FROM bodies WHERE position = {}", entry(3)), "body of entry 3 is gone"),
        (
            "a body gone with an erasure that no entry lists",
            format!(
                "DELETE FROM bodies WHERE position = {0}; INSERT INTO erasures SELECT {0}, position FROM entries
                 WHERE session_id = ?1 AND kind = 'redacted'",
                entry(3)
            ),
            "body of entry 3 is gone",
        ),
        (
            "an entry in the middle",
            format!("DELETE FROM bodies WHERE position = {0}; DELETE FROM entries WHERE position = {0}", entry(3)),
            "entry 3 is missing",
        ),
        (
            "the last entry",
            format!("DELETE FROM bodies WHERE position = {0}; DELETE FROM entries WHERE position = {0}", entry(11)),
            "do not end at the witnessed head",
        ),
        (
            "two entries swapped",
            "UPDATE entries SET seq = 1000 WHERE session_id = ?1 AND seq = 3;
             UPDATE entries SET seq = 3 WHERE session_id = ?1 AND seq = 5;
             UPDATE entries SET seq = 5 WHERE session_id = ?1 AND seq = 1000"
                .to_owned(),
            "entry 3 does not follow",
        ),
        (
            "an entry moved to another session",
            "DELETE FROM bodies WHERE position = (SELECT position FROM entries WHERE session_id = ?1 AND seq = 11);
             DELETE FROM entries WHERE session_id = ?1 AND seq = 11;
             INSERT INTO entries SELECT 1000, ?1, seq, at_ms, kind, body_hash, hash FROM entries
                WHERE session_id <> ?1 AND seq = 11 ORDER BY position LIMIT 1;
             INSERT INTO bodies SELECT 1000, salt, body FROM bodies JOIN entries USING (position)
                WHERE session_id <> ?1 AND seq = 11 ORDER BY position LIMIT 1"
                .to_owned(),
            "entry 11 does not follow",
        ),
        (
            "an entry doubled at the end",
            "INSERT INTO entries SELECT 1000, session_id, 12, at_ms, kind, body_hash, hash FROM entries
                WHERE session_id = ?1 AND seq = 11;
             INSERT INTO bodies SELECT 1000, salt, body FROM bodies JOIN entries USING (position)
                WHERE session_id = ?1 AND seq = 11"
                .to_owned(),
            "entry 12 does not follow",
        ),
        (
            "a head's hash",
            "UPDATE heads SET hash = zeroblob(32) WHERE session_id = ?1".to_owned(),
            "do not end at the witnessed head",
        ),
        (
            "a head's place",
            "UPDATE heads SET position = 1 WHERE session_id = ?1; UPDATE heads SET position = 2 WHERE session_id = ?1"
                .to_owned(),
            "not where it was witnessed",
        ),
        (
            "an older head",
            format!(
                "UPDATE heads SET (seq, hash, position) = (SELECT seq, hash, position FROM entries WHERE position = {}) WHERE session_id = ?1",
                entry(4)
            ),
            "do not end at the witnessed head",
        ),
        (
            "a chunk of a large content",
            "UPDATE content_chunks SET data = zeroblob(10) WHERE content_id = 1".to_owned(),
            "large content",
        ),
        (
            "a chunk with a hash to match",
            "UPDATE content_chunks SET (data, hash) = (SELECT data, hash FROM content_chunks WHERE content_id = 2)
             WHERE content_id = 1"
                .to_owned(),
            "large content",
        ),
        (
            "a large content gone",
            "DELETE FROM content_chunks WHERE content_id = 1; DELETE FROM contents WHERE content_id = 1".to_owned(),
            "is missing",
        ),
    ];
    for (what, sql, says) in cases {
        let bench = bench();
        let Sessions { bad, good, fork } = sessions(&bench);
        let before = [bench.transcript(good), bench.transcript(fork)];
        let bench = reopened(bench, &sql, bad);
        let report = verify(&bench.journal);
        let finding = report.findings.iter().find(|f| f.kind == "session_damaged");
        let finding = finding.unwrap_or_else(|| panic!("{what}: {:?}", kinds(&report)));
        assert_eq!(finding.session, Some(bad), "{what}");
        assert!(finding.detail.contains(says), "{what}: {}", finding.detail);
        assert!(
            !report.ok && report.findings.iter().all(|f| f.session.is_none_or(|s| s == bad)),
            "{what}: {:?}",
            kinds(&report)
        );
        assert_eq!(report.audit, Audit { on_disk: 3, active: 2, quarantined: 1, ..Audit::default() }, "{what}");
        assert_eq!([bench.transcript(good), bench.transcript(fork)], before, "{what}");
        // It is shown as far as it verifies, takes nothing new, and the others do.
        bench.journal.read(|r| r.entries(bad, Bounds { limit: 50, ..Bounds::default() })).unwrap();
        let refused = bench.fails(move |tx| tx.send(&send(bad, turn_id(9), "more")));
        assert!(matches!(refused, WriteError::Quarantined { .. }), "{what}: {refused:?}");
        bench.turn(good, 9, "more", "fine");
        assert_eq!(kinds(&verify(&bench.journal)), kinds(&report), "{what}: found once more, and kept once");
    }
}

#[test]
fn g03_a_forks_parent_that_was_altered_is_told_of_both() {
    let bench = bench();
    let Sessions { good, fork, .. } = sessions(&bench);
    let bench = reopened(bench, "UPDATE entries SET hash = zeroblob(32) WHERE session_id = ?1 AND seq = 7", good);
    let report = verify(&bench.journal);
    let damaged: Vec<_> = kinds(&report).into_iter().filter(|(kind, _)| *kind == "session_damaged").collect();
    assert_eq!(damaged, [("session_damaged", Some(good)), ("session_damaged", Some(fork))]);
}

#[test]
fn a_session_that_verifies_again_is_released() {
    let bench = bench();
    let Sessions { bad, .. } = sessions(&bench);
    let at = "UPDATE entries SET at_ms = at_ms + 7 WHERE session_id = ?1 AND seq = 3";
    let bench = reopened(bench, at, bad);
    assert_eq!(verify(&bench.journal).audit.quarantined, 1);
    let bench = reopened(bench, &at.replace('+', "-"), bad);
    let report = verify(&bench.journal);
    assert_eq!((report.ok, report.audit.quarantined, report.audit.active), (true, 0, 3));
    bench.turn(bad, 9, "more", "fine");
    assert!(bench.journal.read(|r| r.findings(9)).unwrap().iter().all(|f| f.kind != "session_damaged"));
}

/// The projection's rows, as they are stored.
fn rows(bench: &Bench) -> Vec<String> {
    let conn = Connection::open(bench.dir.path().join("journal.db")).unwrap();
    let mut all = Vec::new();
    for table in ["sessions", "listing"] {
        let mut query = conn.prepare(&format!("SELECT * FROM {table} ORDER BY session_id")).unwrap();
        let columns = query.column_count();
        let found = query
            .query_map([], |row| {
                (0..columns).map(|i| row.get::<_, rusqlite::types::Value>(i)).collect::<rusqlite::Result<Vec<_>>>()
            })
            .unwrap();
        all.extend(found.map(|row| format!("{table} {:?}", row.unwrap())));
    }
    all
}

#[test]
fn rebuild_gives_the_same_rows_whatever_was_done_to_them() {
    let cases = [
        ("nothing", "UPDATE meta SET value = value WHERE key = 'format'", 0, &[][..]),
        ("a name", "UPDATE sessions SET name = 'Mine' WHERE session_id = ?1", 1, &["projection_differs"]),
        ("a status", "UPDATE sessions SET status = 'trashed' WHERE session_id = ?1", 1, &["projection_differs"]),
        ("a list", "UPDATE listing SET bucket = 'trashed' WHERE session_id = ?1", 0, &["projection_differs"]),
        (
            "a sum",
            "UPDATE sessions SET checksum = '0000000000000000' WHERE session_id = ?1",
            1,
            &["projection_differs"],
        ),
        // These are made again at the start already.
        ("a row", "DELETE FROM sessions WHERE session_id = ?1", 0, &[]),
        ("all rows", "DELETE FROM sessions", 0, &[]),
    ];
    for (what, sql, changed, found) in cases {
        let bench = bench();
        let Sessions { bad, .. } = sessions(&bench);
        let before = rows(&bench);
        let bench = reopened(bench, sql, bad);
        let report = verify(&bench.journal);
        assert_eq!(kinds(&report).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), found, "{what}");
        let rebuilt = bench.journal.rebuild(|_, _| {}).unwrap();
        assert_eq!((rebuilt.sessions, rebuilt.changed, rebuilt.removed), (3, changed, 0), "{what}");
        assert_eq!(rows(&bench), before, "{what}");
        assert!(verify(&bench.journal).ok, "{what}");
    }
}

#[test]
fn rules_that_were_removed_are_put_back_and_told() {
    let bench = bench();
    let Bench { dir, journal } = bench;
    drop(journal);
    let conn = Connection::open(dir.path().join("journal.db")).unwrap();
    conn.execute_batch(
        "DROP TRIGGER entries_keep_delete; DROP TRIGGER bodies_keep_update;
         CREATE TRIGGER bodies_keep_update BEFORE UPDATE ON bodies BEGIN SELECT 1; END",
    )
    .unwrap();
    drop(conn);
    let journal = open(dir.path());
    let finding = journal.read(|r| r.findings(9)).unwrap().remove(0);
    assert_eq!(finding.kind, "guards_missing");
    assert!(finding.detail.contains("bodies_keep_update, entries_keep_delete"), "{}", finding.detail);
    let conn = Connection::open(dir.path().join("journal.db")).unwrap();
    let text: String = conn
        .query_row("SELECT sql FROM sqlite_schema WHERE name = 'bodies_keep_update'", [], |row| row.get(0))
        .unwrap();
    assert!(text.contains("RAISE"), "{text}");
}

/// What a session's entries say, or `None` where it is not shown as sound.
fn told(journal: &Journal, session: SessionId) -> Option<String> {
    let page = journal.read(|r| r.entries(session, Bounds { limit: 500, ..Bounds::default() })).ok()?;
    let sound = page.damage.is_none() && page.entries.iter().all(|view| !view.damaged);
    sound.then(|| format!("{:?}", page.entries))
}

/// Bits flipped anywhere in the file: the journal is refused with a reason, or every session is shown as it was or
/// as damaged. Never as something else, and never as empty.
#[test]
fn g04_a_flipped_bit_anywhere_never_alters_what_is_shown() {
    let bench = bench();
    let Sessions { bad, good, fork } = sessions(&bench);
    let before: BTreeMap<SessionId, String> =
        [bad, good, fork].map(|session| (session, told(&bench.journal, session).unwrap())).into();
    let Bench { dir, journal } = bench;
    drop(journal);
    let sound = fs::read(dir.path().join("journal.db")).unwrap();
    let witness = fs::read(dir.path().join("witness")).unwrap();
    let random = Seeded::new(4);
    let (mut refused, mut found, mut unharmed) = (0, 0, 0);
    for _ in 0..80 {
        let bit = random.next() % (sound.len() as u64 * 8);
        let scratch = tempfile::tempdir().unwrap();
        let mut bytes = sound.clone();
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        fs::write(scratch.path().join("journal.db"), &bytes).unwrap();
        fs::write(scratch.path().join("witness"), &witness).unwrap();
        let journal = match Journal::open(scratch.path(), crate::support::options(bit)) {
            Ok(journal) => journal,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                let kept = fs::read(scratch.path().join("journal.db")).unwrap();
                assert!(!kept.is_empty(), "bit {bit}: refused, and nothing was put in its place");
                refused += 1;
                continue;
            }
        };
        for (session, said) in &before {
            if let Some(told) = told(&journal, *session) {
                assert_eq!(&told, said, "bit {bit}");
            }
        }
        match journal.verify(|_, _| {}, || false) {
            Ok(report) if report.ok => {
                unharmed += 1;
                for (session, said) in &before {
                    assert_eq!(told(&journal, *session).as_ref(), Some(said), "bit {bit}: verified");
                }
            }
            _ => found += 1,
        }
    }
    assert!(found > 10 && unharmed > 10, "{refused} refused, {found} found, {unharmed} in free space");
}

/// Files cut off anywhere.
#[test]
fn g04_a_truncated_journal_is_never_shown_as_less() {
    let bench = bench();
    let Sessions { bad, good, fork } = sessions(&bench);
    let before: BTreeMap<SessionId, String> =
        [bad, good, fork].map(|session| (session, told(&bench.journal, session).unwrap())).into();
    let Bench { dir, journal } = bench;
    drop(journal);
    let sound = fs::read(dir.path().join("journal.db")).unwrap();
    let witness = fs::read(dir.path().join("witness")).unwrap();
    for pages in [0, 1, 2, 5, 20, 40, sound.len() / 4096 - 1] {
        for odd in [0, 100] {
            let scratch = tempfile::tempdir().unwrap();
            fs::write(scratch.path().join("journal.db"), &sound[..(pages * 4096 + odd).min(sound.len())]).unwrap();
            fs::write(scratch.path().join("witness"), &witness).unwrap();
            let Ok(journal) = Journal::open(scratch.path(), crate::support::options(pages as u64)) else { continue };
            let report = journal.verify(|_, _| {}, || false);
            assert!(!report.is_ok_and(|report| report.ok), "{pages} pages");
            for (session, said) in &before {
                if let Some(told) = told(&journal, *session) {
                    assert_eq!(&told, said, "{pages} pages");
                }
            }
        }
    }
}
