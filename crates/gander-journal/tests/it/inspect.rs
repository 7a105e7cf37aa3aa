//! A journal that is looked at before it is opened, one that is frozen, and a copy that is put back.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use gander_journal::{Faults, Inspected, Journal, OpenError, Options, WriteError, sealed, witness};
use rusqlite::Connection;

use crate::support::{bench, json, open, options, send, turn_id};

/// Every file of a data folder and its bytes, but the lock, which says who looks.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        // The shared index of the log is the readers' own, and holds nothing that the log does not.
        .filter(|(name, _)| name != "journal.lock" && !name.ends_with("-shm"))
        .collect();
    files.sort();
    files
}

/// A folder as a crash leaves it: everything is in the log, and a turn runs.
fn crashed() -> tempfile::TempDir {
    let bench = bench();
    let (window, session) = bench.window();
    bench.send(send(session, turn_id(1), "Where do geese go in winter?"));
    let draft = gander_journal::Draft { window, session, rev: 1, text: "unsent".into(), attachments: json("[]") };
    bench.write(move |tx| tx.save_draft(draft));
    let copy = tempfile::tempdir().unwrap();
    for file in ["journal.db", "journal.db-wal", "witness"] {
        // Through the file system and not the engine, as after a power cut; this process has them open under other names.
        let _ = fs::copy(bench.dir.path().join(file), copy.path().join(file));
    }
    copy
}

fn inspect(dir: &Path) -> Inspected {
    Journal::inspect(dir, options(77)).unwrap()
}

#[test]
fn g10_a_look_before_the_start_writes_nothing() {
    let dir = crashed();
    let before = files(dir.path());
    assert!(before.iter().any(|(name, bytes)| name == "journal.db-wal" && !bytes.is_empty()), "nothing is in the log");
    let facts = {
        let inspected = inspect(dir.path());
        let facts = inspected.facts().unwrap().clone();
        let shown = inspected.journal().unwrap();
        assert_eq!(shown.read(|r| r.root()).unwrap(), facts.root);
        assert!(matches!(shown.write_blocking(|tx| tx.set("a", None)), Err(WriteError::NotSaving(_))));
        facts
    };
    assert_eq!(files(dir.path()), before);
    assert!(!facts.clean);
    assert_eq!((facts.sessions, facts.epoch, facts.format), (1, 1, gander_journal::FORMAT));
    assert_eq!(facts.written_by, Options::default().version);

    // The same look, turned into an open journal, and the same root and documents before anything is recovered.
    let journal = inspect(dir.path()).open().unwrap();
    assert_eq!((journal.epoch(), journal.was_unclean()), (2, true));
    assert_eq!(journal.read(|r| r.root()).unwrap(), facts.root);
    assert_eq!(journal.read(|r| r.documents_digest()).unwrap(), facts.documents);
    journal.recover().unwrap();
    assert_ne!(journal.read(|r| r.root()).unwrap(), facts.root);
}

#[test]
fn g08_a_look_holds_the_lock_until_the_journal_is_open() {
    let dir = crashed();
    let inspected = inspect(dir.path());
    assert!(matches!(Journal::open(dir.path(), options(1)), Err(OpenError::Held { .. })));
    assert!(matches!(Journal::inspect(dir.path(), options(1)), Err(OpenError::Held { .. })));
    let journal = inspected.open().unwrap();
    assert!(matches!(Journal::open(dir.path(), options(1)), Err(OpenError::Held { .. })));
    drop(journal);
    assert!(Journal::open(dir.path(), options(1)).is_ok());
}

#[test]
fn a_new_folder_and_an_unreadable_journal_give_no_facts() {
    let dir = tempfile::tempdir().unwrap();
    let inspected = inspect(dir.path());
    assert!(inspected.is_new() && inspected.facts().is_none());
    assert!(files(dir.path()).is_empty());
    assert!(inspected.open().unwrap().read_only().is_none());

    let broken = tempfile::tempdir().unwrap();
    fs::write(broken.path().join("journal.db"), "this is no database, and was never one").unwrap();
    let inspected = inspect(broken.path());
    assert!(!inspected.is_new() && inspected.facts().is_none());
    assert!(inspected.open().is_err());
}

#[test]
fn the_digest_of_documents_changes_with_each_of_them() {
    let bench = bench();
    let digest = || bench.journal.read(|r| r.documents_digest()).unwrap();
    let mut seen = vec![digest()];
    let (window, session) = bench.window();
    seen.push(digest());
    for (rev, text) in [(1, "h"), (2, "ha")] {
        let draft = gander_journal::Draft { window, session, rev, text: text.into(), attachments: json("[]") };
        bench.write(move |tx| tx.save_draft(draft));
        seen.push(digest());
    }
    bench.send(send(session, turn_id(1), "first"));
    bench
        .send(gander_journal::Send { when_busy: gander_journal::WhenBusy::Queue, ..send(session, turn_id(2), "next") });
    seen.push(digest());
    bench.write(move |tx| {
        tx.turn_state(session, turn_id(1), gander_journal::TurnPhase::Running)?;
        let (item, update) = (tx.new_item_id(), crate::support::chunk("honk"));
        tx.item_append(&gander_journal::ItemPart {
            session,
            turn: Some(turn_id(1)),
            item,
            kind: gander_model::Kind::MESSAGE,
            updates: &[&update],
        })
    });
    seen.push(digest());
    let patch = gander_journal::WindowPatch { geometry: Some(json(r#"{"x":1}"#)), ..Default::default() };
    bench.write(move |tx| tx.update_window(window, &patch));
    seen.push(digest());
    bench.write(move |tx| tx.close_window(window));
    seen.push(digest());
    let mut different = seen.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), seen.len(), "{seen:?}");
    let last = digest();
    let bench = bench.reopen();
    assert_eq!(bench.journal.read(|r| r.documents_digest()).unwrap(), last, "it is the same after a restart");
}

/// Holds a commit until it is let go.
struct Held {
    armed: AtomicBool,
    reached: SyncSender<()>,
    go: Mutex<Receiver<()>>,
}

impl Faults for Held {
    fn before_commit(&self) -> std::io::Result<()> {
        if self.armed.swap(false, Ordering::SeqCst) {
            self.reached.send(()).unwrap();
            self.go.lock().unwrap().recv().unwrap();
        }
        Ok(())
    }
}

/// A freeze in the middle of a group of writes is not over before those that came first are committed.
#[test]
fn g10_a_freeze_waits_for_the_commit_of_what_came_before_it() {
    let (reached, has_reached) = sync_channel(1);
    let (let_go, go) = sync_channel(1);
    let held = Arc::new(Held { armed: AtomicBool::new(false), reached, go: Mutex::new(go) });
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), Options { faults: held.clone(), ..options(1) }).unwrap();
    let (freezing, freeze) = sync_channel(1);
    let write = {
        let journal = journal.clone();
        std::thread::spawn(move || {
            let inside = journal.clone();
            journal.write_blocking(move |tx| {
                held.armed.store(true, Ordering::SeqCst);
                // Asked for while this write runs, so that the writer finds it in the same group.
                let mut freeze: Pin<Box<dyn Future<Output = _> + Send>> =
                    Box::pin(async move { inside.freeze().await });
                assert!(freeze.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                freezing.send(freeze).unwrap();
                tx.set("came first", Some("x"))
            })
        })
    };
    let mut freeze = freeze.recv().unwrap();
    has_reached.recv().unwrap();
    assert!(freeze.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "frozen before the commit");
    let_go.send(()).unwrap();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(freeze).unwrap();
    assert!(journal.read(|r| r.setting("came first")).unwrap().is_some());
    write.join().unwrap().unwrap();
}

#[test]
fn g10_a_frozen_journal_takes_no_write_and_goes_on_when_it_is_thawed() {
    let bench = bench();
    let session = bench.session();
    let journal = bench.journal.clone();
    // Writes that are under way when the freeze comes are in, or are refused: none comes after it.
    let writers: Vec<_> = (0..8)
        .map(|thread| {
            let journal = journal.clone();
            std::thread::spawn(move || {
                (0..500)
                    .map(|n| journal.write_blocking(move |tx| tx.set(&format!("{thread} {n}"), Some("x"))))
                    .filter(Result::is_ok)
                    .count()
            })
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(journal.freeze()).unwrap();
    let kept = |journal: &Journal| {
        journal
            .read(|r| {
                Ok((0..8)
                    .flat_map(|t| (0..500).map(move |n| format!("{t} {n}")))
                    .filter(|k| r.setting(k).unwrap().is_some())
                    .count())
            })
            .unwrap()
    };
    let frozen = kept(&journal);
    let acknowledged: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    assert_eq!((kept(&journal), acknowledged), (frozen, frozen));
    let refused = journal.write_blocking(move |tx| tx.send(&send(session, turn_id(1), "late")));
    assert!(matches!(refused, Err(WriteError::Frozen)), "{refused:?}");
    journal.thaw();
    journal.write_blocking(move |tx| tx.send(&send(session, turn_id(1), "in time"))).unwrap();
    // Frozen or not, it closes cleanly.
    runtime.block_on(journal.freeze()).unwrap();
    runtime.block_on(journal.close());
    assert!(!open(bench.dir.path()).was_unclean());
}

#[test]
fn g10_a_sealed_copy_is_put_back_as_it_was() {
    let bench = bench();
    let (window, session) = bench.window();
    bench.turn(session, 1, "Where do geese go in winter?", "South, mostly.");
    let draft = gander_journal::Draft { window, session, rev: 1, text: "unsent".into(), attachments: json("[]") };
    bench.write(move |tx| tx.save_draft(draft));
    drop(bench.journal);
    let dir = bench.dir.path();
    let to = dir.join("upgrade/sealed/journal.db");
    let inspected = inspect(dir);
    let sealed_facts = inspected.facts().unwrap().clone();
    inspected.copy_to(&to).unwrap();
    drop(inspected);
    assert_eq!(sealed::facts(&to).unwrap(), sealed_facts);
    assert!(!to.with_extension("new").exists());

    // Before anybody wrote: id and epoch stay, and the witness agrees at the next start.
    Connection::open(dir.join("journal.db")).unwrap().execute_batch("CREATE TABLE later (x)").unwrap();
    let back = sealed::put_back(dir, &to, &options(5), |facts| *facts == sealed_facts).unwrap();
    assert_eq!(back, sealed_facts);
    let journal = open(dir);
    assert!(journal.read(|r| r.findings(9)).unwrap().is_empty());
    assert_eq!(journal.read(|r| r.documents_digest()).unwrap(), sealed_facts.documents);

    // After somebody wrote: a new id and a later epoch, so that no cursor of then is taken for one of now.
    let epoch = journal.epoch();
    journal.write_blocking(|tx| tx.open_window_new("scratch", "/tmp")).unwrap();
    let held = sealed::put_back(dir, &to, &options(6), |_| true);
    assert!(matches!(held, Err(OpenError::Held { .. })), "{held:?}");
    drop(journal);
    let back = sealed::put_back(dir, &to, &options(6), |_| true).unwrap();
    assert_eq!((back.root, back.documents), (sealed_facts.root, sealed_facts.documents));
    assert_ne!(back.journal, sealed_facts.journal);
    assert_eq!(witness::read(dir).unwrap().unwrap().root, sealed_facts.root);
    let again = sealed::put_back(dir, &to, &options(7), |_| true).unwrap();
    assert_eq!(again.root, sealed_facts.root);
    let journal = open(dir);
    assert!(journal.epoch() > epoch);
    assert!(journal.read(|r| r.findings(9)).unwrap().is_empty());
    assert!(journal.verify(|_, _| {}, || false).unwrap().ok);
}

#[test]
fn g10_another_copy_is_not_put_back() {
    let bench = bench();
    bench.window();
    drop(bench.journal);
    let dir = bench.dir.path();
    let to = dir.join("sealed.db");
    inspect(dir).copy_to(&to).unwrap();
    let before = files(dir);
    let refused = sealed::put_back(dir, &to, &options(5), |facts| facts.sessions == 5);
    assert!(matches!(refused, Err(OpenError::Check { .. })), "{refused:?}");
    let mut bytes = fs::read(&to).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(&to, bytes).unwrap();
    assert!(sealed::put_back(dir, &to, &options(5), |_| true).is_err());
    fs::write(&to, "").unwrap();
    assert!(sealed::put_back(dir, &to, &options(5), |_| true).is_err());
    assert_eq!(
        files(dir).into_iter().filter(|f| f.0 != "sealed.db").collect::<Vec<_>>(),
        before.into_iter().filter(|f| f.0 != "sealed.db").collect::<Vec<_>>()
    );
}
