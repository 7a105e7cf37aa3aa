//! Where Gander's data is: what was said, else the platform's own place for it.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The folder to use, absolute. `given` is `--data-dir` or `GANDER_HOME`.
pub fn choose(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = match given {
        Some(folder) => folder.to_owned(),
        None => platform().ok_or_else(|| {
            Failure::new(
                "There is no folder for Gander's data: HOME is not set.",
                "Name one with --data-dir or GANDER_HOME.",
            )
        })?,
    };
    std::path::absolute(&folder).map_err(|error| {
        Failure::new(format!("{} is no usable data folder.", folder.display()), "Name another one with --data-dir.")
            .because(&error)
    })
}

/// The platform's place.
pub fn platform() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(target_os = "macos") {
        return Some(variable("HOME")?.join("Library/Application Support/Gander"));
    }
    if cfg!(windows) {
        return Some(variable("LOCALAPPDATA")?.join("Gander"));
    }
    variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share"))).map(|data| data.join("gander"))
}

/// Other folders that hold a journal: somebody who looks for a session may have two.
pub fn others(used: &Path) -> Vec<PathBuf> {
    let environment = std::env::var_os("GANDER_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let candidates = [
        platform(),
        environment,
        home.as_ref().map(|home| home.join(".local/share/gander")),
        home.as_ref().map(|home| home.join(".gander")),
        home.as_ref().map(|home| home.join("Library/Application Support/Gander")),
    ];
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in candidates.into_iter().flatten() {
        let Ok(folder) = folder.canonicalize() else { continue };
        let same = used.canonicalize().is_ok_and(|used| used == folder);
        if !same && folder.join("journal.db").is_file() && !found.contains(&folder) {
            found.push(folder);
        }
    }
    found
}
