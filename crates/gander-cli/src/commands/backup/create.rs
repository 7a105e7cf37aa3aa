use clap::Args;
use serde_json::json;

use super::super::Context;
use super::super::verify::findings;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::times;
use crate::view;

/// Make a snapshot and read back what it added
#[derive(Args)]
#[command(after_help = "Examples:
  gander backup create
  gander backup create --json | jq -r .snapshot")]
pub struct Create {}

impl Create {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let made = context.with_instance(async |instance| instance.client.post("backups", &json!({})).await).await?;
        let found: Vec<view::Finding> = view::read(&made["findings"])?;
        context.output.result(&made, || {
            format!(
                "Snapshot {}\n  {} sessions, {} entries; {} new, read back and compared\n{}",
                made["snapshot"].as_str().unwrap_or_default(),
                made["sessions"],
                made["entries"],
                times::bytes(made["new_bytes"].as_u64().unwrap_or_default()),
                findings(&found, context.output),
            )
        });
        Ok(Outcome::Done)
    }
}
