use gander_model::{Body, By, Kind, Seq};
use gander_vault::Held;
use gander_vault::export::{
    Export, ExportedSession, Heading, Import, ImportError, html, import, json, lines, markdown,
};
use gander_vault::{Wanted, plan};
use serde_json::{Value, json};

use crate::journal::{Journal, assert_same};

/// A session with one of everything, and a fork of it.
fn story() -> (Journal, Export) {
    let mut journal = Journal::new(91);
    let parent = journal.session(1);
    let turn = gander_model::TurnId::from_bytes([7; 16]);
    let mut add = |kind: Kind, ord: Option<u32>, data: Value| {
        let mut body = Body::with(By::Agent, &data).unwrap();
        (body.turn, body.ord) = (Some(turn), ord);
        journal.append_body(parent, kind, body);
    };
    let chunk = |text: &str| json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}});
    let blob = json!({"type": "image", "data": "aGk=", "mimeType": "image/png"});
    add(
        Kind::PROMPT,
        None,
        json!({"content": [{"type": "text", "text": "Look <script>alert(1)</script> here"}, blob]}),
    );
    // The tool call came first and was complete last.
    add(Kind::MESSAGE, Some(1), json!([chunk("Done: `a``b`\n"), chunk("# not a heading of ours")]));
    let diff = json!({"type": "diff", "path": "src/a.rs", "oldText": "old\n", "newText": "new ```\n"});
    add(
        Kind::TOOL_CALL,
        Some(0),
        json!([{"sessionUpdate": "tool_call", "title": "Edit a.rs"},
        {"sessionUpdate": "tool_call_update", "status": "completed", "content": [diff,
            {"type": "content", "content": {"type": "text", "text": "```\nout\n```"}}]}]),
    );
    add(
        Kind::PLAN,
        Some(2),
        json!([{"sessionUpdate": "plan", "entries": [{"content": "Read", "status": "completed"}]}]),
    );
    add(Kind::new("from_the_future"), Some(3), json!({"x": "<b>"}));
    add(Kind::TURN_ENDED, None, json!({"state": "interrupted", "reason": "power cut"}));
    journal.say_large(parent, serde_json::to_vec(&json!([{"title": "Big", "content": []}])).unwrap());
    let fork = journal.fork(parent, Seq(7));
    journal.say(fork, "mine");
    journal.append(fork, Kind::MESSAGE, &json!([chunk("a secret")]));
    journal.redact_at(fork, 10);
    let session = |id, through: u64| ExportedSession {
        id,
        pin: journal.sessions[&id].pin,
        entries: journal.sessions[&id].entries.iter().filter(|e| e.header.seq.0 <= through).cloned().collect(),
    };
    let export = Export {
        heading: Heading { name: "A <name>".into(), agent: Some("scratch".into()), cwd: Some("/tmp/`x`".into()) },
        sessions: vec![session(parent, 7), session(fork, 99)],
        large: journal.large.clone().into_iter().collect(),
        ..Export::default()
    };
    (journal, export)
}

type File<'a> = Import<std::io::Cursor<&'a [u8]>>;

fn read(text: &[u8]) -> Result<File<'_>, ImportError> {
    import(std::io::Cursor::new(text))
}

/// All that a file holds, as whoever restores it sees it; large contents that entries name are whole.
fn held(file: &File<'_>) -> Vec<ExportedSession> {
    let mut sessions = Vec::new();
    for record in file.all().unwrap().0 {
        let mut entries = Vec::new();
        let mut take = |entry| {
            entries.push(entry);
            Ok(true)
        };
        file.entries(&record, record.beginning().seq, &mut take).unwrap();
        for content in &record.large {
            let mut bytes = Vec::new();
            assert!(file.large(content, &mut |part| bytes.extend_from_slice(part)).unwrap());
            assert_eq!(gander_model::hash::content_hash(&bytes), content.hash);
        }
        sessions.push(ExportedSession { id: record.id, pin: record.pin, entries });
    }
    sessions
}

#[test]
fn g11_json_lines_come_back_with_their_chains_and_only_add() {
    let (journal, export) = story();
    let text = lines(&export);
    let back = read(&text).unwrap();
    assert!(back.heading == export.heading && held(&back) == export.sessions);

    let mut target = Journal::new(92);
    let plan_of = |target: &Journal| plan(&back, target, &Wanted::All).unwrap();
    let first = plan_of(&target);
    let done = first.carry_out(&back, &mut target, |_, _| {}).unwrap();
    assert_eq!((done.counts.added, done.failed.len()), (2, 0));
    let fork = export.sessions[1].id;
    assert_eq!(target.sessions[&fork].entries, journal.sessions[&fork].entries);
    assert_eq!(plan_of(&target).counts().unchanged, 2);
    // Where the whole parent is, its beginning is nothing new.
    let mut whole = journal.clone();
    whole.sessions.remove(&fork);
    let done = plan_of(&whole).carry_out(&back, &mut whole, |_, _| {}).unwrap();
    assert_eq!((done.counts.added, done.counts.unchanged), (1, 1));
    assert_same(&journal, &whole);
}

#[test]
fn an_altered_or_cut_file_is_refused_whole() {
    let (_, export) = story();
    let text = String::from_utf8(lines(&export)).unwrap();
    let all: Vec<&str> = text.lines().collect();
    for cut in 0..all.len() {
        assert!(read(all[..cut].join("\n").as_bytes()).is_err(), "cut after line {cut}");
    }
    for at in 1..all.len() - 1 {
        let without: Vec<_> = all.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, line)| *line).collect();
        assert!(read(without.join("\n").as_bytes()).is_err(), "without line {at}");
        let mut swapped = all.clone();
        swapped.swap(at, at + 1);
        assert!(read(swapped.join("\n").as_bytes()).is_err(), "lines {at} and {} swapped", at + 1);
    }
    let altered = text.replace("alert(1)", "alert(2)");
    let Err(ImportError::Damaged { line, .. }) = read(altered.as_bytes()) else { panic!("noticed") };
    assert_eq!(line, 4);
    assert!(matches!(read(b"# a Markdown file\n"), Err(ImportError::NotAnExport)));
    assert!(matches!(read(text.replacen("\"v\":1", "\"v\":2", 1).as_bytes()), Err(ImportError::Newer(2))));
}

#[test]
fn a_flipped_bit_anywhere_in_a_line_never_comes_in_unnoticed() {
    let (_, export) = story();
    let text = lines(&export);
    for at in (0..text.len()).step_by(7) {
        let mut flipped = text.clone();
        flipped[at] ^= 1;
        // What no hash covers (the heading, the time in words) may differ; entries may not.
        if let Ok(back) = read(&flipped) {
            assert!(held(&back) == export.sessions, "at {at}");
        }
    }
}

#[test]
fn markdown_reads_like_the_window() {
    let (_, export) = story();
    let text = markdown(&export);
    let ids: Vec<_> = export.sessions.iter().map(|s| s.id.to_string()).collect();
    let text = text.replace(&ids[1], "SESSION").replace(&export.sessions[1].head().hash.to_string(), "HASH");
    insta::assert_snapshot!(text, @r#"
    # A <name>

    - session `SESSION`
    - started 2027-01-15T08:00:00.000Z
    - head 11 `HASH`
    - agent `scratch`
    - folder `` /tmp/`x` ``

    ## You, 2027-01-15T08:00:00.000Z

    Look <script>alert(1)</script> here

    - attached: `image`

    **Edit a.rs** completed

    ````
    ```
    out
    ```
    ````

    `src/a.rs`:

    ````diff
    -old
    +new ```
    ````

    ### Agent

    Done: `a``b`
    # not a heading of ours

    - [x] Read

    **from_the_future**

    ```json
    {
      "x": "<b>"
    }
    ```

    *The turn ended: interrupted power cut*

    *Entry 10 (message) was erased.*
    "#);
}

#[test]
fn the_page_is_inert_and_asks_nothing_of_anybody() {
    let (_, export) = story();
    let page = html(&export);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("default-src 'none'"));
    for never in ["<script", "<img", "<a ", "src=\"", "href", "onerror", "javascript:", "<b>", "url("] {
        assert!(!page.contains(never), "{never}");
    }
    assert!(page.contains("A &lt;name&gt;") && page.contains("a.rs") && page.contains("interrupted"));
    assert!(!page.contains("a secret"));
}

#[test]
fn json_has_bodies_taken_apart_and_large_data_in_place() {
    let (_, export) = story();
    let document: Value = serde_json::from_str(&json(&export)).unwrap();
    let entries = document["entries"].as_array().unwrap();
    assert_eq!(document["session"]["name"], "A <name>");
    assert_eq!(entries[0]["kind"], "prompt");
    assert_eq!(entries[0]["body"]["data"]["content"][0]["text"], "Look <script>alert(1)</script> here");
    assert!(entries.iter().any(|entry| entry["erased"] == true && entry["body"].is_null()));
}
