//! G8, G9: one turn at a time, exactly once, composed against what is there.

use gander_journal::{Continues, Draft, Send, TurnEnd, TurnPhase, WhenBusy, WriteError};
use gander_model::{Head, SessionId, WindowId};

use crate::support::{Bench, bench, ended, json, open, send, text_content, turn_id};

fn prompts(bench: &Bench, session: SessionId) -> Vec<String> {
    let transcript = bench.transcript(session);
    transcript.lines().filter(|line| line.contains(" prompt ")).map(str::to_owned).collect()
}

fn from_window(bench: &Bench, window: WindowId, session: SessionId, turn: u64, head: Head) -> Result<(), WriteError> {
    let send = Send { window: Some(window), expected_head: Some(head), ..send(session, turn_id(turn), "x") };
    bench.journal.write_blocking(move |tx| tx.send(&send)).map(drop)
}

fn queued(session: SessionId, turn: u64, text: &str) -> Send {
    Send { when_busy: WhenBusy::Queue, ..send(session, turn_id(turn), text) }
}

#[test]
fn g09_sending_moves_the_draft_into_the_session_in_one_transaction() {
    let bench = bench();
    let (window, session) = bench.window();
    let draft = |rev, text: &str| Draft { window, session, rev, text: text.into(), attachments: json("[]") };
    let (typed, late, next) = (draft(7, "Hello"), draft(7, "Hello"), draft(8, "Next"));
    bench.write(move |tx| tx.save_draft(typed));
    bench.send(Send { window: Some(window), draft_rev: Some(7), ..send(session, turn_id(1), "Hello") });
    let left = bench.journal.read(|r| r.draft(window, session)).unwrap().unwrap();
    assert_eq!((left.rev, left.text.as_str()), (7, ""), "the revision stays as a floor");
    // An autosave that was under way when the send came does not bring the text back.
    assert!(matches!(bench.fails(move |tx| tx.save_draft(late)), WriteError::DraftStale { .. }));
    bench.write(move |tx| tx.save_draft(next));
}

#[test]
fn g09_a_refused_send_keeps_the_draft() {
    let bench = bench();
    let (window, session) = bench.window();
    let typed = Draft { window, session, rev: 1, text: "Keep me".into(), attachments: json("[]") };
    bench.write(move |tx| tx.save_draft(typed));
    bench.send(send(session, turn_id(1), "other"));
    let refused = Send { window: Some(window), draft_rev: Some(1), ..send(session, turn_id(2), "Keep me") };
    assert!(matches!(bench.fails(move |tx| tx.send(&refused)), WriteError::TurnRunning { .. }));
    assert_eq!(bench.journal.read(|r| r.draft(window, session)).unwrap().unwrap().text, "Keep me");
}

#[test]
fn g09_a_draft_saved_after_the_one_that_was_sent_stays() {
    let bench = bench();
    let (window, session) = bench.window();
    let newer = Draft { window, session, rev: 9, text: "Typed since".into(), attachments: json("[]") };
    bench.write(move |tx| tx.save_draft(newer));
    bench.send(Send { window: Some(window), draft_rev: Some(7), ..send(session, turn_id(1), "Hello") });
    assert_eq!(bench.journal.read(|r| r.draft(window, session)).unwrap().unwrap().text, "Typed since");
}

#[test]
fn g09_what_waits_stays_waiting_in_the_trash() {
    let bench = bench();
    let session = bench.session();
    bench.send(send(session, turn_id(1), "one"));
    bench.send(queued(session, 2, "two"));
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Interrupted, &ended()));
    bench.write(move |tx| tx.set_status(session, gander_model::Status::Trashed));
    assert!(matches!(bench.fails(move |tx| tx.queue_resume(session)), WriteError::Invalid(_)));
    assert!(!bench.write(move |tx| Ok(tx.start_queued(session)?.is_some())), "a turn started in the trash");
    bench.write(move |tx| tx.set_status(session, gander_model::Status::Active));
    bench.write(move |tx| tx.queue_resume(session));
    assert!(bench.write(move |tx| Ok(tx.start_queued(session)?.is_some())));
}

#[test]
fn g09_a_revision_that_nobody_can_follow_is_refused() {
    let bench = bench();
    let (window, session) = bench.window();
    let draft = |rev| Draft { window, session, rev, text: "typed".into(), attachments: json("[]") };
    let (beyond, next) = (draft(u64::MAX), draft(1));
    assert!(matches!(bench.fails(move |tx| tx.save_draft(beyond)), WriteError::Invalid(_)));
    let sent = Send { window: Some(window), draft_rev: Some(1 << 53), ..send(session, turn_id(1), "x") };
    assert!(matches!(bench.fails(move |tx| tx.send(&sent)), WriteError::Invalid(_)));
    assert_eq!(prompts(&bench, session).len(), 0);
    bench.write(move |tx| tx.save_draft(next));
}

#[test]
fn g09_a_repeated_turn_id_is_no_second_prompt() {
    let bench = bench();
    let session = bench.session();
    assert!(!bench.send(send(session, turn_id(1), "Hello")).repeated);
    let again = bench.send(send(session, turn_id(1), "Hello"));
    assert_eq!((again.repeated, again.phase), (true, TurnPhase::Starting));
    let error = bench.fails(move |tx| tx.send(&send(session, turn_id(1), "Something else")));
    assert!(matches!(error, WriteError::TurnIdReused { .. }));
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
    let bench = bench.reopen();
    let again = bench.send(send(session, turn_id(1), "Hello"));
    assert_eq!((again.repeated, again.phase), (true, TurnPhase::Ended));
    assert_eq!(prompts(&bench, session).len(), 1);
    // Ids are per session.
    let other = bench.session();
    assert!(!bench.send(send(other, turn_id(1), "Hello")).repeated);
}

#[test]
fn g09_a_turn_id_is_remembered_after_its_prompt_left_the_queue() {
    let bench = bench();
    let session = bench.session();
    bench.send(send(session, turn_id(1), "Hello"));
    bench.send(queued(session, 2, "Later"));
    bench.write(move |tx| tx.queue_delete(session, turn_id(2)));
    let again = bench.send(queued(session, 2, "Later"));
    assert_eq!((again.repeated, again.phase), (true, TurnPhase::Deleted));
    assert!(bench.journal.read(|r| r.queue(session)).unwrap().items.is_empty());
}

#[test]
fn g08_one_turn_at_a_time() {
    let bench = bench();
    let session = bench.session();
    bench.send(send(session, turn_id(1), "one"));
    let error = bench.fails(move |tx| tx.send(&send(session, turn_id(2), "two")));
    assert!(matches!(error, WriteError::TurnRunning { turn } if turn == turn_id(1)));
    assert_eq!(bench.send(queued(session, 2, "two")).phase, TurnPhase::Queued);
    assert!(bench.write(move |tx| tx.start_queued(session)).is_none());
    assert_eq!(prompts(&bench, session).len(), 1);
}

#[test]
fn g08_a_send_composed_against_another_conversation_is_refused() {
    let bench = bench();
    let (one, session) = bench.window();
    let (two, elsewhere) = bench.window();
    let old = bench.head(session);
    from_window(&bench, one, session, 1, old).unwrap();
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
    // The same window composed its next before its own prompt came back: fine.
    from_window(&bench, one, session, 2, old).unwrap();
    bench.write(move |tx| tx.end_turn(session, turn_id(2), TurnPhase::Ended, &ended()));
    // Another window's prompt came since.
    match from_window(&bench, two, session, 3, old).unwrap_err() {
        WriteError::HeadMoved { head } => assert_eq!(head, bench.head(session)),
        other => panic!("{other:?}"),
    }
    // A head of another session is not in this one's chain.
    let foreign = bench.head(elsewhere);
    assert!(matches!(from_window(&bench, two, session, 3, foreign), Err(WriteError::HeadMoved { .. })));
    // A name is no reason.
    let head = bench.head(session);
    bench.write(move |tx| tx.name(session, "Renamed", gander_model::NamedBy::User, None));
    from_window(&bench, two, session, 3, head).unwrap();
}

#[test]
fn g08_a_prompt_that_came_with_a_restore_moves_the_head() {
    let bench = bench();
    let (window, session) = bench.window();
    let head = bench.head(session);
    let data = serde_json::json!({ "content": [{ "type": "text", "text": "from another machine" }] });
    let body = gander_model::Body::with(gander_model::By::Import, &data).unwrap();
    bench.write(move |tx| tx.append(session, gander_model::Kind::PROMPT, body));
    assert!(matches!(from_window(&bench, window, session, 1, head), Err(WriteError::HeadMoved { .. })));
    let head = bench.head(session);
    from_window(&bench, window, session, 1, head).unwrap();
}

#[test]
fn g08_compaction_and_rewind_move_the_head() {
    for kind in [gander_model::Kind::COMPACTED, gander_model::Kind::REWOUND] {
        let bench = bench();
        let (window, session) = bench.window();
        let head = bench.head(session);
        let body = gander_model::Body::with(gander_model::By::Gander, &serde_json::json!({})).unwrap();
        bench.write(move |tx| tx.append(session, kind, body));
        assert!(matches!(from_window(&bench, window, session, 1, head), Err(WriteError::HeadMoved { .. })));
    }
}

#[test]
fn g09_queued_prompts_survive_keep_their_order_and_wait_after_a_restart() {
    let bench = bench();
    let session = bench.session();
    bench.send(send(session, turn_id(1), "one"));
    for n in 2..=5 {
        bench.send(queued(session, n, &format!("prompt {n}")));
    }
    let edited = text_content("edited");
    bench.write(move |tx| tx.queue_edit(session, turn_id(4), Some(&edited), Some(0)));
    bench.write(move |tx| tx.queue_delete(session, turn_id(3)));

    let bench = bench.reopen();
    let recovered = bench.journal.recover().unwrap();
    assert_eq!((recovered.interrupted, recovered.held), (vec![session], vec![session]));
    let queue = bench.journal.read(|r| r.queue(session)).unwrap();
    let waiting: Vec<_> =
        queue.items.iter().map(|item| (item.turn, item.position, item.content.get().contains("edited"))).collect();
    assert_eq!(waiting, [(turn_id(4), 0, true), (turn_id(2), 1, false), (turn_id(5), 2, false)]);
    assert!(queue.held);
    assert!(bench.write(move |tx| tx.start_queued(session)).is_none(), "held");
    // A send meanwhile starts at once.
    assert_eq!(bench.send(queued(session, 6, "now")).phase, TurnPhase::Starting);
    assert!(bench.write(move |tx| tx.end_turn(session, turn_id(6), TurnPhase::Ended, &ended())).is_none());
    bench.write(move |tx| tx.queue_resume(session));
    let (turn, content) = bench.write(move |tx| tx.start_queued(session)).unwrap();
    assert_eq!((turn, content.get().contains("edited")), (turn_id(4), true));
    let error = bench.fails(move |tx| tx.queue_delete(session, turn_id(4)));
    assert!(matches!(error, WriteError::TurnStarted { .. }));
    let next = bench.write(move |tx| tx.end_turn(session, turn_id(4), TurnPhase::Ended, &ended()));
    assert_eq!(next, Some(turn_id(2)), "it ended well, so the queue goes on");
}

#[test]
fn g09_any_other_end_holds_the_queue() {
    let ends = [
        (TurnPhase::Interrupted, None),
        (TurnPhase::NotSent, None),
        (TurnPhase::Ended, Some("cancelled")),
        (TurnPhase::Ended, Some("refusal")),
        (TurnPhase::Ended, Some("max_tokens")),
    ];
    for (phase, stop) in ends {
        let bench = bench();
        let session = bench.session();
        bench.send(send(session, turn_id(1), "one"));
        bench.send(queued(session, 2, "two"));
        let end = TurnEnd { stop_reason: stop.map(str::to_owned), ..TurnEnd::default() };
        assert_eq!(bench.write(move |tx| tx.end_turn(session, turn_id(1), phase, &end)), None);
        assert!(bench.journal.read(|r| r.queue(session)).unwrap().held, "{phase} {stop:?}");
    }
}

#[test]
fn an_interrupted_turn_offers_continue_and_continue_is_a_new_prompt() {
    let bench = bench();
    let session = bench.session();
    bench.send(send(session, turn_id(1), "one"));
    let bench = bench.reopen();
    bench.journal.recover().unwrap();
    assert_eq!(bench.journal.read(|r| r.session(session)).unwrap().state.interrupted, Some(turn_id(1)));
    let continues = |turn| Some(Continues { turn: turn_id(turn), how: "resend".into() });
    bench.send(Send { continues: continues(1), ..send(session, turn_id(2), "one") });
    assert_eq!(bench.journal.read(|r| r.session(session)).unwrap().state.interrupted, None);
    bench.write(move |tx| tx.end_turn(session, turn_id(2), TurnPhase::Ended, &ended()));
    let error = bench.fails(move |tx| tx.send(&Send { continues: continues(2), ..send(session, turn_id(3), "x") }));
    assert!(matches!(error, WriteError::TurnState { .. }), "a turn that ended well is not continued: {error:?}");
}

#[test]
fn recovery_twice_and_reading_append_nothing() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, "one", "two");
    let head = bench.head(session);
    let bench = bench.reopen();
    assert_eq!(bench.journal.recover().unwrap(), gander_journal::Recovered::default());
    assert_eq!(bench.journal.recover().unwrap(), gander_journal::Recovered::default());
    bench.transcript(session);
    assert_eq!(bench.head(session), head);
}

#[test]
fn trash_waits_for_a_running_turn_and_takes_no_prompts() {
    let bench = bench();
    let session = bench.session();
    bench.send(send(session, turn_id(1), "one"));
    let trash = move |tx: &mut gander_journal::Tx<'_>| tx.set_status(session, gander_model::Status::Trashed);
    assert!(matches!(bench.fails(trash), WriteError::TurnRunning { .. }));
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Ended, &ended()));
    bench.write(trash);
    assert!(matches!(bench.fails(move |tx| tx.send(&send(session, turn_id(2), "x"))), WriteError::Invalid(_)));
    bench.write(move |tx| tx.set_status(session, gander_model::Status::Active));
    bench.send(send(session, turn_id(2), "x"));
}

#[test]
fn g08_a_second_opener_is_refused_and_told_who_holds_it() {
    let bench = bench();
    let second = gander_journal::Journal::open(bench.dir.path(), crate::support::options(2));
    match second.err().unwrap() {
        gander_journal::OpenError::Held { holder, .. } => {
            assert!(holder.contains(&std::process::id().to_string()), "{holder}");
        }
        other => panic!("{other:?}"),
    }
    let Bench { dir, journal } = bench;
    let epoch = journal.epoch();
    drop(journal);
    assert_eq!(open(dir.path()).epoch(), epoch + 1);
}

#[test]
fn g08_a_writer_from_before_a_takeover_is_fenced() {
    let bench = bench();
    let session = bench.session();
    let conn = rusqlite::Connection::open(bench.dir.path().join("journal.db")).unwrap();
    conn.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'", []).unwrap();
    for n in 1..3 {
        let error = bench.fails(move |tx| tx.send(&send(session, turn_id(n), "late")));
        assert!(matches!(error, WriteError::Closed(_)), "{error:?}");
    }
    assert_eq!(prompts(&bench, session).len(), 0);
}
