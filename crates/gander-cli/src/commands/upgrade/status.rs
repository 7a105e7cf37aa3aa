use clap::Args;

use super::super::Context;
use super::{document, told};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::Outcome;

/// Say which version serves, and how the last upgrade went
///
/// What was compared, where the backup and the readable exports lie, and whether there is a way back.
#[derive(Args)]
#[command(after_help = "Examples:
  gander upgrade status
  gander upgrade status --json | jq .last.checks")]
pub struct Status {}

impl Status {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let mut document = document(context)?;
        // What a package manager put in place, only the one that runs knows.
        if let Some(instance) = Instance::find(&context.data_dir).await?
            && let Ok(running) = instance.client.get("upgrade").await
            && !running["installed"].is_null()
        {
            document["installed"] = running["installed"].clone();
        }
        context.output.result(&document, || told(&document));
        Ok(Outcome::Done)
    }
}
