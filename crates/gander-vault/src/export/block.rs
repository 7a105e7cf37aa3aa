//! What a person reads of a session: entries turned into a few kinds of blocks, in the order in which a window shows
//! them. Both Markdown and the page are made from these.

use gander_model::{Body, Data, Entry, Kind, text};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Export, rfc3339};

pub(super) enum Block {
    Prompt { at: String, text: String, attachments: Vec<String> },
    Message { text: String, interrupted: bool },
    Thought(String),
    Tool(Tool),
    Plan(Vec<(String, String)>),
    Note(String),
    Other { kind: String, json: String },
}

#[derive(Default)]
pub(super) struct Tool {
    pub title: String,
    pub status: String,
    pub text: String,
    pub diffs: Vec<Diff>,
}

pub(super) struct Diff {
    pub path: String,
    pub old: String,
    pub new: String,
}

/// The blocks of a conversation. Within a turn items stand by first arrival.
pub(super) fn blocks(export: &Export) -> Vec<Block> {
    let mut placed: Vec<(u64, u32, &Entry, Option<Body>)> = Vec::new();
    let (mut group, mut turn) = (0, None);
    for entry in export.conversation() {
        let body = entry.body.as_ref().and_then(|body| Body::parse(&body.bytes).ok());
        let of = body.as_ref().and_then(|body| body.turn);
        // An entry of no turn, or of the next one, closes the group; the end of a turn stays last in it.
        if of.is_none() || of != turn {
            group += 1;
            turn = of;
        }
        let last = if entry.header.kind == Kind::TURN_ENDED { u32::MAX } else { 0 };
        let first = entry.header.kind == Kind::PROMPT;
        let ord = body.as_ref().and_then(|body| body.ord).map_or(last, |ord| ord.saturating_add(1));
        placed.push((group, if first { 0 } else { ord }, entry, body));
    }
    placed.sort_by_key(|(group, ord, entry, _)| (*group, *ord, entry.header.session_id, entry.header.seq));
    placed.into_iter().filter_map(|(_, _, entry, body)| block(export, entry, body)).collect()
}

fn block(export: &Export, entry: &Entry, body: Option<Body>) -> Option<Block> {
    let header = &entry.header;
    let kind = header.kind.as_str();
    let Some(body) = body else { return Some(Block::Note(format!("Entry {} ({kind}) was erased.", header.seq))) };
    let interrupted = body.interrupted;
    let Some(data) = data(export, body.data) else {
        return ["created", "turn_ended"]
            .iter()
            .all(|quiet| *quiet != kind)
            .then(|| Block::Note(format!("Entry {} ({kind}): its data is not in this export.", header.seq)));
    };
    let value: Value = serde_json::from_str(data.get()).unwrap_or_default();
    let of = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    match kind {
        "prompt" => {
            let content = serde_json::value::to_raw_value(&value["content"]).ok()?;
            let others = value["content"].as_array().into_iter().flatten().filter(|block| block["type"] != "text");
            let named = |block: &Value| {
                let name = block["name"].as_str().or(block["uri"].as_str()).or(block["type"].as_str());
                name.unwrap_or("attachment").to_owned()
            };
            let attachments = others.map(named).collect();
            Some(Block::Prompt { at: rfc3339(header.at_ms), text: text::prompt_text(&content), attachments })
        }
        "message" => {
            let text = text::updates_text(&data);
            (interrupted || !text.trim().is_empty()).then_some(Block::Message { text, interrupted })
        }
        "thought" => Some(Block::Thought(text::updates_text(&data))),
        "tool_call" => Some(Block::Tool(tool(&value))),
        "plan" => Some(Block::Plan(plan(&value))),
        "permission" => {
            let asked = value["tool_call"]["title"].as_str().unwrap_or("a tool call").to_owned();
            Some(Block::Note(format!("Permission for {asked}: {} {}", of("outcome"), of("option_id"))))
        }
        "turn_ended" => {
            let why = value["error"]["message"].as_str().or(value["reason"].as_str()).unwrap_or_default();
            (of("state") != "ended").then(|| Block::Note(format!("The turn ended: {} {why}", of("state"))))
        }
        "named" => Some(Block::Note(format!("Named: {}", of("name")))),
        "moved" => Some(Block::Note(format!("Folder: {}", of("cwd")))),
        "note" if value["text"].is_string() => Some(Block::Note(of("text"))),
        "created" | "configured" | "linked" | "forked" | "status" | "imported" | "redacted" => None,
        _ => Some(Block::Other { kind: kind.to_owned(), json: format!("{value:#}") }),
    }
}

fn data(export: &Export, data: Data) -> Option<Box<RawValue>> {
    match data {
        Data::Inline(data) => Some(data),
        Data::None => None,
        Data::Ref(large) => {
            let text = String::from_utf8(export.large.get(&large.hash)?.clone()).ok()?;
            RawValue::from_string(text).ok()
        }
    }
}

fn tool(updates: &Value) -> Tool {
    let mut tool = Tool { title: "Tool call".into(), ..Tool::default() };
    for update in updates.as_array().into_iter().flatten() {
        if let Some(title) = update["title"].as_str() {
            tool.title = title.to_owned();
        }
        if let Some(status) = update["status"].as_str() {
            tool.status = status.to_owned();
        }
        // Each update's content takes the place of the one before (ACP, tool calls).
        if let Some(content) = update["content"].as_array() {
            tool.text =
                content.iter().filter_map(|part| part["content"]["text"].as_str()).collect::<Vec<_>>().join("\n");
            tool.diffs = content.iter().filter(|part| part["type"] == "diff").map(diff).collect();
        }
        if let Some(output) = update["_meta"]["gander"]["terminal"]["text"].as_str() {
            tool.text.push_str(output);
        }
    }
    tool
}

fn diff(part: &Value) -> Diff {
    let of = |name: &str| part[name].as_str().unwrap_or_default().to_owned();
    Diff { path: of("path"), old: of("oldText"), new: of("newText") }
}

fn plan(updates: &Value) -> Vec<(String, String)> {
    let last = updates.as_array().and_then(|updates| updates.last());
    let steps = last.and_then(|update| update["entries"].as_array()).into_iter().flatten();
    let of = |step: &Value, name: &str| step[name].as_str().unwrap_or_default().to_owned();
    steps.map(|step| (of(step, "status"), of(step, "content"))).collect()
}
