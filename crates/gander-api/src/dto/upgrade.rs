use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Which version serves, and how the last change of versions went.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpgradeStatus {
    /// The version that answers.
    pub version: String,
    /// The platform that packages must be for.
    pub target: String,
    /// The upgrade that is under way.
    pub current: Option<Upgrade>,
    /// The last one that has ended.
    pub last: Option<Upgrade>,
    /// Whether the last one can be taken back by hand.
    pub can_roll_back: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_why: Option<String>,
    /// Versions whose programs are kept.
    pub versions: Vec<String>,
    /// Another version that a package manager put in the installed program's place, as who serves knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<Installed>,
}

/// The native windows that belong to the version that serves.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NativeWindows {
    /// The version that answers.
    pub version: String,
    /// The file of their program; null where none are installed.
    pub program: Option<String>,
}

/// Another version in the installed program's place: what the change `installed` tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Installed {
    /// `waits` (it takes over when running answers have ended), `later` (put off, or taken back before: when somebody
    /// says so), `taking_over`, `offered` (tried, and this version goes on), `unfit` (older, unable to read this journal, or left to a
    /// service manager: not while this version runs).
    pub state: String,
    /// The version.
    pub version: String,
    /// Why it does not take over by itself.
    pub why: Option<String>,
    /// The turns that it waits for.
    pub turns: u64,
}

/// One upgrade, or one way back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Upgrade {
    /// Its id.
    pub id: String,
    /// `upgrade`, `downgrade` (to an older package, as asked) or `rollback` (by hand).
    pub kind: String,
    /// The version before.
    pub from: String,
    /// The version that comes.
    pub to: String,
    /// `stage`, `drill`, `prepare`, `seal`, `switch`, `start`, `check`, `commit`, `rollback`, `rolled_back`, `abandoned`.
    pub phase: String,
    /// When each phase began.
    pub steps: Vec<UpgradeStep>,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// `committed`, `rolled_back` or `abandoned`; null while it is under way.
    pub result: Option<String>,
    /// Why it did not go through.
    pub error: Option<UpgradeProblem>,
    /// What the new version compared with the seal before it took over.
    pub checks: Option<UpgradeChecks>,
    /// The snapshot that was made before anything changed.
    pub backup: Option<UpgradeBackup>,
    /// Where the open sessions lie as JSON and Markdown.
    pub exports: Option<UpgradeExports>,
    /// What the old version left, in short.
    #[schema(value_type = Option<Object>)]
    pub seal: Option<Value>,
    /// Whether the journal changed its format.
    pub migrated: bool,
    /// How long nothing could be written, from the seal to the new version's commit.
    pub frozen_ms: Option<i64>,
    /// What a person should know that stopped nothing.
    pub warnings: Vec<String>,
    /// Whether it is a rollback by hand.
    pub rollback: bool,
    /// Whether a person has seen its result.
    pub seen: bool,
}

/// When a phase began.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpgradeStep {
    /// The phase.
    pub phase: String,
    /// When.
    pub at: String,
}

/// What happened, what is safe, what to do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpgradeProblem {
    /// What happened.
    pub what: String,
    /// What is safe.
    pub safe: String,
    /// What to do.
    pub todo: String,
}

/// Before and after.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BeforeAfter {
    /// In the seal.
    pub before: u64,
    /// In the journal that the new version opened.
    pub after: u64,
}

/// Before and after, as hashes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HashBeforeAfter {
    /// In the seal.
    pub before: String,
    /// In the journal that the new version opened.
    pub after: String,
}

/// What the new version compared.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpgradeChecks {
    /// Whether all of it was the same.
    pub ok: bool,
    /// Sessions.
    pub sessions: Option<BeforeAfter>,
    /// Windows, open and closed.
    pub windows: Option<BeforeAfter>,
    /// Drafts.
    pub drafts: Option<BeforeAfter>,
    /// Queued prompts.
    pub queue: Option<BeforeAfter>,
    /// Open items.
    pub open_items: Option<BeforeAfter>,
    /// The store root.
    pub root: HashBeforeAfter,
    /// The digest of windows, drafts, queue and open items.
    pub documents: HashBeforeAfter,
    /// What differed.
    pub differences: Vec<String>,
}

/// The snapshot before an upgrade.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpgradeBackup {
    /// Its id in the vault.
    pub snapshot: String,
    /// Where the vault is.
    pub place: String,
    /// Whether it was read back, and all of it restored into a scratch store with the same store root.
    pub verified: bool,
    /// How many sessions.
    pub sessions: u64,
    /// How many entries.
    pub entries: u64,
}

/// The readable exports before an upgrade.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpgradeExports {
    /// The folder.
    pub folder: String,
}

/// A result that a person has seen.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpgradeSeen {
    /// The upgrade.
    pub id: String,
}
