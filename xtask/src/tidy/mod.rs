//! `tidy`: each check says what it looked at, and every problem with its place and what to do about it.

mod edges;
mod files;
mod licences;
mod metadata;
mod promises;
mod unused;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

pub use metadata::{Metadata, Package};

/// What one check found.
#[derive(Default)]
pub struct Report {
    /// What makes the check fail: the place, what is wrong, what to do.
    pub problems: Vec<String>,
    /// What is worth a look.
    pub warnings: Vec<String>,
    /// One line: what was looked at.
    pub looked_at: String,
}

/// A check's name beside the check.
type Check<'a> = (&'a str, Box<dyn Fn() -> Result<Report, String> + 'a>);

/// Runs all checks; `thorough` includes clippy.
pub fn run(thorough: bool) -> ExitCode {
    let root = root();
    let metadata = match Metadata::read(&root) {
        Ok(metadata) => metadata,
        Err(why) => {
            eprintln!("tidy: {why}");
            return ExitCode::FAILURE;
        }
    };
    let mut checks: Vec<Check<'_>> = vec![
        ("files", Box::new(|| files::check(&root))),
        ("promises", Box::new(|| promises::check(&root))),
        ("edges", Box::new(|| edges::check(&root, &metadata))),
        ("licences", Box::new(|| licences::check(&root, &metadata))),
        ("unused dependencies", Box::new(|| unused::check(&metadata))),
        ("format", Box::new(|| cargo(&root, &["fmt", "--all", "--check"]))),
    ];
    let clippy = [
        "clippy",
        "--quiet",
        "--keep-going",
        "--workspace",
        "--all-targets",
        "--features",
        "xtask/bench",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ];
    if thorough {
        checks.push(("clippy", Box::new(|| cargo(&root, &clippy))));
    }
    let mut failed = false;
    for (name, check) in checks {
        let report = check().unwrap_or_else(|why| Report { problems: vec![why], ..Report::default() });
        for warning in &report.warnings {
            println!("warning ({name}): {warning}");
        }
        for problem in &report.problems {
            println!("PROBLEM ({name}): {problem}");
        }
        let verdict = if report.problems.is_empty() { "ok" } else { "FAILED" };
        println!("tidy: {name}: {verdict} ({})", report.looked_at);
        failed |= !report.problems.is_empty();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Runs cargo with its output shown; a failure is one problem.
fn cargo(root: &Path, arguments: &[&str]) -> Result<Report, String> {
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo {} could not start: {error}", arguments.join(" ")))?;
    let mut report = Report { looked_at: format!("cargo {}", arguments[0]), ..Report::default() };
    if !status.success() {
        report.problems.push(format!("cargo {} failed: see above", arguments.join(" ")));
    }
    Ok(report)
}

/// Standard output of a command that must succeed.
fn output(root: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let told = || format!("{program} {}", arguments.join(" "));
    let done = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output()
        .map_err(|error| format!("{} could not start: {error}", told()))?;
    if !done.status.success() {
        return Err(format!("{} failed: {}", told(), String::from_utf8_lossy(&done.stderr).trim()));
    }
    String::from_utf8(done.stdout).map_err(|_| format!("{} gave bytes that are no UTF-8", told()))
}
