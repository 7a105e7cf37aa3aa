use gander_model::{Kind, Seq, hash::content_hash};
use gander_vault::{ErasedBody, Erasure};
use serde_json::json;

use crate::create::restore_all;
use crate::journal::{Journal, assert_same};
use crate::storage::{Death, World, assert_whole, id, world};

/// All bytes in the vault, unpacked.
fn everything(world: &World) -> Vec<u8> {
    let mut all = Vec::new();
    for name in world.names() {
        let bytes = world.read(&name);
        all.extend(if name.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes });
    }
    all
}

fn holds(world: &World, needle: &str) -> bool {
    let all = everything(world);
    all.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn g02_a_redacted_body_leaves_every_snapshot_with_the_next_one() {
    let (world, mut journal) = (world(), Journal::new(41));
    let (session, other) = (journal.session(5), journal.session(5));
    journal.say(session, "my password is hunter2");
    journal.say(other, "something else entirely");
    world.create(&journal, 1).unwrap();
    journal.say(session, "later");
    world.create(&journal, 2).unwrap();
    assert!(holds(&world, "hunter2"));

    journal.redact(session, &[6], "redact");
    let created = world.create(&journal, 3).unwrap();

    assert!(created.erased.unwrap() >= 1);
    assert!(!holds(&world, "hunter2"));
    assert!(holds(&world, "something else entirely"));
    assert_whole(&world.vault);
    assert_same(&journal, &restore_all(&world, 3));
    for n in [1, 2] {
        let old = restore_all(&world, n);
        assert_eq!(old.sessions[&session].entries[5].body, None);
        assert_eq!(old.sessions[&session].entries[..5], journal.sessions[&session].entries[..5]);
        assert!(world.vault.snapshot(id(n)).unwrap().drill(&mut |_| true).unwrap().ok());
    }
}

#[test]
fn g02_a_purge_takes_large_content_drafts_and_open_items_along() {
    let (world, mut journal) = (world(), Journal::new(42));
    let (purged, kept) = (journal.session(3), journal.session(3));
    let alone = journal.say_large(purged, b"only the purged session says PURPLE".repeat(3000));
    let shared_bytes = b"both sessions say ORANGE".repeat(4000);
    let shared = journal.say_large(purged, shared_bytes.clone());
    assert_eq!(journal.say_large(kept, shared_bytes), shared);
    journal.document("draft", "w1", Some(purged), json!({"text": "a GREEN draft"}));
    journal.document("draft", "w2", Some(kept), json!({"text": "a BLUE draft"}));
    world.create(&journal, 1).unwrap();

    journal.redact(purged, &[2, 3, 4, 5], "purge");
    journal.documents.retain(|document| document.session != Some(purged));
    journal.large.remove(&alone);
    world.create(&journal, 2).unwrap().erased.unwrap();

    for gone in ["PURPLE", "GREEN"] {
        assert!(!holds(&world, gone), "{gone}");
    }
    for kept in ["ORANGE", "BLUE"] {
        assert!(holds(&world, kept), "{kept}");
    }
    assert_whole(&world.vault);
    let old = restore_all(&world, 1);
    assert_eq!(old.large[&shared], journal.large[&shared]);
    assert!(!old.large.contains_key(&alone));
    assert_eq!(world.vault.snapshot(id(1)).unwrap().documents().unwrap(), journal.documents);
    // The content may come back by itself, in another session, and is saved again.
    let again = journal.say_large(kept, b"only the purged session says PURPLE".repeat(3000));
    assert_eq!(again, alone);
    world.create(&journal, 3).unwrap();
    assert_eq!(restore_all(&world, 3).large[&alone], journal.large[&alone]);
}

#[test]
fn a_machine_that_still_has_an_erased_body_does_not_bring_it_back() {
    let (world, mut journal) = (world(), Journal::new(43));
    let session = journal.session(3);
    journal.say(session, "my password is hunter2");
    world.create(&journal, 1).unwrap();
    let mut elsewhere = journal.clone();
    elsewhere.id = Journal::new(44).id;
    journal.redact(session, &[4], "redact");
    world.create(&journal, 2).unwrap();

    (0..9).for_each(|n| elsewhere.say(session, &format!("other {n}")));
    world.create(&elsewhere, 3).unwrap();

    assert!(!holds(&world, "hunter2"));
    let restored = restore_all(&world, 3);
    assert_eq!(restored.sessions[&session].entries[3].body, None);
    assert_eq!(restored.root(), elsewhere.root());
}

#[test]
fn an_erasure_that_was_cut_off_anywhere_is_finished_by_the_next_try() {
    let build = || {
        let (world, mut journal) = (world(), Journal::new(45));
        let session = journal.session(3);
        journal.say(session, "my password is hunter2");
        let large = journal.say_large(session, b"and my key is SWORDFISH".repeat(4000));
        journal.document("draft", "w1", Some(session), json!({"text": "hunter2 again"}));
        world.create(&journal, 1).unwrap();
        journal.say(session, "later");
        world.create(&journal, 2).unwrap();
        let erased = |seq: u64| {
            let body_hash = journal.sessions[&session].entries[seq as usize - 1].header.body_hash;
            ErasedBody { session_id: session, seq: Seq(seq), body_hash }
        };
        (world, Erasure { bodies: vec![erased(4), erased(5)], sessions: vec![session], documents: Vec::new() }, large)
    };
    let (rehearsal, erasure, _) = build();
    let writes = rehearsal.writes_of(|| assert!(rehearsal.vault.erase(&erasure).unwrap() >= 2));
    for death in [Death::Before, Death::After] {
        for nth in 1..=writes {
            let (world, erasure, large) = build();
            world.die_at(nth, death);
            assert!(world.vault.erase(&erasure).is_err(), "{death:?} at {nth}");
            world.revive();
            // Whatever was cut off: every snapshot is readable, and shows nothing of it once the tombstone is there.
            assert_whole(&world.vault);
            restore_all(&world, 2);
            world.vault.erase(&erasure).unwrap();
            assert!(!holds(&world, "hunter2"), "{death:?} at {nth}");
            assert!(!holds(&world, "SWORDFISH"), "{death:?} at {nth}");
            assert_whole(&world.vault);
            assert!(!restore_all(&world, 1).large.contains_key(&large));
        }
    }
}

#[test]
fn a_body_that_is_gone_without_a_reason_is_a_finding() {
    let (world, mut journal) = (world(), Journal::new(46));
    let session = journal.session(5);
    journal.sessions.get_mut(&session).unwrap().entries[2].body = None;
    world.create(&journal, 1).unwrap();
    let findings = crate::storage::verify(&world.vault).findings;
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].kind.as_str(), &findings[0].subject.sessions[..]), ("body_gone", &[session][..]));
}

#[test]
fn g02_the_draft_and_the_open_item_that_became_an_erased_entry_go_too() {
    let (world, mut journal) = (world(), Journal::new(47));
    let (session, other) = (journal.session(3), journal.session(3));
    let (picture, bytes) = (content_hash(b"a SECRET picture"), b"a SECRET picture".to_vec());
    journal.large.insert(picture, bytes);
    let attached = gander_model::DataRef { hash: picture, bytes: 16 };
    journal.document("draft", "w1", Some(session), json!({"text": "my password is hunter2"}));
    journal.documents[0].large.push(attached);
    journal.document("open_item", "i1", Some(session), json!({"data": ["so hunter2"]}));
    journal.document("draft", "w2", Some(other), json!({"text": "a BLUE draft"}));
    world.create(&journal, 1).unwrap();
    let blob = json!({"type": "blob", "hash": picture, "bytes": 16});
    journal.append(
        session,
        Kind::PROMPT,
        &json!({"content": [{"type": "text", "text": "my password is hunter2"}, blob]}),
    );
    journal.documents.remove(1);
    journal.documents[0].json = json!({"text": "a GREEN draft"}).to_string();
    journal.documents[0].large.clear();
    world.create(&journal, 2).unwrap();

    journal.redact(session, &[4], "redact");
    journal.large.remove(&picture);
    world.create(&journal, 3).unwrap().erased.unwrap();

    for gone in ["hunter2", "SECRET"] {
        assert!(!holds(&world, gone), "{gone}");
    }
    assert_whole(&world.vault);
    let of = |n| world.vault.snapshot(id(n)).unwrap().documents().unwrap();
    assert_eq!(of(3), journal.documents, "the present drafts are in the present snapshot");
    assert_eq!(of(1), journal.documents[1..], "another session's draft stays in the old one");
    world.create(&journal, 4).unwrap();
    assert_eq!(of(4), journal.documents);
}
