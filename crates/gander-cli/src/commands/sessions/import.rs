use std::path::PathBuf;

use clap::Args;

use super::super::Context;
use crate::client::FileBody;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::style::one_line;

/// Take exported sessions in (the JSON Lines form)
///
/// The whole file is verified first: every hash is recomputed. A session that is not here is added, one that is here in part gets
/// the rest, one that went another way gets a recovered copy beside it. Nothing that is here is changed.
#[derive(Args)]
#[command(after_help = "Examples:
  gander sessions import parser.jsonl")]
pub struct Import {
    /// The file
    file: PathBuf,
}

impl Import {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let file = FileBody::open(&self.file).map_err(|error| {
            Failure::new(format!("{} cannot be read.", self.file.display()), "Name a file that can.").because(&error)
        })?;
        let report = context
            .with_instance(async |instance| instance.client.post_file("import", file, "application/x-ndjson").await)
            .await?;
        context.output.result(&report, || {
            let mut text = format!(
                "{} added, {} forwarded, {} copied, {} unchanged\n",
                report["added"], report["forwarded"], report["copied"], report["unchanged"]
            );
            for step in report["steps"].as_array().into_iter().flatten() {
                let of = |name: &str| one_line(step[name].as_str().unwrap_or_default());
                text.push_str(&format!("  {:9}  {}  {}\n", of("action"), of("session_id"), of("name")));
            }
            text
        });
        Ok(Outcome::Done)
    }
}
