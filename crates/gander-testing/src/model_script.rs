//! What the model server answers, decided by the text of the prompt alone, so that a test states its model's behaviour in
//! the prompt itself:
//!
//! - `[[stream chunks=40 delay_ms=20 word=oak]]` answers `oak-1 oak-2 …`, a chunk each, with a pause between them
//! - `[[hold after=10 word=oak]]` answers 10 such chunks and then keeps the answer open until it is released or cut off
//! - `[[tool NAME {"argument":"value"}]]` calls that tool once, and answers `tool done` with the result's first line
//! - `[[error 500]]` fails with that status
//! - anything else is answered with `You said: …`
//!
//! A request for a session's title is answered with `About` and the first three words of the conversation.
//!
//! The agent may wrap the prompt in text of its own: the last directive found in the last user message counts.

use std::time::Duration;

use serde_json::{Value, json};

/// One model answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Script {
    /// Text in chunks with a pause between them; `hold` keeps the answer open at its end.
    Text { chunks: Vec<String>, delay: Duration, hold: bool },
    /// A call of a tool that the agent offered.
    Tool { name: String, arguments: Value },
    /// A failure with this HTTP status.
    Error { status: u16 },
}

impl Script {
    /// Reads a chat-completions request.
    pub fn of(request: &Value) -> Self {
        let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let asked =
            messages.iter().rposition(|message| message["role"] == "user" && !text_of(message).trim().is_empty());
        let Some(asked) = asked else { return Self::text("Nothing was asked.") };
        let prompt = text_of(&messages[asked]);
        if let Some(title) = title(messages, &prompt) {
            return Self::text(&title);
        }
        let result = messages[asked..].iter().rev().find(|message| message["role"] == "tool").map(text_of);
        match (directive(&prompt), result) {
            (Some(("tool", _)), Some(result)) => {
                Self::text(&format!("tool done: {}", result.lines().next().unwrap_or_default()))
            }
            (Some((verb, rest)), _) => Self::read(verb, rest),
            (None, _) => Self::text(&format!("You said: {}", prompt.trim())),
        }
    }

    fn read(verb: &str, rest: &str) -> Self {
        match verb {
            "stream" | "hold" => {
                let count = number(rest, if verb == "hold" { "after" } else { "chunks" }).unwrap_or(10);
                let word = option(rest, "word").unwrap_or("word");
                Self::Text {
                    chunks: (1..=count).map(|number| format!("{word}-{number} ")).collect(),
                    delay: Duration::from_millis(number(rest, "delay_ms").unwrap_or(0)),
                    hold: verb == "hold",
                }
            }
            "tool" => {
                let (name, arguments) = rest.trim().split_once(' ').unwrap_or((rest.trim(), "{}"));
                Self::Tool {
                    name: name.to_owned(),
                    arguments: serde_json::from_str(arguments).unwrap_or_else(|_| json!({})),
                }
            }
            "error" => Self::Error { status: rest.trim().parse().unwrap_or(500) },
            other => Self::text(&format!("The model server knows no directive {other:?}.")),
        }
    }

    fn text(text: &str) -> Self {
        let chunks = text.split_inclusive(' ').map(str::to_owned).collect();
        Self::Text { chunks, delay: Duration::ZERO, hold: false }
    }
}

/// A message's text, whether it stands alone or in parts.
pub fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// The answer to goose's own question for a title, which quotes the conversation.
fn title(messages: &[Value], prompt: &str) -> Option<String> {
    let system = messages.first().filter(|message| message["role"] == "system").map(text_of)?;
    if !system.starts_with("Generate a short title") {
        return None;
    }
    let (_, quoted) = prompt.split_once("---BEGIN USER MESSAGES---")?;
    let words: Vec<&str> = quoted.split("[[").next()?.split_whitespace().take(3).collect();
    Some(format!("About {}", words.join(" ")))
}

/// The last `[[verb rest]]` of a text.
fn directive(text: &str) -> Option<(&str, &str)> {
    let start = text.rfind("[[")? + 2;
    let end = start + text[start..].find("]]")?;
    let inside = text[start..end].trim();
    Some(inside.split_once(' ').unwrap_or((inside, "")))
}

fn option<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    options
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn number(options: &str, name: &str) -> Option<u64> {
    option(options, name)?.parse().ok()
}
