use clap::Args;

use super::super::Context;
use super::super::verify::findings;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::table::{Cell, Table};
use crate::times;
use crate::view;

/// List the snapshots, newest first
#[derive(Args)]
#[command(after_help = "Examples:
  gander backup list
  gander backup list --json | jq -r '.backups[0].id'")]
pub struct List {}

impl List {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let listed = context.with_instance(async |instance| instance.client.get("backups").await).await?;
        let found: Vec<view::Finding> = view::read(&listed["findings"])?;
        context.output.result(&listed, || {
            let mut table = Table::new(&["SNAPSHOT", "MADE", "WHY", "SESSIONS", "ENTRIES", "NEW", "OF"]).flexible(&[6]);
            for backup in listed["backups"].as_array().into_iter().flatten() {
                let text = |name: &str| backup[name].as_str().unwrap_or_default().to_owned();
                let of = if backup["own"] == true { "this journal".to_owned() } else { text("machine") };
                table.row(vec![
                    text("id").into(),
                    text("at").into(),
                    text("reason").into(),
                    Cell::number(backup["sessions"].as_u64().unwrap_or_default()),
                    Cell::number(backup["entries"].as_u64().unwrap_or_default()),
                    times::bytes(backup["new_bytes"].as_u64().unwrap_or_default()).into(),
                    of.into(),
                ]);
            }
            let place = listed["place"].as_str().unwrap_or_default();
            format!("{}In {place}\n{}", context.output.table(&table), findings(&found, context.output))
        });
        Ok(Outcome::Done)
    }
}
