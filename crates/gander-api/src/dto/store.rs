use gander_model::SessionId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What verification or the guard reports.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Its id, where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What kind.
    pub kind: String,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// What it is about.
    #[schema(value_type = Object)]
    pub subject: Value,
    /// What was found.
    pub detail: String,
    /// What can be done.
    pub remedy: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// Open findings.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Findings {
    /// Newest first.
    pub findings: Vec<Finding>,
}

/// `on_disk = active + archived + trashed + quarantined` (G12). Empty sessions count with their status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// Counted from entries and witnessed heads.
    pub on_disk: u64,
    /// Active ones.
    pub active: u64,
    /// Archived ones.
    pub archived: u64,
    /// In the trash.
    pub trashed: u64,
    /// Damaged ones.
    pub quarantined: u64,
}

/// What verification found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VerifyReport {
    /// No finding.
    pub ok: bool,
    /// The store root.
    pub root: String,
    /// How many sessions.
    pub sessions: u64,
    /// How many entries.
    pub entries: u64,
    /// G12.
    pub audit: Audit,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// A job that runs beside.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// `verify`, `rebuild`, `drill`, `export` or `repair`.
    pub kind: String,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// How far.
    pub done: u64,
    /// Of how much.
    pub total: u64,
    /// What a rebuild did, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<Rebuilt>,
    /// What a drill found, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<super::DrillReport>,
    /// What was exported, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exports: Option<super::ReadableExports>,
    /// What a repair did, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<RepairReport>,
    /// What it found, when it is done.
    pub report: Option<VerifyReport>,
    /// Why it failed.
    pub error: Option<super::Problem>,
}

/// What to repair.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RepairBody {
    /// Only this session; every one that is set aside when left out.
    pub session_id: Option<String>,
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairReport {
    /// Sessions that verify again.
    pub healed: Vec<Healed>,
    /// Sessions that are as they were.
    pub not_healed: Vec<NotHealed>,
}

/// A session that verifies again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Healed {
    /// The session.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// The snapshot that it was healed from.
    pub snapshot: String,
    /// Entries that were missing or altered.
    pub entries: u64,
    /// Bodies that were missing or altered.
    pub bodies: u64,
}

/// A session that no snapshot could heal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotHealed {
    /// The session.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// Why.
    pub why: String,
}

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rebuilt {
    /// Sessions whose rows were made again.
    pub sessions: u64,
    /// Of those, the ones whose rows were not what their entries say.
    pub changed: u64,
    /// Rows of sessions of which nothing is on the disk.
    pub removed: u64,
}

/// How the store is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Saving, and nothing is quarantined.
    pub ok: bool,
    /// Of Gander.
    pub version: String,
    /// Of the journal.
    pub format: u32,
    /// The version of SQLite that is built in.
    pub sqlite: String,
    /// Whether the journal can save.
    pub saving: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many sessions.
    pub sessions: u64,
    /// G12.
    pub audit: Audit,
    /// The store root.
    pub root: String,
    /// When everything was last verified.
    pub verified_at: Option<String>,
    /// When a backup was last made and read back.
    pub backed_up_at: Option<String>,
    /// Open findings.
    pub findings: u64,
    /// When this process started.
    pub started_at: String,
    /// The journal's id.
    pub journal: String,
    /// The data folder.
    pub data_dir: String,
}
