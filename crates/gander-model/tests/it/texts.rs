//! Previews and first names.

use gander_model::text::{NAME_MAX_CHARS, PREVIEW_MAX_CHARS, name_from_prompt, preview};

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
