//! Questions, which `--yes` answers in advance.

use std::io::{BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Whether to go on. Without a person to ask, and without `--yes`, the answer is an error rather than a guess.
pub fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let refused = |why: &str| Err(Failure::new("Nothing was done.", "Say --yes to answer in advance.").why(why));
    if !std::io::stdin().is_terminal() {
        return refused(&format!("There is nobody to ask: {question}"));
    }
    match answer(&format!("{question} [y/N] ")).as_deref().map(str::to_lowercase).as_deref() {
        Some("y" | "yes") => Ok(()),
        _ => refused("You did not say yes."),
    }
}

/// A typed line; nothing at the end of input.
pub fn answer(question: &str) -> Option<String> {
    eprint!("{question}");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(length) if length > 0 => Some(line.trim().to_owned()),
        _ => None,
    }
}
