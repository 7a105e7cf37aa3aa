use std::time::{Duration, Instant};

use clap::Args;
use gander_server::RuntimeFile;
use serde_json::json;

use super::Context;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::Outcome;

/// Longer than turns, agents and answers may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stop the running Gander
///
/// Running turns are stopped and recorded, agents are ended, then the process. Windows, drafts and queued prompts are as they were
/// at the next start.
#[derive(Args)]
#[command(after_help = "Examples:
  gander stop
  gander --data-dir /tmp/try stop")]
pub struct Stop {}

impl Stop {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let Some(instance) = Instance::find(&context.data_dir).await? else {
            context.output.result(&json!({"stopped": false, "running": false}), || {
                format!("No Gander runs on {}.\n", context.data_dir.display())
            });
            return Ok(Outcome::Done);
        };
        let runtime = instance.runtime();
        instance.client.post("stop", &json!({})).await?;
        let until = Instant::now() + PATIENCE;
        // The runtime file is the last thing to go.
        while RuntimeFile::all(&context.data_dir).iter().any(|found| Some(found) == runtime) {
            if Instant::now() > until {
                return Err(Failure::new(
                    format!("Gander was asked to stop and has not ended after {} s.", PATIENCE.as_secs()),
                    "It may be waiting for an agent; what was acknowledged is on disk.",
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        context
            .output
            .result(&json!({"stopped": true, "running": false, "pid": runtime.map(|runtime| runtime.pid)}), || {
                "Gander has stopped.\n".to_owned()
            });
        Ok(Outcome::Done)
    }
}
