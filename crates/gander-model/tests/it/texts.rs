//! Previews and first names.

use gander_model::text::{
    GIVEN_NAME_MAX_CHARS, NAME_MAX_CHARS, NameFault, PREVIEW_MAX_CHARS, given_name, made_name, name_from_prompt,
    preview, tidy,
};

#[test]
fn a_preview_is_the_last_line_without_its_marks() {
    for (text, expected) in [
        ("One\n\nTwo \n \n", Some("Two")),
        ("| a | b |\n|---|---|\n| `xtask/` | **folder** |", Some("xtask/ · folder")),
        ("Look:\n```rust\nfn main() {}\n```\n", Some("fn main() {}")),
        ("## A heading", Some("A heading")),
        ("> - [x] done `now`", Some("done now")),
        ("1. See [the docs](https://example.org/a) and ![a goose](g.png).", Some("1. See the docs and a goose.")),
        ("snake_case __init__ a*b #hash a|b", Some("snake_case __init__ a*b #hash a|b")),
        ("an [open bracket", Some("an [open bracket")),
        ("Ende gut, alles gut 🪿\n***\n---", Some("Ende gut, alles gut 🪿")),
        ("```\n---\n", Some("---")),
        ("", None),
    ] {
        assert_eq!(preview(text).as_deref(), expected, "{text:?}");
    }
}

#[test]
fn long_lines_are_cut_at_a_word_and_controls_never_show() {
    let long = "wörd ".repeat(100);
    let cut = preview(&long).unwrap();
    assert!(cut.chars().count() <= PREVIEW_MAX_CHARS && cut.ends_with("wörd…"), "{cut}");
    let name = name_from_prompt(&"x".repeat(500)).unwrap();
    assert_eq!(name.chars().count(), NAME_MAX_CHARS);
    assert_eq!(name_from_prompt("\u{1b}[31mRed\u{7}\n").as_deref(), Some("[31mRed"));
}

#[test]
fn a_name_that_somebody_typed_is_taken_as_it_is_or_refused() {
    for fine in ["Fix the build", "日本語の名前", "👩‍👩‍👧 family", "a  b", "نسخة احتياطية", "<b>bold</b>"]
    {
        assert_eq!(given_name(&format!(" {fine}\n")).as_deref(), Ok(fine));
    }
    for (name, fault) in [
        ("", NameFault::Empty),
        (" \n ", NameFault::Empty),
        ("a\nb", NameFault::Lines),
        ("a\u{2028}b", NameFault::Lines),
        ("a\tb", NameFault::Lines),
        ("\u{1b}[2Jx", NameFault::Hidden { character: '\u{1b}' }),
        ("invoice\u{202e}fdp.exe", NameFault::Hidden { character: '\u{202e}' }),
        ("a\u{2066}b", NameFault::Hidden { character: '\u{2066}' }),
        ("a\u{200f}b", NameFault::Hidden { character: '\u{200f}' }),
        ("a\u{9b}b", NameFault::Hidden { character: '\u{9b}' }),
    ] {
        assert_eq!(given_name(name), Err(fault), "{name:?}");
    }
    assert!(given_name(&"ä".repeat(GIVEN_NAME_MAX_CHARS)).is_ok());
    assert_eq!(given_name(&"ä".repeat(201)), Err(NameFault::TooLong { chars: 201 }));
    let hidden = NameFault::Hidden { character: '\u{202e}' }.to_string();
    assert!(hidden.contains("U+202E"), "{hidden}");
}

#[test]
fn a_name_that_nobody_typed_is_made_fit() {
    let made = made_name("\u{202e}Fix\n\x1b[31mthe\u{200f} build\u{2069} ").unwrap();
    assert_eq!(made, "Fix [31mthe build");
    assert_eq!(made_name(" \u{202e}\n"), None);
    let long = made_name(&"long ".repeat(100)).unwrap();
    assert!(long.chars().count() <= GIVEN_NAME_MAX_CHARS && long.ends_with("long…"), "{long}");
    assert_eq!(name_from_prompt("\u{202e}\u{2066}Say it\u{202c} plainly\nmore").as_deref(), Some("Say it plainly"));
    assert_eq!(preview("a\u{202e}b").as_deref(), Some("ab"));
    assert_eq!(tidy("a\u{61c}b"), "ab");
}

#[test]
fn a_line_made_tidy_has_single_spaces_whatever_script_it_is_in() {
    for (line, wanted) in [
        ("  a\tb \u{b}\r c\u{7f}d  ", "a b c d"),
        ("\u{3000}a\u{a0}\u{85}é \u{200e}\u{202e}b\u{0}", "a é b"),
        ("\u{202e}", ""),
        (" \t", ""),
        ("a \u{200e} b", "a b"),
    ] {
        assert_eq!(tidy(line), wanted, "{line:?}");
    }
}
