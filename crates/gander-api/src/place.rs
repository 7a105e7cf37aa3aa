//! Where a data folder's snapshots and readable exports go. It needs no served store: whoever has a [`Journal`] that can
//! be read, an upgrade or a migration for example, makes and tries snapshots with it. Everything here blocks.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use gander_journal::Journal;
use gander_model::Hash;
use gander_vault::{CreateRequest, Created, Reason, SnapshotId, Vault, VaultError};
use tokio::runtime::Handle;

use crate::backups::BackupError;
use crate::carrier::JournalSource;
use crate::config::{BackupSettings, ConfigFile};
use crate::dto::{self, SnapshotRef};
use crate::error::ApiError;
use crate::feed::with_sources;
use crate::secret;

/// The vault and the exports of a data folder.
#[derive(Debug, Clone)]
pub struct SafePlace {
    pub(crate) data_dir: PathBuf,
    backup: BackupSettings,
}

impl SafePlace {
    /// As the data folder's `config.toml` says.
    pub fn of(data_dir: &Path) -> Self {
        let config = ConfigFile::open(data_dir.join("config.toml"));
        Self::with(data_dir, config.settings.backup)
    }

    pub(crate) fn with(data_dir: &Path, backup: BackupSettings) -> Self {
        Self { data_dir: data_dir.to_owned(), backup }
    }

    /// The vault in the data folder, whatever the settings say.
    pub(crate) fn inside(data_dir: &Path) -> Self {
        Self::with(data_dir, BackupSettings::default())
    }

    /// Whether the vault is in the data folder.
    pub(crate) fn is_inside(&self) -> bool {
        self.backup.bucket.is_none() && self.backup.folder.is_none()
    }

    /// The vault's place, for people.
    pub fn name(&self) -> String {
        match (&self.backup.bucket, &self.backup.folder) {
            (Some(bucket), _) => format!("bucket {}", bucket.bucket),
            (None, Some(folder)) => folder.display().to_string(),
            (None, None) => self.data_dir.join("vault").display().to_string(),
        }
    }

    pub(crate) fn vault(&self, runtime: Handle) -> Result<Vault, VaultError> {
        if let Some(mut bucket) = self.backup.bucket.clone() {
            bucket.secret_access_key = secret::of(&bucket, &self.data_dir)
                .map_err(|source| VaultError::Place { place: self.name(), source: source.into() })?;
            return Vault::bucket(&bucket, runtime);
        }
        let folder = self.backup.folder.clone().unwrap_or_else(|| self.data_dir.join("vault"));
        Vault::folder(&folder, runtime)
    }

    /// Makes a snapshot of a journal and reads back what it added. The journal is only read. `random` makes the
    /// snapshot's id its own. Call it from a thread that may block, with `runtime` for the vault's storage.
    pub fn snapshot(
        &self,
        journal: &Journal,
        reason: dto::BackupReason,
        now_ms: &dyn Fn() -> i64,
        random: &[u8; 10],
        runtime: Handle,
    ) -> Result<dto::BackupMade, ApiError> {
        let vault = self.vault(runtime)?;
        let id = SnapshotId::from_parts(now_ms(), random);
        let (created, _) = Taken { id, reason: reason.into(), now_ms, distrust: HashSet::new() }.of(journal, &vault)?;
        Ok(crate::ops::made(&created, self))
    }

    /// Restores a snapshot (the newest of `journal` when none is named) into a scratch store and compares store
    /// roots. `progress` is told how many entries are done, of how many; answering `false` stops it.
    pub fn drill(
        &self,
        journal: &Journal,
        snapshot: Option<SnapshotRef>,
        runtime: Handle,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<dto::DrillReport, ApiError> {
        let vault = self.vault(runtime)?;
        let id = match snapshot {
            Some(SnapshotRef(id)) => id,
            None => {
                let own = journal.read(|reader| reader.journal_id())?;
                let newest = vault.newest_of(own)?;
                newest.ok_or_else(|| ApiError::not_found("snapshot of journal", own))?.id
            }
        };
        let reader = vault.snapshot(id)?;
        let total = reader.manifest().entries;
        let drilled = reader.drill(&mut |done| progress(done, total))?;
        let mut detail = drilled.failed.first().map(|(session, error)| match session {
            Some(session) => format!("session {session}: {}", with_sources(error)),
            None => with_sources(error),
        });
        if drilled.stopped {
            detail = Some("it was stopped before its end".to_owned());
        } else if !drilled.ok() && detail.is_none() {
            detail = Some("the store roots differ".to_owned());
        }
        Ok(dto::DrillReport {
            ok: drilled.ok(),
            snapshot: id.to_string(),
            root: drilled.root.to_string(),
            restored_root: drilled.restored.to_string(),
            sessions: drilled.sessions,
            entries: drilled.entries,
            detail,
        })
    }
}

/// A snapshot to be taken.
pub(crate) struct Taken<'a> {
    pub id: SnapshotId,
    pub reason: Reason,
    pub now_ms: &'a dyn Fn() -> i64,
    pub distrust: HashSet<Hash>,
}

impl Taken<'_> {
    /// Takes it; also gives the journal's revision that it holds.
    pub fn of(self, journal: &Journal, vault: &Vault) -> Result<(Created, u64), BackupError> {
        let (source, revision) = JournalSource::seal(journal)?;
        let request = CreateRequest {
            id: self.id,
            now_ms: self.now_ms,
            reason: self.reason,
            machine: host_name(),
            version: gander_model::VERSION.to_owned(),
            distrust: self.distrust,
        };
        Ok((vault.create(&source, &request)?, revision))
    }
}

fn host_name() -> String {
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let name = name.unwrap_or_default().trim().to_owned();
    if name.is_empty() { "this machine".to_owned() } else { name }
}
