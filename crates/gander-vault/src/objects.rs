//! Named, immutable objects in a folder or a bucket. The only place that names `object_store`, together with the
//! bucket's connection. Everything is written once under a new name, with a conditional put, and synced.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use gander_model::{Hash, hash::content_hash};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::runtime::Handle;

use crate::VaultError;

/// The largest object that is read: a guard against nonsense, far above what is written.
const READ_MAX_BYTES: u64 = 256 * 1024 * 1024;

#[derive(Clone)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    runtime: Handle,
}

/// An object as a listing shows it. `changed_ms` is the storage's own clock.
pub(crate) struct Listed {
    pub name: String,
    pub size_bytes: u64,
    pub changed_ms: i64,
}

/// The three kinds of content-named objects, each in a folder of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Content {
    Segment,
    Page,
    Erased,
}

impl Content {
    pub fn name(self, hash: &Hash) -> String {
        let hex = hash.to_string();
        match self {
            Self::Segment => format!("segments/{}/{hex}.zst", &hex[..2]),
            Self::Page => format!("pages/{}/{hex}.zst", &hex[..2]),
            Self::Erased => format!("erased/{hex}.json"),
        }
    }
}

impl Objects {
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str, runtime: Handle) -> Self {
        let prefix = prefix.trim_matches('/').to_owned();
        Self { store, prefix, runtime }
    }

    fn path(&self, name: &str) -> Path {
        if self.prefix.is_empty() { Path::from(name) } else { Path::from(format!("{}/{name}", self.prefix)) }
    }

    /// Writes a new object; refuses a name that is taken.
    pub fn put_new(&self, name: &str, bytes: Bytes) -> Result<(), VaultError> {
        match self.put(name, bytes, PutMode::Create) {
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Err(VaultError::Exists { name: name.to_owned() })
            }
            other => other.map_err(|e| VaultError::storage("write", name, e)),
        }
    }

    /// Writes an object named after its bytes. One that is there already with these bytes is as good (a repeated
    /// request whose first answer was lost); one with other bytes is damaged, and is healed.
    pub fn put_content(&self, content: Content, bytes: Bytes) -> Result<Hash, VaultError> {
        let hash = content_hash(&bytes);
        let name = content.name(&hash);
        match self.put_new(&name, bytes.clone()) {
            Err(VaultError::Exists { .. }) => {
                if self.get(&name).is_ok_and(|there| there == bytes) {
                    return Ok(hash);
                }
                self.put_over(&name, bytes)?;
                Ok(hash)
            }
            other => other.map(|()| hash),
        }
    }

    /// Writes an object whatever is there: only to heal what cannot be read.
    pub fn put_over(&self, name: &str, bytes: Bytes) -> Result<(), VaultError> {
        self.put(name, bytes, PutMode::Overwrite).map_err(|e| VaultError::storage("write", name, e))
    }

    fn put(&self, name: &str, bytes: Bytes, mode: PutMode) -> Result<(), object_store::Error> {
        let options = PutOptions { mode, ..PutOptions::default() };
        let path = self.path(name);
        let put = self.store.put_opts(&path, PutPayload::from_bytes(bytes), options);
        self.runtime.block_on(put).map(|_| ())
    }

    pub fn get(&self, name: &str) -> Result<Bytes, VaultError> {
        let path = self.path(name);
        let read = async {
            let found = self.store.get(&path).await?;
            if found.meta.size > READ_MAX_BYTES {
                return Ok(Err(found.meta.size));
            }
            found.bytes().await.map(Ok)
        };
        match self.runtime.block_on(read) {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(size)) => Err(VaultError::damaged(name, format!("it has {size} bytes"))),
            Err(error) => Err(VaultError::storage("read", name, error)),
        }
    }

    /// Reads an object and checks its bytes against its name.
    pub fn get_content(&self, content: Content, hash: &Hash) -> Result<Bytes, VaultError> {
        let name = content.name(hash);
        let bytes = self.get(&name)?;
        if content_hash(&bytes) != *hash {
            return Err(VaultError::damaged(&name, "its bytes do not match its name"));
        }
        Ok(bytes)
    }

    /// All objects below a folder.
    pub fn list(&self, folder: &str) -> Result<Vec<Listed>, VaultError> {
        let path = self.path(folder);
        let listing = async { self.store.list(Some(&path)).try_collect::<Vec<_>>().await };
        let found = self.runtime.block_on(listing).map_err(|e| VaultError::storage("list", folder, e))?;
        let skip = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let listed = found.into_iter().map(|meta| Listed {
            name: meta.location.as_ref().get(skip..).unwrap_or_default().to_owned(),
            size_bytes: meta.size,
            changed_ms: meta.last_modified.timestamp_millis(),
        });
        Ok(listed.collect())
    }

    /// The storage's own time of an object's last change.
    pub fn changed_ms(&self, name: &str) -> Result<i64, VaultError> {
        let found = self.runtime.block_on(self.store.head(&self.path(name)));
        Ok(found.map_err(|e| VaultError::storage("read", name, e))?.last_modified.timestamp_millis())
    }

    /// Deletes an object; one that is gone already is fine.
    pub fn delete(&self, name: &str) -> Result<(), VaultError> {
        match self.runtime.block_on(self.store.delete(&self.path(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(VaultError::storage("delete", name, error)),
        }
    }
}
