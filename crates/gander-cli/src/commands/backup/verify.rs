use clap::Args;
use serde_json::json;

use super::super::Context;
use super::super::verify::findings;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::view;

/// Read every snapshot and recompute every hash
///
/// What is found is told with the snapshots and sessions that it touches. The next snapshot stores again what the journal still
/// has. Exit status 1 when anything is found.
#[derive(Args)]
#[command(after_help = "Examples:
  gander backup verify
  gander backup verify --json | jq .findings
  gander backup verify --drill")]
pub struct Verify {
    /// Also restore the newest snapshot into a scratch store and compare store roots
    #[arg(long)]
    drill: bool,
}

impl Verify {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let report = context
            .with_instance(async |instance| {
                let mut report = instance.client.post("backups/verify", &json!({})).await?;
                if self.drill {
                    let id = super::resolve(&instance.client, "latest").await?;
                    let drill = super::drill::drill(instance, &id, context.output).await?;
                    report["ok"] = json!(report["ok"] == true && drill["ok"] == true);
                    report["drill"] = drill;
                }
                Ok(report)
            })
            .await?;
        let found: Vec<view::Finding> = view::read(&report["findings"])?;
        context.output.result(&report, || {
            let verdict = match found.len() {
                0 => "Every snapshot verifies.".to_owned(),
                1 => "1 finding.".to_owned(),
                count => format!("{count} findings."),
            };
            let drilled = report.get("drill").map(super::drill::told).unwrap_or_default();
            format!(
                "{verdict}\n  {} snapshots, {} objects, {} entries\n{}{drilled}",
                report["snapshots"],
                report["objects"],
                report["entries"],
                findings(&found, context.output)
            )
        });
        Ok(if report["ok"] == true { Outcome::Done } else { Outcome::Findings })
    }
}
