//! Forks: pinned to the end of a turn, verified through their ancestors, with a conversation and nothing else.

use gander_journal::{Bounds, WriteError};
use gander_model::{Seq, SessionId};

use crate::support::{Bench, bench, ended, send, turn_id};

fn fork(bench: &Bench, session: SessionId, at: u64) -> SessionId {
    bench.write(move |tx| tx.fork(session, Seq(at), None))
}

#[test]
fn a_fork_pins_the_end_of_the_turn_and_goes_on_by_itself() {
    let bench = bench();
    let parent = bench.session();
    bench.turn(parent, 1, "One", "First");
    bench.turn(parent, 2, "Two", "Second");
    // A place inside the first turn means its end.
    let child = fork(&bench, parent, 3);
    bench.turn(child, 1, "Other two", "Else");
    let transcript = bench.transcript(child);
    let shape: Vec<String> =
        transcript.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        shape,
        [
            "^1 created",
            "^2 configured",
            "^3 prompt",
            "^4 named",
            "^5 message",
            "^6 turn_ended",
            "7 forked",
            "8 configured",
            "9 named",
            "10 prompt",
            "11 message",
            "12 turn_ended",
        ]
    );
    let view = bench.journal.read(|r| r.session(child)).unwrap();
    assert_eq!(view.state.name.as_deref(), Some("One (fork)"));
    assert_eq!((view.state.prompts, view.state.preview.as_deref()), (2, Some("Else")));
    assert_eq!(bench.transcript(parent).lines().count(), 9, "the parent is as it was");
    // A renamed parent does not rename its fork.
    bench.write(move |tx| tx.name(parent, "Renamed", gander_model::NamedBy::User, None));
    assert_eq!(bench.journal.read(|r| r.session(child)).unwrap().state.name.as_deref(), Some("One (fork)"));
    // Turn ids are the fork's own.
    bench.reopen().transcript(child);
}

#[test]
fn a_fork_of_a_fork_reads_through_both() {
    let bench = bench();
    let a = bench.session();
    bench.turn(a, 1, "One", "1");
    let b = fork(&bench, a, 6);
    bench.turn(b, 1, "Two", "2");
    let c = fork(&bench, b, 12);
    let d = fork(&bench, b, 2);
    for (session, length) in [(c, 15), (d, 5)] {
        assert_eq!(bench.transcript(session).lines().count(), length);
    }
    // Place 2 lies before the first turn: nothing was said yet.
    // A fork within the inherited part pins the one who owns the entry.
    let view = bench.journal.read(|r| r.session(d)).unwrap();
    assert_eq!(view.state.origin.unwrap().session_id, a);
    let page =
        bench.journal.read(|r| r.entries(c, Bounds { before: Some(Seq(8)), limit: 3, ..Bounds::default() })).unwrap();
    let owners: Vec<_> = page.entries.iter().map(|view| view.entry.header.session_id).collect();
    assert_eq!((page.damage, owners), (None, vec![a, a, b]));
}

#[test]
fn a_running_turn_is_not_forked_and_an_earlier_one_is() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "One", "1");
    bench.send(send(session, turn_id(2), "Two"));
    let head = bench.head(session).seq;
    assert!(matches!(bench.fails(move |tx| tx.fork(session, head, None)), WriteError::TurnRunning { .. }));
    fork(&bench, session, 5);
    bench.write(move |tx| tx.end_turn(session, turn_id(2), gander_journal::TurnPhase::Ended, &ended()));
    fork(&bench, session, head.0);
    assert!(matches!(bench.fails(move |tx| tx.fork(session, Seq(100), None)), WriteError::NotFound { .. }));
    assert!(matches!(bench.fails(move |tx| tx.fork(session, Seq(0), None)), WriteError::NotFound { .. }));
}

#[test]
fn g03_a_fork_notices_when_its_parents_pinned_part_is_altered() {
    let bench = bench();
    let parent = bench.session();
    bench.turn(parent, 1, "One", "1");
    let child = fork(&bench, parent, 6);
    let conn = rusqlite::Connection::open(bench.dir.path().join("journal.db")).unwrap();
    conn.execute_batch(
        "DROP TRIGGER entries_keep_update; UPDATE entries SET at_ms = 1 WHERE seq = 5 AND kind = 'message'",
    )
    .unwrap();
    let page = bench.journal.read(|r| r.entries(child, Bounds { limit: 50, ..Bounds::default() })).unwrap();
    assert_eq!(page.damage, Some(gander_model::chain::Damage::Header { seq: Seq(5) }));
    assert_eq!(page.entries.first().unwrap().entry.header.seq, Seq(6));
}

#[test]
fn a_send_to_a_fork_may_be_composed_against_an_inherited_head() {
    let bench = bench();
    let parent = bench.session();
    bench.turn(parent, 1, "One", "1");
    let inherited = bench.head(parent);
    let child = fork(&bench, parent, 6);
    bench.send(gander_journal::Send { expected_head: Some(inherited), ..send(child, turn_id(1), "Go on") });
}
