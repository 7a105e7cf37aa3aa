//! A streamed item's data: the array of its raw ACP updates. Neighbours that differ only in text are joined into
//! one; nothing else about them is changed, not even white space.

use serde::Deserialize;
use serde_json::value::RawValue;

/// An update whose text can grow: the bytes around its text, and the text as JSON wrote it (without quotes).
struct TextUpdate<'a> {
    before: &'a str,
    text: &'a str,
    after: &'a str,
}

#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, rename = "sessionUpdate")]
    tag: &'a RawValue,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a RawValue,
    #[serde(borrow)]
    text: &'a RawValue,
}

fn text_update(raw: &str) -> Option<TextUpdate<'_>> {
    let shape: Shape<'_> = serde_json::from_str(raw).ok()?;
    if !shape.tag.get().ends_with("_chunk\"") {
        return None;
    }
    let content: Content<'_> = serde_json::from_str(shape.content.get()).ok()?;
    if content.kind.get() != "\"text\"" {
        return None;
    }
    let quoted = content.text.get();
    let text = quoted.strip_prefix('"')?.strip_suffix('"')?;
    // `text` borrows from `raw`, so its place in it is the distance between the two.
    let start = (text.as_ptr() as usize).checked_sub(raw.as_ptr() as usize)?;
    Some(TextUpdate { before: raw.get(..start)?, text, after: raw.get(start + text.len()..)? })
}

/// The text of a text chunk, decoded; `None` for every other update.
pub fn text_of(update: &RawValue) -> Option<String> {
    let found = text_update(update.get())?;
    if !found.text.contains('\\') {
        return Some(found.text.to_owned());
    }
    serde_json::from_str(&format!("\"{}\"", found.text)).ok()
}

/// Joins neighbours that differ only in text. Takes what was joined before and the next updates; pieces of text are
/// put together as JSON wrote them, so a character that an agent cut in half becomes whole again.
#[derive(Default)]
pub struct Joiner {
    done: Vec<String>,
    /// The last update if its text can still grow: before, text, after.
    open: Option<(String, String, String)>,
}

impl Joiner {
    /// The next update.
    pub fn push(&mut self, update: &RawValue) {
        match text_update(update.get()) {
            Some(next) => {
                if let Some((before, text, after)) = &mut self.open
                    && before == next.before
                    && after == next.after
                {
                    text.push_str(next.text);
                    return;
                }
                self.close();
                self.open = Some((next.before.to_owned(), next.text.to_owned(), next.after.to_owned()));
            }
            None => {
                self.close();
                self.done.push(update.get().to_owned());
            }
        }
    }

    fn close(&mut self) {
        if let Some((before, text, after)) = self.open.take() {
            self.done.push(before + &text + &after);
        }
    }

    /// The joined updates as one JSON array.
    pub fn finish(mut self) -> Box<RawValue> {
        self.close();
        let array = format!("[{}]", self.done.join(","));
        RawValue::from_string(array).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

/// Joins a whole run of updates into one JSON array.
pub fn join<'a>(updates: impl IntoIterator<Item = &'a RawValue>) -> Box<RawValue> {
    let mut joiner = Joiner::default();
    for update in updates {
        joiner.push(update);
    }
    joiner.finish()
}
