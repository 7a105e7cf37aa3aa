//! What cargo says of the workspace and of everything that it builds on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::output;

#[derive(Deserialize)]
struct Document {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

/// One crate, ours or another's.
#[derive(Clone, Deserialize)]
pub struct Package {
    pub id: String,
    pub name: String,
    pub version: String,
    pub license: Option<String>,
    pub license_file: Option<String>,
    pub manifest_path: PathBuf,
    pub dependencies: Vec<Dependency>,
}

/// An edge as the manifest states it.
#[derive(Clone, Deserialize)]
pub struct Dependency {
    pub name: String,
    pub rename: Option<String>,
    /// None is an ordinary one; else `dev` or `build`.
    pub kind: Option<String>,
}

impl Dependency {
    /// Whether it takes part in what users get.
    pub fn ships(&self) -> bool {
        self.kind.as_deref() != Some("dev")
    }
}

/// The workspace's own crates apart from the rest.
pub struct Metadata {
    pub own: Vec<Package>,
    pub others: Vec<Package>,
}

impl Metadata {
    pub fn read(root: &Path) -> Result<Self, String> {
        let text = output(root, "cargo", &["metadata", "--format-version", "1", "--locked"])?;
        let document: Document =
            serde_json::from_str(&text).map_err(|error| format!("cargo metadata is not as expected: {error}"))?;
        let members: BTreeMap<&str, ()> = document.workspace_members.iter().map(|id| (id.as_str(), ())).collect();
        let (own, others) =
            document.packages.into_iter().partition(|package| members.contains_key(package.id.as_str()));
        Ok(Self { own, others })
    }
}
