//! A dependency that no file of its crate names is not needed. (A plain search for the name: it may miss an unused one, and
//! does not accuse a used one.)

use std::path::Path;

use super::{Metadata, Package, Report};

pub fn check(metadata: &Metadata) -> Result<Report, String> {
    let mut report = Report::default();
    let mut looked_at = 0;
    for package in &metadata.own {
        let sources = sources(package)?;
        for dependency in &package.dependencies {
            looked_at += 1;
            let name = dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_");
            if !sources.iter().any(|source| contains_word(source, &name)) {
                report
                    .problems
                    .push(format!("{} lists {} and never names it: remove the line", package.name, dependency.name));
            }
        }
    }
    report.looked_at = format!("{looked_at} dependencies");
    Ok(report)
}

fn sources(package: &Package) -> Result<Vec<String>, String> {
    let folder = package.manifest_path.parent().ok_or_else(|| format!("{} has no folder", package.name))?;
    let mut found = Vec::new();
    collect(folder, &mut found).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

fn contains_word(text: &str, word: &str) -> bool {
    let joins = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(joins) && !text[at + word.len()..].chars().next().is_some_and(joins)
    })
}
