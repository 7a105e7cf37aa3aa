use std::time::Duration;

use gander_vault::{Policy, Reason, SWEEP_GRACE_MS, Vault, VaultError};
use serde_json::json;

use crate::create::restore_all;
use crate::journal::{Journal, assert_same};
use crate::storage::{World, assert_whole, create, id, world};

const NOTHING: Policy = Policy { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0 };
const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 3600);

fn prune(world: &World, policy: Policy, n: u8) -> gander_vault::Pruned {
    world.vault.prune(&policy, SWEEP_GRACE_MS, id(n), false).unwrap()
}

fn listed(world: &World) -> Vec<gander_vault::SnapshotId> {
    world.vault.list().unwrap().snapshots.iter().map(|manifest| manifest.id).collect()
}

#[test]
fn a_policy_that_keeps_nothing_is_refused() {
    let (world, mut journal) = (world(), Journal::new(51));
    journal.session(3);
    world.create(&journal, 1).unwrap();
    let before = world.names();
    let refused = world.vault.prune(&NOTHING, 0, id(200), false);
    assert!(matches!(refused, Err(VaultError::EmptyPolicy)));
    assert_eq!(world.names(), before);
}

#[test]
fn forgotten_snapshots_free_their_objects_a_day_later_and_no_sooner() {
    let (world, mut journal) = (world(), Journal::new(52));
    let session = journal.session(40);
    for n in 1..=6 {
        (0..3).for_each(|k| journal.say(session, &format!("{n} {k}")));
        journal.documents.clear();
        journal.document("draft", "w1", Some(session), json!({"text": format!("draft {n}")}));
        world.create(&journal, n).unwrap();
    }
    world.age(TWO_DAYS);

    let pruned = prune(&world, Policy { last: 2, ..NOTHING }, 201);

    assert_eq!(pruned.forgotten, [id(1), id(2), id(3), id(4)]);
    assert_eq!(listed(&world), [id(5), id(6)]);
    assert_eq!(pruned.removed, 0, "a snapshot in the making may still build on them");
    assert_eq!(restore_all(&world, 2).head(session).seq.0, 46, "and they can still be read");

    world.age(TWO_DAYS);
    let pruned = prune(&world, Policy { last: 2, ..NOTHING }, 202);
    assert!(pruned.removed > 0);
    assert!(matches!(world.vault.snapshot(id(2)), Err(VaultError::NoSnapshot(_))));
    assert_whole(&world.vault);
    assert_same(&journal, &restore_all(&world, 6));
    let again = prune(&world, Policy { last: 2, ..NOTHING }, 203);
    assert_eq!((again.removed, again.forgotten.len()), (0, 0));
}

#[test]
fn a_prune_elsewhere_never_takes_what_a_snapshot_in_the_making_builds_on() {
    let (world, mut journal) = (world(), Journal::new(53));
    let sessions: Vec<_> = (0..80).map(|_| journal.session(4)).collect();
    world.create(&journal, 1).unwrap();
    journal.say(sessions[0], "changed");
    world.create(&journal, 2).unwrap();
    world.age(TWO_DAYS);
    journal.say(sessions[1], "changed too");

    // The prune runs while the journal is being read, that is after the base was chosen.
    struct Meddler<'a>(&'a Journal, &'a World);
    impl gander_vault::Source for Meddler<'_> {
        fn sealed(&self) -> Result<gander_vault::Sealed, gander_vault::SourceError> {
            self.0.sealed()
        }
        fn sessions(&self) -> Result<Vec<gander_vault::SourceSession>, gander_vault::SourceError> {
            gander_vault::Source::sessions(self.0)
        }
        fn entries(
            &self,
            session: gander_model::SessionId,
            after: gander_model::Seq,
            through: gander_model::Seq,
            take: &mut dyn FnMut(gander_model::Entry) -> bool,
        ) -> Result<(), gander_vault::SourceError> {
            let mut other = Journal::new(54);
            other.session(2);
            other.id = self.0.id;
            // Another writer of the same journal id makes the base superfluous, and everything is pruned.
            create(&self.1.vault, &other, 100)?;
            for n in 210..213 {
                self.1.vault.prune(&Policy { last: 1, ..NOTHING }, SWEEP_GRACE_MS, id(n), false)?;
            }
            self.0.entries(session, after, through, take)
        }
        fn large(
            &self,
            hash: gander_model::Hash,
            take: &mut dyn FnMut(&[u8]),
        ) -> Result<bool, gander_vault::SourceError> {
            self.0.large(hash, take)
        }
        fn documents(&self) -> Result<Vec<gander_vault::Document>, gander_vault::SourceError> {
            self.0.documents()
        }
    }
    create(&world.vault, &Meddler(&journal, &world), 3).unwrap();

    assert_whole(&world.vault);
    assert_same(&journal, &restore_all(&world, 3));
}

#[test]
fn the_only_copy_of_an_entry_is_never_forgotten() {
    let (world, mut journal) = (world(), Journal::new(55));
    let (lost, other) = (journal.session(20), journal.session(5));
    world.create(&journal, 1).unwrap();
    // The journal is lost and an older copy put in its place; it goes on another way.
    journal.sessions.get_mut(&lost).unwrap().entries.truncate(10);
    for n in 2..=9 {
        journal.say(lost, &format!("another way {n}"));
        journal.say(other, &format!("more {n}"));
        world.create(&journal, n).unwrap();
    }
    let dry = world.vault.prune(&Policy { last: 1, ..NOTHING }, SWEEP_GRACE_MS, id(200), true).unwrap();
    assert_eq!(listed(&world).len(), 9, "a dry run removes nothing");

    let pruned = prune(&world, Policy { last: 1, ..NOTHING }, 201);

    assert_eq!(pruned.kept, dry.kept);
    assert_eq!(listed(&world), [id(1), id(9)]);
    insta::assert_snapshot!(serde_json::to_string(&pruned.kept.values().collect::<Vec<_>>()).unwrap(), @r#"[["only_copy"],["last"]]"#);
    assert_eq!(restore_all(&world, 1).head(lost).seq.0, 20);
}

#[test]
fn nothing_is_swept_while_something_is_unreadable() {
    let (world, mut journal) = (world(), Journal::new(56));
    let session = journal.session(5);
    for n in 1..=3 {
        journal.say(session, &format!("{n}"));
        world.create(&journal, n).unwrap();
    }
    world.age(TWO_DAYS);
    let whole = world.names();
    let name = format!("snapshots/{}.json", id(2));
    let manifest = world.read(&name);
    world.write(&name, manifest[..manifest.len() / 2].to_vec());
    let refused = world.vault.prune(&Policy { last: 1, ..NOTHING }, SWEEP_GRACE_MS, id(200), false);
    assert!(matches!(refused, Err(VaultError::Unsure { .. })));
    assert_eq!(world.names(), whole);
}

#[test]
fn policies_keep_one_of_each_period_and_the_last_before_an_upgrade() {
    let (world, mut journal) = (world(), Journal::new(57));
    journal.session(2);
    let template = world.create(&journal, 1).unwrap().manifest;
    // Every six hours for 40 days from 2027-01-01.
    let begin = 1_798_761_600_000;
    let manifests: Vec<_> = (0..160)
        .map(|n| {
            let mut manifest = template.clone();
            manifest.at_ms = begin + n * 6 * 3_600_000;
            manifest.id = gander_vault::SnapshotId::from_parts(manifest.at_ms, &[n as u8; 10]);
            manifest.reason = if n == 3 { Reason::Upgrade } else { Reason::Timer };
            manifest
        })
        .collect();
    let policy = Policy { last: 2, hourly: 3, daily: 3, weekly: 3, monthly: 3 };
    let kept = gander_vault::keep(&manifests, &policy).unwrap();
    let hours: Vec<_> = manifests
        .iter()
        .filter_map(|m| Some(((m.at_ms - begin) / 3_600_000, serde_json::to_string(kept.get(&m.id)?).unwrap())))
        .map(|(hour, why)| format!("day {} {:02}:00 {why}", hour / 24 + 1, hour % 24))
        .collect();
    insta::assert_snapshot!(hours.join("\n"), @r#"
    day 1 18:00 ["before_upgrade"]
    day 31 18:00 ["weekly","monthly"]
    day 38 18:00 ["daily","weekly"]
    day 39 18:00 ["daily"]
    day 40 06:00 ["hourly"]
    day 40 12:00 ["last","hourly"]
    day 40 18:00 ["last","hourly","daily","weekly","monthly"]
    "#);
}

#[test]
fn two_machines_on_one_vault_make_and_prune_side_by_side() {
    let world = world();
    let machine = |seed: u8| {
        let vault = Vault::over(world.storage.clone(), "", world.handle()).unwrap();
        move || {
            let mut journal = Journal::new(u64::from(seed));
            let sessions: Vec<_> = (0..40).map(|_| journal.session(3)).collect();
            for n in 0..12u8 {
                journal.say(sessions[usize::from(n) % 40], "more");
                create(&vault, &journal, seed + n).unwrap();
                vault.prune(&Policy { last: 3, ..NOTHING }, SWEEP_GRACE_MS, id(seed + n), false).unwrap();
            }
            journal
        }
    };
    let (a, b) = (machine(60), machine(100));
    let (a, b) = std::thread::scope(|threads| {
        let (a, b) = (threads.spawn(a), threads.spawn(b));
        (a.join().unwrap(), b.join().unwrap())
    });
    assert_whole(&world.vault);
    assert_same(&a, &restore_all(&world, 71));
    assert_same(&b, &restore_all(&world, 111));
    assert_eq!(listed(&world).len(), 6, "three of each machine");
}

#[test]
fn a_clock_that_was_set_back_does_not_make_the_newest_snapshot_old() {
    let (world, mut journal) = (world(), Journal::new(58));
    let session = journal.session(5);
    for (n, revision) in [(50, 1), (51, 2), (52, 3), (10, 4)] {
        journal.say(session, &format!("line {n}"));
        journal.revision = revision;
        world.create(&journal, n).unwrap();
    }
    let pruned = prune(&world, Policy { last: 1, ..NOTHING }, 201);
    assert_eq!(pruned.forgotten, [id(50), id(51), id(52)]);
    assert_eq!(listed(&world), [id(10)]);
    assert_same(&journal, &restore_all(&world, 10));
}
