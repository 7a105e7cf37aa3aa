use std::collections::HashSet;

use gander_model::{Head, Kind, Seq, hash::content_hash};
use gander_vault::{Vault, VaultError, Wanted, plan};
use serde_json::json;

use crate::journal::{Journal, assert_same};
use crate::storage::{World, assert_whole, create, id, request, world};

pub fn restore_all(world: &World, n: u8) -> Journal {
    let reader = world.vault.snapshot(id(n)).unwrap();
    let mut target = Journal::new(99);
    let plan = plan(&reader, &target, &Wanted::All).unwrap();
    let restored = plan.carry_out(&reader, &mut target, |_, _| {}).unwrap();
    assert!(restored.failed.is_empty(), "{:?}", restored.failed);
    target
}

fn some_sessions(journal: &mut Journal) {
    for n in 0..150 {
        journal.session(1 + n % 17);
    }
}

#[test]
fn g10_a_snapshot_reads_back_as_what_was_saved() {
    let (world, mut journal) = (world(), Journal::new(1));
    some_sessions(&mut journal);
    let long = journal.session(2000);
    let parent = journal.session(8);
    let fork = journal.fork(parent, Seq(5));
    journal.say(fork, "on its own");
    let small = journal.say_large(long, vec![7; 100_000]);
    let big: Vec<u8> = (0..9_000_000u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) as u8).to_be_bytes()).collect();
    let big = journal.say_large(long, big);
    journal.document("window", "w1", Some(long), json!({"ordinal": 1}));
    journal.document("draft", "w1", Some(long), json!({"text": "half typed"}));

    let created = world.create(&journal, 1).unwrap();

    assert!(created.damaged.is_empty());
    assert_eq!(created.manifest.root, journal.root());
    assert_eq!(created.manifest.sessions, journal.sessions.len() as u64);
    assert_whole(&world.vault);
    let reader = world.vault.snapshot(id(1)).unwrap();
    assert!(reader.drill(&mut |_| true).unwrap().ok());
    assert_eq!(reader.root().unwrap(), journal.root());
    assert_eq!(reader.documents().unwrap(), journal.documents);
    let restored = restore_all(&world, 1);
    assert_same(&journal, &restored);
    assert_eq!(restored.large[&small], journal.large[&small]);
    assert_eq!(restored.large[&big], journal.large[&big]);
}

#[test]
fn unchanged_sessions_cost_nothing() {
    let (world, mut journal) = (world(), Journal::new(2));
    some_sessions(&mut journal);
    journal.document("window", "w1", None, json!({"ordinal": 1}));
    world.create(&journal, 1).unwrap();
    let before = world.names();
    *journal.read.borrow_mut() = 0;

    let created = world.create(&journal, 2).unwrap();

    assert_eq!((created.manifest.new_bytes, *journal.read.borrow()), (0, 0));
    let added: Vec<_> = world.names().into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(added, [format!("snapshots/{}.json", id(2))]);
    assert_eq!(created.manifest.pages.len(), world.vault.list().unwrap().snapshots[0].pages.len());
}

#[test]
fn a_changed_tail_costs_about_its_tail() {
    let (world, mut journal) = (world(), Journal::new(3));
    some_sessions(&mut journal);
    let busy = journal.session(3000);
    let first = world.create(&journal, 1).unwrap().manifest;
    *journal.read.borrow_mut() = 0;
    (0..3).for_each(|n| journal.say(busy, &format!("more {n}")));

    let second = world.create(&journal, 2).unwrap().manifest;

    assert_eq!(*journal.read.borrow(), 3, "only the tail is read");
    assert!(second.new_bytes * 20 < first.new_bytes, "{} of {}", second.new_bytes, first.new_bytes);
    let shared = second.pages.iter().filter(|page| first.pages.contains(page)).count();
    assert_eq!(shared, first.pages.len() - 1, "one page changed");
    assert_whole(&world.vault);
    assert_same(&journal, &restore_all(&world, 2));
}

#[test]
fn runs_of_a_busy_session_stay_few() {
    let (world, mut journal) = (world(), Journal::new(4));
    let busy = journal.session(1);
    *journal.read.borrow_mut() = 0;
    for n in 0..100 {
        journal.say(busy, &format!("turn {n}"));
        world.create(&journal, n).unwrap();
    }
    let record = world.vault.snapshot(id(99)).unwrap().session(busy).unwrap();
    assert!(record.runs.len() <= 8, "{} runs", record.runs.len());
    assert!(*journal.read.borrow() < 1000, "{} entries read for 101", journal.read.borrow());
    assert_whole(&world.vault);
    assert_same(&journal, &restore_all(&world, 99));
    // Every earlier snapshot is what it was.
    assert_eq!(restore_all(&world, 40).head(busy).seq, Seq(42));
}

#[test]
fn another_machine_builds_on_what_is_there() {
    let (world, mut journal) = (world(), Journal::new(5));
    some_sessions(&mut journal);
    world.create(&journal, 1).unwrap();
    let mut other = journal.clone();
    other.id = Journal::new(6).id;
    *other.read.borrow_mut() = 0;
    let elsewhere = other.session(4);

    world.create(&other, 2).unwrap();

    assert_eq!(*other.read.borrow(), 4);
    assert_same(&other, &restore_all(&world, 2));
    assert!(!restore_all(&world, 1).sessions.contains_key(&elsewhere));
}

#[test]
fn a_journal_that_went_back_is_saved_as_it_is_now() {
    let (world, mut journal) = (world(), Journal::new(7));
    let back = journal.session(30);
    world.create(&journal, 1).unwrap();
    let newer = journal.clone();
    journal.sessions.get_mut(&back).unwrap().entries.truncate(20);
    world.create(&journal, 2).unwrap();
    journal.say(back, "another way on");
    (0..15).for_each(|n| journal.say(back, &format!("other {n}")));
    world.create(&journal, 3).unwrap();

    assert_whole(&world.vault);
    assert_same(&newer, &restore_all(&world, 1));
    assert_same(&journal, &restore_all(&world, 3));
}

#[test]
fn g12_a_damaged_session_is_noted_and_the_vault_keeps_what_it_had() {
    let (world, mut journal) = (world(), Journal::new(8));
    let (good, bad) = (journal.session(10), journal.session(10));
    world.create(&journal, 1).unwrap();
    let whole = journal.clone();
    let witnessed = journal.head(bad);
    let session = journal.sessions.get_mut(&bad).unwrap();
    session.witnessed = Some(witnessed);
    session.entries.remove(4);
    journal.say(good, "goes on");

    let created = world.create(&journal, 2).unwrap();

    // Unchanged head: the vault's own copy is whole, so nothing is read and nothing is wrong here.
    assert!(created.damaged.is_empty());
    assert_eq!(restore_all(&world, 2).sessions[&bad].entries, whole.sessions[&bad].entries);

    // With a new head, its tail cannot be linked: what is held stays, and is marked.
    let session = journal.sessions.get_mut(&bad).unwrap();
    session.witnessed = Some(Head { seq: Seq(12), hash: content_hash(b"witnessed") });
    let created = world.create(&journal, 3).unwrap();
    assert_eq!(created.damaged.len(), 1);
    let record = world.vault.snapshot(id(3)).unwrap().session(bad).unwrap();
    assert_eq!((record.head.seq, record.held.seq), (Seq(12), Seq(10)));
    assert_eq!(created.manifest.root, journal.root());
    assert_whole(&world.vault);
    assert_eq!(restore_all(&world, 3).sessions[&bad].entries, whole.sessions[&bad].entries);
    assert_eq!(restore_all(&world, 3).sessions[&good].entries, journal.sessions[&good].entries);
}

#[test]
fn a_missing_large_content_is_noted_and_saved_when_it_is_back() {
    let (world, mut journal) = (world(), Journal::new(9));
    let session = journal.session(3);
    let hash = journal.say_large(session, vec![1; 70_000]);
    let bytes = journal.large.remove(&hash).unwrap();
    assert_eq!(world.create(&journal, 1).unwrap().damaged.len(), 1);
    assert_eq!(world.create(&journal, 2).unwrap().damaged.len(), 1);
    journal.large.insert(hash, bytes);
    assert!(world.create(&journal, 3).unwrap().damaged.is_empty());
    assert_eq!(restore_all(&world, 3).large[&hash].len(), 70_000);
}

#[test]
fn blobs_named_in_a_prompt_are_saved() {
    let (world, mut journal) = (world(), Journal::new(10));
    let session = journal.session(2);
    let bytes = b"an attached picture".to_vec();
    let hash = content_hash(&bytes);
    journal.large.insert(hash, bytes);
    let blob = json!({"type": "blob", "hash": hash, "bytes": 19, "name": "a.png", "mime": "image/png"});
    journal.append(session, Kind::PROMPT, &json!({"content": [{"type": "text", "text": "look"}, blob]}));
    assert!(world.create(&journal, 1).unwrap().damaged.is_empty());
    assert_eq!(restore_all(&world, 1).large[&hash], b"an attached picture");
}

#[test]
fn a_local_folder_works_and_is_private() {
    let (world, mut journal) = (world(), Journal::new(11));
    some_sessions(&mut journal);
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a vault");
    let vault = Vault::folder(&place, world.handle()).unwrap();
    create(&vault, &journal, 1).unwrap();
    let again = Vault::folder(&place, world.handle()).unwrap();
    assert_whole(&again);
    assert!(again.snapshot(id(1)).unwrap().drill(&mut |_| true).unwrap().ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn a_newer_vault_is_refused_and_left_alone() {
    let world = world();
    world.write("vault.json", br#"{"gander":"vault","v":2}"#.to_vec());
    let before = world.names();
    let error = Vault::over(world.storage.clone(), "", world.handle()).err().unwrap();
    assert!(matches!(error, VaultError::Newer { found: 2, known: 1, .. }), "{error}");
    assert_eq!(world.names(), before);
}

#[test]
fn a_snapshot_that_took_too_long_is_not_published() {
    let (world, mut journal) = (world(), Journal::new(12));
    journal.session(2);
    let now = std::cell::Cell::new(0);
    let now_ms = || now.replace(now.get() + 13 * 3_600_000);
    let slow = gander_vault::CreateRequest { now_ms: &now_ms, distrust: HashSet::new(), ..request(1) };
    assert!(matches!(world.vault.create(&journal, &slow), Err(VaultError::TookTooLong)));
    assert!(world.vault.list().unwrap().snapshots.is_empty());
}
