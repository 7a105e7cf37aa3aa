//! The way out of a torn manifest: pruning goes on, and what only that snapshot held stays.

use std::time::Duration;

use gander_vault::{Policy, SWEEP_GRACE_MS, VaultError};

use crate::journal::Journal;
use crate::storage::{World, assert_whole, id, world};

const LAST: Policy = Policy { last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0 };
const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 3600);

fn tear(world: &World, n: u8) {
    let name = format!("snapshots/{}.json", id(n));
    let bytes = world.read(&name);
    world.write(&name, bytes[..bytes.len() / 3].to_vec());
}

fn segments(world: &World) -> Vec<String> {
    world.names().into_iter().filter(|name| name.starts_with("segments/")).collect()
}

#[test]
fn a_torn_manifest_is_moved_aside_and_pruning_goes_on() {
    let (world, mut journal) = (world(), Journal::new(61));
    let session = journal.session(20);
    for n in 1..=4 {
        journal.say(session, &format!("line {n}"));
        world.create(&journal, n).unwrap();
    }
    tear(&world, 2);
    let refused = world.vault.prune(&LAST, SWEEP_GRACE_MS, id(200), false);
    assert!(matches!(refused, Err(VaultError::Unsure { .. })), "{refused:?}");

    let before = world.names();
    assert_eq!(world.vault.discard_damaged(true).unwrap(), [id(2)]);
    assert_eq!(world.names(), before, "a dry run moves nothing");
    assert_eq!(world.vault.discard_damaged(false).unwrap(), [id(2)]);
    assert_whole(&world.vault);
    let pruned = world.vault.prune(&LAST, SWEEP_GRACE_MS, id(201), false).unwrap();
    assert_eq!(pruned.forgotten, [id(1), id(3)]);
    world.age(TWO_DAYS);
    let pruned = world.vault.prune(&LAST, SWEEP_GRACE_MS, id(202), false).unwrap();
    assert_eq!(pruned.kept_alone, 0, "all of it is in the last one");
    assert!(world.names().iter().all(|name| !name.starts_with("damaged/")), "{:?}", world.names());
    assert_whole(&world.vault);
    assert!(world.vault.snapshot(id(4)).unwrap().drill(&mut |_| true).unwrap().ok());
}

#[test]
fn what_only_the_torn_snapshot_held_is_never_swept() {
    let (world, mut journal) = (world(), Journal::new(62));
    let session = journal.session(20);
    world.create(&journal, 1).unwrap();
    // The second holds what the journal loses before the third.
    let mut longer = journal.clone();
    longer.say(session, "only in the second");
    world.create(&longer, 2).unwrap();
    let held = segments(&world);
    journal.session(3);
    world.create(&journal, 3).unwrap();
    tear(&world, 2);
    world.vault.discard_damaged(false).unwrap();
    for n in 201..=204 {
        world.age(TWO_DAYS);
        let pruned = world.vault.prune(&LAST, 0, id(n), false).unwrap();
        assert!(pruned.kept_alone > 0, "{pruned:?}");
    }
    let left = segments(&world);
    let alone = |name: &String| {
        let bytes = zstd::decode_all(world.read(name).as_slice()).unwrap();
        String::from_utf8_lossy(&bytes).contains("only in the second")
    };
    assert!(held.iter().any(|name| alone(name) && left.contains(name)), "it is still there: {left:?}");
    assert_whole(&world.vault);
}

#[test]
fn a_snapshot_of_a_later_version_is_not_discarded() {
    let (world, mut journal) = (world(), Journal::new(63));
    journal.session(3);
    world.create(&journal, 1).unwrap();
    let name = format!("snapshots/{}.json", id(1));
    let text = String::from_utf8(world.read(&name)).unwrap();
    let (text, _) = text.trim_end().rsplit_once('\n').unwrap();
    let text = text.replacen("\"v\": 1", "\"v\": 2", 1);
    let hash = gander_model::hash::content_hash(text.as_bytes());
    world.write(&name, format!("{text}\n{hash}\n").into_bytes());
    assert!(world.vault.discard_damaged(false).unwrap().is_empty());
    assert!(world.names().contains(&name));
}
