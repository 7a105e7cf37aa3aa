//! What is looked at before a journal serves: its place, its lock, its witness, its counts.

use std::fs;
use std::path::{Path, PathBuf};

use gander_journal::{Audit, Bounds, Draft, Journal, OpenError, WriteError, lock, place, witness};
use gander_model::SessionId;
use rusqlite::Connection;

use crate::support::{Bench, TestClock, bench, json, open, options, until};

fn kinds(journal: &Journal) -> Vec<String> {
    let mut kinds: Vec<String> =
        journal.read(|r| r.findings(50)).unwrap().into_iter().map(|finding| finding.kind).collect();
    kinds.sort();
    kinds
}

/// Files of a closed journal, to be put back later.
fn copy(dir: &Path, files: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    files.iter().map(|name| (dir.join(name), fs::read(dir.join(name)).unwrap())).collect()
}

fn put_back(files: &[(PathBuf, Vec<u8>)]) {
    files.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
}

fn closed(bench: Bench) -> tempfile::TempDir {
    let Bench { dir, journal } = bench;
    drop(journal);
    dir
}

#[test]
fn g08_a_second_opener_is_refused_and_told_who_holds_the_journal() {
    let bench = bench();
    let refused = Journal::open(bench.dir.path(), options(2)).err().unwrap();
    let OpenError::Held { holder, .. } = &refused else { panic!("{refused:?}") };
    let me = format!("process {}, gander 0.1.0 (", std::process::id());
    assert!(holder.starts_with(&me) && holder.contains("since 2023-11-14T22:13:20Z"), "{holder}");
    assert_eq!(lock::holder(bench.dir.path()).unwrap().pid, std::process::id());
    let dir = closed(bench);
    // What is left in the file holds nobody off.
    assert!(lock::holder(dir.path()).is_some());
    open(dir.path());
}

#[test]
fn g08_a_lock_file_that_was_removed_does_not_let_two_write() {
    let bench = bench();
    let session = bench.session();
    fs::remove_file(bench.dir.path().join(lock::FILE)).unwrap();
    let other = Journal::open(bench.dir.path(), options(2)).unwrap();
    let refused = bench.fails(move |tx| tx.set_pinned(session, true));
    assert!(matches!(refused, WriteError::Closed(_)), "{refused:?}");
    other.write_blocking(move |tx| tx.set_pinned(session, true)).unwrap();
    // The one that was fenced leaves the witness to the one that took over.
    let dir = closed(bench);
    drop(other);
    let journal = open(dir.path());
    assert_eq!(kinds(&journal), [""; 0]);
}

#[test]
fn a_network_or_synchronised_folder_is_refused_with_the_reason() {
    let mounts = "22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
         30 22 0:40 / /net rw - nfs4 box:/x rw\n\
         31 30 0:41 / /net/my\\040disk rw shared:7 master:1 - ext4 /dev/vdb rw\n\
         32 22 0:42 / /cloud rw - fuse.rclone remote: rw\n\
         33 22 0:43 / /usb rw - fuseblk /dev/sdb rw";
    let kind = |path: &str| place::mounted(mounts, Path::new(path)).unwrap();
    let seen: Vec<(String, bool)> = ["/home/a", "/net/b", "/net/my disk/c", "/netother", "/cloud/d", "/usb/e"]
        .iter()
        .map(|path| (kind(path), place::is_network(&kind(path))))
        .collect();
    let want =
        [("ext4", false), ("nfs4", true), ("ext4", false), ("ext4", false), ("fuse.rclone", true), ("fuseblk", false)];
    assert_eq!(seen, want.map(|(kind, network)| (kind.to_owned(), network)));

    let dir = tempfile::tempdir().unwrap();
    for (name, client) in [("Dropbox", "Dropbox"), ("OneDrive - Work", "OneDrive"), ("Mobile Documents", "iCloud")] {
        let refused = Journal::open(dir.path().join(name).join("gander"), options(1)).err().unwrap();
        let OpenError::Place { why, .. } = &refused else { panic!("{refused:?}") };
        assert!(why.contains(client) && why.contains("choose a folder"), "{why}");
    }
    fs::create_dir(dir.path().join(".stfolder")).unwrap();
    let refused = Journal::open(dir.path().join("plain"), options(1)).err().unwrap();
    assert!(refused.to_string().contains("Syncthing"), "{refused}");
}

#[test]
fn the_witness_follows_the_commits_and_says_what_the_journal_says() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "Hello", "Hi");
    let root = bench.journal.read(|r| r.root()).unwrap();
    until("a witness of the last commit", || {
        witness::read(bench.dir.path()).unwrap().is_some_and(|witness| witness.root == root)
    });
    let witness = witness::read(bench.dir.path()).unwrap().unwrap();
    let cursor = bench.journal.read(|r| r.cursor()).unwrap();
    assert_eq!((witness.position, witness.revision, witness.journal), (6, cursor.revision, cursor.journal));
    let dir = closed(bench);
    fs::write(dir.path().join(witness::FILE), b"{\"journal\":1}\nno hash\n").unwrap();
    let journal = open(dir.path());
    assert_eq!(kinds(&journal), ["witness_unreadable"]);
    drop(journal);
    fs::remove_file(dir.path().join(witness::FILE)).unwrap();
    let journal = open(dir.path());
    assert_eq!(kinds(&journal), ["witness_missing", "witness_unreadable"]);
    drop(journal);
    assert_eq!(witness::read(dir.path()).unwrap().unwrap().root, root);
}

/// What an older copy of the database in its place means: nothing in it is wrong, and it is noticed all the same.
#[test]
fn g12_an_older_copy_put_back_is_noticed_and_old_cursors_reset() {
    let bench = bench();
    let (kept, later) = (bench.session(), bench.session());
    bench.turn(kept, 1, "Hello", "Hi");
    let bench = bench.reopen();
    let cursor = bench.journal.read(|r| r.cursor()).unwrap();
    let dir = closed(bench);
    let old = copy(dir.path(), &["journal.db"]);
    let bench = Bench { journal: open(dir.path()), dir };
    bench.turn(later, 1, "Newer", "Lost");
    let dir = closed(bench);
    put_back(&old);

    let bench = Bench { journal: open(dir.path()), dir };
    assert_eq!(kinds(&bench.journal), ["journal_behind_witness"]);
    let finding = bench.journal.read(|r| r.findings(1)).unwrap().remove(0);
    assert!(finding.detail.contains("at least 4 entries"), "{}", finding.detail);
    let changes = bench.journal.read(|r| r.changes(cursor, 10)).unwrap();
    assert!(matches!(changes, gander_journal::Changes::Reset), "{changes:?}");
    assert_eq!(bench.transcript(kept).lines().count(), 6);
    // Told once: the journal goes on from here.
    let bench = bench.reopen();
    assert_eq!(kinds(&bench.journal), ["journal_behind_witness"]);
    assert_eq!(bench.journal.read(|r| r.findings(9)).unwrap().len(), 1);
}

#[test]
fn g12_an_older_copy_that_lacks_only_a_draft_is_noticed() {
    let bench = bench();
    let (window, session) = bench.window();
    let dir = closed(bench);
    let old = copy(dir.path(), &["journal.db"]);
    let bench = Bench { journal: open(dir.path()), dir };
    let draft = Draft { window, session, rev: 1, text: "unsent".to_owned(), attachments: json("[]") };
    bench.write(move |tx| tx.save_draft(draft));
    let dir = closed(bench);
    put_back(&old);
    assert_eq!(kinds(&open(dir.path())), ["journal_behind_witness"]);
}

#[test]
fn g12_another_journal_put_in_its_place_is_noticed() {
    let one = bench();
    let session = one.session();
    let dir = closed(one);
    let other = tempfile::tempdir().unwrap();
    drop(Journal::open(other.path(), options(77)).unwrap());
    fs::copy(other.path().join("journal.db"), dir.path().join("journal.db")).unwrap();
    let journal = open(dir.path());
    assert_eq!(kinds(&journal), ["journal_replaced"]);
    assert!(journal.read(|r| r.session(session)).is_err());
}

#[test]
fn g12_a_missing_or_empty_journal_is_never_taken_for_a_new_one() {
    let bench = bench();
    bench.session();
    let dir = closed(bench);
    let old = copy(dir.path(), &["journal.db"]);
    let path = dir.path().join("journal.db");
    for empty in [false, true] {
        if empty {
            fs::write(&path, b"").unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        let refused = Journal::open(dir.path(), options(1)).err().unwrap();
        assert!(matches!(refused, OpenError::Lost { .. }), "{refused:?}");
        assert!(refused.to_string().contains("2 entries"), "{refused}");
        assert_eq!(path.exists(), empty, "nothing was put in its place");
    }
    put_back(&old);
    assert_eq!(kinds(&open(dir.path())), [""; 0]);
}

struct Case {
    what: &'static str,
    sql: &'static str,
    finding: &'static [&'static str],
    audit: [u64; 5],
}

/// Two sessions, the first tampered with while the journal is closed. The second must never notice.
#[test]
fn g12_what_was_removed_behind_our_back_is_named_and_still_counted() {
    let cases = [
        Case {
            what: "an entry at the end",
            sql: "DELETE FROM bodies WHERE position = 6; DELETE FROM entries WHERE position = 6;",
            finding: &["session_damaged"],
            audit: [2, 1, 0, 0, 1],
        },
        Case {
            what: "every entry of a session",
            sql: "DELETE FROM bodies WHERE position <= 6; DELETE FROM entries WHERE position <= 6;",
            finding: &["session_damaged"],
            audit: [2, 1, 0, 0, 1],
        },
        Case {
            what: "a witnessed head",
            sql: "DELETE FROM heads WHERE session_id = ?1;",
            finding: &["journal_differs_from_witness", "session_damaged"],
            audit: [2, 1, 0, 0, 1],
        },
        Case {
            what: "a head and the entry behind it",
            sql: "UPDATE heads SET seq = 5, position = 5, hash = (SELECT hash FROM entries WHERE position = 5)
                    WHERE session_id = ?1;
                  DELETE FROM bodies WHERE position = 6; DELETE FROM entries WHERE position = 6;",
            finding: &["journal_differs_from_witness", "projection_repaired"],
            audit: [2, 2, 0, 0, 0],
        },
        Case {
            what: "rows of the projection",
            sql: "DELETE FROM sessions WHERE session_id = ?1; DELETE FROM listing;",
            finding: &["projection_repaired"],
            audit: [2, 2, 0, 0, 0],
        },
        Case {
            what: "a session with all its traces but the row",
            sql: "DELETE FROM heads WHERE session_id = ?1; DELETE FROM bodies WHERE position <= 6;
                  DELETE FROM entries WHERE position <= 6;",
            finding: &["journal_differs_from_witness", "session_gone"],
            audit: [1, 2, 0, 0, 0],
        },
    ];
    for Case { what, sql, finding, audit } in cases {
        let bench = bench();
        let bad = bench.session();
        bench.turn(bad, 1, "Hello", "Hi");
        let good = bench.session();
        bench.turn(good, 1, "Other", "Yes");
        let before = bench.transcript(good);
        let dir = closed(bench);
        tamper(dir.path(), sql, bad);
        let bench = Bench { journal: open(dir.path()), dir };
        assert_eq!(kinds(&bench.journal), finding, "{what}");
        let found = bench.journal.read(|r| r.audit()).unwrap();
        let [on_disk, active, archived, trashed, quarantined] = audit;
        assert_eq!(found, Audit { on_disk, active, archived, trashed, quarantined }, "{what}");
        assert_eq!(bench.transcript(good), before, "{what}");
        // What is left of it can still be opened.
        if quarantined == 1 {
            let page = bench.journal.read(|r| r.entries(bad, Bounds { limit: 10, ..Bounds::default() })).unwrap();
            assert!(page.damage.is_some() || what == "a witnessed head", "{what}");
        }
    }
}

/// Marks the end as unclean, too: what a clean start would not look at is looked at.
fn tamper(dir: &Path, sql: &str, session: SessionId) {
    let id: String = session.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    crate::support::tamper(dir, |conn| {
        conn.execute_batch(&sql.replace("?1", &format!("x'{id}'"))).unwrap();
        conn.execute("UPDATE meta SET value = 0 WHERE key = 'clean'", []).unwrap();
    });
}

#[test]
fn a_newer_format_is_shown_and_not_touched() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "Hello", "Hi");
    let before = bench.transcript(session);
    let dir = closed(bench);
    crate::support::tamper(dir.path(), |conn| {
        conn.execute_batch("UPDATE meta SET value = 9 WHERE key IN ('format', 'oldest_writer')").unwrap();
        conn.execute_batch("UPDATE meta SET value = '7.8.9' WHERE key = 'written_by'").unwrap();
    });
    let bytes = fs::read(dir.path().join("journal.db")).unwrap();
    let bench = Bench { journal: open(dir.path()), dir };
    let reason = bench.journal.read_only().unwrap().to_owned();
    assert!(reason.contains("format 9") && reason.contains("newer"), "{reason}");
    // Which version wrote it, and both ways to go on.
    for words in ["gander 7.8.9", "gander upgrade rollback", "gander backup list"] {
        assert!(reason.contains(words), "{reason}");
    }
    assert!(
        matches!(&*bench.journal.status().borrow(), gander_journal::Saving::No { reason: told, .. } if *told == reason)
    );
    assert_eq!(bench.transcript(session), before);
    assert!(matches!(bench.fails(move |tx| tx.set_pinned(session, true)), WriteError::NotSaving(_)));
    assert_eq!(bench.journal.recover().unwrap(), gander_journal::Recovered::default());
    assert!(bench.journal.verify(|_, _| {}, || false).unwrap().findings.iter().all(|f| f.kind != "session_damaged"));
    // A second one is refused all the same.
    assert!(matches!(Journal::open(bench.dir.path(), options(3)), Err(OpenError::Held { .. })));
    let dir = closed(bench);
    assert_eq!(fs::read(dir.path().join("journal.db")).unwrap(), bytes);

    // Newer, but whoever writes format 1 still may.
    crate::support::tamper(dir.path(), |conn| {
        conn.execute_batch("UPDATE meta SET value = 1 WHERE key = 'oldest_writer'").unwrap();
    });
    assert_eq!(open(dir.path()).read_only(), None);
}

#[test]
fn g04_a_journal_whose_structure_is_damaged_is_shown_as_far_as_it_can_be_read() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "Hello", "Hi");
    let before = bench.transcript(session);
    let dir = closed(bench);
    let root: i64 = Connection::open(dir.path().join("journal.db"))
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'findings'", [], |row| row.get(0))
        .unwrap();
    let path = dir.path().join("journal.db");
    let (mut bytes, root) = (fs::read(&path).unwrap(), usize::try_from(root).unwrap());
    bytes[(root - 1) * 4096..root * 4096].fill(0xff);
    fs::write(&path, bytes).unwrap();
    // What a start has to write down meets the damage.
    fs::remove_file(dir.path().join(witness::FILE)).unwrap();
    let bench = Bench { journal: open(dir.path()), dir };
    assert!(bench.journal.read_only().unwrap().contains("structure is damaged"));
    assert_eq!(bench.transcript(session), before);
    let report = bench.journal.verify(|_, _| {}, || false).unwrap();
    assert!(report.findings.iter().any(|f| f.kind == "database_damaged"), "{:?}", report.findings);
}

#[test]
fn g04_a_clock_that_jumps_back_a_year_orders_nothing_anew() {
    const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1000;
    let dir = tempfile::tempdir().unwrap();
    let clock = std::sync::Arc::new(TestClock::new(1_700_000_000_000));
    let with = |seed| gander_journal::Options { clock: clock.clone(), ..options(seed) };
    let bench = Bench { journal: Journal::open(dir.path(), with(71)).unwrap(), dir };
    let (window, session) = bench.window();
    bench.turn(session, 1, "before", "then");
    clock.advance(-YEAR_MS);
    bench.turn(session, 2, "after", "now");
    let draft = Draft { window, session, rev: 1, text: "typed in the past".into(), attachments: json("[]") };
    bench.write(move |tx| tx.save_draft(draft));
    let before = bench.transcript(session);
    assert!(before.find("before") < before.find("after"), "{before}");
    let Bench { dir, journal } = bench;
    drop(journal);
    clock.advance(-YEAR_MS);
    let bench = Bench { journal: Journal::open(dir.path(), with(72)).unwrap(), dir };
    assert_eq!(bench.transcript(session), before);
    assert_eq!(bench.journal.read(|r| r.draft(window, session)).unwrap().unwrap().text, "typed in the past");
    let report = bench.journal.verify(|_, _| {}, || false).unwrap();
    assert!(report.ok && report.findings.is_empty(), "{report:?}");
}
