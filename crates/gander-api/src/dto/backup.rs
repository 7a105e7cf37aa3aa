use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Finding;

/// A snapshot in the vault.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Backup {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub at: String,
    /// `hand`, `timer`, `quit`, `upgrade`, `migration` or `restore`.
    pub reason: String,
    /// The store root then.
    pub root: String,
    /// How many sessions.
    pub sessions: u64,
    /// How many entries.
    pub entries: u64,
    /// Bytes that it added to the vault.
    pub new_bytes: u64,
    /// The journal that it is of.
    pub journal: String,
    /// Whether that is this journal.
    pub own: bool,
    /// The machine that made it.
    pub machine: String,
    /// The version that made it.
    pub version: String,
    /// What could not be saved whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// All snapshots.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BackupList {
    /// Newest first.
    pub backups: Vec<Backup>,
    /// Where they are.
    pub place: String,
    /// Snapshots that cannot be read.
    pub findings: Vec<Finding>,
}

/// A snapshot that was made and read back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BackupMade {
    /// Its id.
    pub snapshot: String,
    /// The store root that it holds.
    pub root: String,
    /// How many sessions.
    pub sessions: u64,
    /// How many entries.
    pub entries: u64,
    /// Bytes that it added to the vault.
    pub new_bytes: u64,
    /// What it added was read back and compared.
    pub verified: bool,
    /// Where it is.
    #[serde(default)]
    pub place: String,
    /// Whether the drill that was asked for passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drilled: Option<bool>,
    /// The folder of the exports that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exports: Option<String>,
    /// How many open sessions were exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported: Option<u64>,
    /// What could not be saved whole, or not be erased from older snapshots.
    pub findings: Vec<Finding>,
}

/// Why a snapshot is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackupReason {
    /// Somebody asked.
    #[default]
    Hand,
    /// An upgrade comes.
    Upgrade,
    /// A migration comes.
    Migration,
}

impl From<BackupReason> for gander_vault::Reason {
    fn from(reason: BackupReason) -> Self {
        match reason {
            BackupReason::Hand => Self::Hand,
            BackupReason::Upgrade => Self::Upgrade,
            BackupReason::Migration => Self::Migration,
        }
    }
}

/// How to make a snapshot.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackupBody {
    /// `hand` when left out, `upgrade` or `migration`: the last of these is kept whatever the policy says.
    pub reason: BackupReason,
    /// Restore it into a scratch store as well, and compare store roots.
    pub drill: bool,
    /// Write the open sessions for people as well.
    pub exports: bool,
    /// The version that comes; it names the folder of the exports.
    pub version: Option<String>,
}

/// Which snapshot to try.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DrillBody {
    /// The snapshot; the newest of this journal when left out.
    pub snapshot: Option<String>,
}

/// What a drill found: a snapshot restored into a scratch store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrillReport {
    /// All of it came back, and the store roots are the same.
    pub ok: bool,
    /// The snapshot.
    pub snapshot: String,
    /// The store root that it records.
    pub root: String,
    /// The store root of what could be restored.
    pub restored_root: String,
    /// Sessions restored.
    pub sessions: u64,
    /// Entries restored.
    pub entries: u64,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Before what the open sessions are written for people.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportsBody {
    /// The version that comes; it names the folder.
    pub version: String,
}

/// Open sessions that were written for people.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReadableExports {
    /// The folder; it is all on the disk.
    pub folder: String,
    /// Its page with links to the sessions; `README.md` beside it says the same.
    pub index: String,
    /// How many sessions were written.
    pub sessions: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Sessions that could not be read.
    pub findings: Vec<Finding>,
}

/// What to restore from a snapshot.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestoreBody {
    /// Only these sessions, with what they are forked from; all of them when left out.
    pub sessions: Option<Vec<String>>,
    /// Windows, drafts, queued prompts and open items that are not here too.
    pub windows: bool,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// What a restore did, or would do.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct RestoreReport {
    /// Sessions that were not here.
    pub added: u64,
    /// Sessions that were here in part.
    pub forwarded: u64,
    /// Recovered copies beside sessions that went another way.
    pub copied: u64,
    /// Sessions that were here already.
    pub unchanged: u64,
    /// Windows put back.
    pub windows: u64,
    /// Drafts put back.
    pub drafts: u64,
    /// Queued prompts put back; their queues are held.
    pub queue: u64,
    /// What was still arriving, put back as entries marked `interrupted`.
    pub open_items: u64,
    /// What happens to each session that changes.
    pub steps: Vec<RestoreStep>,
    /// Sessions that could not be restored; the others were.
    pub findings: Vec<Finding>,
    /// The snapshot that was made before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// What happens to one session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RestoreStep {
    /// The session.
    pub session_id: String,
    /// Its name in the snapshot.
    pub name: Option<String>,
    /// `added`, `forwarded` or `copied`.
    pub action: String,
}

/// What a verification of the vault found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BackupReport {
    /// No finding.
    pub ok: bool,
    /// How many snapshots.
    pub snapshots: u64,
    /// How many objects were read.
    pub objects: u64,
    /// How many entries' hashes were recomputed.
    pub entries: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// How many snapshots a prune keeps; what is left out keeps its configured number.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct PruneBody {
    /// The newest.
    pub last: Option<u64>,
    /// One an hour.
    pub hourly: Option<u64>,
    /// One a day.
    pub daily: Option<u64>,
    /// One a week.
    pub weekly: Option<u64>,
    /// One a month.
    pub monthly: Option<u64>,
    /// Move snapshots aside that cannot be read; what they alone hold stays in the vault.
    pub discard_damaged: bool,
    /// Only say what would be kept.
    pub dry_run: bool,
}

/// What a prune did, or would do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PruneReport {
    /// Snapshots that stay, and why.
    pub kept: Vec<KeptBackup>,
    /// Snapshots that are no longer listed. Their objects go a day later.
    pub forgotten: Vec<String>,
    /// Snapshots that could not be read and were moved aside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discarded: Vec<String>,
    /// Objects of these that stay, because what they hold is in no other snapshot.
    #[serde(default)]
    pub kept_alone: u64,
    /// Objects removed.
    pub removed: u64,
    /// Bytes freed.
    pub removed_bytes: u64,
}

/// Why a snapshot stays.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeptBackup {
    /// The snapshot.
    pub id: String,
    /// `last`, `hourly`, `daily`, `weekly`, `monthly`, `before_upgrade`, `only_copy` or `unreadable`.
    pub why: Vec<String>,
}

/// A snapshot's id, as an address or a command names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotRef(pub(crate) gander_vault::SnapshotId);

impl std::str::FromStr for SnapshotRef {
    type Err = <gander_vault::SnapshotId as std::str::FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What an export is written as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// One JSON document.
    Json,
    /// JSON Lines, which can be imported again.
    Jsonl,
    /// Markdown.
    #[default]
    Markdown,
    /// One page that stands alone.
    Html,
}

impl ExportFormat {
    /// Its media type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Jsonl => "application/x-ndjson",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    /// The end of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Markdown => "md",
            Self::Html => "html",
        }
    }
}

/// How to export.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(default)]
pub struct ExportQuery {
    /// `json`, `jsonl`, `markdown` (when left out) or `html`.
    #[param(value_type = String)]
    pub format: ExportFormat,
}
