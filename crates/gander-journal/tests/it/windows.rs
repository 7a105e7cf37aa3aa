//! G5, G6: windows come back on their sessions, and a new chat belongs to its window.

use gander_journal::{Bucket, Draft, WindowPatch, WriteError};
use gander_model::{NamedBy, SessionId, WindowId};

use crate::support::{Bench, bench, json, new_session, send, turn_id};

fn draft(window: WindowId, session: SessionId, rev: u64, text: &str) -> Draft {
    Draft { window, session, rev, text: text.into(), attachments: json("[]") }
}

fn new_chat(bench: &Bench, window: WindowId) -> SessionId {
    bench.write(move |tx| tx.new_chat(window, "scratch", "/tmp"))
}

#[test]
fn g05_windows_come_back_with_session_order_draft_and_scroll() {
    let bench = bench();
    let windows: Vec<_> = (0..5).map(|_| bench.window()).collect();
    for (n, (window, session)) in windows.iter().copied().enumerate() {
        bench.turn(session, 1, &format!("Prompt {n}"), "Answer");
        bench.write(move |tx| tx.save_draft(draft(window, session, 3, &format!("draft {n}"))));
        let patch = WindowPatch {
            ordinal: Some(10 - n as i64),
            geometry: Some(json(&format!("{{\"x\":{n}}}"))),
            scroll: Some(json(&format!("{{\"seq\":{n}}}"))),
        };
        bench.write(move |tx| tx.update_window(window, &patch));
    }
    let (closed, _) = windows[4];
    let (focused, _) = windows[2];
    bench.write(move |tx| tx.close_window(closed));
    bench.write(move |tx| tx.focus_window(focused));

    let bench = bench.reopen();
    let back = bench.journal.read(|r| r.windows()).unwrap();
    let open: Vec<_> = back.iter().filter(|w| w.open).map(|w| (w.id, w.session)).collect();
    let expected: Vec<_> = windows[..4].iter().rev().copied().collect();
    assert_eq!(open, expected, "by place");
    for window in &back {
        let n = windows.iter().position(|(id, _)| *id == window.id).unwrap();
        assert_eq!(window.draft.as_ref().unwrap().text, format!("draft {n}"));
        assert_eq!(window.geometry.as_ref().unwrap().get(), format!("{{\"x\":{n}}}"));
        assert_eq!(window.scroll.as_ref().unwrap().get(), format!("{{\"seq\":{n}}}"));
    }
    assert_eq!(back.iter().max_by_key(|w| w.focused).unwrap().id, focused);
    bench.write(move |tx| tx.reopen_window(closed));
    assert!(bench.journal.read(|r| r.window(closed)).unwrap().open);
}

#[test]
fn g05_a_failed_open_leaves_the_window_on_its_session() {
    let bench = bench();
    let (window, session) = bench.window();
    let nowhere = SessionId::from_bytes([9; 16]);
    assert!(matches!(bench.fails(move |tx| tx.show(window, nowhere)), WriteError::NotFound { .. }));
    assert_eq!(bench.journal.read(|r| r.window(window)).unwrap().session, session);
}

#[test]
fn g06_new_chat_reuses_only_the_windows_own_empty_session() {
    let bench = bench();
    let (one, own) = bench.window();
    let (two, other) = bench.window();
    assert_ne!(own, other);
    assert_eq!(new_chat(&bench, one), own);
    // Another window looking at it does not make it that window's.
    bench.write(move |tx| tx.show(two, own));
    assert_eq!(new_chat(&bench, two), other);
    assert_eq!(new_chat(&bench, one), own);
    bench.send(send(own, turn_id(1), "used now"));
    let next = new_chat(&bench, one);
    assert!(next != own && next != other);
}

#[test]
fn g06_prompt_queue_draft_and_user_name_make_a_session_not_empty() {
    type Fill = fn(&Bench, WindowId, SessionId);
    let fills: [(&str, Fill); 3] = [
        ("prompt", |bench, _, session| {
            bench.send(send(session, turn_id(1), "x"));
        }),
        ("draft", |bench, window, session| bench.write(move |tx| tx.save_draft(draft(window, session, 1, "x")))),
        ("name", |bench, _, session| {
            bench.write(move |tx| tx.name(session, "Mine", NamedBy::User, None).map(drop));
        }),
    ];
    for (what, fill) in fills {
        let bench = bench();
        let (window, session) = bench.window();
        fill(&bench, window, session);
        assert_eq!(bench.journal.read(|r| r.session(session)).unwrap().bucket, Bucket::Active, "{what}");
        assert_ne!(new_chat(&bench, window), session, "{what}");
    }
    // A draft that was emptied makes it empty again; a name that nobody gave does not fill it.
    let bench = bench();
    let (window, session) = bench.window();
    bench.write(move |tx| tx.save_draft(draft(window, session, 1, "x")));
    bench.write(move |tx| tx.save_draft(draft(window, session, 2, "")));
    assert_eq!(bench.journal.read(|r| r.session(session)).unwrap().bucket, Bucket::Empty);
    assert_eq!(new_chat(&bench, window), session);
}

#[test]
fn g06_another_windows_draft_keeps_an_empty_session_from_being_reused() {
    let bench = bench();
    let (one, own) = bench.window();
    let (two, _) = bench.window();
    bench.write(move |tx| tx.show(two, own));
    bench.write(move |tx| tx.save_draft(draft(two, own, 1, "typed elsewhere")));
    assert_ne!(new_chat(&bench, one), own);
}

#[test]
fn g06_closing_the_owner_keeps_its_empty_session_for_reopen() {
    let bench = bench();
    let (window, own) = bench.window();
    let (other, _) = bench.window();
    bench.write(move |tx| tx.close_window(window));
    assert_ne!(new_chat(&bench, other), own);
    bench.write(move |tx| tx.reopen_window(window));
    assert_eq!(new_chat(&bench, window), own);
}

/// Many windows ask at the same moment: no two get the same session, and none gets a second one.
#[test]
fn g06_new_chats_at_the_same_moment_never_share() {
    let bench = bench();
    let windows: Vec<WindowId> = (0..8).map(|_| bench.window().0).collect();
    let threads: Vec<_> = windows
        .iter()
        .flat_map(|window| [*window; 4])
        .map(|window| {
            let journal = bench.journal.clone();
            std::thread::spawn(move || {
                (window, journal.write_blocking(move |tx| tx.new_chat(window, "scratch", "/tmp")).unwrap())
            })
        })
        .collect();
    let got: std::collections::HashSet<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(got.len(), windows.len());
    let sessions: std::collections::HashSet<_> = got.iter().map(|(_, session)| *session).collect();
    assert_eq!(sessions.len(), windows.len());
}

#[test]
fn g09_an_old_draft_is_refused_with_the_one_that_is_kept() {
    let bench = bench();
    let (window, session) = bench.window();
    let save = |rev, text: &'static str| {
        bench.journal.write_blocking(move |tx| tx.save_draft(draft(window, session, rev, text)))
    };
    save(5, "five").unwrap();
    save(5, "five").unwrap();
    for (rev, text) in [(5, "other five"), (4, "four")] {
        match save(rev, text).unwrap_err() {
            WriteError::DraftStale { current } => assert_eq!((current.rev, current.text.as_str()), (5, "five")),
            other => panic!("{other:?}"),
        }
    }
    save(6, "six").unwrap();
    assert_eq!(bench.journal.read(|r| r.draft(window, session)).unwrap().unwrap().text, "six");
}

#[test]
fn a_place_beyond_the_last_is_refused_and_stops_no_other_window() {
    let bench = bench();
    let (window, _) = bench.window();
    for ordinal in [i64::MAX, -1] {
        let patch = WindowPatch { ordinal: Some(ordinal), ..WindowPatch::default() };
        assert!(matches!(bench.fails(move |tx| tx.update_window(window, &patch)), WriteError::Invalid(_)));
    }
    bench.window();
}

fn moved(bench: &Bench, session: SessionId, from: WindowId, to: Option<WindowId>) -> WindowId {
    bench.write(move |tx| tx.move_session(session, from, to, &new_session()))
}

#[test]
fn g05_a_session_moves_to_another_window_with_its_draft_and_its_place() {
    let bench = bench();
    let (one, session) = bench.window();
    let (two, others) = bench.window();
    bench.turn(session, 1, "Prompt", "Answer");
    bench.write(move |tx| tx.save_draft(draft(one, session, 7, "half a thought")));
    let place = WindowPatch { scroll: Some(json("{\"seq\":3}")), ..WindowPatch::default() };
    bench.write(move |tx| tx.update_window(one, &place));
    assert_eq!(moved(&bench, session, one, Some(two)), two);

    let bench = bench.reopen();
    let shown = |window| bench.journal.read(move |r| r.window(window)).unwrap();
    let (left, there) = (shown(one), shown(two));
    assert_eq!((there.session, there.draft.unwrap().text.as_str()), (session, "half a thought"));
    assert_eq!(there.scroll.unwrap().get(), "{\"seq\":3}");
    assert!(there.focused > left.focused);
    let chat = left.session;
    assert!(![session, others].contains(&chat));
    let chat = bench.journal.read(move |r| r.session(chat)).unwrap();
    assert_eq!((chat.bucket, chat.owner_window), (Bucket::Empty, Some(one)));
    // What that window's page saved before it heard of this does not come back.
    let late = bench.fails(move |tx| tx.save_draft(draft(one, session, 8, "half a thought, late")));
    assert!(matches!(late, WriteError::DraftStale { .. }));
    // What the other window showed is its own still.
    assert_eq!(new_chat(&bench, two), others);
}

#[test]
fn g05_a_session_moves_to_a_new_window_and_back() {
    let bench = bench();
    let (one, session) = bench.window();
    bench.turn(session, 1, "Prompt", "Answer");
    bench.write(move |tx| tx.save_draft(draft(one, session, 1, "typed")));
    let new = moved(&bench, session, one, None);
    assert!(bench.journal.read(move |r| r.window(new)).unwrap().open);
    bench.write(move |tx| tx.save_draft(draft(new, session, 9, "typed more")));
    assert_eq!(moved(&bench, session, new, Some(one)), one);
    let back = bench.journal.read(move |r| r.window(one)).unwrap();
    assert_eq!((back.session, back.draft.unwrap().text.as_str()), (session, "typed more"));
}

#[test]
fn g09_two_drafts_for_a_session_both_stay_when_it_is_moved() {
    let bench = bench();
    let (one, session) = bench.window();
    let (two, _) = bench.window();
    bench.turn(session, 1, "Prompt", "Answer");
    bench.write(move |tx| tx.save_draft(draft(one, session, 5, "mine")));
    bench.write(move |tx| tx.save_draft(draft(two, session, 2, "theirs")));
    moved(&bench, session, one, Some(two));
    assert_eq!(bench.journal.read(|r| r.window(two)).unwrap().draft.unwrap().text, "theirs");
    let mut texts: Vec<_> = bench.journal.read(|r| r.drafts(session)).unwrap().into_iter().map(|d| d.text).collect();
    texts.sort();
    assert_eq!(texts, ["mine", "theirs"]);
}

#[test]
fn g06_an_untouched_chat_belongs_to_the_window_that_it_was_moved_to() {
    let bench = bench();
    let (one, own) = bench.window();
    let (two, _) = bench.window();
    moved(&bench, own, one, Some(two));
    let left = bench.journal.read(|r| r.window(one)).unwrap().session;
    assert_ne!(left, own);
    assert_eq!(new_chat(&bench, one), left);
    assert_eq!(new_chat(&bench, two), own);
}

#[test]
fn g06_what_cannot_be_moved_leaves_both_windows_as_they_are() {
    let bench = bench();
    let (one, first) = bench.window();
    let (two, second) = bench.window();
    let (closed, _) = bench.window();
    bench.write(move |tx| tx.close_window(closed));
    for (session, from, to) in [(second, one, Some(two)), (first, one, Some(one)), (first, one, Some(closed))] {
        let refused = bench.fails(move |tx| tx.move_session(session, from, to, &new_session()));
        assert!(matches!(refused, WriteError::WindowState { .. }), "{refused}");
    }
    let nowhere = WindowId::from_bytes([9; 16]);
    let refused = bench.fails(move |tx| tx.move_session(first, one, Some(nowhere), &new_session()));
    assert!(matches!(refused, WriteError::NotFound { .. }));
    let windows = bench.journal.read(|r| r.windows()).unwrap();
    assert_eq!(windows.iter().find(|w| w.id == one).unwrap().session, first);
    assert_eq!(windows.iter().find(|w| w.id == two).unwrap().session, second);
    assert_eq!(windows.len(), 3);
}
