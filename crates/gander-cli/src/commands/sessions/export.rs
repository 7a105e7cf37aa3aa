use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::super::Context;
use super::resolve;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::times;

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON document
    Json,
    /// JSON Lines: the form that can be imported again
    Jsonl,
    /// For people and their editors
    Markdown,
    /// One page that stands alone
    Html,
}

/// Write a session as a file that can be read without Gander
///
/// What it is forked from comes with it. The file holds everything that was said.
#[derive(Args)]
#[command(after_help = "Examples:
  gander sessions export \"Fix the parser\" > parser.md
  gander sessions export \"Fix the parser\" --format html --out parser.html
  gander sessions export \"Fix the parser\" --format jsonl --out parser.jsonl     to be imported elsewhere")]
pub struct Export {
    /// Its id or its whole name
    session: String,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
    /// The file to write; one that is there is left alone [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let format = self.format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let bytes = context
            .with_instance(async |instance| {
                let id = resolve(&instance.client, &self.session).await?;
                instance.client.get_file(&format!("sessions/{id}/export?format={format}")).await
            })
            .await?;
        let Some(out) = &self.out else {
            let text = String::from_utf8_lossy(&bytes);
            context.output.result(&json!({"format": format, "text": text}), || text.to_string());
            return Ok(Outcome::Done);
        };
        write_new(out, &bytes).map_err(|error| {
            let todo = "Name another file with --out; one that is there is not written over.";
            Failure::new(format!("{} was not written.", out.display()), todo).because(&error)
        })?;
        let document = json!({"format": format, "file": out.display().to_string(), "bytes": bytes.len()});
        context.output.result(&document, || format!("{}, {}\n", out.display(), times::bytes(bytes.len() as u64)));
        Ok(Outcome::Done)
    }
}

/// What was said is nobody else's business: the file is its owner's alone.
fn write_new(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
