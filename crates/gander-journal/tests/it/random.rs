//! Random operations of every kind on a few sessions: whatever they do to each other, everything verifies, the rows
//! are what the entries say, every session is in one list, and a reopening changes nothing.

use gander_journal::{Draft, ItemPart, NewLink, Send, TurnPhase, Tx, WhenBusy, WriteError};
use gander_model::{ItemId, Kind, NamedBy, Seq, SessionId, Status, WindowId};

use crate::support::{Bench, Seeded, bench, chunk, ended, json, send, turn_id};

type Write = Box<dyn FnOnce(&mut Tx<'_>) -> Result<(), WriteError> + std::marker::Send>;

struct World {
    windows: Vec<WindowId>,
    sessions: Vec<SessionId>,
    turns: u64,
}

/// Refusals are part of the game; faults of ours are not.
fn fine(result: Result<(), WriteError>) {
    match result {
        Ok(())
        | Err(
            WriteError::HeadMoved { .. }
            | WriteError::DraftStale { .. }
            | WriteError::TurnRunning { .. }
            | WriteError::TurnStarted { .. }
            | WriteError::TurnState { .. }
            | WriteError::NameTaken { .. }
            | WriteError::NotFound { .. }
            | WriteError::Invalid(_),
        ) => {}
        Err(error) => panic!("{error:?}"),
    }
}

fn step(bench: &Bench, random: &Seeded, world: &mut World) {
    let n = |bound: u64| random.below(bound);
    let session = world.sessions[n(world.sessions.len() as u64) as usize];
    let window = world.windows[n(world.windows.len() as u64) as usize];
    world.turns += 1;
    let turn = turn_id(world.turns);
    let seq = Seq(1 + n(30));
    let text = format!("text {} {}", world.turns, "long ".repeat(if n(6) == 0 { 20_000 } else { 3 }));
    let run = |closure: Write| {
        fine(bench.journal.write_blocking(closure));
    };
    let active = bench.journal.read(|r| r.turn(session)).unwrap();
    match n(18) {
        0 => {
            let (window, session) = bench.window();
            world.windows.push(window);
            world.sessions.push(session);
        }
        1 => {
            if let Ok(fork) = bench.journal.write_blocking(move |tx| tx.fork(session, seq, Some(window))) {
                world.sessions.push(fork);
            }
        }
        2..=4 => {
            let when_busy = if n(2) == 0 { WhenBusy::Queue } else { WhenBusy::Refuse };
            let send = Send { window: Some(window), when_busy, draft_rev: Some(n(5)), ..send(session, turn, &text) };
            run(Box::new(move |tx| tx.send(&send).map(drop)));
        }
        5..=8 => {
            let Some(active) = active else { return };
            let (item, kind) =
                (ItemId::from_bytes([n(3) as u8; 16]), [Kind::MESSAGE, Kind::THOUGHT][n(2) as usize].clone());
            run(Box::new(move |tx| {
                let update = chunk(&text);
                tx.item_append(&ItemPart { session, turn: Some(active.id), item, kind, updates: &[&update] }).map(drop)
            }));
        }
        9 => run(Box::new(move |tx| tx.item_close(session, ItemId::from_bytes([0; 16])).map(drop))),
        10 | 11 => {
            let Some(active) = active else { return };
            let phase = [TurnPhase::Ended, TurnPhase::Interrupted, TurnPhase::NotSent][n(3) as usize];
            run(Box::new(move |tx| {
                if tx.end_turn(session, active.id, phase, &ended())?.is_some() {
                    tx.start_queued(session)?;
                }
                Ok(())
            }));
        }
        12 => {
            let by = [NamedBy::User, NamedBy::Agent][n(2) as usize];
            run(Box::new(move |tx| tx.name(session, &text, by, Some(seq)).map(drop)));
        }
        13 => {
            let status = [Status::Active, Status::Archived, Status::Trashed][n(3) as usize];
            run(Box::new(move |tx| tx.set_status(session, status)));
        }
        14 => run(Box::new(move |tx| tx.redact(session, seq))),
        15 => run(Box::new(move |tx| tx.purge(session))),
        16 => {
            let draft = Draft { window, session, rev: n(9), text, attachments: json("[]") };
            run(Box::new(move |tx| tx.save_draft(draft)));
        }
        _ => match active {
            Some(active) => run(Box::new(move |tx| {
                let options = json(r#"[{"optionId":"yes"}]"#);
                let (id, _) = tx.permission_asked(session, active.id, &json("{}"), &options)?;
                if seq.0.is_multiple_of(2) { tx.permission_answered(session, id, "yes").map(drop) } else { Ok(()) }
            })),
            None => {
                let link = NewLink {
                    session,
                    agent: "goose".into(),
                    store: "s".into(),
                    agent_session: n(4).to_string(),
                    via: "new".into(),
                    check: "fresh".into(),
                    machine: "m".into(),
                };
                run(Box::new(move |tx| tx.link(&link).map(drop)));
            }
        },
    }
}

fn check(bench: &Bench) {
    let report = bench.journal.verify(|_, _| {}, || false).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    let rebuilt = bench.journal.rebuild(|_, _| {}).unwrap();
    assert_eq!((rebuilt.changed, rebuilt.removed), (0, 0), "a row was not what its entries say");
    let audit = bench.journal.read(|r| r.audit()).unwrap();
    assert!(audit.balances(), "{audit:?}");
    let counts = bench.journal.read(|r| r.counts()).unwrap();
    assert_eq!(counts.total(), audit.on_disk);
}

#[test]
fn g12_random_operations_leave_everything_verified_counted_and_as_the_entries_say() {
    let seed = match std::env::var("GANDER_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => {
            let mut bytes = [0; 8];
            gander_journal::Random::fill(&gander_journal::SystemRandom, &mut bytes);
            u64::from_le_bytes(bytes)
        }
    };
    println!("GANDER_TEST_SEED={seed}");
    let random = Seeded::new(seed);
    let mut bench = bench();
    let (window, session) = bench.window();
    let mut world = World { windows: vec![window], sessions: vec![session], turns: 0 };
    for _ in 0..3 {
        for _ in 0..150 {
            step(&bench, &random, &mut world);
        }
        check(&bench);
        let root = bench.journal.read(|r| r.root()).unwrap();
        bench = bench.reopen();
        assert_eq!(bench.journal.read(|r| r.root()).unwrap(), root);
        bench.journal.recover().unwrap();
        check(&bench);
        for session in &world.sessions {
            bench.transcript(*session);
        }
    }
}
