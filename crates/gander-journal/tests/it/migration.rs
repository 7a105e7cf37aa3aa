//! From format 1 to this version's: one transaction, all or nothing, however it is cut off.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use gander_journal::{FORMAT, Facts, Faults, Journal, OpenError, Options};
use gander_model::{Hash, SessionId};
use rusqlite::Connection;

use crate::fixtures::{fixture, schema};
use crate::support::options;

const CHILD: &str = "GANDER_TEST_MIGRATION_CHILD";

/// A data folder with the fixture of format 1, in which a recovered copy is known.
fn of_format_1() -> (tempfile::TempDir, SessionId, Hash, SessionId) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    fs::copy(fixture(1), &path).unwrap();
    let conn = Connection::open(&path).unwrap();
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal", "what a released version leaves");
    let mut query = conn.prepare("SELECT session_id, hash FROM heads ORDER BY session_id LIMIT 2").unwrap();
    let heads: Vec<([u8; 16], [u8; 32])> =
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let (session, hash) = (SessionId::from_bytes(heads[0].0), Hash(heads[0].1));
    let copy = SessionId::from_bytes(heads[1].0);
    let put = |key: String, value: String| {
        conn.execute("INSERT INTO settings (key, value) VALUES (?1, ?2)", [key, value]).unwrap();
    };
    put(format!("copy_of {session} {hash}"), copy.to_string());
    // What cannot be understood stays where it is.
    put("copy_of nobody knows".to_owned(), "what".to_owned());
    drop(query);
    drop(conn);
    (dir, session, hash, copy)
}

fn facts(dir: &Path) -> Facts {
    Journal::inspect(dir, options(3)).unwrap().facts().unwrap().clone()
}

enum Fault {
    Fail,
    Full,
    Hang,
}

struct Midway(Fault);

impl Midway {
    fn strike(&self, place: &str) -> io::Result<()> {
        match self.0 {
            Fault::Fail => Err(io::Error::other(format!("injected {place}"))),
            Fault::Full => {
                crate::disk::set_failing(crate::disk::Failing::Full);
                Ok(())
            }
            Fault::Hang => {
                println!("midway {place}");
                loop {
                    std::thread::park();
                }
            }
        }
    }
}

struct At {
    place: &'static str,
    midway: Midway,
}

impl Faults for At {
    fn during_migration(&self) -> io::Result<()> {
        if self.place == "in" { self.midway.strike("in") } else { Ok(()) }
    }

    fn before_commit(&self) -> io::Result<()> {
        if self.place == "before" { self.midway.strike("before") } else { Ok(()) }
    }
}

fn faulty(place: &'static str, fault: Fault) -> Options {
    Options { faults: Arc::new(At { place, midway: Midway(fault) }), ..options(9) }
}

/// It opens as it was, and is migrated as if nothing had been tried.
fn is_as_it_was(dir: &Path, before: &Facts) {
    let now = facts(dir);
    assert_eq!(now, *before);
    let mut inspected = Journal::inspect(dir, options(4)).unwrap();
    assert_eq!(inspected.migrates(), Some((1, FORMAT)));
    inspected.migrate().unwrap();
    assert_eq!(inspected.migrates(), None);
    let after = inspected.facts().unwrap().clone();
    // Nothing but the format: no epoch, no revision, no writer.
    assert_eq!(after, Facts { format: FORMAT, ..before.clone() });
    let journal = inspected.open().unwrap();
    assert!(journal.verify(|_, _| {}, || false).unwrap().ok);
}

#[test]
fn g10_a_migration_keeps_roots_and_moves_what_is_to_be_moved() {
    let (dir, session, hash, copy) = of_format_1();
    let before = facts(dir.path());
    is_as_it_was(dir.path(), &before);
    let journal = Journal::open(dir.path(), options(5)).unwrap();
    let (found, left, moved) = journal
        .read(|r| {
            let old = format!("copy_of {session} {hash}");
            Ok((r.copy_of(session, hash)?, r.setting("copy_of nobody knows")?, r.setting(&old)?))
        })
        .unwrap();
    assert_eq!((found, left.as_deref(), moved), (Some(copy), Some("what"), None));
    drop(journal);
    let fresh = tempfile::tempdir().unwrap();
    drop(Journal::open(fresh.path(), Options::default()).unwrap());
    assert_eq!(schema(&dir.path().join("journal.db")), schema(&fresh.path().join("journal.db")));
}

#[test]
fn g10_a_migration_that_fails_leaves_the_journal_as_it_was() {
    for place in ["in", "before"] {
        let (dir, ..) = of_format_1();
        let before = facts(dir.path());
        let mut inspected = Journal::inspect(dir.path(), faulty(place, Fault::Fail)).unwrap();
        let error = inspected.migrate().unwrap_err();
        assert!(matches!(error, OpenError::Migration { found: 1, known: FORMAT, .. }), "{error}");
        assert_eq!(inspected.facts(), Some(&before));
        drop(inspected);
        let opened = Journal::open(dir.path(), faulty(place, Fault::Fail));
        assert!(matches!(opened, Err(OpenError::Migration { .. })));
        is_as_it_was(dir.path(), &before);
    }
}

#[test]
fn g10_a_full_disk_in_a_migration_leaves_the_journal_as_it_was() {
    let (dir, ..) = of_format_1();
    let before = facts(dir.path());
    let _plugged = crate::disk::plug_in(dir.path());
    let mut inspected = Journal::inspect(dir.path(), faulty("in", Fault::Full)).unwrap();
    let error = inspected.migrate().unwrap_err();
    crate::disk::set_failing(crate::disk::Failing::No);
    drop(inspected);
    assert!(matches!(error, OpenError::Migration { .. }), "{error}");
    is_as_it_was(dir.path(), &before);
}

#[test]
fn g10_a_migration_cut_off_by_sigkill_leaves_the_journal_as_it_was() {
    if let Ok(given) = std::env::var(CHILD) {
        let (place, dir) = given.split_once(' ').unwrap();
        let place = if place == "in" { "in" } else { "before" };
        let mut inspected = Journal::inspect(dir, faulty(place, Fault::Hang)).unwrap();
        inspected.migrate().unwrap();
        unreachable!("it hangs midway");
    }
    for place in ["in", "before"] {
        let (dir, ..) = of_format_1();
        let before = facts(dir.path());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "migration::g10_a_migration_cut_off_by_sigkill_leaves_the_journal_as_it_was",
                "--exact",
                "--nocapture",
            ])
            .env(CHILD, format!("{place} {}", dir.path().display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = io::BufRead::lines(io::BufReader::new(child.stdout.take().unwrap()));
        let midway = lines.map(Result::unwrap).any(|line| line.contains(&format!("midway {place}")));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(midway, "the child never came to the middle");
        is_as_it_was(dir.path(), &before);
    }
}

#[test]
fn g10_what_was_migrated_goes_back_to_its_sealed_copy() {
    let (dir, ..) = of_format_1();
    let to = dir.path().join("upgrade/sealed/journal.db");
    let mut inspected = Journal::inspect(dir.path(), options(4)).unwrap();
    let before = inspected.facts().unwrap().clone();
    inspected.copy_to(&to).unwrap();
    inspected.migrate().unwrap();
    drop(inspected);
    assert_eq!(facts(dir.path()).format, FORMAT);
    gander_journal::sealed::put_back(dir.path(), &to, &options(5), |copy| *copy == before).unwrap();
    is_as_it_was(dir.path(), &before);
}
