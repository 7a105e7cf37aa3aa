//! Files that are kept: their sizes, their names, and words that have no place in them.

use std::path::Path;

use super::{Report, output};

/// Where a source file should be thought over.
const LONG_LINES: usize = 500;

/// Names that say nothing of what a file is for.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "service", "misc", "legacy"];

/// Text that is on its way to becoming something else, or is true on one machine only. Written in halves, so that this
/// file does not accuse itself.
const UNWANTED: &[(&str, &str, &str)] = &[
    ("FIX", "ME", "mend it, or file an issue"),
    ("XX", "X ", "mend it, or file an issue"),
    ("/ro", "ot/", "a path of one machine"),
    ("/wo", "rk/", "a path of one machine"),
    ("/Us", "ers/", "a path of one machine"),
    ("registry.npm", "js.org", "a lock file names versions and checksums, no host"),
    ("<<<<<", "<< ", "an unresolved merge"),
    (">>>>>", ">> ", "an unresolved merge"),
];

pub fn check(root: &Path) -> Result<Report, String> {
    let mut report = Report::default();
    let listed = output(root, "git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let mut looked_at = 0;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let path = root.join(name);
        if name.ends_with(".pending-snap") || name.ends_with(".snap.new") {
            report.problems.push(format!("{name}: a test wrote it for you to look at: accept or remove it"));
            continue;
        }
        // Listed, and removed but not yet committed: nothing to look at.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        looked_at += 1;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        if EMPTY_NAMES.contains(&stem.as_str()) {
            report.problems.push(format!("{name}: name the thing that it is about"));
        }
        // What is no text, and what tests use as hostile or recorded input, says what it likes.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if name.contains("fixtures/") || name.contains("snapshots/") {
            continue;
        }
        words(name, &text, &mut report);
        sizes(name, &text, &mut report);
    }
    report.looked_at = format!("{looked_at} files");
    Ok(report)
}

fn words(name: &str, text: &str, report: &mut Report) {
    for (first, second, why) in UNWANTED {
        let word = format!("{first}{second}");
        for (index, _) in text.lines().enumerate().filter(|(_, line)| line.contains(&word)) {
            report.problems.push(format!("{name}:{}: {word:?}: {why}", index + 1));
        }
    }
    if name.ends_with("package-lock.json") && text.contains("\"resolved\":") {
        report.problems.push(format!("{name}: names hosts (npm install with omit-lockfile-registry-resolved=true)"));
    }
}

fn sizes(name: &str, text: &str, report: &mut Report) {
    let source = [".rs", ".ts", ".svelte", ".js"].iter().any(|ending| name.ends_with(ending));
    let generated = text.lines().take(3).any(|line| line.contains("enerated"));
    let lines = text.lines().count();
    if source && !generated && lines > LONG_LINES {
        report.warnings.push(format!("{name} has {lines} lines: is it about one thing?"));
    }
}
