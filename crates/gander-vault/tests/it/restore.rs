use std::collections::BTreeSet;

use gander_model::{Head, Seq, SessionId};
use gander_vault::{Action, Counts, Plan, SnapshotReader, Wanted, plan};

use crate::journal::{Journal, assert_same};
use crate::storage::{World, id, world};

fn restore(world: &World, target: &mut Journal, wanted: Wanted) -> (Plan, Counts) {
    let reader: SnapshotReader<'_> = world.vault.snapshot(id(1)).unwrap();
    let plan = plan(&reader, target, &wanted).unwrap();
    let before = target.clone();
    let preview = plan.counts();
    let done = plan.carry_out(&reader, target, |_, _| {}).unwrap();
    assert!(done.failed.is_empty(), "{:?}", done.failed);
    assert_eq!(preview, done.counts, "the preview says what happens");
    for (session, was) in &before.sessions {
        let now = &target.sessions[session].entries;
        assert_eq!(now[..was.entries.len()], was.entries, "nothing that was there changes");
    }
    (plan, done.counts)
}

fn counts(added: u64, forwarded: u64, copied: u64, unchanged: u64) -> Counts {
    Counts { added, forwarded, copied, unchanged }
}

#[test]
fn g11_restore_adds_forwards_copies_or_leaves_alone() {
    let (world, mut journal) = (world(), Journal::new(71));
    let ids: Vec<SessionId> = (0..5).map(|_| journal.session(300)).collect();
    let [gone, behind, ahead, apart, same] = ids[..] else { unreachable!() };
    world.create(&journal, 1).unwrap();
    let saved = journal.clone();
    let mut now = journal.clone();
    now.sessions.remove(&gone);
    now.sessions.get_mut(&behind).unwrap().entries.truncate(123);
    now.say(ahead, "newer");
    now.sessions.get_mut(&apart).unwrap().entries.truncate(211);
    (0..40).for_each(|n| now.say(apart, &format!("another way {n}")));

    let (plan, done) = restore(&world, &mut now, Wanted::All);

    assert_eq!(done, counts(1, 1, 1, 2));
    let of = |session| plan.steps.iter().find(|step| step.session == session).unwrap().action.clone();
    let at = |session, seq: u64| saved.sessions[&session].entries[seq as usize - 1].header.head();
    assert_eq!(of(gone), Action::Added);
    assert_eq!(of(behind), Action::Forwarded { after: at(behind, 123) });
    assert_eq!(of(apart), Action::Copied { common: Some(at(apart, 211)) });
    assert_eq!((of(ahead), of(same)), (Action::Unchanged, Action::Unchanged));
    for session in [gone, behind, same] {
        assert_eq!(now.sessions[&session].entries, saved.sessions[&session].entries);
    }
    let copy = now.sessions.values().find(|s| s.pin.is_some_and(|pin| pin.session == apart)).unwrap();
    assert_eq!((copy.pin.unwrap().head, copy.entries.len()), (at(apart, 211), 1 + 300 - 211));

    // Again: nothing, and above all no second copy.
    let sessions = now.sessions.len();
    let (_, again) = restore(&world, &mut now, Wanted::All);
    assert_eq!((again, now.sessions.len()), (counts(0, 0, 0, 5), sessions));
}

#[test]
fn g11_histories_without_a_common_entry_are_copied_into_a_new_session() {
    let (world, mut journal) = (world(), Journal::new(72));
    let session = journal.session(6);
    world.create(&journal, 1).unwrap();
    let mut now = journal.clone();
    now.sessions.get_mut(&session).unwrap().entries.clear();
    (0..9).for_each(|n| now.say(session, &format!("other {n}")));
    let (plan, _) = restore(&world, &mut now, Wanted::All);
    assert_eq!(plan.steps[0].action, Action::Copied { common: None });
}

#[test]
fn one_session_is_restored_with_what_it_is_forked_from() {
    let (world, mut journal) = (world(), Journal::new(73));
    let (grandparent, stranger) = (journal.session(9), journal.session(9));
    let parent = journal.fork(grandparent, Seq(7));
    journal.say(parent, "on");
    let child = journal.fork(parent, Seq(1));
    world.create(&journal, 1).unwrap();
    let mut now = Journal::new(74);
    let (plan, done) = restore(&world, &mut now, Wanted::Sessions(BTreeSet::from([child])));
    assert_eq!(done, counts(3, 0, 0, 0));
    assert_eq!(plan.steps.iter().map(|step| step.session).collect::<Vec<_>>(), [grandparent, parent, child]);
    assert!(!now.sessions.contains_key(&stranger));
    restore(&world, &mut now, Wanted::All);
    assert_same(&journal, &now);
}

#[test]
fn a_session_that_the_snapshot_does_not_hold_is_said_so() {
    let (world, mut journal) = (world(), Journal::new(75));
    journal.session(3);
    world.create(&journal, 1).unwrap();
    let unknown = SessionId::from_bytes([9; 16]);
    let reader = world.vault.snapshot(id(1)).unwrap();
    let wanted = Wanted::Sessions(BTreeSet::from([unknown]));
    let error = plan(&reader, &Journal::new(76), &wanted).err().unwrap();
    assert!(matches!(error, gander_vault::VaultError::NoSession(session) if session == unknown));
}

#[test]
fn every_place_of_divergence_is_found() {
    let (world, mut journal) = (world(), Journal::new(77));
    let session = journal.session(40);
    world.create(&journal, 1).unwrap();
    for at in 1..40u64 {
        for more in [1, 60] {
            let mut now = journal.clone();
            now.sessions.get_mut(&session).unwrap().entries.truncate(at as usize);
            (0..more).for_each(|n| now.say(session, &format!("other {n}")));
            let (plan, _) = restore(&world, &mut now, Wanted::All);
            let common: Head = journal.sessions[&session].entries[at as usize - 1].header.head();
            assert_eq!(plan.steps[0].action, Action::Copied { common: Some(common) });
        }
    }
}
