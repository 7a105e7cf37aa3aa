//! The test vectors of docs/FORMAT.md, read from the document itself: it cannot drift from the code.

use std::collections::BTreeMap;

use gander_model::entry::{StoredBody, body_hash, entry_hash};
use gander_model::{Hash, Head, Kind, Salt, Seq, SessionId, content_hash, store_root};

const FORMAT: &str = include_str!("../../../../docs/FORMAT.md");

/// The `key = value` lines of each block fenced as ```` ```vector NAME ````.
fn vectors() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut lines = FORMAT.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```vector ") else { continue };
        let fields = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .map(|line| line.split_once(" = ").unwrap_or_else(|| panic!("not key = value: {line}")))
            .map(|(key, value)| (key.trim().to_owned(), value.to_owned()))
            .collect();
        assert!(found.insert(name.to_owned(), fields).is_none(), "two vectors named {name}");
    }
    found
}

fn hash(text: &str) -> Hash {
    text.parse().unwrap()
}

#[test]
fn format_entry_vectors_recompute() {
    let all = vectors();
    let mut entries = 0;
    for (name, v) in all.iter().filter(|(_, v)| v.contains_key("seq")) {
        entries += 1;
        let salt = Salt(hash(&v["salt"]).0);
        let of_body = body_hash(&salt, v["body"].as_bytes());
        assert_eq!(of_body.to_string(), v["body_hash"], "{name}");
        assert_eq!(StoredBody { salt, bytes: v["body"].clone().into_bytes() }.hash(), of_body);
        let of_entry = entry_hash(
            v["session"].parse().unwrap(),
            Seq(v["seq"].parse().unwrap()),
            v["at_ms"].parse().unwrap(),
            &Kind::new(&v["kind"]),
            &hash(&v["previous"]),
            &of_body,
        );
        assert_eq!(of_entry.to_string(), v["hash"], "{name}");
    }
    assert_eq!(entries, 4, "the document holds four entries");
    assert_eq!(all["entry-2"]["previous"], all["entry-1"]["hash"]);
    assert_eq!(all["entry-3"]["previous"], all["entry-2"]["hash"]);
    assert_eq!(all["fork-first"]["previous"], all["entry-2"]["hash"], "a fork goes on from the pinned entry");
}

#[test]
fn format_store_root_vector_recomputes() {
    let all = vectors();
    let head = |name: &str| -> (SessionId, Head) {
        let v = &all[name];
        let head = Head { seq: Seq(v["seq"].parse().unwrap()), hash: hash(&v["hash"]) };
        (v["session"].parse().unwrap(), head)
    };
    let mut heads = [head("entry-3"), head("fork-first")];
    heads.sort_by_key(|(session, _)| *session);
    assert_eq!(store_root(2, heads).to_string(), all["root"]["root"]);
    assert_eq!(store_root(0, []).to_string(), all["root"]["empty"]);
}

#[test]
fn format_content_hash_vector_recomputes() {
    let v = &vectors()["content"];
    assert_eq!(content_hash(v["data"].as_bytes()).to_string(), v["hash"]);
}
