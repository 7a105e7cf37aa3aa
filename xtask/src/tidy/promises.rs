//! docs/GUARANTEES.md: every test that it names exists, so that no promise stands on a test that was renamed away.

use std::path::{Path, PathBuf};

use super::Report;

pub fn check(root: &Path) -> Result<Report, String> {
    let page = root.join("docs/GUARANTEES.md");
    let text = std::fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    let mut report = Report::default();
    let mut named = 0;
    for name in text.split('`').skip(1).step_by(2) {
        // "path::name" with both of them; the page's own explanation says `part/file::test`.
        let Some((place, test)) = name.split_once("::").filter(|_| name != "part/file::test") else { continue };
        named += 1;
        if !files(root, place).iter().any(|file| has(file, test)) {
            report.problems.push(format!("docs/GUARANTEES.md names {name}: there is no such test"));
        }
    }
    if named == 0 {
        report.problems.push("docs/GUARANTEES.md names no test".to_owned());
    }
    report.looked_at = format!("{named} tests of docs/GUARANTEES.md");
    Ok(report)
}

/// Where the tests of `part/file` may stand.
fn files(root: &Path, place: &str) -> Vec<PathBuf> {
    let Some((part, file)) = place.split_once('/') else { return Vec::new() };
    match part {
        "e2e" => vec![root.join(format!("e2e/{file}.test.js"))],
        "web" => {
            [".test.ts", ".svelte.test.ts"].iter().map(|end| root.join(format!("web/tests/{file}{end}"))).collect()
        }
        _ => {
            let folder = root.join(format!("crates/gander-{part}/tests/it"));
            vec![folder.join(format!("{file}.rs")), folder.join(file).join("mod.rs")]
        }
    }
}

fn has(file: &Path, test: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    if file.extension().is_some_and(|extension| extension == "rs") {
        return text.contains(&format!("fn {test}("));
    }
    ["'", "\"", "`"].iter().any(|quote| text.contains(&format!("test({quote}{test}{quote}")))
}
