//! A journal beside a snapshot of it: what it lost is named, what it gained is not.

use gander_model::{Hash, Seq, SessionId};
use gander_vault::{SourceError, Standing};

use crate::journal::Journal;
use crate::storage::{World, id, world};

fn compare(world: &World, journal: &Journal, n: u8) -> Standing {
    let hash_at = |session: SessionId, seq: Seq| -> Result<Option<Hash>, SourceError> {
        let entries = journal.sessions.get(&session).map(|session| &session.entries);
        Ok(entries.into_iter().flatten().find(|entry| entry.header.seq == seq).map(|entry| entry.header.hash))
    };
    let manifest = world.vault.snapshot(id(n)).unwrap().manifest().clone();
    world.vault.compare(&manifest, &journal.heads(), &hash_at).unwrap()
}

#[test]
fn a_journal_that_went_back_in_time_is_behind_and_one_that_went_on_agrees() {
    let (world, mut journal) = (world(), Journal::new(71));
    let sessions: Vec<_> = (0..200).map(|n| journal.session(2 + n % 3)).collect();
    let old = journal.clone();
    (0..5).for_each(|n| journal.say(sessions[7], &format!("more {n}")));
    let new = journal.session(4);
    world.create(&journal, 1).unwrap();

    assert!(compare(&world, &journal, 1).agrees());
    let standing = compare(&world, &old, 1);
    assert_eq!(standing.behind, [(sessions[7], 5), (new, 4)]);
    assert_eq!(standing.differ, []);

    let mut further = journal.clone();
    further.say(sessions[9], "and on");
    further.session(2);
    assert!(compare(&world, &further, 1).agrees(), "a snapshot may be older");

    // Another way on from the old state: behind in length, beside in content.
    let mut beside = old.clone();
    beside.say(sessions[7], "another way");
    let standing = compare(&world, &beside, 1);
    assert_eq!(standing.differ, [(sessions[7], journal.head(sessions[7]))]);
    assert_eq!(standing.behind, [(new, 4)]);
    (0..9).for_each(|n| beside.say(sessions[7], &format!("longer {n}")));
    assert_eq!(compare(&world, &beside, 1).differ.len(), 1);
}
