//! Short texts for people, made from what was said: a preview line and a first name.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::updates;

/// Longest preview, in characters.
pub const PREVIEW_MAX_CHARS: usize = 120;
/// Longest generated name, in characters.
pub const NAME_MAX_CHARS: usize = 60;
/// Longest name of any origin, in characters.
pub const GIVEN_NAME_MAX_CHARS: usize = 200;

/// Why a name that a person gave is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// There is nothing in it.
    #[error("A name is not empty.")]
    Empty,
    /// It is too long.
    #[error("A name may be {GIVEN_NAME_MAX_CHARS} characters long; this one has {chars}.")]
    TooLong {
        /// Its length in characters.
        chars: usize,
    },
    /// It does not fit on one line.
    #[error("A name is one line; this one has a line break or tab in it.")]
    Lines,
    /// It has a character that cannot be seen and that changes how the rest is shown.
    #[error("A name may not have the invisible character U+{:04X} in it: it changes how the rest is shown.", u32::from(*character))]
    Hidden {
        /// The character.
        character: char,
    },
}

#[derive(Deserialize)]
struct Block {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

/// The text blocks of a prompt's content, in order, one a line.
pub fn prompt_text(content: &RawValue) -> String {
    let blocks: Vec<Block> = serde_json::from_str(content.get()).unwrap_or_default();
    let texts: Vec<String> = blocks.into_iter().filter(|b| b.kind == "text").filter_map(|b| b.text).collect();
    texts.join("\n")
}

/// The text of a message or thought: that of its text chunks, put together.
pub fn updates_text(updates: &RawValue) -> String {
    let updates: Vec<&RawValue> = serde_json::from_str(updates.get()).unwrap_or_default();
    updates.into_iter().filter_map(updates::text_of).collect()
}

/// The last line that says something, without its Markdown, cut to [`PREVIEW_MAX_CHARS`]. A line of marks only (the
/// end of a code block, a rule) says nothing where another line does.
pub fn preview(text: &str) -> Option<String> {
    let lines = || text.lines().rev().map(tidied).filter(|line| !line.is_empty());
    let line = lines().map(plain).find(|line| !line.is_empty()).or_else(|| lines().next())?;
    Some(cut(&line, PREVIEW_MAX_CHARS))
}

/// A line's words without the marks of Markdown; empty when it is nothing but marks (a fence, a rule, a table's bar).
/// A reading aid, not a parser: what it does not know stays as it is.
fn plain(line: Cow<'_, str>) -> Cow<'_, str> {
    if line.starts_with("```") || line.starts_with("~~~") || !line.chars().any(char::is_alphanumeric) {
        return Cow::Borrowed("");
    }
    let marks_first = line.starts_with(['#', '>', '-', '*', '+', '|']);
    let is_mark = |byte: u8| byte == b'*' || byte == b'~' || byte == b'`' || byte == b'[';
    if !marks_first && !line.bytes().fold(false, |any, byte| any | is_mark(byte)) {
        return line;
    }
    Cow::Owned(unmarked(&line))
}

fn unmarked(line: &str) -> String {
    let mut rest = line;
    loop {
        let before = rest;
        for mark in ["> ", "- [ ] ", "- [x] ", "- ", "* ", "+ "] {
            rest = rest.strip_prefix(mark).unwrap_or(rest);
        }
        let heading = rest.trim_start_matches('#');
        if heading.len() < rest.len() && heading.starts_with(' ') {
            rest = &heading[1..];
        }
        if rest == before {
            break;
        }
    }
    let cells = rest.strip_prefix('|').map(|row| row.strip_suffix('|').unwrap_or(row));
    let joined = cells.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        cells.join(" · ")
    });
    let unmarked = joined.as_deref().unwrap_or(rest).replace("**", "").replace("~~", "").replace('`', "");
    tidy(&unlinked(&unmarked))
}

/// `[text](address)` becomes its text.
fn unlinked(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find('[') {
        let link = rest[start..].find("](").and_then(|middle| {
            let end = rest[start + middle..].find(')')?;
            Some((start + middle, start + middle + end))
        });
        let Some((middle, end)) = link else { break };
        out.push_str(rest[..start].trim_end_matches('!'));
        out.push_str(&rest[start + 1..middle]);
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}

/// A name from a first prompt: its first line that says something, cut at a word to [`NAME_MAX_CHARS`].
pub fn name_from_prompt(text: &str) -> Option<String> {
    let line = text.lines().map(tidy).find(|line| !line.is_empty())?;
    Some(cut(&line, NAME_MAX_CHARS))
}

/// Marks that reorder the text around them: a line that has some reads as what it is not.
pub fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// One line without control characters and marks that reorder it, every run of white space one space.
pub fn tidy(line: &str) -> String {
    tidied(line).into_owned()
}

/// Whether [`tidy`] leaves a line as it is; not found out for those that are not plain ASCII.
fn is_tidy(line: &str) -> bool {
    // Without a way out in the middle, many bytes are looked at in one go.
    let bytes = line.as_bytes();
    let visible = bytes.iter().fold(true, |all, byte| all & (b' '..=b'~').contains(byte));
    let apart = bytes.iter().zip(bytes.iter().skip(1)).fold(true, |all, (a, b)| all & (*a != b' ' || *b != b' '));
    visible && apart && !line.starts_with(' ') && !line.ends_with(' ')
}

fn tidied(line: &str) -> Cow<'_, str> {
    // Most lines are, and every session's last line is made tidy with each entry.
    let line = line.trim_matches(' ');
    if is_tidy(line) { Cow::Borrowed(line) } else { Cow::Owned(made_tidy(line)) }
}

fn made_tidy(line: &str) -> String {
    let mut tidy = String::with_capacity(line.len());
    if line.is_ascii() {
        for word in line.split(|c: char| c == ' ' || c.is_ascii_control()).filter(|word| !word.is_empty()) {
            if !tidy.is_empty() {
                tidy.push(' ');
            }
            tidy.push_str(word);
        }
        return tidy;
    }
    let mut space = false;
    for c in line.chars().filter(|c| !reorders(*c)) {
        if c.is_control() || c.is_whitespace() {
            space = !tidy.is_empty();
            continue;
        }
        if std::mem::take(&mut space) {
            tidy.push(' ');
        }
        tidy.push(c);
    }
    tidy
}

/// A name that a person gave, without white space at its ends; refused rather than changed where it is more than a plain
/// line, because nobody should find another name than the one that they typed.
pub fn given_name(name: &str) -> Result<String, NameFault> {
    let name = name.trim();
    if name.chars().any(|c| matches!(c, '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')) {
        return Err(NameFault::Lines);
    }
    if let Some(character) = name.chars().find(|c| c.is_control() || reorders(*c)) {
        return Err(NameFault::Hidden { character });
    }
    let chars = name.chars().count();
    match chars {
        0 => Err(NameFault::Empty),
        _ if chars > GIVEN_NAME_MAX_CHARS => Err(NameFault::TooLong { chars }),
        _ => Ok(name.to_owned()),
    }
}

/// A name that nobody typed, made fit: one plain line, cut where it is too long; `None` when nothing is left of it.
pub fn made_name(name: &str) -> Option<String> {
    let name = tidy(name);
    (!name.is_empty()).then(|| cut(&name, GIVEN_NAME_MAX_CHARS))
}

fn cut(line: &str, max: usize) -> String {
    if line.len() <= max || line.chars().count() <= max {
        return line.to_owned();
    }
    let end = line.char_indices().nth(max - 1).map_or(line.len(), |(end, _)| end);
    let kept = &line[..end];
    // A word is only given up for when that does not cost half of the line.
    let end = kept.rfind(' ').filter(|end| *end > kept.len() / 2).unwrap_or(kept.len());
    format!("{}…", kept[..end].trim_end())
}
