use clap::Args;
use serde_json::{Value, json};

use super::super::Context;
use super::{is_id, title};
use crate::ask;
use crate::failure::Failure;
use crate::output::Outcome;
use crate::style::one_line;
use crate::view::{self, Session};

/// Erase what trashed sessions say, for good
///
/// The text of every entry is erased; hashes and numbers stay, so that the rest still verifies. What a fork still shows is kept.
/// The session's agents are asked to delete what they keep of it themselves; where one cannot be asked, that is said.
/// Only a session in the trash can be purged, and only by its id.
#[derive(Args)]
#[command(after_help = "Examples:
  gander sessions trash 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d
  gander sessions purge 0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d")]
pub struct Purge {
    /// Its id; several may be given
    #[arg(required = true, value_name = "ID")]
    sessions: Vec<String>,
}

impl Purge {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        if let Some(odd) = self.sessions.iter().find(|session| !is_id(session)) {
            return Err(Failure::new(
                format!("\"{odd}\" is no session id, and nothing was erased."),
                "Purging wants whole ids: gander sessions list --status trashed.",
            ));
        }
        let purged = context
            .with_instance(async |instance| {
                let mut sessions: Vec<Session> = Vec::new();
                for id in &self.sessions {
                    sessions.push(view::read(&instance.client.get(&format!("sessions/{id}")).await?["session"])?);
                }
                if let Some(kept) = sessions.iter().find(|session| session.status != "trashed") {
                    return Err(Failure::new(
                        format!("{} is not in the trash, and nothing was erased.", kept.id),
                        format!("Put it there first: gander sessions trash {}", kept.id),
                    ));
                }
                let names: Vec<String> = sessions
                    .iter()
                    .map(|session| format!("  {} ({})", one_line(&title(session)), session.id))
                    .collect();
                ask::confirm(
                    &format!("Erase for good, without a way back:\n{}\nErase?", names.join("\n")),
                    context.yes,
                )?;
                let mut agents: Vec<Value> = Vec::new();
                for id in &self.sessions {
                    let answer = instance.client.post(&format!("sessions/{id}/purge"), &json!({})).await?;
                    agents.extend(answer["agents"].as_array().cloned().unwrap_or_default());
                }
                Ok((self.sessions.clone(), agents))
            })
            .await?;
        let (purged, agents) = purged;
        context.output.result(&json!({"purged": purged, "agents": agents}), || {
            let erased = purged.iter().map(|id| format!("Erased {id}.\n"));
            let told =
                agents.iter().map(|agent| format!("{}\n", one_line(agent["detail"].as_str().unwrap_or_default())));
            erased.chain(told).collect()
        });
        Ok(Outcome::Done)
    }
}
