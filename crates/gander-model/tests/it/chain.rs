//! G3: content cannot change place.

use gander_model::chain::{Damage, verify};
use gander_model::entry::{Entry, EntryHeader, StoredBody};
use gander_model::{Hash, Kind, Salt, Seq, SessionId};

fn session(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn chain(session: SessionId, kinds: &[&str]) -> Vec<Entry> {
    let mut previous = Hash::ZERO;
    let mut entries = Vec::new();
    for (i, kind) in kinds.iter().enumerate() {
        let body = StoredBody { salt: Salt([i as u8; 32]), bytes: format!("{{\"n\":{i}}}").into_bytes() };
        let seq = Seq(i as u64 + 1);
        let header = EntryHeader::new(session, seq, 1000 + i as i64, Kind::new(*kind), &previous, body.hash());
        previous = header.hash;
        entries.push(Entry { header, body: Some(body) });
    }
    entries
}

fn check(entries: &[Entry], witnessed: &[Entry]) -> Result<(), Damage> {
    verify(None, entries, witnessed.last().unwrap().header.head(), |_| false)
}

#[test]
fn g03_an_untouched_chain_verifies() {
    let good = chain(session(1), &["created", "prompt", "message", "turn_ended"]);
    assert_eq!(check(&good, &good), Ok(()));
}

#[test]
fn g03_every_altered_field_is_found() {
    let good = chain(session(1), &["created", "prompt", "message", "turn_ended"]);
    type Alter = fn(&mut Entry);
    let alterations: [(&str, Alter); 7] = [
        ("session", |e| e.header.session_id = SessionId::from_bytes([9; 16])),
        ("seq", |e| e.header.seq = Seq(7)),
        ("at_ms", |e| e.header.at_ms += 1),
        ("kind", |e| e.header.kind = Kind::new("note")),
        ("body hash", |e| e.header.body_hash = Hash([1; 32])),
        ("salt", |e| e.body.as_mut().unwrap().salt = Salt([77; 32])),
        ("body", |e| e.body.as_mut().unwrap().bytes[1] ^= 1),
    ];
    for at in 0..good.len() {
        for (what, alter) in alterations {
            let mut bad = good.clone();
            alter(&mut bad[at]);
            assert!(check(&bad, &good).is_err(), "{what} of entry {} was altered unseen", at + 1);
        }
    }
}

#[test]
fn g03_missing_moved_doubled_and_reordered_entries_are_found() {
    let good = chain(session(1), &["created", "prompt", "message", "turn_ended"]);
    for at in 0..good.len() {
        let mut missing = good.clone();
        missing.remove(at);
        assert!(check(&missing, &good).is_err(), "entry {} went missing unseen", at + 1);
        let mut doubled = good.clone();
        doubled.insert(at, good[at].clone());
        assert!(check(&doubled, &good).is_err(), "entry {} was doubled unseen", at + 1);
    }
    let mut swapped = good.clone();
    swapped.swap(1, 2);
    assert!(check(&swapped, &good).is_err());

    let other = chain(session(2), &["created", "prompt", "message", "turn_ended"]);
    let mut moved = good.clone();
    moved[2] = other[2].clone();
    assert_eq!(check(&moved, &good), Err(Damage::Header { seq: Seq(3) }));
}

#[test]
fn g03_a_whole_tail_rewritten_with_fitting_hashes_misses_the_witnessed_head() {
    let good = chain(session(1), &["created", "prompt", "message"]);
    let rewritten = chain(session(1), &["created", "prompt", "note"]);
    let witnessed = good.last().unwrap().header.head();
    assert_eq!(check(&rewritten, &good), Err(Damage::Head { witnessed }));
    assert_eq!(check(&good[..2], &good), Err(Damage::Head { witnessed }));
}

#[test]
fn g02_an_erased_body_keeps_its_place_and_an_unlisted_gap_is_damage() {
    let mut erased = chain(session(1), &["created", "prompt", "message"]);
    let head = erased.last().unwrap().header.head();
    erased[1].body = None;
    assert_eq!(verify(None, &erased, head, |seq| seq == Seq(2)), Ok(()));
    assert_eq!(verify(None, &erased, head, |_| false), Err(Damage::BodyGone { seq: Seq(2) }));
}

#[test]
fn g03_a_fork_goes_on_from_the_pinned_entry() {
    let parent = chain(session(1), &["created", "prompt", "message"]);
    let pinned = parent[1].header.head();
    let body = StoredBody { salt: Salt([5; 32]), bytes: b"{}".to_vec() };
    let header = EntryHeader::new(session(2), pinned.seq.next(), 5, Kind::FORKED, &pinned.hash, body.hash());
    let own = [Entry { header, body: Some(body) }];
    let head = own[0].header.head();
    assert_eq!(verify(Some(pinned), &own, head, |_| false), Ok(()));
    let elsewhere = parent[0].header.head();
    assert!(verify(Some(elsewhere), &own, head, |_| false).is_err());
}
