use std::io::Read;

use clap::Args;
use serde_json::{Value, json};

use super::{Context, sessions, wait};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::view::{self, Session};

/// Send a prompt to a session
///
/// Without --wait it returns as soon as the prompt is saved; a prompt to a busy session waits in its queue. With --wait the answer
/// is printed as it comes. Where no Gander runs, this command serves until the turn has ended.
#[derive(Args)]
#[command(
    override_usage = "gander send [OPTIONS] SESSION TEXT\n       gander send [OPTIONS] --new TEXT",
    after_help = "Examples:
  gander send --new \"Summarise README.md\" --wait
  gander send \"Fix the parser\" \"Now add a test\"
  git diff | gander send --new --cwd . - --wait
  gander send --new --agent goose \"Run the tests\" --wait --yes"
)]
pub struct Send {
    /// The session (its id or its whole name) and the text; with --new the text alone. `-` reads it from standard input
    #[arg(required = true, num_args = 1..=2, value_names = ["SESSION", "TEXT"])]
    words: Vec<String>,
    /// Send it to a new session
    #[arg(long)]
    new: bool,
    /// The new session's agent
    #[arg(long, requires = "new", value_name = "AGENT")]
    agent: Option<String>,
    /// The new session's folder [default: this one]
    #[arg(long, requires = "new", value_name = "DIR")]
    cwd: Option<std::path::PathBuf>,
    /// Print the answer, and return when the turn has ended
    #[arg(long)]
    wait: bool,
}

impl Send {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let (session, text) = self.parts()?;
        context
            .with_instance(async |instance| {
                let client = &instance.client;
                let session = match session {
                    Some(named) => session_of(client, &sessions::resolve(client, &named).await?).await?,
                    None => self.new_session(client).await?,
                };
                // From before the send, so that nothing of its answer is missed.
                let cursor = client.get("windows").await?["cursor"].as_str().unwrap_or_default().to_owned();
                let sent = send(client, session, &text).await?;
                if !self.wait && !instance.is_own() {
                    context.output.result(&sent, || {
                        let state = if sent["state"] == "queued" { "Queued" } else { "Sent" };
                        format!(
                            "{state}. Read on: gander sessions show {}\n",
                            sent["session_id"].as_str().unwrap_or_default()
                        )
                    });
                    return Ok(Outcome::Done);
                }
                if !self.wait {
                    context.output.note("No Gander runs: this command stays until the turn has ended.");
                }
                wait::for_turn(client, context, &sent, &cursor, instance.is_own()).await
            })
            .await
    }

    /// The session, unless it is a new one, and the text.
    fn parts(&self) -> Result<(Option<String>, String), Failure> {
        let (session, text) = match (self.new, self.words.as_slice()) {
            (true, [text]) => (None, text),
            (false, [session, text]) => (Some(session.clone()), text),
            (true, _) => {
                return Err(Failure::new("With --new there is no session to name.", "gander send --new \"TEXT\""));
            }
            (false, _) => {
                return Err(Failure::new(
                    "Say which session, and what to send.",
                    "gander send SESSION \"TEXT\", or gander send --new \"TEXT\"",
                ));
            }
        };
        let mut whole = text.clone();
        if text == "-" {
            whole.clear();
            std::io::stdin().read_to_string(&mut whole).map_err(|error| {
                Failure::new("Standard input could not be read; nothing was sent.", "It must be UTF-8 text.")
                    .because(&error)
            })?;
        }
        if whole.trim().is_empty() {
            return Err(Failure::new(
                "There is nothing to send.",
                "Give a text, or `-` to read one from standard input.",
            ));
        }
        Ok((session, whole))
    }

    async fn new_session(&self, client: &Client) -> Result<Session, Failure> {
        let cwd = match &self.cwd {
            Some(cwd) => std::path::absolute(cwd),
            None => std::env::current_dir(),
        };
        let cwd = cwd.map_err(|error| {
            Failure::new("There is no folder for the new session.", "Name one with --cwd.").because(&error)
        })?;
        let mut body = json!({"cwd": cwd});
        if let Some(agent) = &self.agent {
            body["agent"] = json!(agent);
        }
        let answer = client.post("sessions", &body).await?;
        view::read(&answer["session"])
    }
}

async fn session_of(client: &Client, id: &str) -> Result<Session, Failure> {
    view::read(&client.get(&format!("sessions/{id}")).await?["session"])
}

/// Sends against the session's head of this moment; nobody composed it against an older one.
async fn send(client: &Client, session: Session, text: &str) -> Result<Value, Failure> {
    let turn = uuid::Uuid::now_v7().to_string();
    let body = json!({
        "turn_id": turn,
        "expected_head": {"seq": session.head.seq, "hash": session.head.hash},
        "content": [{"type": "text", "text": text}],
        "when_busy": "queue",
    });
    let mut sent = client.post(&format!("sessions/{}/turns", session.id), &body).await?;
    sent["session_id"] = json!(session.id);
    Ok(sent)
}
