//! NOT SAVING: what the disk refuses is not acknowledged, is shown, and heals without a restart.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use gander_journal::{Faults, Journal, Options, Saving, WriteError};

use crate::support::{Bench, json, options, send, transcript, turn_id, wait_until};

#[derive(Default)]
struct Broken {
    before: AtomicBool,
    after: AtomicBool,
    reopens: AtomicU32,
}

impl Broken {
    fn fail(flag: &AtomicBool) -> io::Result<()> {
        if flag.load(Ordering::SeqCst) { Err(io::Error::other("injected")) } else { Ok(()) }
    }
}

impl Faults for Broken {
    fn before_commit(&self) -> io::Result<()> {
        Self::fail(&self.before)
    }

    fn after_commit(&self) -> io::Result<()> {
        Self::fail(&self.after)
    }

    fn before_reopen(&self) -> io::Result<()> {
        self.reopens.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn broken() -> (Bench, Arc<Broken>) {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Broken::default());
    let journal = Journal::open(dir.path(), Options { faults: faults.clone(), ..options(1) }).unwrap();
    (Bench { dir, journal }, faults)
}

#[test]
fn a_commit_that_fails_is_not_acknowledged_and_the_journal_heals() {
    let (bench, faults) = broken();
    let session = bench.session();
    let before = bench.transcript(session);
    faults.before.store(true, Ordering::SeqCst);
    let error = bench.fails(move |tx| tx.send(&send(session, turn_id(1), "lost")));
    assert!(matches!(&error, WriteError::NotSaving(reason) if reason == "injected"), "{error:?}");
    assert!(matches!(&*bench.journal.status().borrow(), Saving::No { .. }));
    assert_eq!(bench.transcript(session), before, "reading goes on");
    let error = bench.fails(move |tx| tx.send(&send(session, turn_id(1), "lost")));
    assert!(matches!(error, WriteError::NotSaving(_)));
    faults.before.store(false, Ordering::SeqCst);
    wait_until(&bench.journal, |saving| *saving == Saving::Yes);
    assert!(faults.reopens.load(Ordering::SeqCst) >= 1, "the files were opened again");
    assert!(!bench.send(send(session, turn_id(1), "lost")).repeated);
    let whole = bench.transcript(session);
    assert_eq!(bench.reopen().transcript(session), whole);
}

/// Who closes a journal that cannot save leaves it to the next start to look at what the fault left.
#[test]
fn a_journal_that_is_closed_before_it_healed_was_not_closed_cleanly() {
    for heals in [true, false] {
        let (bench, faults) = broken();
        let session = bench.session();
        let before = bench.transcript(session);
        faults.before.store(true, Ordering::SeqCst);
        bench.fails(move |tx| tx.send(&send(session, turn_id(1), "lost")));
        faults.before.store(!heals, Ordering::SeqCst);
        if heals {
            wait_until(&bench.journal, |saving| *saving == Saving::Yes);
        }
        let Bench { dir, journal } = bench;
        drop(journal);
        let journal = Journal::open(dir.path(), options(2)).unwrap();
        assert_eq!(journal.was_unclean(), !heals);
        assert_eq!(Bench { dir, journal }.transcript(session), before);
    }
}

/// A sync that fails leaves it open whether the commit is on disk: the same turn id settles it, exactly once.
#[test]
fn g09_an_unknown_outcome_is_settled_by_the_turn_id() {
    let (bench, faults) = broken();
    let session = bench.session();
    faults.after.store(true, Ordering::SeqCst);
    let error = bench.fails(move |tx| tx.send(&send(session, turn_id(1), "once")));
    assert!(matches!(error, WriteError::NotSaving(_)));
    faults.after.store(false, Ordering::SeqCst);
    wait_until(&bench.journal, |saving| *saving == Saving::Yes);
    bench.send(send(session, turn_id(1), "once"));
    assert_eq!(bench.transcript(session).matches(" prompt ").count(), 1);
}

/// What an agent asks for is asked once, whatever became of the commit.
#[test]
fn g09_a_permission_asked_over_an_unknown_outcome_is_one_permission() {
    use gander_journal::TurnPhase;
    use gander_model::{ItemId, PermissionId};
    let (bench, faults) = broken();
    let session = bench.session();
    bench.send(send(session, turn_id(1), "do it"));
    bench.write(move |tx| tx.turn_state(session, turn_id(1), TurnPhase::Running));
    let (id, item) = (PermissionId::from_bytes([7; 16]), ItemId::from_bytes([8; 16]));
    let ask = move |tx: &mut gander_journal::Tx<'_>| {
        if tx.item_went_on(session, Some(turn_id(1)), item, None)? {
            return Ok(());
        }
        let (call, options) = (json(r#"{"toolCallId":"t"}"#), json(r#"[{"optionId":"yes"}]"#));
        tx.permission_asked_as((id, item), session, turn_id(1), (&call, &options))
    };
    faults.after.store(true, Ordering::SeqCst);
    assert!(matches!(bench.fails(ask), WriteError::NotSaving(_)));
    faults.after.store(false, Ordering::SeqCst);
    wait_until(&bench.journal, |saving| *saving == Saving::Yes);
    bench.write(ask);
    let open = bench.journal.read(|r| r.session(session)).unwrap().turn.unwrap().permissions;
    assert_eq!(open.iter().map(|asked| asked.id).collect::<Vec<_>>(), [id]);
    // Answered meanwhile, it is not asked anew either.
    bench.write(move |tx| tx.permission_answered(session, id, "yes"));
    bench.write(ask);
    assert!(bench.journal.read(|r| r.session(session)).unwrap().turn.unwrap().permissions.is_empty());
    assert_eq!(bench.transcript(session).matches(" permission ").count(), 1);
}

/// A part without text adds nothing to its item's size, and is known all the same; so is what became an entry that many
/// have followed.
#[test]
fn g01_what_an_item_was_given_over_an_unknown_outcome_is_known_by_its_bytes() {
    use gander_journal::{ItemPart, TurnPhase};
    use gander_model::{ItemId, Kind};
    let (bench, faults) = broken();
    let session = bench.session();
    bench.send(send(session, turn_id(1), "draw"));
    bench.write(move |tx| tx.turn_state(session, turn_id(1), TurnPhase::Running));
    let item = ItemId::from_bytes([8; 16]);
    let draw = move |tx: &mut gander_journal::Tx<'_>| {
        let image = json(r#"{"sessionUpdate":"agent_message_chunk","content":{"type":"image","data":"AA=="}}"#);
        let part = ItemPart { session, turn: Some(turn_id(1)), item, kind: Kind::MESSAGE, updates: &[&image] };
        tx.item_append(&part).map(drop)
    };
    let went_on = move |before| has_gone_on(session, item, before);
    for drawn in 0..2 {
        let before = bench.write(move |tx| tx.item_bytes(session, item));
        assert_eq!(before.is_some(), drawn > 0);
        assert!(!bench.write(went_on(before)), "nothing came since");
        // A commit that does not reach the disk, then one that does; both say that they failed.
        for (flag, there) in [(&faults.before, false), (&faults.after, true)] {
            flag.store(true, Ordering::SeqCst);
            assert!(matches!(bench.fails(draw), WriteError::NotSaving(_)));
            flag.store(false, Ordering::SeqCst);
            wait_until(&bench.journal, |saving| *saving == Saving::Yes);
            assert_eq!(bench.write(went_on(before)), there);
        }
    }
    let before = bench.write(move |tx| tx.item_bytes(session, item));
    bench.write(move |tx| tx.item_close(session, item));
    for _ in 0..20 {
        let note = || gander_model::Body::with(gander_model::By::Agent, &"x").unwrap();
        bench.write(move |tx| tx.append(session, Kind::NOTE, note()));
    }
    assert!(bench.write(went_on(before)) && bench.write(went_on(None)));
    let other = ItemId::from_bytes([9; 16]);
    assert!(!bench.write(has_gone_on(session, other, None)), "it was never begun");
    assert_eq!(bench.transcript(session).matches("\"image\"").count(), 2);
}

fn has_gone_on(
    session: gander_model::SessionId,
    item: gander_model::ItemId,
    before: Option<u64>,
) -> impl FnOnce(&mut gander_journal::Tx<'_>) -> Result<bool, WriteError> + Send + 'static {
    move |tx| tx.item_went_on(session, Some(turn_id(1)), item, before)
}

/// A real limit: this process may not write files beyond a size, as if the disk were full.
#[test]
fn a_full_disk_is_shown_and_heals_when_it_is_freed() {
    if std::env::var_os("GANDER_TEST_FULL_DISK").is_none() {
        // A process of its own, since the limit is the process's.
        let this = std::env::current_exe().unwrap();
        let name = "saving::a_full_disk_is_shown_and_heals_when_it_is_freed";
        let mut child = std::process::Command::new(this);
        child.args([name, "--exact", "--nocapture"]).env("GANDER_TEST_FULL_DISK", "1");
        let out = child.output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench { journal: Journal::open(dir.path(), options(1)).unwrap(), dir };
    let session = bench.session();
    bench.turn(session, 1, "before", "fine");
    let before = bench.transcript(session);
    let root = bench.journal.read(|r| r.root()).unwrap();
    let unlimited = getrlimit(Resource::Fsize);
    // SIGXFSZ is ignored in a Rust test binary's children only if asked for: asked for here.
    ignore_file_size_signal();
    setrlimit(Resource::Fsize, Rlimit { current: Some(1024 * 1024), maximum: unlimited.maximum }).unwrap();
    let large = "z".repeat(2 * 1024 * 1024);
    let text = large.clone();
    let error = bench.fails(move |tx| tx.send(&send(session, turn_id(2), &text)));
    assert!(matches!(error, WriteError::NotSaving(_)), "{error:?}");
    assert!(matches!(&*bench.journal.status().borrow(), Saving::No { .. }));
    assert_eq!(bench.transcript(session), before);
    setrlimit(Resource::Fsize, unlimited).unwrap();
    wait_until(&bench.journal, |saving| *saving == Saving::Yes);
    assert_eq!(bench.journal.read(|r| r.root()).unwrap(), root, "nothing half-written");
    bench.send(send(session, turn_id(2), &large));
    let whole = transcript(&bench.journal, session);
    assert_eq!(bench.reopen().transcript(session), whole);
}

fn ignore_file_size_signal() {
    // The shell's way: a handler would need unsafe code. A tokio signal handler takes the default action away.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kind = tokio::signal::unix::SignalKind::from_raw(25);
        let _ = tokio::signal::unix::signal(kind).unwrap();
    });
}

#[test]
fn a_clean_close_finishes_what_waits_and_refuses_the_rest() {
    let (bench, _) = broken();
    let session = bench.session();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(bench.journal.close());
    let error = bench.fails(move |tx| tx.send(&send(session, turn_id(1), "late")));
    assert!(matches!(error, WriteError::Closed(_)), "{error:?}");
    // The lock is free although a handle is left.
    let second = Journal::open(bench.dir.path(), options(2)).unwrap();
    assert!(!second.was_unclean());
    assert_eq!(transcript(&second, session).lines().count(), 2);
}

#[test]
fn a_close_waits_however_many_writes_wait() {
    let (bench, _) = broken();
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut busy = Box::pin(bench.journal.write(move |_| {
        released.recv().unwrap();
        Ok(())
    }));
    assert!(busy.as_mut().poll(&mut context).is_pending());
    drop(busy);
    // What was asked for once is done, also when nobody waits for it any more.
    let mut waiting = 0;
    while Box::pin(bench.journal.write(move |tx| tx.set(&waiting.to_string(), Some("x"))))
        .as_mut()
        .poll(&mut context)
        .is_pending()
    {
        waiting += 1;
    }
    assert!(waiting > 2_000, "the queue took {waiting}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut close = std::pin::pin!(bench.journal.close());
        let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(close.as_mut().poll(cx).is_pending())).await;
        assert!(waits, "closed over {waiting} writes");
        release.send(()).unwrap();
        close.await;
    });
    let journal = Journal::open(bench.dir.path(), options(2)).unwrap();
    assert!(!journal.was_unclean());
    assert!(journal.read(|r| r.setting(&(waiting - 1).to_string())).unwrap().is_some());
}
