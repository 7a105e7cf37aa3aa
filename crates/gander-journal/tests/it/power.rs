//! G1 against the power cut and the failing disk: acknowledged means synced, and a failed sync is believed.

use std::path::Path;
use std::sync::MutexGuard;

use gander_journal::{Bounds, Journal, Saving};
use gander_model::{Body, By, Kind, SessionId};

use crate::disk::{Failing, plug_in, set_failing, unplug_into};
use crate::support::{Bench, Seeded, new_session, open, options, wait_until};

/// Writes a note with this number; whether it was acknowledged.
fn note(journal: &Journal, session: SessionId, n: u64, padding: usize) -> bool {
    journal
        .write_blocking(move |tx| {
            let text = format!("note-{n}-{}", "x".repeat(padding));
            tx.append(session, Kind::NOTE, Body::with(By::Gander, &serde_json::json!({ "text": text })).unwrap())
        })
        .is_ok()
}

/// The numbers of all notes, in order; everything verifies.
fn notes(journal: &Journal, session: SessionId) -> Vec<u64> {
    let mut found = Vec::new();
    let mut after = Some(gander_model::Seq(0));
    while after.is_some() {
        let page = journal.read(|r| r.entries(session, Bounds { after, limit: 500, ..Bounds::default() })).unwrap();
        assert_eq!(page.damage, None);
        for view in &page.entries {
            if view.entry.header.kind == Kind::NOTE {
                let text = String::from_utf8(view.entry.body.as_ref().unwrap().bytes.clone()).unwrap();
                let number = text.split("note-").nth(1).unwrap().split('-').next().unwrap();
                found.push(number.parse().unwrap());
            }
        }
        after = page.entries.last().map(|view| view.entry.header.seq).filter(|_| page.more_after);
    }
    found
}

fn watched() -> (MutexGuard<'static, ()>, Bench, SessionId) {
    let dir = tempfile::tempdir().unwrap();
    let plugged = plug_in(dir.path());
    let journal = open(dir.path());
    let session = journal.write_blocking(|tx| tx.create_session(new_session())).unwrap();
    (plugged, Bench { dir, journal }, session)
}

/// Opens what is left after a power cut now, and gives its notes.
fn after_power_cut(session: SessionId, survives: impl FnMut() -> bool) -> Vec<u64> {
    let left = tempfile::tempdir().unwrap();
    unplug_into(left.path(), survives);
    let conn = rusqlite::Connection::open(left.path().join("journal.db")).unwrap();
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    drop(conn);
    let journal = open(left.path());
    notes(&journal, session)
}

fn check(acknowledged: &[u64], found: &[u64]) {
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "doubled or out of order: {found:?}");
    let lost: Vec<&u64> = acknowledged.iter().filter(|n| !found.contains(n)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

#[test]
fn g01_what_was_acknowledged_survives_a_power_cut_at_any_moment() {
    let (_plugged, bench, session) = watched();
    let seed = 20_260;
    let random = Seeded::new(seed);
    let mut acknowledged = Vec::new();
    for n in 0..600 {
        // Some are large enough that checkpoints and a log that begins anew are met on the way.
        let padding = if n % 10 == 0 { 60_000 } else { 100 };
        assert!(note(&bench.journal, session, n, padding));
        acknowledged.push(n);
        if n % 60 == 59 {
            check(&acknowledged, &after_power_cut(session, || false));
            check(&acknowledged, &after_power_cut(session, || random.coin()));
        }
    }
}

/// The power goes while commits and checkpoints are under way, not between them.
#[test]
fn g01_a_power_cut_in_the_middle_of_commits_loses_nothing_acknowledged() {
    let (_plugged, bench, session) = watched();
    let random = Seeded::new(7);
    let (acknowledged, told) = std::sync::mpsc::sync_channel(64);
    std::thread::scope(|scope| {
        // Ends when nobody listens any more.
        scope.spawn(move || {
            for n in 0.. {
                assert!(note(&bench.journal, session, n, 3_000));
                if acknowledged.send(n).is_err() {
                    break;
                }
            }
        });
        let mut known = Vec::new();
        for _ in 0..12 {
            known.extend(told.iter().take(40));
            known.extend(told.try_iter());
            check(&known, &after_power_cut(session, || random.coin()));
        }
        drop(told);
    });
}

/// However the disk fails: nothing is acknowledged meanwhile, it heals without a restart, and what was acknowledged
/// before and after survives a power cut; a sync that failed is never believed later.
#[test]
fn g01_a_failing_disk_loses_nothing_acknowledged_and_heals() {
    for failing in [Failing::Sync, Failing::Full, Failing::Write] {
        let (_plugged, bench, session) = watched();
        let mut acknowledged = Vec::new();
        let mut n = 0;
        for round in 0..3 {
            for _ in 0..20 {
                n += 1;
                assert!(note(&bench.journal, session, n, 500));
                acknowledged.push(n);
            }
            set_failing(failing);
            for _ in 0..5 {
                n += 1;
                assert!(!note(&bench.journal, session, n, 500), "{failing:?}: acknowledged while the disk failed");
            }
            assert!(matches!(&*bench.journal.status().borrow(), Saving::No { .. }), "{failing:?}");
            check(&acknowledged, &notes(&bench.journal, session));
            check(&acknowledged, &after_power_cut(session, || false));
            set_failing(Failing::No);
            wait_until(&bench.journal, |saving| *saving == Saving::Yes);
            n += 1;
            assert!(note(&bench.journal, session, n, 500), "{failing:?} round {round}");
            acknowledged.push(n);
            check(&acknowledged, &after_power_cut(session, || false));
        }
        let Bench { dir, journal } = bench;
        drop(journal);
        check(&acknowledged, &notes(&Journal::open(dir.path(), options(3)).unwrap(), session));
    }
}

/// Writes until part of the log was moved into the database and the sync of it has failed: a reader keeps the rest
/// from being moved, so the engine itself does not sync.
fn fail_the_sync_of_a_partial_checkpoint(bench: &Bench, session: SessionId, acknowledged: &mut Vec<u64>) {
    let mut n = acknowledged.last().copied().unwrap_or(0);
    let mut write = |padding| {
        n += 1;
        let saved = note(&bench.journal, session, n, padding);
        acknowledged.extend(saved.then_some(n));
        saved
    };
    for _ in 0..40 {
        assert!(write(60_000));
    }
    let (started, has_started) = std::sync::mpsc::sync_channel(1);
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let read = bench.journal.read(|r| {
                r.head(session)?;
                started.send(()).unwrap();
                // An error means that the other end was dropped, which releases it as well.
                let _ = released.recv();
                Ok(())
            });
            read.unwrap();
        });
        has_started.recv().unwrap();
        set_failing(Failing::DatabaseSync);
        let started = std::time::Instant::now();
        while *bench.journal.status().borrow() == Saving::Yes {
            assert!(started.elapsed().as_secs() < 60, "a failed sync of the database file is not told");
            write(20_000);
        }
        drop(release);
    });
}

/// A sync of the database file that failed in a checkpoint may have lost pages that the engine has counted as moved.
/// The log must keep them until they were moved again, all of them, and synced.
#[test]
fn g01_a_failed_sync_of_the_database_stops_the_journal_and_loses_nothing() {
    let (_plugged, bench, session) = watched();
    let mut acknowledged = vec![];
    for round in 0..2 {
        fail_the_sync_of_a_partial_checkpoint(&bench, session, &mut acknowledged);
        let n = acknowledged.last().unwrap() + 1;
        assert!(!note(&bench.journal, session, n, 100), "acknowledged while the database cannot be synced");
        let reason = bench.journal.status().borrow().clone();
        assert!(matches!(&reason, Saving::No { reason, .. } if reason.contains("journal.db")), "{reason:?}");
        check(&acknowledged, &notes(&bench.journal, session));
        check(&acknowledged, &after_power_cut(session, || false));
        // The engine would believe the next sync.
        set_failing(Failing::No);
        wait_until(&bench.journal, |saving| *saving == Saving::Yes);
        check(&acknowledged, &after_power_cut(session, || false));
        // Enough for the log to begin anew, several times.
        for n in n + 1..n + 400 {
            assert!(note(&bench.journal, session, n, 60_000), "round {round}");
            acknowledged.push(n);
        }
        check(&acknowledged, &after_power_cut(session, || false));
    }
}

/// The same, when the journal is closed before it healed: the next start moves the whole log again.
#[test]
fn g01_a_start_after_a_failed_sync_of_the_database_loses_nothing() {
    let (_plugged, bench, session) = watched();
    let mut acknowledged = vec![];
    fail_the_sync_of_a_partial_checkpoint(&bench, session, &mut acknowledged);
    let Bench { dir, journal } = bench;
    drop(journal);
    check(&acknowledged, &after_power_cut(session, || false));
    set_failing(Failing::No);
    let journal = open(dir.path());
    assert!(journal.was_unclean());
    check(&acknowledged, &after_power_cut(session, || false));
    let n = acknowledged.last().unwrap() + 1;
    for n in n..n + 400 {
        assert!(note(&journal, session, n, 60_000));
        acknowledged.push(n);
    }
    check(&acknowledged, &after_power_cut(session, || false));
    drop(journal);
    check(&acknowledged, &after_power_cut(session, || false));
}

/// A commit whose sync failed can still be read in the log. What a later start writes after it must not be lost with it.
#[test]
fn g01_a_start_after_a_failed_sync_of_the_log_loses_nothing() {
    let (_plugged, bench, session) = watched();
    let mut acknowledged = vec![1];
    assert!(note(&bench.journal, session, 1, 500));
    set_failing(Failing::Sync);
    assert!(!note(&bench.journal, session, 2, 20_000));
    let Bench { dir, journal } = bench;
    drop(journal);
    set_failing(Failing::No);
    let journal = open(dir.path());
    for n in 3..6 {
        assert!(note(&journal, session, n, 500));
        acknowledged.push(n);
        check(&acknowledged, &after_power_cut(session, || false));
    }
}

#[test]
fn the_disk_itself_notices_what_was_not_synced() {
    let dir = tempfile::tempdir().unwrap();
    let _plugged = plug_in(dir.path());
    let path = dir.path().join("journal.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t (x)").unwrap();
    conn.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(())).unwrap();
    conn.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(rows_after_power_cut(), 0, "synchronous=NORMAL does not sync a commit");
    conn.execute_batch("PRAGMA synchronous = FULL; INSERT INTO t VALUES (2)").unwrap();
    assert_eq!(rows_after_power_cut(), 2);
}

fn rows_after_power_cut() -> i64 {
    let left = tempfile::tempdir().unwrap();
    unplug_into(left.path(), || false);
    let conn = rusqlite::Connection::open(Path::new(left.path()).join("journal.db")).unwrap();
    conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}
