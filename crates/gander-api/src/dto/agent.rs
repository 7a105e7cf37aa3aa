use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// An agent that sessions can use.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What is started.
    pub command: String,
    /// With what.
    pub args: Vec<String>,
    /// Part of Gander.
    pub builtin: bool,
    /// Its command was found.
    pub available: bool,
    /// What is to be known of it, or why it is not available.
    pub detail: String,
    /// As it said itself when it was last started or checked.
    pub version: Option<String>,
}

/// The slash commands that an agent offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Commands {
    /// In the agent's order; empty where nobody knows any.
    pub commands: Vec<AgentCommand>,
}

/// A slash command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentCommand {
    /// Without the slash.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What may follow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// All agents.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Agents {
    /// The default one first.
    pub agents: Vec<Agent>,
}

/// An agent to add or to change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    /// Letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// The id when left out.
    #[serde(default)]
    pub name: Option<String>,
    /// A path, or a name that is looked up on PATH.
    pub command: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its further environment. Not shown again.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The process's own folder, where it is not the session's.
    #[serde(default)]
    pub cwd: Option<String>,
}

/// Which agent.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AgentQuery {
    /// Its id.
    pub id: String,
}

/// What a started agent said of itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AgentCheck {
    /// It started and answered.
    pub ok: bool,
    /// The agent.
    pub agent: Agent,
    /// What it can do.
    #[schema(value_type = Object)]
    pub capabilities: serde_json::Value,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Settings that a page may read.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Config {
    /// For new chats.
    pub default_agent: String,
    /// For new chats.
    pub default_cwd: String,
    /// `system`, `light` or `dark`.
    pub theme: String,
    /// Show images from the web in answers. Off unless the user turns it on.
    pub remote_images: bool,
    /// How long an agent that has nothing to do is kept.
    pub agent_idle_minutes: u64,
    /// How many agent processes at once.
    pub max_agents: u64,
}

/// Settings to change.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigPatch {
    /// For new chats.
    #[serde(default)]
    pub default_agent: Option<String>,
    /// For new chats.
    #[serde(default)]
    pub default_cwd: Option<String>,
    /// `system`, `light` or `dark`.
    #[serde(default)]
    pub theme: Option<String>,
    /// Show images from the web in answers; a page that is open has to be loaded again.
    #[serde(default)]
    pub remote_images: Option<bool>,
    /// How long an agent that has nothing to do is kept.
    #[serde(default)]
    pub agent_idle_minutes: Option<u64>,
    /// How many agent processes at once.
    #[serde(default)]
    pub max_agents: Option<u64>,
}

/// Which folder.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FoldersQuery {
    /// The home folder when left out.
    pub path: Option<String>,
}

/// What the folder picker shows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Folders {
    /// The folder.
    pub path: String,
    /// The one above.
    pub parent: Option<String>,
    /// Names of the folders in it, at most 1,000; those with a dot in front last.
    pub folders: Vec<String>,
    /// The home folder.
    pub home: String,
}
