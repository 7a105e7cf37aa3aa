use clap::Args;
use serde_json::json;

use super::super::Context;
use crate::ask::confirm;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::times;

/// Forget snapshots that need not be kept
///
/// Without numbers the configured policy is used ([backup.keep] in config.toml). The newest snapshot, the last one before an
/// upgrade, and one that alone holds some entry always stay. Forgotten snapshots can still be restored by their id for a day.
#[derive(Args)]
#[command(after_help = "Examples:
  gander backup prune --dry-run
  gander backup prune --last 10 --daily 14 --monthly 12
  gander backup prune --discard-damaged")]
pub struct Prune {
    /// Keep so many of the newest
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// Keep one an hour, for so many hours
    #[arg(long, value_name = "N")]
    hourly: Option<u64>,
    /// Keep one a day, for so many days
    #[arg(long, value_name = "N")]
    daily: Option<u64>,
    /// Keep one a week, for so many weeks
    #[arg(long, value_name = "N")]
    weekly: Option<u64>,
    /// Keep one a month, for so many months
    #[arg(long, value_name = "N")]
    monthly: Option<u64>,
    /// Move snapshots aside that cannot be read; what they alone hold stays in the vault
    #[arg(long)]
    discard_damaged: bool,
    /// Only say what would be forgotten
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let body = |dry_run: bool| {
            json!({"last": self.last, "hourly": self.hourly, "daily": self.daily, "weekly": self.weekly,
                "monthly": self.monthly, "discard_damaged": self.discard_damaged, "dry_run": dry_run})
        };
        let report = context
            .with_instance(async |instance| {
                if !self.dry_run {
                    let preview = instance.client.post("backups/prune", &body(true)).await?;
                    let count = |name: &str| preview[name].as_array().map_or(0, Vec::len);
                    let (going, damaged) = (count("forgotten"), count("discarded"));
                    if damaged > 0 {
                        confirm(&format!("Move {damaged} unreadable snapshots aside, and prune?"), context.yes)?;
                    } else if going > 0 {
                        confirm(&format!("Forget {going} snapshots?"), context.yes)?;
                    }
                }
                instance.client.post("backups/prune", &body(self.dry_run)).await
            })
            .await?;
        context.output.result(&report, || {
            let forgotten = report["forgotten"].as_array().map_or(0, Vec::len);
            let kept = report["kept"].as_array().map_or(0, Vec::len);
            let would = if self.dry_run { "Would be: " } else { "" };
            let freed = times::bytes(report["removed_bytes"].as_u64().unwrap_or_default());
            let discarded = report["discarded"].as_array().map_or(0, Vec::len);
            let aside = if discarded > 0 { format!("{discarded} moved aside, ") } else { String::new() };
            format!("{would}{aside}{forgotten} forgotten, {kept} kept; {freed} freed\n")
        });
        Ok(Outcome::Done)
    }
}
