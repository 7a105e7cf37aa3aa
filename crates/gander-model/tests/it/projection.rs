//! The fold of entries into a session.

use gander_model::entry::EntryHeader;
use gander_model::{Body, By, Data, Hash, Kind, NamedBy, Seq, SessionId, SessionState, Status, TurnId};
use serde_json::{Value, json};

struct Fold {
    state: SessionState,
}

impl Fold {
    fn new() -> Self {
        Self { state: SessionState::new(SessionId::from_bytes([1; 16])) }
    }

    fn add(mut self, kind: &str, data: Value) -> Self {
        let mut body = Body::with(By::User, &data).unwrap();
        body.turn = Some(TurnId::from_bytes([7; 16]));
        let header = self.header(kind);
        self.state.apply(&header, Some(&body), body.to_bytes().len() as u64);
        self
    }

    fn header(&self, kind: &str) -> EntryHeader {
        let head = self.state.head;
        EntryHeader::new(
            self.state.session_id,
            head.seq.next(),
            1000 + head.seq.0 as i64,
            Kind::new(kind),
            &head.hash,
            Hash::ZERO,
        )
    }
}

fn text(text: &str) -> Value {
    json!([{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":text}}])
}

#[test]
fn a_session_is_what_its_entries_say() {
    let state = Fold::new()
        .add("created", json!({}))
        .add("configured", json!({"agent":"scratch","cwd":"/home/u"}))
        .add("prompt", json!({"content":[{"type":"text","text":"Hello\nthere"}]}))
        .add("named", json!({"name":"Hello","named_by":"auto","after":0}))
        .add("message", text("First line\n\n  Last   line \n"))
        .add("turn_ended", json!({"state":"ended","stop_reason":"end_turn"}))
        .add("moved", json!({"cwd":"/elsewhere"}))
        .add("status", json!({"status":"archived"}))
        .state;
    assert_eq!(state.agent.as_deref(), Some("scratch"));
    assert_eq!(state.cwd.as_deref(), Some("/elsewhere"));
    assert_eq!((state.name.as_deref(), state.named_by, state.named_seq), (Some("Hello"), NamedBy::Auto, Seq(4)));
    assert_eq!(state.preview.as_deref(), Some("Last line"));
    assert_eq!((state.prompts, state.last_prompt_seq, state.news_seq), (1, Seq(3), Seq(6)));
    assert_eq!((state.created_at_ms, state.last_turn_at_ms), (1000, Some(1005)));
    assert_eq!(state.last_turn_seq, Seq(6));
    assert_eq!(state.status, Status::Archived);
    assert_eq!(state.head.seq, Seq(8));
    assert_eq!(state.interrupted, None);
}

#[test]
fn an_interrupted_turn_offers_continue_until_the_next_prompt() {
    let cut = Fold::new()
        .add("created", json!({}))
        .add("prompt", json!({"content":[]}))
        .add("turn_ended", json!({"state":"interrupted"}));
    assert_eq!(cut.state.interrupted, Some(TurnId::from_bytes([7; 16])));
    assert_eq!(cut.add("prompt", json!({"content":[]})).state.interrupted, None);
}

#[test]
fn unknown_kinds_and_odd_bodies_change_nothing_but_the_head() {
    let before = Fold::new().add("created", json!({})).add("named", json!({"name":"N","named_by":"user"}));
    let name = before.state.name.clone();
    let after = before.add("hologram", json!({"name":"X"})).add("status", json!({"status":"sideways"})).state;
    assert_eq!(after.name, name);
    assert_eq!(after.status, Status::Active);
    assert_eq!(after.head.seq, Seq(4));
}

#[test]
fn an_erased_name_is_gone_from_the_fold() {
    let mut fold = Fold::new().add("created", json!({}));
    let header = fold.header("named");
    fold.state.apply(&header, None, 0);
    assert_eq!(fold.state.name, None);
    assert_eq!(fold.state.named_seq, Seq(2));
}

#[test]
fn a_fork_inherits_the_conversation_and_nothing_else() {
    let mut state = SessionState::new(SessionId::from_bytes([2; 16]));
    let mut previous = Hash::ZERO;
    for (i, (kind, data)) in [
        ("created", json!({})),
        ("configured", json!({"agent":"goose"})),
        ("named", json!({"name":"Parent","named_by":"user"})),
        ("prompt", json!({"content":[{"type":"text","text":"Q"}]})),
        ("message", text("A")),
        ("turn_ended", json!({"state":"interrupted"})),
    ]
    .into_iter()
    .enumerate()
    {
        let owner = SessionId::from_bytes([1; 16]);
        let header = EntryHeader::new(owner, Seq(i as u64 + 1), 5, Kind::new(kind), &previous, Hash::ZERO);
        previous = header.hash;
        state.inherit(&header, Some(&Body::with(By::Agent, &data).unwrap()));
    }
    assert_eq!((state.prompts, state.preview.as_deref()), (1, Some("A")));
    assert_eq!((state.name, state.agent, state.interrupted, state.news_seq), (None, None, None, Seq(0)));
    assert_eq!(state.head.seq, Seq(6));
}

#[test]
fn the_checksum_notices_every_field() {
    let base = Fold::new().add("created", json!({})).state;
    type Alter = fn(&mut SessionState);
    let alterations: [Alter; 16] = [
        |s| s.session_id = SessionId::from_bytes([3; 16]),
        |s| s.head.seq = Seq(99),
        |s| s.head.hash = Hash([9; 32]),
        |s| s.created_at_ms += 1,
        |s| s.last_turn_at_ms = Some(0),
        |s| s.last_turn_seq = Seq(9),
        |s| s.status = Status::Trashed,
        |s| s.name = Some(String::new()),
        |s| s.named_by = NamedBy::User,
        |s| s.named_seq = Seq(1),
        |s| s.agent = Some("-".into()),
        |s| s.cwd = Some("/".into()),
        |s| s.prompts += 1,
        |s| s.preview = Some("p".into()),
        |s| s.interrupted = Some(TurnId::from_bytes([0; 16])),
        |s| s.bytes += 1,
    ];
    let mut seen = std::collections::HashSet::from([base.checksum()]);
    for alter in alterations {
        let mut changed = base.clone();
        alter(&mut changed);
        assert!(seen.insert(changed.checksum()), "{changed:?}");
    }
}

#[test]
fn large_data_is_counted_and_gives_no_preview() {
    let mut fold = Fold::new().add("prompt", json!({"content":[{"type":"text","text":"Q"}]}));
    let before = fold.state.bytes;
    let header = fold.header("message");
    let data = Data::Ref(gander_model::DataRef { hash: Hash::ZERO, bytes: 1_000_000 });
    fold.state.apply(&header, Some(&Body::new(By::Agent, data)), 100);
    assert_eq!(fold.state.bytes, before + 1_000_100);
    assert_eq!(fold.state.preview.as_deref(), Some("Q"));
}

#[test]
fn a_preview_is_the_last_line_with_words() {
    use gander_model::text::preview;
    assert_eq!(preview("It prints:\n```\nok 41\n```\n").as_deref(), Some("ok 41"));
    assert_eq!(preview("---\n").as_deref(), Some("---"));
    assert_eq!(preview(" \n\n"), None);
}

/// What is plain already is given as it is; what is not, the long way: they agree on everything between.
#[test]
fn a_preview_is_the_same_however_it_was_found() {
    use gander_model::text::preview;
    for (line, wanted) in [
        ("plain words, well-known | a > b # c + d", "plain words, well-known | a > b # c + d"),
        ("  spaces  at\tends \r", "spaces at ends"),
        ("two  spaces", "two spaces"),
        ("- item", "item"),
        ("-not an item", "-not an item"),
        ("> # quoted **title**", "quoted title"),
        ("| a | b |", "a · b"),
        ("see [this](http://x) and `that`", "see this and that"),
        ("~~gone~~", "gone"),
        ("a \u{7f} b \u{202e} c", "a b c"),
        ("caf\u{e9}\u{a0}au lait", "café au lait"),
    ] {
        assert_eq!(preview(line).as_deref(), Some(wanted), "{line:?}");
    }
    let long = "word ".repeat(30);
    assert_eq!(preview(&long).unwrap(), format!("{}…", "word ".repeat(23).trim_end()));
    assert_eq!(preview(&"é".repeat(121)).unwrap(), format!("{}…", "é".repeat(119)));
    assert_eq!(preview(&"é".repeat(120)).unwrap(), "é".repeat(120));
}
