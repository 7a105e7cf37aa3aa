//! Redact and purge: the text is gone from every file, the chain still verifies, and nothing else went.

use gander_journal::{Draft, ItemPart, NewFinding, Send, TurnPhase, WhenBusy, WriteError};
use gander_model::{Kind, Seq, SessionId, Status};

use crate::support::{Bench, bench, chunk, ended, json, send, turn_id};

const SECRET: &str = "correct-horse-battery-staple";

/// Whether any file of the journal holds the secret.
fn on_disk(bench: &Bench) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(bench.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        // A file that was there only while another took its place holds nothing.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

/// A session that says the secret in every way there is.
fn tell(bench: &Bench) -> SessionId {
    let (window, session) = bench.window();
    let other = bench.window().0;
    bench.send(send(session, turn_id(1), SECRET));
    for _ in 0..5 {
        bench.write(move |tx| {
            let update = chunk(SECRET);
            let item = gander_model::ItemId::from_bytes([1; 16]);
            tx.item_append(&ItemPart {
                session,
                turn: Some(turn_id(1)),
                item,
                kind: Kind::MESSAGE,
                updates: &[&update],
            })
        });
    }
    let large = chunk(&format!("{SECRET} ").repeat(10_000));
    bench.write(move |tx| {
        let item = gander_model::ItemId::from_bytes([2; 16]);
        tx.item_append(&ItemPart { session, turn: Some(turn_id(1)), item, kind: Kind::MESSAGE, updates: &[&large] })
    });
    bench.send(Send { when_busy: WhenBusy::Queue, ..send(session, turn_id(2), SECRET) });
    bench.write(move |tx| tx.end_turn(session, turn_id(1), TurnPhase::Interrupted, &ended()));
    bench.write(move |tx| {
        tx.save_draft(Draft { window, session, rev: 1, text: SECRET.into(), attachments: json("[]") })?;
        tx.save_draft(Draft { window: other, session, rev: 1, text: SECRET.into(), attachments: json("[]") })?;
        tx.finding_add(NewFinding {
            kind: "late_update".into(),
            severity: "info".into(),
            session: Some(session),
            subject: json(&format!("{{\"text\":\"{SECRET}\"}}")),
            detail: SECRET.into(),
            remedy: String::new(),
            raw: Some(SECRET.into()),
        })
    });
    session
}

#[test]
fn purge_erases_every_trace_from_every_file_and_the_chain_still_verifies() {
    let bench = bench();
    let session = tell(&bench);
    let bystander = bench.session();
    bench.turn(bystander, 1, "Unconcerned", "Still here");
    let untouched = bench.transcript(bystander);
    assert!(!on_disk(&bench).is_empty());
    assert!(matches!(bench.fails(move |tx| tx.purge(session)), WriteError::Invalid(_)), "trash first");
    bench.write(move |tx| tx.set_status(session, Status::Trashed));
    bench.write(move |tx| tx.purge(session));
    assert_eq!(on_disk(&bench), Vec::<String>::new());
    let transcript = bench.transcript(session);
    let kept: Vec<&str> = transcript.lines().filter(|line| !line.ends_with("(erased)")).collect();
    let kinds: Vec<&str> = kept.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(kinds, ["created", "status", "redacted"]);
    let view = bench.journal.read(|r| r.session(session)).unwrap();
    assert_eq!((view.state.name, view.state.preview, view.queue_count, view.has_draft), (None, None, 0, false));
    assert_eq!(view.bucket, gander_journal::Bucket::Trashed, "it is still counted");
    assert_eq!(bench.transcript(bystander), untouched);
    let bench = bench.reopen();
    assert_eq!(on_disk(&bench), Vec::<String>::new());
    bench.transcript(session);
    // The turn id is still remembered.
    bench.write(move |tx| tx.set_status(session, Status::Active));
    assert!(bench.send(send(session, turn_id(1), "other words")).repeated);
}

#[test]
fn redact_erases_one_body_and_says_so() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, SECRET, "Fine");
    bench.turn(session, 2, "Harmless", "Fine too");
    // The name was made from the prompt, so it is a second place.
    for seq in [3, 4] {
        bench.write(move |tx| tx.redact(session, Seq(seq)));
    }
    assert_eq!(on_disk(&bench), Vec::<String>::new());
    let transcript = bench.transcript(session);
    assert!(transcript.contains("3 prompt (erased)\n4 named (erased)\n5 message ["), "{transcript}");
    assert!(transcript.contains("Harmless"));
    let view = bench.journal.read(|r| r.session(session)).unwrap();
    assert_eq!((view.state.name, view.state.prompts), (None, 2));
    assert!(matches!(bench.fails(move |tx| tx.redact(session, Seq(3))), WriteError::Invalid(_)), "twice");
    assert!(matches!(bench.fails(move |tx| tx.redact(session, Seq(1))), WriteError::Invalid(_)), "created");
    assert!(matches!(bench.fails(move |tx| tx.redact(session, Seq(99))), WriteError::NotFound { .. }));
}

#[test]
fn erasing_keeps_large_content_that_another_entry_names() {
    let bench = bench();
    let (one, two) = (bench.session(), bench.session());
    let large = "y".repeat(100_000);
    bench.turn(one, 1, "Q", &large);
    bench.turn(two, 1, "Q", &large);
    let entry = |session| bench.journal.read(|r| r.entry(session, Seq(5))).unwrap().unwrap().entry;
    bench.write(move |tx| tx.redact(one, Seq(5)));
    let kept = entry(two);
    assert!(bench.journal.read(|r| r.entry_data(&kept)).unwrap().unwrap().len() > 100_000);
    bench.write(move |tx| tx.redact(two, Seq(5)));
    let conn = rusqlite::Connection::open(bench.dir.path().join("journal.db")).unwrap();
    let left: i64 = conn.query_row("SELECT count(*) FROM content_chunks", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn purging_a_parent_keeps_what_a_fork_still_shows_and_goes_with_the_last() {
    let bench = bench();
    let parent = bench.session();
    bench.turn(parent, 1, "Shared question", "Shared answer");
    bench.turn(parent, 2, SECRET, SECRET);
    let fork = bench.write(move |tx| tx.fork(parent, Seq(6), None));
    let purge = |session| {
        bench.write(move |tx| {
            tx.set_status(session, Status::Trashed)?;
            tx.purge(session)
        });
    };
    purge(parent);
    assert_eq!(on_disk(&bench), Vec::<String>::new());
    let shown = bench.transcript(fork);
    assert!(shown.contains("Shared question") && shown.contains("Shared answer"), "{shown}");
    bench.transcript(parent);
    purge(fork);
    let shown = bench.transcript(fork);
    assert!(!shown.contains("Shared"), "{shown}");
    bench.transcript(parent);
}

/// A window that reads at that moment delays the erasing of the log, and does not prevent it.
#[test]
fn what_was_erased_leaves_the_log_although_somebody_reads() {
    let bench = bench();
    let session = bench.session();
    bench.turn(session, 1, SECRET, "Fine");
    let (reading, read_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let read = bench.journal.read(|r| {
                r.session(session)?;
                reading.wait();
                read_on.wait();
                Ok(())
            });
            read.unwrap();
        });
        reading.wait();
        let journal = bench.journal.clone();
        let writer = scope.spawn(move || {
            journal.write_blocking(move |tx| {
                tx.redact(session, Seq(3))?;
                tx.redact(session, Seq(4))
            })
        });
        // The write is under way, or done but for the log, when the reader lets go.
        while bench.journal.read(|r| r.entry(session, Seq(3))).unwrap().unwrap().entry.body.is_some() {
            std::thread::yield_now();
        }
        read_on.wait();
        writer.join().unwrap().unwrap();
    });
    assert_eq!(on_disk(&bench), Vec::<String>::new());
}
