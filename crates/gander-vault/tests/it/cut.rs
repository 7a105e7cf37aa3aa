//! The storage dies at every write in turn, in every way.

use gander_vault::VaultError;
use serde_json::json;

use crate::create::restore_all;
use crate::journal::{Journal, assert_same};
use crate::storage::{Death, assert_whole, id, verify, world};

fn story() -> (Journal, Journal) {
    let mut journal = Journal::new(21);
    let sessions: Vec<_> = (0..70).map(|n| journal.session(2 + n % 5)).collect();
    journal.document("draft", "w1", Some(sessions[3]), json!({"text": "half"}));
    let before = journal.clone();
    journal.say(sessions[3], "the answer goes on");
    journal.say_large(sessions[40], vec![9; 80_000]);
    journal.redact(sessions[5], &[2], "redact");
    journal.documents.clear();
    journal.document("draft", "w1", Some(sessions[3]), json!({"text": "half typed"}));
    (before, journal)
}

#[test]
fn g10_a_cut_at_any_write_leaves_the_old_snapshot_and_lets_a_new_one_be_made() {
    let (before, after) = story();
    let rehearsal = world();
    rehearsal.create(&before, 1).unwrap();
    let writes = rehearsal.writes_of(|| drop(rehearsal.create(&after, 2).unwrap()));
    assert!(writes >= 8, "the story has something to cut: {writes}");
    for death in [Death::Before, Death::After, Death::Torn, Death::Full] {
        for nth in 1..=writes {
            let world = world();
            world.create(&before, 1).unwrap();
            world.die_at(nth, death);
            let cut = world.create(&after, 2);
            world.revive();
            let what = format!("{death:?} at write {nth} of {writes}");
            let published = match &cut {
                // Only the erasing after the publication was cut off: that is said beside the snapshot.
                Ok(created) => created.erased.is_err(),
                Err(_) => false,
            };
            assert!(cut.is_err() || published, "{what}: the cut went unnoticed");
            if let (Err(error), Death::Full) = (&cut, death) {
                assert!(matches!(error, VaultError::Full { .. }), "{what}: {error:?}");
            }
            let report = verify(&world.vault);
            let torn_manifest = report.findings.iter().any(|finding| finding.kind == "torn_manifest");
            let torn = |object: &Option<String>| {
                object.as_ref().is_some_and(|o| ["snapshots/", "erased/", "replaced/"].iter().any(|f| o.starts_with(f)))
            };
            let only_torn = report.findings.iter().all(|finding| torn(&finding.subject.object));
            assert!(report.ok() || (death == Death::Torn && only_torn), "{what}: {:?}", report.findings);
            // Erasing may have begun; all else of the old snapshot is what it was.
            let old = restore_all(&world, 1);
            assert_eq!(old.root(), before.root(), "{what}");
            let made = world.create(&after, 3).unwrap();
            match &made.erased {
                Ok(_) => assert!(!torn_manifest, "{what}: a torn manifest may name what is to be erased"),
                Err(error) => assert!(torn_manifest && matches!(error, VaultError::Unsure { .. }), "{what}: {error:?}"),
            }
            assert_same(&after, &restore_all(&world, 3));
            if !torn_manifest {
                assert_whole(&world.vault);
            }
        }
    }
}

#[test]
fn a_torn_manifest_is_named_and_disturbs_nothing() {
    let (before, after) = story();
    let world = world();
    world.create(&before, 1).unwrap();
    world.create(&after, 2).unwrap();
    let name = format!("snapshots/{}.json", id(2));
    let whole = world.read(&name);
    for len in [0, 1, whole.len() / 2, whole.len() - 66, whole.len() - 1] {
        world.write(&name, whole[..len].to_vec());
        let listing = world.vault.list().unwrap();
        assert_eq!(listing.snapshots.iter().map(|m| m.id).collect::<Vec<_>>(), [id(1)]);
        assert_eq!(listing.unreadable.len(), 1);
        let kinds: Vec<_> = verify(&world.vault).findings.into_iter().map(|f| f.kind).collect();
        assert_eq!(kinds, ["torn_manifest"], "cut to {len}");
        assert_eq!(restore_all(&world, 1).root(), before.root());
        world.create(&after, 3).unwrap();
        assert_same(&after, &restore_all(&world, 3));
        world.remove(&format!("snapshots/{}.json", id(3)));
    }
    // A manifest put in another's place is no better.
    world.write(&name, world.read(&format!("snapshots/{}.json", id(1))));
    assert_eq!(verify(&world.vault).findings[0].kind, "torn_manifest");
}
