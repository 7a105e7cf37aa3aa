use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::super::Context;
use super::title;
use crate::client::query;
use crate::failure::Failure;
use crate::output::{Outcome, Output};
use crate::style::Tone;
use crate::table::{Cell, Table};
use crate::times::ago;
use crate::view::{self, Session};

/// List sessions, last turn first
#[derive(Args)]
#[command(after_help = "Examples:
  gander sessions list
  gander sessions list --status all --limit 200
  gander sessions list parser --agent goose
  gander sessions list --json | jq -r '.sessions[].id'")]
pub struct List {
    /// Only sessions whose name or folder contains this
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// Which ones
    #[arg(long, value_enum, default_value_t = Status::Active)]
    status: Status,
    /// Only this agent's
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// At most this many, up to 500
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Go on after the page that ended with this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Status {
    Active,
    Archived,
    Trashed,
    Quarantined,
    Empty,
    All,
}

impl List {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let status = self.status.to_possible_value().map(|value| value.get_name().to_owned());
        let path = format!(
            "sessions{}",
            query(&[
                ("q", self.text),
                ("status", status),
                ("agent", self.agent),
                ("limit", Some(self.limit.to_string())),
                ("after", self.after)
            ])
        );
        let answer = context.with_instance(async |instance| instance.client.get(&path).await).await?;
        let sessions: Vec<Session> = view::read(&answer["sessions"])?;
        context.output.result(&answer, || {
            let mut text = if sessions.is_empty() {
                "No sessions here.\n".to_owned()
            } else {
                table(&sessions, self.status, context.output)
            };
            text.push_str(&footer(&answer, sessions.len(), context.output));
            text
        });
        Ok(Outcome::Done)
    }
}

fn table(sessions: &[Session], status: Status, output: &Output) -> String {
    let now = Timestamp::now();
    let mut table = Table::new(&["ID", "LAST", "AGENT", "STATE", "NAME"]).flexible(&[4]);
    for session in sessions {
        let (state, tone) = state(session, status);
        table.row(vec![
            Cell::new(&session.id).tone(Tone::Quiet),
            Cell::new(ago(session.last_turn_at.as_deref().or(Some(&session.created_at)), now)),
            Cell::new(&session.agent),
            Cell::new(state).tone(tone),
            Cell::new(title(session)),
        ]);
    }
    output.table(&table)
}

/// What matters most of how a session is.
fn state(session: &Session, listed: Status) -> (&str, Tone) {
    let waits = session.turn.as_ref().is_some_and(|turn| !turn.permissions.is_empty());
    match session.status.as_str() {
        "quarantined" => ("quarantined", Tone::Bad),
        _ if waits => ("waits for you", Tone::Waiting),
        _ if session.running => ("running", Tone::Active),
        _ if session.interrupted.is_some() => ("interrupted", Tone::Waiting),
        _ if session.queue.held && session.queue.count > 0 => ("queue held", Tone::Waiting),
        _ if session.empty => ("empty", Tone::Quiet),
        _ if session.draft => ("draft", Tone::Plain),
        status if status != "active" || listed == Status::All => (status, Tone::Quiet),
        _ if session.pinned => ("pinned", Tone::Quiet),
        _ => ("", Tone::Plain),
    }
}

/// What the list does not show, said always (nothing hides).
fn footer(answer: &serde_json::Value, shown: usize, output: &Output) -> String {
    let hidden = answer["hidden"].as_u64().unwrap_or(0);
    let total = answer["total"].as_u64().unwrap_or(shown as u64);
    let mut parts = vec![format!("{shown} of {total} shown")];
    if hidden > 0 {
        let counts = ["active", "archived", "trashed", "quarantined", "empty"].iter().filter_map(|name| {
            answer["counts"][*name].as_u64().filter(|count| *count > 0).map(|count| format!("{count} {name}"))
        });
        let counts = counts.collect::<Vec<_>>().join(", ");
        parts.push(format!("{hidden} hidden by the filter (all: {counts}; see --status)"));
    }
    if let Some(next) = answer["next"].as_str() {
        parts.push(format!("more: --after {next}"));
    }
    format!("{}\n", output.style().paint(Tone::Quiet, &parts.join(" · ")))
}
