//! A session's entries as a person reads them in a terminal.

use serde_json::Value;

use crate::style::{Style, Tone, lines, one_line};
use crate::times;
use crate::view::Entry;

/// Entries, oldest first.
pub fn entries(entries: &[Entry], style: Style) -> String {
    entries.iter().map(|entry| told(entry, style)).collect()
}

/// What is still being streamed.
pub fn open_items(items: &Value, style: Style) -> String {
    let mut text = String::new();
    for item in items.as_array().into_iter().flatten() {
        let kind = item["kind"].as_str().unwrap_or_default();
        text.push_str(&shown(kind, &item["data"], style));
        text.push_str(&format!("{}\n", style.paint(Tone::Active, "… still coming")));
    }
    text
}

fn told(entry: &Entry, style: Style) -> String {
    if entry.erased {
        return format!("\n{}\n", style.paint(Tone::Quiet, &format!("[{} {}: erased]", entry.kind, entry.seq)));
    }
    let body: Value = entry.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let mut text = match entry.data_bytes {
        Some(bytes) => format!(
            "\n{}\n",
            style.paint(Tone::Quiet, &format!("[{} {}: {}]", entry.kind, entry.seq, times::bytes(bytes)))
        ),
        None => shown(&entry.kind, &body["data"], style),
    };
    if body["interrupted"] == true {
        text.push_str(&format!("{}\n", style.paint(Tone::Waiting, "[interrupted here]")));
    }
    text
}

fn shown(kind: &str, data: &Value, style: Style) -> String {
    let quiet = |text: String| format!("{}\n", style.paint(Tone::Quiet, &one_line(&text)));
    match kind {
        "prompt" => format!("\n{} {}\n", style.paint(Tone::Active, "❯"), lines(&content(&data["content"]))),
        "message" => format!("\n{}\n", lines(updates_text(data).trim_end())),
        "thought" => format!("\n{}", quiet(format!("(thought) {}", updates_text(data)))),
        "tool_call" => quiet(tool_call(data)),
        "plan" => quiet("[plan]".to_owned()),
        "permission" => {
            let outcome = data["outcome"].as_str().unwrap_or("waits for an answer");
            let option = data["option_id"].as_str().map(|option| format!(" ({option})")).unwrap_or_default();
            quiet(format!("[permission: {outcome}{option}]"))
        }
        "turn_ended" => match data["state"].as_str() {
            Some("ended") | None => String::new(),
            Some(state) => {
                let why = data["error"]["message"].as_str().or(data["reason"].as_str()).map(|why| format!(": {why}"));
                format!("{}\n", style.paint(Tone::Waiting, &one_line(&format!("[{state}{}]", why.unwrap_or_default()))))
            }
        },
        "named" => quiet(format!("[named: {}]", data["name"].as_str().unwrap_or_default())),
        // What only places a session is in its head lines already.
        "created" | "configured" | "linked" => String::new(),
        other => quiet(format!("[{other}]")),
    }
}

/// The text of content blocks; others by their kind.
fn content(blocks: &Value) -> String {
    let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts = blocks.iter().map(|block| match block["text"].as_str() {
        Some(text) => text.to_owned(),
        None => format!("[{}]", block["name"].as_str().or(block["type"].as_str()).unwrap_or("attachment")),
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The text that an item's updates add up to.
pub fn updates_text(updates: &Value) -> String {
    let updates = updates.as_array().map(Vec::as_slice).unwrap_or_default();
    updates.iter().filter_map(|update| update["content"]["text"].as_str()).collect()
}

/// What a tool call did, and what came of it.
pub fn tool_call(updates: &Value) -> String {
    let updates = updates.as_array().map(Vec::as_slice).unwrap_or_default();
    let last = |name: &str| updates.iter().rev().find_map(|update| update[name].as_str());
    let title = last("title").unwrap_or("a tool");
    one_line(&match last("status") {
        Some(status) => format!("[{title}: {status}]"),
        None => format!("[{title}]"),
    })
}

/// Lines of a change that are shown before a person is asked to allow it.
const CHANGE_LINES: usize = 40;

/// What an agent asks to be allowed: its title, and the changes to files that it tells.
pub fn request(tool_call: &Value, style: Style) -> String {
    let mut text = format!("{}\n", one_line(tool_call["title"].as_str().unwrap_or("a permission")));
    for block in tool_call["content"].as_array().into_iter().flatten().filter(|block| block["type"] == "diff") {
        let side = |name: &str| block[name].as_str().unwrap_or_default().lines().collect::<Vec<_>>();
        let (old, new) = (side("oldText"), side("newText"));
        let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        let rest = old[start..].iter().rev().zip(new[start..].iter().rev());
        let end = rest.take_while(|(old, new)| old == new).count();
        let gone = old[start..old.len() - end].iter().map(|line| format!("- {line}"));
        let come = new[start..new.len() - end].iter().map(|line| format!("+ {line}"));
        let changed: Vec<String> = gone.chain(come).collect();
        let path = one_line(block["path"].as_str().unwrap_or_default());
        text.push_str(&format!("{}\n", style.paint(Tone::Quiet, &format!("  {path}, from line {}", start + 1))));
        for line in changed.iter().take(CHANGE_LINES) {
            text.push_str(&format!("  {}\n", lines(line)));
        }
        if changed.len() > CHANGE_LINES {
            let more = format!("  … {} more lines; a window shows them all", changed.len() - CHANGE_LINES);
            text.push_str(&format!("{}\n", style.paint(Tone::Quiet, &more)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{entries, request};
    use crate::style::Style;
    use crate::view::Entry;

    fn entry(seq: u64, kind: &str, body: &str) -> Entry {
        Entry { seq, kind: kind.to_owned(), body: Some(body.to_owned()), ..Entry::default() }
    }

    #[test]
    fn a_conversation_reads_from_top_to_bottom() {
        let told = entries(
            &[
                entry(1, "created", r#"{"data":{}}"#),
                entry(
                    2,
                    "prompt",
                    r#"{"data":{"content":[{"type":"text","text":"Look\u001b[2J around"},{"type":"image"}]}}"#,
                ),
                entry(
                    3,
                    "tool_call",
                    r#"{"data":[{"sessionUpdate":"tool_call","title":"List ."},{"status":"completed"}]}"#,
                ),
                entry(
                    4,
                    "message",
                    r#"{"interrupted":true,"data":[{"content":{"type":"text","text":"Three "}},{"content":{"type":"text","text":"files"}}]}"#,
                ),
                entry(5, "turn_ended", r#"{"data":{"state":"interrupted","reason":"gander was killed"}}"#),
                Entry { seq: 6, kind: "prompt".into(), erased: true, ..Entry::default() },
                entry(7, "from_the_future", r#"{"data":{}}"#),
            ],
            Style::plain(),
        );
        insta::assert_snapshot!(told, @r"

        ❯ Look�[2J around
        [image]
        [List .: completed]

        Three files
        [interrupted here]
        [interrupted: gander was killed]

        [prompt 6: erased]
        [from_the_future]
        ");
    }

    #[test]
    fn a_request_shows_what_would_change() {
        let call = serde_json::json!({
            "title": "Edit notes.txt",
            "content": [{"type": "diff", "path": "notes.txt", "oldText": "a\nb\nc\n", "newText": "a\nB\u{1b}[2J\nb2\nc\n"}],
        });
        insta::assert_snapshot!(request(&call, Style::plain()), @r"
        Edit notes.txt
          notes.txt, from line 2
          - b
          + B�[2J
          + b2
        ");
    }
}
