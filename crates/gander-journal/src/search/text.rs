//! What of an entry can be searched for: what people and agents said, names, and the strings of tool calls.

use gander_model::{Body, Data, Kind, text};
use serde_json::Value;
use serde_json::value::RawValue;

/// Bytes of text that are taken of one entry, at most. What lies behind is shown but not found.
pub const TEXT_MAX_BYTES: usize = 256 * 1024;

/// Fields whose strings are no text: marks of the protocol, ids and encoded bytes.
const NO_TEXT: &[&str] = &[
    "sessionUpdate",
    "toolCallId",
    "messageId",
    "terminalId",
    "permission_id",
    "type",
    "kind",
    "status",
    "mimeType",
    "mime",
    "data",
    "blob",
    "hash",
    "option_id",
    "optionId",
    "priority",
];

/// The text of an entry; `None` when there is nothing to find. `large` fetches the beginning of data that lies beside
/// the entries.
pub fn of_entry(kind: &Kind, body: &[u8], large: impl FnOnce(gander_model::Hash) -> Option<Vec<u8>>) -> Option<String> {
    if kind.is_never_erased() || [Kind::CONFIGURED, Kind::MOVED, Kind::LINKED].contains(kind) {
        return None;
    }
    let body = Body::parse(body).ok()?;
    let mut text = match &body.data {
        Data::None => return None,
        Data::Inline(data) => of_data(kind, data),
        // The beginning of JSON is no JSON; its words are found all the same.
        Data::Ref(data) => words_of(&large(data.hash)?),
    };
    cut(&mut text, TEXT_MAX_BYTES);
    (!text.trim().is_empty()).then_some(text)
}

fn of_data(kind: &Kind, data: &RawValue) -> String {
    if kind.is_text() {
        return text::updates_text(data);
    }
    let Ok(value) = serde_json::from_str::<Value>(data.get()) else { return String::new() };
    if *kind == Kind::PROMPT {
        return match value.get("content").and_then(|content| serde_json::value::to_raw_value(content).ok()) {
            Some(content) => text::prompt_text(&content),
            None => String::new(),
        };
    }
    let mut out = String::new();
    if *kind == Kind::NAMED {
        if let Some(name) = value.get("name").and_then(Value::as_str) {
            out.push_str(name);
        }
    } else {
        collect(&value, &mut out);
    }
    out
}

/// All strings, one a line, each once where an update repeats the one before.
fn collect(value: &Value, out: &mut String) {
    if out.len() > TEXT_MAX_BYTES {
        return;
    }
    match value {
        Value::String(text) if out.ends_with(&format!("{text}\n")) => {}
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, out)),
        Value::Object(fields) => {
            for (_, value) in fields.iter().filter(|(name, _)| !NO_TEXT.contains(&name.as_str())) {
                collect(value, out);
            }
        }
        _ => {}
    }
}

fn words_of(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(&json[..json.len().min(TEXT_MAX_BYTES)]);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'r' | 't' | 'b' | 'f') | None => out.push(' '),
                Some(other) => out.push(other),
            },
            c => out.push(c),
        }
    }
    out
}

pub fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}
