use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Context;
use crate::ask;
use crate::client::encode;
use crate::failure::Failure;
use crate::output::{Outcome, Output};
use crate::style::{Tone, one_line};
use crate::table::{Cell, Table};
use crate::view::{self, Agent};

/// The agents that sessions can use
#[derive(Subcommand)]
#[command(after_help = "Examples:
  gander agents list
  gander agents add opencode -- opencode acp
  gander agents add goose-dev --env GOOSE_MODE=approve -- /opt/goose/bin/goose acp
  gander agents check goose
  gander agents remove opencode")]
pub enum Agents {
    /// List them, the default one first
    #[command(after_help = "Examples:\n  gander agents list\n  gander agents list --json | jq -r '.agents[].id'")]
    List,
    Add(Add),
    Remove(Remove),
    Check(Check),
}

/// Add an agent, or change the one of that id
///
/// Any program that speaks ACP on standard input and output will do.
#[derive(Args)]
#[command(after_help = "Examples:
  gander agents add opencode -- opencode acp
  gander agents add goose --env GOOSE_MODE=approve -- goose acp")]
pub struct Add {
    /// Letters, digits, `-`, `_` and `.`
    id: String,
    /// What people read
    #[arg(long)]
    name: Option<String>,
    /// A variable of its environment, NAME=VALUE; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// The folder that it starts in, where that is not the session's
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Remove an agent from the settings; its sessions stay
#[derive(Args)]
#[command(after_help = "Examples:\n  gander agents remove opencode")]
pub struct Remove {
    id: String,
}

/// Start an agent, ask what it can do, and end it
#[derive(Args)]
#[command(after_help = "Examples:\n  gander agents check goose")]
pub struct Check {
    id: String,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

impl Agents {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        match self {
            Self::List => list(context).await,
            Self::Add(add) => add.run(context).await,
            Self::Remove(remove) => remove.run(context).await,
            Self::Check(check) => check.run(context).await,
        }
    }
}

async fn list(context: &Context<'_>) -> Result<Outcome, Failure> {
    let answer = context.with_instance(async |instance| instance.client.get("agents").await).await?;
    let agents: Vec<Agent> = view::read(&answer["agents"])?;
    context.output.result(&answer, || table(&agents, context.output));
    Ok(Outcome::Done)
}

fn table(agents: &[Agent], output: &Output) -> String {
    let mut table = Table::new(&["AGENT", "STATE", "COMMAND", "ABOUT"]).flexible(&[3, 2]);
    for agent in agents {
        let state = match (agent.available, agent.builtin) {
            (true, true) => Cell::new("built in"),
            (true, false) => Cell::new("ready"),
            (false, _) => Cell::new("missing").tone(Tone::Waiting),
        };
        let command = std::iter::once(agent.command.as_str()).chain(agent.args.iter().map(String::as_str));
        table.row(vec![
            Cell::new(&agent.id).tone(Tone::Strong),
            state,
            Cell::new(command.collect::<Vec<_>>().join(" ")),
            Cell::new(&agent.detail).tone(Tone::Quiet),
        ]);
    }
    output.table(&table)
}

impl Add {
    async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let (command, args) = self.command.split_first().unwrap_or((&self.id, &[]));
        let mut body = Map::from_iter([
            ("id".to_owned(), json!(self.id)),
            ("command".to_owned(), json!(command)),
            ("args".to_owned(), json!(args)),
        ]);
        let env: Map<String, Value> = self.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        body.insert("env".to_owned(), Value::Object(env));
        for (name, value) in [("name", &self.name), ("cwd", &self.cwd)] {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        let answer =
            context.with_instance(async |instance| instance.client.post("agents", &Value::Object(body)).await).await?;
        let agent: Agent = view::read(&answer)?;
        context.output.result(&answer, || match agent.available {
            true => format!("Added {}. Try it: gander agents check {}\n", agent.id, agent.id),
            false => format!("Added {}, but it cannot start: {}\n", agent.id, one_line(&agent.detail)),
        });
        Ok(Outcome::Done)
    }
}

impl Remove {
    async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        ask::confirm(&format!("Remove the agent {} from the settings? Its sessions stay.", self.id), context.yes)?;
        let path = format!("agents/{}", encode(&self.id));
        context.with_instance(async |instance| instance.client.delete(&path).await).await?;
        context.output.result(&json!({"removed": self.id}), || format!("Removed {}. Its sessions stay.\n", self.id));
        Ok(Outcome::Done)
    }
}

impl Check {
    async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        context.output.note(&format!("Starting {} …", self.id));
        let path = format!("agents/{}/check", encode(&self.id));
        let answer = context.with_instance(async |instance| instance.client.post(&path, &json!({})).await).await?;
        let agent: Agent = view::read(&answer["agent"])?;
        if answer["ok"] != true {
            let why = answer["error"].as_str().unwrap_or(&agent.detail);
            let failure =
                Failure::new(format!("{} does not work.", agent.id), "Run its command by hand to see what it says.");
            return Err(Failure { problem: Some(answer.clone()), ..failure.why(why) });
        }
        context.output.result(&answer, || {
            let version = agent.version.as_deref().unwrap_or("");
            let mut text = format!("{}\n", one_line(&format!("{} works: {} {version}", agent.id, agent.name)));
            for (name, value) in answer["capabilities"].as_object().into_iter().flatten() {
                text.push_str(&format!("  {}\n", one_line(&format!("{name}: {value}"))));
            }
            text
        });
        Ok(Outcome::Done)
    }
}
