//! A journal that can be read and must not, or cannot, be written: by a newer version, on a read-only disk, or with a
//! damaged structure. It is shown as it is, says why it does not save, and not a byte of it is changed.

use std::io::ErrorKind;
use std::path::Path;

use crate::connect::Access;
use crate::error::{Fault, OpenError};

/// Why a journal that failed to open for writing is opened for reading; `None` when it must not be opened at all.
pub fn reason(error: &OpenError) -> Option<String> {
    match error {
        OpenError::Newer { by, .. } => Some(format!(
            "{error}; it is shown and not changed: start gander {by} or a newer one; to stay with this version, run \
             `gander upgrade rollback` with the newer one, or restore a snapshot into another data folder \
             (`gander backup list` names them)"
        )),
        OpenError::Store(store) => match store.fault {
            Fault::Corrupt => Some(
                "the database's own structure is damaged; what can be read is shown, and nothing is written over it: \
                 copy the data folder, then restore from a backup"
                    .to_owned(),
            ),
            Fault::ReadOnly => Some("the journal's file may not be written".to_owned()),
            Fault::Full => Some("the disk is full: free some space and start Gander again".to_owned()),
            _ => None,
        },
        OpenError::Io { path, source } => match source.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Some(format!("{} may not be written ({source})", path.display()))
            }
            _ => None,
        },
        _ => None,
    }
}

/// How to read it. Without a log there is nothing but the file, which then can be read even where nothing can be made
/// beside it.
pub fn access(database: &Path, locked: bool) -> Access {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let has_log = std::fs::metadata(log).is_ok_and(|about| about.len() > 0);
    if locked || has_log { Access::Shared } else { Access::Alone }
}
