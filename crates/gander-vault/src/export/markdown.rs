//! Markdown for people.

use super::block::{Block, blocks};
use super::{Export, rfc3339};

/// The export as Markdown.
pub fn markdown(export: &Export) -> String {
    let mut out = format!("# {}\n\n", one_line(&export.heading.name));
    if let Some(session) = export.sessions.last() {
        let started = session.entries.first().map(|entry| rfc3339(entry.header.at_ms)).unwrap_or_default();
        out.push_str(&format!("- session `{}`\n- started {started}\n", session.id));
        out.push_str(&format!("- head {} `{}`\n", session.head().seq, session.head().hash));
    }
    for (what, text) in [("agent", &export.heading.agent), ("folder", &export.heading.cwd)] {
        if let Some(text) = text {
            out.push_str(&format!("- {what} {}\n", code(text)));
        }
    }
    for block in blocks(export) {
        out.push('\n');
        match block {
            Block::Prompt { at, text, attachments } => {
                out.push_str(&format!("## You, {at}\n\n{}\n", text.trim_end()));
                attachments.iter().for_each(|name| out.push_str(&format!("\n- attached: {}\n", code(name))));
            }
            Block::Message { text, interrupted } => {
                out.push_str(&format!("### Agent\n\n{}\n", text.trim_end()));
                if interrupted {
                    out.push_str("\n*(interrupted here)*\n");
                }
            }
            Block::Thought(text) => out.push_str(&quoted(&format!("*Thought:* {text}"))),
            Block::Tool(tool) => {
                out.push_str(&format!("**{}** {}\n", one_line(&tool.title), tool.status));
                if !tool.text.trim().is_empty() {
                    out.push_str(&format!("\n{}", fenced(&tool.text, "")));
                }
                for diff in tool.diffs {
                    let (old, new) = (prefixed(&diff.old, '-'), prefixed(&diff.new, '+'));
                    out.push_str(&format!("\n{}:\n\n{}", code(&diff.path), fenced(&(old + &new), "diff")));
                }
            }
            Block::Plan(steps) => {
                for (status, text) in steps {
                    let mark = if status == "completed" { 'x' } else { ' ' };
                    out.push_str(&format!("- [{mark}] {}\n", one_line(&text)));
                }
            }
            Block::Note(text) => out.push_str(&format!("*{}*\n", one_line(text.trim()).replace('*', "\\*"))),
            Block::Other { kind, json } => {
                out.push_str(&format!("**{}**\n\n{}", one_line(&kind), fenced(&json, "json")))
            }
        }
    }
    for unsent in &export.unsent {
        out.push_str(&format!("\n## {}\n\n{}\n", one_line(&unsent.what), unsent.text.trim_end()));
    }
    out
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}\n")).collect()
}

fn prefixed(text: &str, sign: char) -> String {
    text.lines().map(|line| format!("{sign}{line}\n")).collect()
}

/// A run of backticks longer than any in the text.
fn ticks(text: &str, least: usize) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(least.max(longest + 1))
}

fn code(text: &str) -> String {
    let (text, ticks) = (one_line(text), ticks(text, 1));
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

fn fenced(text: &str, language: &str) -> String {
    let ticks = ticks(text, 3);
    format!("{ticks}{language}\n{}\n{ticks}\n", text.trim_end_matches('\n'))
}
