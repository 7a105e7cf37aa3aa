//! G7: a name stays with its session. G13: an agent's memory is bound once.

use gander_journal::{NewLink, WriteError};
use gander_model::{NamedBy, Seq, SessionId};

use crate::support::{Bench, bench, ended, send, turn_id};

fn named(bench: &Bench, session: SessionId) -> (Option<String>, NamedBy, Seq) {
    let state = bench.journal.read(|r| r.session(session)).unwrap().state;
    (state.name, state.named_by, state.named_seq)
}

#[test]
fn g07_the_first_prompt_names_a_session_in_its_own_transaction() {
    let bench = bench();
    let session = bench.session();
    bench.send(send(session, turn_id(1), "  Fix the\tbuild \nplease"));
    assert_eq!(named(&bench, session), (Some("Fix the build".into()), NamedBy::Auto, Seq(4)));
}

#[test]
fn g07_a_generated_name_is_compare_and_set() {
    let bench = bench();
    let session = bench.session();
    let agent = |name: &'static str, expected| {
        bench.journal.write_blocking(move |tx| tx.name(session, name, NamedBy::Agent, Some(Seq(expected))))
    };
    agent("First", 0).unwrap();
    let (_, _, seq) = named(&bench, session);
    match agent("Late", 0).unwrap_err() {
        WriteError::NameTaken { named_by, named_seq } => assert_eq!((named_by, named_seq), (NamedBy::Agent, seq)),
        other => panic!("{other:?}"),
    }
    agent("Second", seq.0).unwrap();
    assert_eq!(named(&bench, session).0.as_deref(), Some("Second"));
}

#[test]
fn g07_a_users_name_always_wins_and_is_never_replaced() {
    let bench = bench();
    let session = bench.session();
    bench.write(move |tx| tx.name(session, "Generated", NamedBy::Auto, None));
    bench.write(move |tx| tx.name(session, "Mine", NamedBy::User, None));
    let (_, _, seq) = named(&bench, session);
    for by in [NamedBy::Agent, NamedBy::Auto] {
        let error = bench.fails(move |tx| tx.name(session, "Better", by, Some(seq)));
        assert!(matches!(error, WriteError::NameTaken { named_by: NamedBy::User, .. }));
    }
    bench.send(send(session, turn_id(1), "A prompt with words of its own"));
    assert_eq!(named(&bench, session), (Some("Mine".into()), NamedBy::User, seq));
}

#[test]
fn g07_naming_it_the_same_appends_nothing_and_nothing_is_no_name() {
    let bench = bench();
    let session = bench.session();
    bench.write(move |tx| tx.name(session, "Same", NamedBy::User, None));
    let head = bench.head(session);
    bench.write(move |tx| tx.name(session, " Same \n", NamedBy::User, None));
    assert_eq!(bench.head(session), head);
    for nothing in ["", " \n", "\u{7}", "two\nlines", "a\u{202e}b"] {
        assert!(matches!(
            bench.fails(move |tx| tx.name(session, nothing, NamedBy::User, None)),
            WriteError::Invalid(_)
        ));
    }
    assert_eq!(bench.head(session), head);
}

#[test]
fn g07_what_a_generated_name_hides_is_taken_out() {
    let bench = bench();
    let session = bench.session();
    let hostile = format!("a\u{202e}b\n\u{1b}[2Jc {}", "long ".repeat(100));
    bench.write(move |tx| tx.name(session, &hostile, NamedBy::Agent, None));
    let name = named(&bench, session).0.unwrap();
    assert!(name.starts_with("ab [2Jc long") && name.chars().count() <= 200, "{name:?}");
    assert!(name.chars().all(|c| !c.is_control() && !gander_model::text::reorders(c)), "{name:?}");
}

fn link(session: SessionId, id: &str) -> NewLink {
    NewLink {
        session,
        agent: "goose".into(),
        store: "/home/u/.local/share/goose".into(),
        agent_session: id.into(),
        via: "new".into(),
        check: "fresh".into(),
        machine: "m1".into(),
    }
}

fn bind(bench: &Bench, session: SessionId, id: &'static str) -> Option<SessionId> {
    bench.write(move |tx| tx.link(&link(session, id)))
}

#[test]
fn g13_an_id_given_out_again_is_released_from_the_old_session_with_a_finding() {
    let bench = bench();
    let (one, two) = (bench.session(), bench.session());
    assert_eq!(bind(&bench, one, "20260101_1"), None);
    assert_eq!(bind(&bench, two, "20260101_1"), Some(one));
    let links = |session| bench.journal.read(|r| r.links(session)).unwrap();
    assert_eq!((links(one).len(), links(two).len()), (0, 1));
    let findings = bench.journal.read(|r| r.findings(10)).unwrap();
    assert_eq!(
        (findings.len(), findings[0].kind.as_str(), findings[0].session),
        (1, "agent_session_reused", Some(one))
    );
    // Another store's id of the same spelling is another agent session.
    bench.write(move |tx| tx.link(&NewLink { store: "/elsewhere".into(), ..link(one, "20260101_1") }));
    assert_eq!((links(one).len(), links(two).len()), (1, 1));
}

#[test]
fn g13_binding_appends_nothing_until_the_next_prompt() {
    let bench = bench();
    let session = bench.session();
    let head = bench.head(session);
    bind(&bench, session, "a");
    assert_eq!(bench.head(session), head);
    bench.send(send(session, turn_id(1), "Hello"));
    let transcript = bench.transcript(session);
    assert_eq!(transcript.matches(" linked ").count(), 1, "{transcript}");
    bench.write(move |tx| tx.end_turn(session, turn_id(1), gander_journal::TurnPhase::Ended, &ended()));
    bench.send(send(session, turn_id(2), "Again"));
    assert_eq!(bench.transcript(session).matches(" linked ").count(), 1, "recorded once");
    // Bound while a turn runs, it goes in with that turn.
    bind(&bench, session, "b");
    assert_eq!(bench.transcript(session).matches(" linked ").count(), 2);
}

#[test]
fn g13_links_survive_a_restart_and_can_be_released() {
    let bench = bench();
    let session = bench.session();
    bind(&bench, session, "a");
    let bench = bench.reopen();
    let bound = bench.journal.read(|r| r.link("goose", "/home/u/.local/share/goose", "a")).unwrap().unwrap();
    assert_eq!((bound.session, bound.machine.as_str()), (session, "m1"));
    assert!(bench.write(|tx| tx.release("goose", "/home/u/.local/share/goose", "a")));
    assert!(bench.journal.read(|r| r.links(session)).unwrap().is_empty());
}
