//! The slash commands that agents offer (`available_commands_update`), for the composer. They are no part of a
//! conversation: the journal keeps each agent's last list only so that a new chat can offer it before its agent runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gander_model::{SessionId, text};
use serde_json::{Value, json};

use crate::agents::BUILTIN;
use crate::convert::Ids;
use crate::dto;
use crate::error::ApiError;
use crate::feed;
use crate::gander::{Ctx, Gander, lock};

/// Bounds of what is taken from an agent.
const MAX_COMMANDS: usize = 500;
const NAME_MAX_CHARS: usize = 100;
const TEXT_MAX_CHARS: usize = 500;

/// What the agents of this run have offered: per session, with the agent that it came from.
#[derive(Default)]
pub(crate) struct Offered {
    by_session: Mutex<HashMap<SessionId, (String, dto::Commands)>>,
}

fn short(value: &Value, max: usize) -> Option<String> {
    let text: String = text::tidy(value.as_str()?).chars().take(max).collect();
    (!text.is_empty()).then_some(text)
}

/// Reads an update leniently: a command that cannot be typed is left out, the others stay.
fn read(update: &Value) -> dto::Commands {
    let command = |command: &Value| {
        let name = short(&command["name"], NAME_MAX_CHARS)?;
        let name = name.strip_prefix('/').unwrap_or(&name).to_owned();
        (!name.is_empty() && !name.contains(' ')).then(|| dto::AgentCommand {
            name,
            description: short(&command["description"], TEXT_MAX_CHARS).unwrap_or_default(),
            hint: short(&command["input"]["hint"], TEXT_MAX_CHARS),
        })
    };
    let commands = update["availableCommands"].as_array().into_iter().flatten();
    dto::Commands { commands: commands.filter_map(command).take(MAX_COMMANDS).collect() }
}

fn setting(agent: &str) -> String {
    format!("commands:{agent}")
}

impl Ctx {
    /// An agent offers commands in a session, or other ones than before.
    pub(crate) async fn offers(self: &Arc<Self>, session: SessionId, agent: &str, update: &str) {
        let Ok(update) = serde_json::from_str::<Value>(update) else { return };
        let commands = read(&update);
        let offer = (agent.to_owned(), commands.clone());
        let before = lock(&self.offered.by_session).insert(session, offer.clone());
        if before.as_ref() == Some(&offer) {
            return;
        }
        self.tell(feed::passing("commands", Ids { session: Some(session), window: None }, &json!(commands)));
        if agent != BUILTIN {
            self.remember(agent, &commands).await;
        }
    }

    /// For chats whose agent does not run yet.
    async fn remember(&self, agent: &str, commands: &dto::Commands) {
        let (key, value) = (setting(agent), json!(commands).to_string());
        let kept = self
            .write(move |tx| match tx.reader()?.setting(&key)? {
                Some(known) if known == value => Ok(()),
                _ => tx.set(&key, Some(&value)),
            })
            .await;
        if let Err(error) = kept {
            tracing::warn!(agent, %error, "an agent's commands could not be kept");
        }
    }
}

impl Gander {
    /// The slash commands that a session's agent offers; before it runs, those that this agent offered last.
    pub async fn commands(&self, session: SessionId) -> Result<dto::Commands, ApiError> {
        let (agent, kept) = self
            .ctx
            .read(move |reader| {
                let agent = reader.session(session)?.state.agent.unwrap_or_default();
                let kept = reader.setting(&setting(&agent))?;
                Ok((agent, kept))
            })
            .await?;
        let now = lock(&self.ctx.offered.by_session).get(&session).filter(|(from, _)| *from == agent).cloned();
        if let Some((_, commands)) = now {
            return Ok(commands);
        }
        let builtin = self.ctx.agent(&agent).is_some_and(|known| known.builtin);
        if builtin {
            return Ok(read(&gander_acp::builtin::scratch::commands()));
        }
        Ok(kept.and_then(|kept| serde_json::from_str(&kept).ok()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::json;

    #[test]
    fn what_cannot_be_typed_is_left_out_and_the_rest_is_made_fit() {
        let update = json!({"availableCommands": [
            {"name": "/compact", "description": "Make\nit \u{202e}short", "input": {"hint": "how"}},
            {"name": "two words", "description": ""},
            {"name": "", "description": "x"}, {"description": "x"}, 7, {"name": 3},
            {"name": "plan"},
        ]});
        let commands = json!(read(&update));
        let expected = json!({"commands": [
            {"name": "compact", "description": "Make it short", "hint": "how"},
            {"name": "plan", "description": ""},
        ]});
        assert_eq!(commands, expected);
        assert_eq!(json!(read(&json!({"availableCommands": "none"}))), json!({"commands": []}));
    }
}
