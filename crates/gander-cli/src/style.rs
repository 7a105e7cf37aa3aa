//! Colour, only where a person looks on, and only where it carries meaning.

use std::io::IsTerminal;

/// What a piece of text means.
#[derive(Clone, Copy, PartialEq)]
pub enum Tone {
    Plain,
    /// Beside the point.
    Quiet,
    /// A heading.
    Strong,
    /// Yours or active.
    Active,
    /// Waits for somebody.
    Waiting,
    /// Not saved, damaged, failed.
    Bad,
}

/// Whether and how tones show.
#[derive(Clone, Copy)]
pub struct Style {
    colour: bool,
}

impl Style {
    pub fn of(stream: &impl IsTerminal) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let able = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { colour: stream.is_terminal() && wanted && able }
    }

    #[cfg(test)]
    pub fn plain() -> Self {
        Self { colour: false }
    }

    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Quiet => "2",
            Tone::Strong => "1",
            Tone::Active => "36",
            Tone::Waiting => "33",
            Tone::Bad => "31",
            Tone::Plain => return text.to_owned(),
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text of any origin, fit for a terminal: control characters, which could move the cursor or worse, are shown as `�`, and
/// lines become one.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().map(harmless));
    }
    line
}

/// As [`one_line`], keeping the lines.
pub fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|letter| if matches!(letter, '\n' | '\t') { letter } else { harmless(letter) })
        .collect()
}

fn harmless(letter: char) -> char {
    // Marks that reorder text make a line read as what it is not.
    let reorders =
        matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
    if letter.is_control() || reorders { '\u{fffd}' } else { letter }
}

#[cfg(test)]
mod tests {
    use super::{lines, one_line};

    #[test]
    fn hostile_text_cannot_steer_the_terminal() {
        assert_eq!(one_line("a\x1b[2Jb\n c\t\u{202e}d"), "a\u{fffd}[2Jb c \u{fffd}d");
        assert_eq!(lines("a\r\n\x07b"), "a\n\u{fffd}b");
    }
}
