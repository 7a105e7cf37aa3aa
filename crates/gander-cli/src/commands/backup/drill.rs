use clap::Args;
use serde_json::{Value, json};

use super::super::Context;
use super::super::verify::followed;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{Outcome, Output};

/// Restore a snapshot into a scratch store, and compare store roots
///
/// Nothing that is here is touched. Exit status 1 when not all of it came back.
#[derive(Args)]
#[command(after_help = "Examples:
  gander backup drill
  gander backup drill 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d")]
pub struct Drill {
    /// The snapshot's id, or `latest`
    #[arg(default_value = "latest")]
    snapshot: String,
}

impl Drill {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let report = context
            .with_instance(async |instance| {
                let id = super::resolve(&instance.client, &self.snapshot).await?;
                drill(instance, &id, context.output).await
            })
            .await?;
        context.output.result(&report, || told(&report));
        Ok(if report["ok"] == true { Outcome::Done } else { Outcome::Findings })
    }
}

pub async fn drill(instance: &Instance, snapshot: &str, output: &Output) -> Result<Value, Failure> {
    let mut done =
        followed(&instance.client, "jobs/drill", &json!({ "snapshot": snapshot }), "entries", output).await?;
    Ok(done["drill"].take())
}

pub fn told(report: &Value) -> String {
    let of = |name: &str| report[name].as_str().unwrap_or_default();
    let verdict = if report["ok"] == true {
        "All of it came back, and the store roots are the same.".to_owned()
    } else {
        format!("Not all of it came back: {}.", of("detail"))
    };
    format!(
        "{verdict}\n  snapshot {}, {} sessions, {} entries\n  root {}\n",
        of("snapshot"),
        report["sessions"],
        report["entries"],
        of("restored_root")
    )
}
