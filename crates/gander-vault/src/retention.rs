//! Which snapshots a policy keeps. Pure: times in, reasons out.

use std::collections::{BTreeMap, BTreeSet};

use gander_model::JournalId;
use serde::{Deserialize, Serialize};

use crate::{Manifest, Reason, SnapshotId, VaultError};

/// How many snapshots to keep per journal: the last ones, and the last of each of so many hours, days, weeks and
/// months (UTC) that have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The newest.
    pub last: usize,
    /// One an hour.
    pub hourly: usize,
    /// One a day.
    pub daily: usize,
    /// One a week, beginning on Monday.
    pub weekly: usize,
    /// One a month.
    pub monthly: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self { last: 10, hourly: 24, daily: 14, weekly: 8, monthly: 24 }
    }
}

impl Policy {
    /// Refuses a policy that keeps nothing.
    pub fn check(&self) -> Result<(), VaultError> {
        let kept = [self.last, self.hourly, self.daily, self.weekly, self.monthly];
        if kept.iter().all(|count| *count == 0) { Err(VaultError::EmptyPolicy) } else { Ok(()) }
    }
}

/// Why a snapshot is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Among the newest of its journal.
    Last,
    /// The last of its hour.
    Hourly,
    /// The last of its day.
    Daily,
    /// The last of its week.
    Weekly,
    /// The last of its month.
    Monthly,
    /// The newest taken before an upgrade or a migration: a rollback may need it.
    BeforeUpgrade,
    /// The only snapshot that holds some entry.
    OnlyCopy,
    /// It cannot be read whole, so what would be lost with it is not known.
    Unreadable,
}

/// What the policy keeps of these snapshots, and why. Every journal is judged on its own: two machines on one bucket
/// do not push out each other's snapshots.
pub fn keep(snapshots: &[Manifest], policy: &Policy) -> Result<BTreeMap<SnapshotId, BTreeSet<Keep>>, VaultError> {
    policy.check()?;
    let mut by_journal: BTreeMap<JournalId, Vec<&Manifest>> = BTreeMap::new();
    for manifest in snapshots {
        by_journal.entry(manifest.journal).or_default().push(manifest);
    }
    let mut kept: BTreeMap<SnapshotId, BTreeSet<Keep>> = BTreeMap::new();
    for (_, mut snapshots) in by_journal {
        // By the journal's own count: a clock that was set back makes no snapshot old.
        let order = |manifest: &Manifest| (manifest.epoch, manifest.revision, manifest.at_ms, manifest.id);
        snapshots.sort_by_key(|manifest| std::cmp::Reverse(order(manifest)));
        // The newest is always kept, whatever the policy says of the others.
        for manifest in snapshots.iter().take(policy.last.max(1)) {
            kept.entry(manifest.id).or_default().insert(Keep::Last);
        }
        for (count, why, period) in [
            (policy.hourly, Keep::Hourly, hour as fn(i64) -> i64),
            (policy.daily, Keep::Daily, day),
            (policy.weekly, Keep::Weekly, week),
            (policy.monthly, Keep::Monthly, month),
        ] {
            let mut periods = BTreeSet::new();
            for manifest in &snapshots {
                if periods.len() < count && periods.insert(period(manifest.at_ms)) {
                    kept.entry(manifest.id).or_default().insert(why);
                }
            }
        }
        for reason in [Reason::Upgrade, Reason::Migration] {
            if let Some(manifest) = snapshots.iter().find(|manifest| manifest.reason == reason) {
                kept.entry(manifest.id).or_default().insert(Keep::BeforeUpgrade);
            }
        }
    }
    Ok(kept)
}

fn hour(at_ms: i64) -> i64 {
    at_ms.div_euclid(3_600_000)
}

fn day(at_ms: i64) -> i64 {
    at_ms.div_euclid(86_400_000)
}

fn week(at_ms: i64) -> i64 {
    // 1970-01-01 was a Thursday: three days later a week began.
    (day(at_ms) + 3).div_euclid(7)
}

/// Months since year 0, by the civil calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn month(at_ms: i64) -> i64 {
    let z = day(at_ms) + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (month, carry) = if shifted < 10 { (shifted + 3, 0) } else { (shifted - 9, 1) };
    (year_of_era + era * 400 + carry) * 12 + month - 1
}
