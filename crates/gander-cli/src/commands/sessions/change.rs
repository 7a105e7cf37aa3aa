//! What leaves a new entry in a session: a name, a status.

use clap::Args;
use serde_json::{Value, json};

use super::super::Context;
use super::{resolve, title};
use crate::failure::Failure;
use crate::output::Outcome;
use crate::style::one_line;
use crate::view::{self, Session};

/// Give a session a name, which no agent's name replaces
#[derive(Args)]
#[command(after_help = "Examples:
  gander sessions rename 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d \"Fix the parser\"")]
pub struct Rename {
    /// Its id or its whole name
    session: String,
    /// The new name
    name: String,
}

impl Rename {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let answer = context
            .with_instance(async |instance| {
                let session = resolve(&instance.client, &self.session).await?;
                instance.client.patch(&format!("sessions/{session}"), &json!({"name": self.name})).await
            })
            .await?;
        let session: Session = view::read(&answer["session"])?;
        context.output.result(&answer, || format!("Named {}: {}\n", session.id, one_line(&session.name)));
        Ok(Outcome::Done)
    }
}

/// Sessions, each by its id or its whole name.
#[derive(Args)]
pub struct Named {
    /// Its id or its whole name; several may be given
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<String>,
}

impl Named {
    /// Sets the status of each. All of them are found first, so that a slip of the keyboard changes none.
    pub async fn set_status(self, context: &Context<'_>, status: &str, said: &str) -> Result<Outcome, Failure> {
        let changed = context
            .with_instance(async |instance| {
                let mut ids = Vec::new();
                for named in &self.sessions {
                    ids.push(resolve(&instance.client, named).await?);
                }
                let mut changed = Vec::new();
                for id in ids {
                    let answer = instance.client.patch(&format!("sessions/{id}"), &json!({"status": status})).await?;
                    changed.push(answer["session"].clone());
                }
                Ok(changed)
            })
            .await?;
        let sessions: Vec<Session> = view::read(&Value::Array(changed.clone()))?;
        context.output.result(&json!({"sessions": changed}), || {
            sessions.iter().map(|session| format!("{said} {} ({})\n", one_line(&title(session)), session.id)).collect()
        });
        Ok(Outcome::Done)
    }
}
