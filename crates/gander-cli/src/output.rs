//! Where words go: results to standard output (one JSON document with `--json`), progress and failures to standard error.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde_json::Value;

use crate::failure::Failure;
use crate::style::{Style, Tone, lines, one_line};
use crate::table::Table;

/// How a command that was done ended.
#[derive(Clone, Copy, PartialEq)]
pub enum Outcome {
    Done,
    /// Done, and there is something that a person should look at.
    Findings,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Findings => Self::from(1),
        }
    }
}

/// Standard output and standard error.
pub struct Output {
    json: bool,
    style: Style,
    error_style: Style,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json, style: Style::of(&std::io::stdout()), error_style: Style::of(&std::io::stderr()) }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    pub fn style(&self) -> Style {
        self.style
    }

    /// The result: as it is for a program, else as `people` says.
    pub fn result(&self, value: &Value, people: impl FnOnce() -> String) {
        if self.json { self.print(&format!("{value}\n")) } else { self.print(&people()) }
    }

    /// Text as it comes, without an end of its own.
    pub fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A reader that has seen enough (`| head`) closes the pipe: nobody is left to tell.
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    pub fn table(&self, table: &Table) -> String {
        table.render(self.width(), self.style)
    }

    pub fn width(&self) -> Option<usize> {
        terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
    }

    /// A line on standard error about what is going on; programs do not get it.
    pub fn note(&self, text: &str) {
        if !self.json {
            eprintln!("{}", self.error_style.paint(Tone::Quiet, &lines(text)));
        }
    }

    /// Progress that replaces itself; only where a person looks on.
    pub fn progress(&self, text: &str) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[2K{}", self.error_style.paint(Tone::Quiet, &one_line(text)));
        }
    }

    /// Takes the progress line away.
    pub fn progress_done(&self) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[2K");
        }
    }

    pub fn failure(&self, failure: &Failure) {
        if self.json {
            eprintln!("{}", failure.to_json());
            return;
        }
        eprintln!("{} {}", self.error_style.paint(Tone::Bad, "gander:"), lines(&failure.what));
        for why in &failure.why {
            eprintln!("  {}", lines(why));
        }
        if !failure.todo.is_empty() {
            eprintln!("  {} {}", self.error_style.paint(Tone::Active, "→"), lines(&failure.todo));
        }
    }
}
