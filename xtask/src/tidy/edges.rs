//! The walls between the crates (docs/ARCHITECTURE.md): who may build on whom, and which crate alone names a library.
//! Stated edges come from the manifests; that no roundabout way exists is proved with `cargo tree`.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Metadata, Report, output};

/// Each crate beside the crates of ours that it may build on. Dev-dependencies are free, but `gander-testing` is only that.
const BUILDS_ON: &[(&str, &[&str])] = &[
    ("gander-model", &[]),
    ("gander-journal", &["gander-model"]),
    ("gander-acp", &["gander-model"]),
    ("gander-vault", &["gander-model", "gander-journal"]),
    ("gander-sources", &["gander-model"]),
    (
        "gander-api",
        &["gander-model", "gander-journal", "gander-acp", "gander-vault", "gander-sources", "gander-upgrade"],
    ),
    ("gander-server", &["gander-model", "gander-api"]),
    ("gander-upgrade", &["gander-model"]),
    ("gander-cli", &["gander-acp", "gander-api", "gander-server", "gander-upgrade"]),
    // Native windows are a client of the server, like any program: nothing of ours is built in.
    ("gander-desktop", &[]),
    ("gander-testing", &[]),
    // Behind features: the bench measures the journal without a server around it, `package` makes packages.
    ("xtask", &["gander-model", "gander-journal", "gander-upgrade"]),
];

/// A library (or all whose names begin so, with `*`) beside the only crates that may name it.
const NAMED_BY: &[(&str, &[&str])] = &[
    ("blake3", &["gander-model"]),
    ("rusqlite", &["gander-journal"]),
    ("libsqlite3-sys", &["gander-journal"]),
    ("agent-client-protocol*", &["gander-acp"]),
    ("object_store", &["gander-vault"]),
    ("axum*", &["gander-server"]),
    ("clap*", &["gander-cli"]),
    ("tauri*", &["gander-desktop"]),
    ("gtk*", &["gander-desktop"]),
    ("webkit2gtk*", &["gander-desktop"]),
];

/// Crates that must not meet, whatever lies between them.
const NEVER_MEET: &[(&str, &[&str])] = &[
    ("gander-model", &["rusqlite", "tokio", "agent-client-protocol", "axum"]),
    ("gander-journal", &["gander-acp", "agent-client-protocol", "axum", "hyper"]),
    ("gander-acp", &["gander-journal", "rusqlite", "axum"]),
    ("gander-upgrade", &["gander-journal", "rusqlite", "axum"]),
    ("gander-api", &["axum", "clap"]),
    ("gander-server", &["clap", "tauri"]),
    ("gander-cli", &["tauri", "gtk"]),
    ("gander-desktop", &["gander-model", "gander-journal", "gander-api", "rusqlite", "axum"]),
];

pub fn check(root: &Path, metadata: &Metadata) -> Result<Report, String> {
    let mut report = Report::default();
    let own: BTreeSet<&str> = metadata.own.iter().map(|package| package.name.as_str()).collect();
    let mut stated = 0;
    for package in &metadata.own {
        let Some((_, allowed)) = BUILDS_ON.iter().find(|(name, _)| *name == package.name) else {
            report
                .problems
                .push(format!("{} is new: say in xtask/src/tidy/edges.rs what it may build on", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.ships()) {
            stated += 1;
            let to = dependency.name.as_str();
            if own.contains(to) && !allowed.contains(&to) {
                report.problems.push(format!("{} builds on {to}, which is above it or beyond a wall", package.name));
            }
            for (library, owners) in NAMED_BY {
                if names(library, to) && !owners.contains(&package.name.as_str()) {
                    report.problems.push(format!("{} names {to}; only {} may", package.name, owners.join(", ")));
                }
            }
        }
    }
    for (package, strangers) in NEVER_MEET.iter().filter(|(package, _)| own.contains(package)) {
        let tree = output(
            root,
            "cargo",
            &["tree", "--locked", "-p", package, "-e", "normal,build", "--prefix", "none", "--format", "{p}"],
        )?;
        let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        for stranger in strangers.iter().filter(|stranger| reached.contains(*stranger)) {
            report
                .problems
                .push(format!("{package} reaches {stranger} (see: cargo tree -p {package} -e normal -i {stranger})"));
        }
    }
    report.looked_at = format!("{} crates, {stated} edges", metadata.own.len());
    Ok(report)
}

fn names(pattern: &str, library: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => library.starts_with(start),
        None => library == pattern,
    }
}
