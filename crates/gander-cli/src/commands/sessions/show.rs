use clap::Args;
use serde_json::json;

use super::super::Context;
use super::super::transcript;
use super::{resolve, title};
use crate::client::query;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::style::{Tone, one_line};
use crate::times;
use crate::view::{self, Entry, Session};

/// Read a session: its last entries, or those after one
#[derive(Args)]
#[command(after_help = "Examples:
  gander sessions show \"Fix the parser\"
  gander sessions show 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d --after 0 --limit 500
  gander sessions show \"Fix the parser\" --json | jq -r '.entries[] | select(.kind==\"prompt\") | .body'")]
pub struct Show {
    /// Its id or its whole name
    session: String,
    /// Only entries after this sequence number (0: from the start)
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// At most this many, up to 500
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

impl Show {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let answer = context
            .with_instance(async |instance| {
                let session = resolve(&instance.client, &self.session).await?;
                let pairs = [("after", self.after.map(|seq| seq.to_string())), ("limit", Some(self.limit.to_string()))];
                let page = instance.client.get(&format!("sessions/{session}/entries{}", query(&pairs))).await;
                match page {
                    // A damaged session is not shown as empty: what is known of it is, with its finding.
                    Err(failure) if failure.is("quarantined") => Err(failure),
                    other => other,
                }
            })
            .await?;
        let session: Session = view::read(&answer["session"])?;
        let entries: Vec<Entry> = view::read(&answer["entries"])?;
        let document = json!({"session": answer["session"], "entries": answer["entries"], "open_items": answer["open_items"],
            "next": answer["next"], "verified": answer["verified"], "damage": answer["damage"]});
        context.output.result(&document, || {
            let style = context.output.style();
            let mut text = head(&session, context);
            text.push_str(&transcript::entries(&entries, style));
            text.push_str(&transcript::open_items(&answer["open_items"], style));
            if let Some(next) = answer["next"].as_str() {
                let more = if self.after.is_some() {
                    format!("more: --after {next}")
                } else {
                    "earlier entries: --after 0".to_owned()
                };
                text.push_str(&format!("{}\n", style.paint(Tone::Quiet, &more)));
            }
            if let Some(detail) = answer["damage"]["detail"].as_str() {
                text.push_str(&format!("\n{} {}\n", style.paint(Tone::Bad, "Damaged:"), one_line(detail)));
            }
            text
        });
        Ok(Outcome::Done)
    }
}

fn head(session: &Session, context: &Context<'_>) -> String {
    let style = context.output.style();
    let last = times::ago(session.last_turn_at.as_deref(), jiff::Timestamp::now());
    let hash = session.head.hash.get(..8).unwrap_or_default();
    let facts = format!(
        "{} · {} · {} · last turn {last} · {} entries, head {}:{hash}",
        session.id, session.agent, session.cwd, session.entries, session.head.seq
    );
    format!(
        "{}\n{}\n",
        style.paint(Tone::Strong, &one_line(&title(session))),
        style.paint(Tone::Quiet, &one_line(&facts))
    )
}
