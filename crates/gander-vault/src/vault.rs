//! A vault: one place with snapshots in it, opened.

use std::path::Path;
use std::sync::Arc;

use gander_model::JournalId;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::manifest::{self, FORGOTTEN, Manifest, SNAPSHOTS};
use crate::objects::Objects;
use crate::read::SnapshotReader;
use crate::{SnapshotId, VaultError};

const VAULT_VERSION: u32 = 1;
const MARKER: &str = "vault.json";

/// A backup repository in a folder or a bucket. Several machines may use one at the same time.
#[derive(Clone)]
pub struct Vault {
    pub(crate) objects: Objects,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    gander: String,
    v: u32,
}

/// What a vault lists: every snapshot that can be read, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct Listing {
    /// By time, oldest first.
    pub snapshots: Vec<Manifest>,
    /// Manifests that cannot be read, each with the reason. Nothing else is disturbed by them.
    pub unreadable: Vec<(SnapshotId, VaultError)>,
}

impl Vault {
    /// The vault in a local folder, made (for its owner alone) when it is not there. Everything written is synced.
    pub fn folder(folder: &Path, runtime: Handle) -> Result<Self, VaultError> {
        let place = |source: Box<dyn std::error::Error + Send + Sync>| VaultError::Place {
            place: folder.display().to_string(),
            source,
        };
        private_folder(folder).map_err(|e| place(e.into()))?;
        shelves(folder).map_err(|e| place(e.into()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|e| place(e.into()))?.with_fsync(true);
        Self::over(Arc::new(store), "", runtime)
    }

    /// The vault in any object store, below `prefix`.
    pub fn over(store: Arc<dyn ObjectStore>, prefix: &str, runtime: Handle) -> Result<Self, VaultError> {
        let objects = Objects::new(store, prefix, runtime);
        match objects.get(MARKER) {
            Ok(bytes) => check_marker(&bytes)?,
            Err(VaultError::Missing { .. }) => write_marker(&objects)?,
            Err(error) => return Err(error),
        }
        Ok(Self { objects })
    }

    /// Every snapshot, oldest first.
    pub fn list(&self) -> Result<Listing, VaultError> {
        self.list_in(SNAPSHOTS)
    }

    /// The newest readable snapshot of a journal. Ids carry their time, so few manifests are read.
    pub fn newest_of(&self, journal: JournalId) -> Result<Option<Manifest>, VaultError> {
        for id in self.ids(SNAPSHOTS)?.into_iter().rev() {
            match manifest::load(&self.objects, SNAPSHOTS, id) {
                Ok(manifest) if manifest.journal == journal => return Ok(Some(manifest)),
                Ok(_) => {}
                // Torn, of a later version, or forgotten meanwhile: an older one serves.
                Err(error) if error.is_damage() || matches!(error, VaultError::Newer { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(crate) fn list_in(&self, folder: &str) -> Result<Listing, VaultError> {
        let mut listing = Listing::default();
        for id in self.ids(folder)? {
            match manifest::load(&self.objects, folder, id) {
                Ok(manifest) => listing.snapshots.push(manifest),
                // Forgotten or swept since it was listed.
                Err(VaultError::Missing { .. }) => {}
                Err(error) => listing.unreadable.push((id, error)),
            }
        }
        listing.snapshots.sort_by_key(|manifest| (manifest.at_ms, manifest.id));
        Ok(listing)
    }

    /// The ids of all manifests in a folder, oldest first.
    pub(crate) fn ids(&self, folder: &str) -> Result<Vec<SnapshotId>, VaultError> {
        let id = |name: &str| name.rsplit('/').next()?.strip_suffix(".json")?.parse::<SnapshotId>().ok();
        let mut ids: Vec<_> = self.objects.list(folder)?.iter().filter_map(|object| id(&object.name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Opens one snapshot for reading; one that was forgotten lately can still be read.
    pub fn snapshot(&self, id: SnapshotId) -> Result<SnapshotReader<'_>, VaultError> {
        let manifest = match manifest::load(&self.objects, SNAPSHOTS, id) {
            Err(VaultError::Missing { .. }) => match manifest::load(&self.objects, FORGOTTEN, id) {
                Err(VaultError::Missing { .. }) => return Err(VaultError::NoSnapshot(id)),
                other => other?,
            },
            other => other?,
        };
        SnapshotReader::open(self, manifest)
    }
}

fn check_marker(bytes: &[u8]) -> Result<(), VaultError> {
    let marker: Marker = serde_json::from_slice(bytes).map_err(|e| VaultError::damaged(MARKER, e))?;
    if marker.v > VAULT_VERSION {
        return Err(VaultError::Newer { name: MARKER.to_owned(), found: marker.v, known: VAULT_VERSION });
    }
    Ok(())
}

fn write_marker(objects: &Objects) -> Result<(), VaultError> {
    let marker = Marker { gander: "vault".into(), v: VAULT_VERSION };
    let text = serde_json::to_vec(&marker).map_err(|e| VaultError::damaged(MARKER, e))?;
    match objects.put_new(MARKER, text.into()) {
        // Another machine was first.
        Err(VaultError::Exists { .. }) => check_marker(&objects.get(MARKER)?),
        other => other,
    }
}

/// The 256 folders of pages and of segments, once: a folder that is made for an object would cost two syncs of its own.
fn shelves(folder: &Path) -> std::io::Result<()> {
    for kind in ["pages", "segments"] {
        let kind = folder.join(kind);
        if kind.join("ff").is_dir() {
            continue;
        }
        for n in 0..=255_u8 {
            private_folder(&kind.join(format!("{n:02x}")))?;
        }
        std::fs::File::open(&kind)?.sync_all()?;
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(unix)]
fn private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn private_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}
