//! Lists: pages from indexes, in the order of real turns, and what a filter hides is counted (G12).

use std::sync::Arc;

use gander_journal::{Bucket, Filter, Journal, Options, SessionPage};
use gander_model::{SessionId, Status};

use crate::support::{Bench, TestClock, bench, options};

fn all(bench: &Bench, filter: &Filter, limit: usize) -> (Vec<SessionId>, SessionPage) {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = bench.journal.read(|r| r.sessions(filter, after, limit)).unwrap();
        ids.extend(page.sessions.iter().map(|view| view.id()));
        after = page.next.map(|next| next.to_string().parse().unwrap());
        if after.is_none() {
            return (ids, page);
        }
    }
}

#[test]
fn g12_every_session_is_in_one_list_and_hidden_ones_are_counted() {
    let bench = bench();
    let sessions: Vec<SessionId> = (0..7).map(|_| bench.session()).collect();
    for (n, session) in sessions.iter().copied().enumerate().skip(1) {
        bench.turn(session, 1, &format!("About {n}"), "Yes");
    }
    let (archived, trashed, damaged) = (sessions[1], sessions[2], sessions[3]);
    bench.write(move |tx| tx.set_status(archived, Status::Archived));
    bench.write(move |tx| tx.set_status(trashed, Status::Trashed));
    bench.write(move |tx| tx.set_aside(damaged, "test"));
    let (ids, page) = all(&bench, &Filter::default(), 2);
    assert_eq!((ids.len(), page.matching, page.hidden), (7, 7, 0));
    for (bucket, expected) in [
        (Bucket::Empty, vec![sessions[0]]),
        (Bucket::Archived, vec![archived]),
        (Bucket::Trashed, vec![trashed]),
        (Bucket::Quarantined, vec![damaged]),
        (Bucket::Active, vec![sessions[6], sessions[5], sessions[4]]),
    ] {
        let (ids, page) = all(&bench, &Filter { bucket: Some(bucket), ..Filter::default() }, 2);
        assert_eq!((ids, page.hidden), (expected.clone(), 7 - expected.len() as u64), "{bucket}");
        assert_eq!(page.counts.total(), 7);
    }
}

#[test]
fn a_text_or_agent_narrows_and_says_how_many_it_hides() {
    let bench = bench();
    for n in 0..4 {
        let session = bench.session();
        bench.turn(session, 1, &format!("100% about geese {n}"), "Yes");
    }
    let count = |text: &str| all(&bench, &Filter { text: Some(text.into()), ..Filter::default() }, 500).1;
    assert_eq!((count("GEESE 2").matching, count("GEESE 2").hidden), (1, 3));
    assert_eq!((count("100%").matching, count("1_0").matching, count("swans").matching), (4, 0, 0));
    let goose = Filter { agent: Some("goose".into()), ..Filter::default() };
    assert_eq!(all(&bench, &goose, 500).1.hidden, 4);
}

#[test]
fn the_order_is_that_of_real_turns_with_pins_first_and_reading_changes_nothing() {
    let bench = bench();
    let (a, b, c) = (bench.session(), bench.session(), bench.session());
    for session in [a, b, c] {
        bench.turn(session, 1, "x", "y");
    }
    bench.write(move |tx| tx.name(a, "Renamed", gander_model::NamedBy::User, None));
    bench.transcript(a);
    assert_eq!(all(&bench, &Filter::default(), 1).0, [c, b, a]);
    bench.write(move |tx| tx.set_pinned(a, true));
    assert_eq!(all(&bench, &Filter::default(), 1).0, [a, c, b]);
    bench.turn(b, 2, "x", "y");
    assert_eq!(all(&bench, &Filter::default(), 1).0, [a, b, c]);
}

#[test]
fn a_clock_that_jumps_back_moves_no_session() {
    let clock = Arc::new(TestClock::new(1_700_000_000_000));
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), Options { clock: clock.clone(), ..options(1) }).unwrap();
    let bench = Bench { dir, journal };
    let sessions: Vec<SessionId> = (0..4).map(|_| bench.session()).collect();
    for session in sessions.iter().rev() {
        bench.turn(*session, 1, "x", "y");
        clock.advance(-365 * 24 * 60 * 60 * 1000);
    }
    let (ids, page) = all(&bench, &Filter::default(), 1);
    assert_eq!(ids, sessions, "the last turn comes first, whatever the clock said");
    let views = bench.journal.read(|r| r.sessions(&Filter::default(), None, 500)).unwrap().sessions;
    assert!(views.is_sorted_by(|a, b| a.place > b.place) && page.next.is_none());
    assert!(views[0].state.last_turn_at_ms < views[3].state.last_turn_at_ms, "the clock did jump");
    // A rebuild from the entries gives the same order.
    bench.journal.rebuild(|_, _| {}).unwrap();
    assert_eq!(all(&bench, &Filter::default(), 3).0, sessions);
    bench.write({
        let session = sessions[3];
        move |tx| tx.name(session, "Renamed", gander_model::NamedBy::User, None)
    });
    assert_eq!(all(&bench, &Filter::default(), 3).0, sessions, "a name is no turn");
    bench.turn(sessions[3], 2, "x", "y");
    assert_eq!(all(&bench, &Filter::default(), 3).0[0], sessions[3]);
}

#[test]
fn a_turn_that_ended_unseen_is_marked_until_it_is_seen() {
    let bench = bench();
    let session = bench.session();
    let unseen = || bench.journal.read(|r| r.session(session)).unwrap().unseen;
    assert!(!unseen());
    bench.turn(session, 1, "x", "y");
    assert!(unseen());
    bench.write(move |tx| tx.set_seen(session, true));
    assert!(!unseen());
    bench.turn(session, 2, "x", "y");
    assert!(unseen());
}
