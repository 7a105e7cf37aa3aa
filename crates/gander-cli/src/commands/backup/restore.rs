use clap::Args;
use serde_json::{Value, json};

use super::super::Context;
use super::super::verify::findings;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::style::one_line;
use crate::view;

/// Bring sessions back from a snapshot; nothing that is here is changed
///
/// A session that is not here is added. One that is here in part gets the rest. One that went another way gets a recovered copy
/// beside it, never more than one. A snapshot of what is here is made first.
#[derive(Args)]
#[command(after_help = "Examples:
  gander backup restore latest --dry-run
  gander backup restore latest
  gander backup restore 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d --session 0199c3a4-1111-7c33-9f0e-0d6e4a1b2c3d
  gander backup restore latest --windows        windows and drafts that are gone, too")]
pub struct Restore {
    /// The snapshot's id, or `latest`
    snapshot: String,
    /// Only this session, with what it is forked from (can be repeated)
    #[arg(long = "session", value_name = "ID")]
    sessions: Vec<String>,
    /// Put back windows, drafts, queued prompts and what was still arriving, where they are not here
    #[arg(long)]
    windows: bool,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

impl Restore {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let sessions = (!self.sessions.is_empty()).then_some(&self.sessions);
        let wanted = json!({"sessions": sessions, "windows": self.windows, "dry_run": self.dry_run});
        let report = context
            .with_instance(async |instance| {
                let id = super::resolve(&instance.client, &self.snapshot).await?;
                instance.client.post(&format!("backups/{}/restore", crate::client::encode(&id)), &wanted).await
            })
            .await?;
        let found: Vec<view::Finding> = view::read(&report["findings"])?;
        context.output.result(&report, || self.told(&report) + &findings(&found, context.output));
        if found.is_empty() || self.dry_run {
            return Ok(Outcome::Done);
        }
        let count = found.len();
        Err(Failure::new(
            format!("{count} of the wanted sessions could not be restored."),
            "See the findings; try another snapshot for these sessions.",
        )
        .why("Everything else was restored, and nothing that was here is changed."))
    }

    fn told(&self, report: &Value) -> String {
        let would = if self.dry_run { "Would be: " } else { "" };
        let mut text = format!(
            "{would}{} added, {} forwarded, {} copied, {} unchanged\n",
            report["added"], report["forwarded"], report["copied"], report["unchanged"]
        );
        if self.windows && !self.dry_run {
            text.push_str(&format!(
                "{} windows, {} drafts, {} queued prompts and {} interrupted items put back\n",
                report["windows"], report["drafts"], report["queue"], report["open_items"]
            ));
        }
        for step in report["steps"].as_array().into_iter().flatten() {
            let of = |name: &str| one_line(step[name].as_str().unwrap_or_default());
            text.push_str(&format!("  {:9}  {}  {}\n", of("action"), of("session_id"), of("name")));
        }
        if let Some(before) = report["before"].as_str() {
            text.push_str(&format!("What was here before is in snapshot {before}\n"));
        }
        text
    }
}
