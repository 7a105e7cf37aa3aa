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

/// The length of [`text_of`] in bytes, without making it.
pub fn text_len(update: &RawValue) -> Option<u64> {
    let found = text_update(update.get())?;
    let (mut bytes, mut rest) = (0, found.text);
    while let Some(at) = rest.find('\\') {
        let unit = |text: &str| u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok();
        let (escaped, after) = match unit(&rest[at..]) {
            // A pair is one character; JSON with half a one has no text.
            Some(0xd800..=0xdbff) => match unit(rest.get(at + 6..)?) {
                Some(0xdc00..=0xdfff) => (4, at + 12),
                _ => return None,
            },
            Some(unit) => (char::from_u32(unit)?.len_utf8(), at + 6),
            None => (1, at + 2),
        };
        bytes += at + escaped;
        rest = rest.get(after..)?;
    }
    Some((bytes + rest.len()) as u64)
}

/// Joins neighbours that differ only in text into one JSON array, which it gives out in pieces as it goes, so that a large
/// one need not be held. Texts are put together as JSON wrote them, so a character that an agent cut in half becomes whole.
#[derive(Default)]
pub struct Joiner {
    begun: bool,
    /// What stands around the text of the last update, if that text can still grow.
    open: Option<(String, String)>,
}

impl Joiner {
    /// The next update.
    pub fn push(&mut self, update: &RawValue, out: &mut dyn FnMut(&str)) {
        let next = text_update(update.get());
        if let (Some((before, after)), Some(next)) = (&self.open, &next)
            && before == next.before
            && after == next.after
        {
            return out(next.text);
        }
        self.close(out);
        out(if self.begun { "," } else { "[" });
        self.begun = true;
        let Some(next) = next else { return out(update.get()) };
        out(next.before);
        out(next.text);
        self.open = Some((next.before.to_owned(), next.after.to_owned()));
    }

    fn close(&mut self, out: &mut dyn FnMut(&str)) {
        if let Some((_, after)) = self.open.take() {
            out(&after);
        }
    }

    /// The end of the array.
    pub fn finish(mut self, out: &mut dyn FnMut(&str)) {
        self.close(out);
        out(if self.begun { "]" } else { "[]" });
    }
}

/// Joins a whole run of updates into one JSON array.
pub fn join<'a>(updates: impl IntoIterator<Item = &'a RawValue>) -> Box<RawValue> {
    let (mut joiner, mut array) = (Joiner::default(), String::new());
    for update in updates {
        joiner.push(update, &mut |piece| array.push_str(piece));
    }
    joiner.finish(&mut |piece| array.push_str(piece));
    RawValue::from_string(array).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
