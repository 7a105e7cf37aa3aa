//! A flipped bit in, or the loss of, every object in turn.

use std::collections::HashSet;

use gander_vault::{CreateRequest, Wanted, plan};
use serde_json::json;

use crate::create::restore_all;
use crate::journal::{Journal, assert_same};
use crate::storage::{World, id, request, verify, world};

fn two_snapshots(world: &World) -> (Journal, Journal) {
    let mut journal = Journal::new(31);
    let sessions: Vec<_> = (0..130).map(|n| journal.session(2 + n % 5)).collect();
    journal.say_large(sessions[1], vec![4; 5_000_000]);
    journal.document("window", "w1", None, json!({"ordinal": 1}));
    world.create(&journal, 1).unwrap();
    let before = journal.clone();
    journal.say(sessions[3], "the answer goes on");
    journal.session(4);
    world.create(&journal, 2).unwrap();
    (before, journal)
}

/// Damages every object in turn; the finding must name it, what it does not touch must restore, and a new snapshot
/// that distrusts it must be whole.
fn each_object(damage: impl Fn(&World, &str), kinds: &[&str]) {
    let world = world();
    let (before, after) = two_snapshots(&world);
    for name in world.names() {
        if name == "vault.json" {
            continue;
        }
        let whole = world.read(&name);
        damage(&world, &name);

        let report = verify(&world.vault);
        if name.starts_with("snapshots/") && kinds == ["missing_object"] {
            // A manifest that is gone is a snapshot that is not there.
            assert!(report.ok());
        } else {
            let named: Vec<_> =
                report.findings.iter().map(|f| (f.kind.as_str(), f.subject.object.as_deref())).collect();
            assert!(
                named.iter().all(|(kind, object)| kinds.contains(kind) && *object == Some(name.as_str())),
                "{name}: {named:?}"
            );
            assert!(!named.is_empty(), "{name} was not noticed");
            restores_what_is_not_touched(&world, &report, &before, &after);
        }
        let heal = CreateRequest { distrust: report.distrust.clone(), ..request(3) };
        world.vault.create(&after, &heal).unwrap();
        assert!(
            world.vault.snapshot(id(3)).unwrap().drill(&mut |_| true).unwrap().ok(),
            "{name}: the new snapshot is whole"
        );
        assert_same(&after, &restore_all(&world, 3));

        let new: Vec<_> = world.names().into_iter().filter(|n| n.contains(&id(3).to_string())).collect();
        new.iter().for_each(|name| world.remove(name));
        world.write(&name, whole);
        assert!(verify(&world.vault).ok());
    }
}

fn restores_what_is_not_touched(world: &World, report: &gander_vault::Report, before: &Journal, after: &Journal) {
    let touched: HashSet<_> = report.findings.iter().flat_map(|f| &f.subject.sessions).copied().collect();
    let snapshots: HashSet<_> = report.findings.iter().flat_map(|f| &f.subject.snapshots).copied().collect();
    for (n, journal) in [(1, before), (2, after)] {
        if report.findings[0].kind == "torn_manifest" && snapshots.contains(&id(n)) {
            continue;
        }
        let reader = world.vault.snapshot(id(n)).unwrap();
        let mut target = Journal::new(99);
        let plan = plan(&reader, &target, &Wanted::All).unwrap();
        assert!(plan.unreadable == 0 || snapshots.contains(&id(n)));
        let restored = plan.carry_out(&reader, &mut target, |_, _| {}).unwrap();
        let failed: HashSet<_> = restored.failed.iter().map(|(session, _)| *session).collect();
        assert!(failed.is_subset(&touched), "only sessions that the finding names fail");
        for (session, restored) in &target.sessions {
            assert_eq!(restored.entries, journal.sessions[session].entries);
        }
        assert_eq!(target.sessions.len() + failed.len() + plan.unreadable as usize, journal.sessions.len());
    }
}

#[test]
fn a_flipped_bit_in_any_object_is_named_and_healed() {
    for at in [0.02, 0.5, 0.98] {
        let flip = |world: &World, name: &str| {
            let mut bytes = world.read(name);
            let at = (bytes.len() as f64 * at) as usize;
            bytes[at] ^= 4;
            world.write(name, bytes);
        };
        each_object(flip, &["damaged_object", "torn_manifest"]);
    }
}

#[test]
fn a_missing_object_is_named_and_healed() {
    each_object(|world, name| world.remove(name), &["missing_object"]);
}

#[test]
fn damage_in_the_base_is_no_obstacle_to_a_new_snapshot() {
    let world = world();
    let (_, mut journal) = two_snapshots(&world);
    for page in world.names().into_iter().filter(|name| name.starts_with("pages/")) {
        world.remove(&page);
    }
    for id in journal.sessions.keys().copied().collect::<Vec<_>>() {
        journal.say(id, "every page is looked into");
    }
    world.create(&journal, 3).unwrap();
    assert_same(&journal, &restore_all(&world, 3));
}
