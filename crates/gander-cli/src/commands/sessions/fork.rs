use clap::Args;
use serde_json::json;

use super::super::Context;
use super::resolve;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::view::{self, Session};

/// Go on from an earlier point in a session of its own
#[derive(Args)]
#[command(after_help = "Examples:
  gander sessions fork \"Fix the parser\"
  gander sessions fork 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d --at 12")]
pub struct Fork {
    /// Its id or its whole name
    session: String,
    /// The last entry that the fork keeps; inside a turn it means that turn's end [default: the head]
    #[arg(long, value_name = "SEQ")]
    at: Option<u64>,
}

impl Fork {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let answer = context
            .with_instance(async |instance| {
                let id = resolve(&instance.client, &self.session).await?;
                let parent: Session = view::read(&instance.client.get(&format!("sessions/{id}")).await?["session"])?;
                let at = self.at.unwrap_or(parent.head.seq);
                instance.client.post(&format!("sessions/{id}/fork"), &json!({"at_seq": at})).await
            })
            .await?;
        let fork: Session = view::read(&answer["session"])?;
        context.output.result(&answer, || format!("Forked: {}\nSee it with: gander open {}\n", fork.id, fork.id));
        Ok(Outcome::Done)
    }
}
