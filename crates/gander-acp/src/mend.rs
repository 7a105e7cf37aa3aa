//! JSON that a parser takes but a reader of it later would not: half characters, and nesting without end.
//!
//! What an agent prints is kept byte for byte. These are the exceptions, because everybody who reads the journal later has
//! to be able to parse it: an escaped half of a character (a lone surrogate, as programs make that cut texts by UTF-16
//! units) becomes U+FFFD, and an update nested deeper than parsers go is kept whole as a text.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Parsers stop at 128 levels; the journal and the API put some around an update.
const DEPTH: usize = 100;

/// Makes a value that every parser takes. It is the same value unless it has one of the two faults.
pub(crate) fn sound(raw: Box<RawValue>) -> Box<RawValue> {
    let text = whole_characters(raw.get());
    if too_deep(&text) {
        let kept = serde_json::json!({"sessionUpdate": "_gander_too_deep", "json": text});
        return serde_json::value::to_raw_value(&kept).unwrap_or_default();
    }
    match text {
        Cow::Borrowed(_) => raw,
        Cow::Owned(text) => RawValue::from_string(text).unwrap_or_default(),
    }
}

/// Replaces escaped lone surrogates. JSON has backslashes in strings only, so the text need not be parsed.
fn whole_characters(text: &str) -> Cow<'_, str> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        at += found;
        match (unit(&text[at..]), unit(text.get(at + 6..).unwrap_or_default())) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at += 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str(&text[copied..at]);
                out.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            // The escaped character itself may be a backslash; it is ASCII in any case.
            _ => at += 2,
        }
        at = at.min(text.len());
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The UTF-16 unit that a text begins with as an escape.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

fn too_deep(text: &str) -> bool {
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= DEPTH {
        return false;
    }
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest > DEPTH
}

/// Splits a half character off the end of a string literal's inside: `abc\ud83d` is `abc` and `\ud83d`.
pub(crate) fn torn_end(inside: &str) -> Option<(&str, &str)> {
    let cut = inside.len().checked_sub(6).filter(|cut| inside.is_char_boundary(*cut))?;
    let (head, last) = inside.split_at(cut);
    let escapes = head.len() - head.trim_end_matches('\\').len();
    (escapes % 2 == 0 && matches!(unit(last), Some(0xd800..=0xdbff))).then_some((head, last))
}

/// Whether a string literal's inside begins with the second half of a character.
pub(crate) fn begins_torn(inside: &str) -> bool {
    matches!(unit(inside), Some(0xdc00..=0xdfff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let raw = RawValue::from_string(text.to_owned()).expect("JSON");
        assert_eq!(sound(raw).get(), expected);
        serde_json::from_str::<serde_json::Value>(expected).expect("what every parser takes");
    }

    #[test]
    fn half_characters_are_replaced_and_nothing_else() {
        check(r#"{"a": "x\ud83d"}"#, r#"{"a": "x\ufffd"}"#);
        check(r#"["\uDE00\ud83d\ude00\ud83d\u0041"]"#, r#"["\ufffd\ud83d\ude00\ufffd\u0041"]"#);
        check(r#"["\\ud83d", "\\\\\ud83d", "\"\ud83d"]"#, r#"["\\ud83d", "\\\\\ufffd", "\"\ufffd"]"#);
        check(r#"["\\"]"#, r#"["\\"]"#);
        check(r#"["é\ud83dé", 1.50]"#, r#"["é\ufffdé", 1.50]"#);
    }

    #[test]
    fn what_is_nested_too_deep_is_kept_as_text() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let raw = RawValue::from_string(deep.clone()).expect("JSON");
        let kept: serde_json::Value = serde_json::from_str(sound(raw).get()).expect("flat");
        assert_eq!(kept["json"], deep);
        let strings = format!("[{}]", vec![r#""[[[[\"{{{{""#; 200].join(","));
        check(&strings, &strings);
        let wide = format!("[{}]", vec!["[]"; 200].join(","));
        check(&wide, &wide);
    }

    #[test]
    fn a_torn_end_is_told_from_an_escaped_backslash() {
        assert_eq!(torn_end(r"ab\ud83d"), Some(("ab", r"\ud83d")));
        assert_eq!(torn_end(r"\\\ud83d"), Some((r"\\", r"\ud83d")));
        assert_eq!(torn_end(r"\\ud83d"), None);
        assert_eq!(torn_end(r"ab\ude00"), None);
        assert_eq!(torn_end("é€😀"), None);
        assert!(begins_torn(r"\ude00 x") && !begins_torn(r"\ud83d\ude00"));
    }
}
