//! Which agents there are: the built-in one, those of `config.toml`, and goose where it is on PATH.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gander_acp::AgentSpec;

use crate::config::{AgentSettings, Settings};
use crate::dto;

/// The built-in agent's id.
pub const BUILTIN: &str = "scratch";
const GOOSE: &str = "goose";

/// Environment variables that say where an agent keeps its sessions. Only these tell stores apart: others may hold
/// secrets, which must not reach the journal.
const STORE_VARIABLES: &[&str] =
    &["GOOSE_PATH_ROOT", "XDG_DATA_HOME", "HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "OPENCODE_DATA_DIR"];

/// An agent that can be started.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub spec: AgentSpec,
    pub name: String,
    pub builtin: bool,
    pub available: bool,
    pub detail: String,
    /// Names the agent's own store.
    pub store: String,
}

impl Known {
    pub fn dto(&self, version: Option<String>) -> dto::Agent {
        dto::Agent {
            id: self.spec.id.clone(),
            name: self.name.clone(),
            command: self.spec.command.display().to_string(),
            args: self.spec.args.clone(),
            builtin: self.builtin,
            available: self.available,
            detail: self.detail.clone(),
            version,
        }
    }
}

/// Where to look for programs, and our own.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub own: Option<PathBuf>,
    /// Where the built-in agent keeps its own memory: below the data folder, like everything else.
    pub scratch_home: PathBuf,
    pub path: std::ffi::OsString,
}

/// All agents, the default one first.
pub(crate) fn all(settings: &Settings, programs: &Programs) -> Vec<Known> {
    let mut agents: Vec<Known> = settings.agents.iter().map(|agent| configured(agent, programs)).collect();
    if !agents.iter().any(|agent| agent.spec.id == BUILTIN) {
        agents.push(builtin(programs));
    }
    if !agents.iter().any(|agent| agent.spec.id == GOOSE) {
        agents.push(goose(programs));
    }
    let first = default_id(settings);
    agents.sort_by_key(|agent| agent.spec.id != first);
    agents
}

/// The agent of new chats.
pub(crate) fn default_id(settings: &Settings) -> String {
    settings.default_agent.clone().unwrap_or_else(|| BUILTIN.to_owned())
}

fn builtin(programs: &Programs) -> Known {
    Known {
        spec: AgentSpec::new(BUILTIN, programs.own.clone().unwrap_or_else(this_program), ["agent", "scratch"])
            .env("GANDER_SCRATCH_HOME", programs.scratch_home.display().to_string()),
        name: "Scratch (built in, offline)".to_owned(),
        builtin: true,
        available: true,
        detail:
            "Works without a model, a key or a network: lists, reads, searches, edits and runs in the session's folder."
                .to_owned(),
        store: String::new(),
    }
}

/// The program that runs. Where a package manager has put another one in its place, it is still reached through the process:
/// this version's agent speaks to this version.
fn this_program() -> PathBuf {
    let process = Path::new("/proc/self/exe");
    match std::env::current_exe() {
        Ok(program) if program.exists() => program,
        _ if process.exists() => process.to_owned(),
        Ok(program) => program,
        Err(_) => "gander".into(),
    }
}

fn goose(programs: &Programs) -> Known {
    let found = find(OsStr::new(GOOSE), &programs.path);
    let detail = match &found {
        Some(path) => format!("Found at {}.", path.display()),
        None => "goose is not on PATH. Install it, or add it with `gander agents add goose PATH acp`.".to_owned(),
    };
    let spec = AgentSpec::new(GOOSE, found.clone().unwrap_or_else(|| GOOSE.into()), ["acp"]);
    Known {
        store: store(&spec, None),
        spec,
        name: GOOSE.to_owned(),
        builtin: false,
        available: found.is_some(),
        detail,
    }
}

fn configured(agent: &AgentSettings, programs: &Programs) -> Known {
    let mut spec = agent.spec();
    let found = find(agent.command.as_os_str(), &programs.path);
    let detail = match &found {
        Some(path) => format!("Configured; found at {}.", path.display()),
        None => format!("{} is not a program that can be run.", agent.command.display()),
    };
    let available = found.is_some();
    if let Some(found) = found {
        spec.command = found;
    }
    Known {
        store: store(&spec, agent.store.as_deref()),
        name: agent.name.clone().unwrap_or_else(|| agent.id.clone()),
        spec,
        builtin: false,
        available,
        detail,
    }
}

fn store(spec: &AgentSpec, given: Option<&str>) -> String {
    if let Some(given) = given {
        return given.to_owned();
    }
    let places = STORE_VARIABLES.iter().filter_map(|name| spec.env.get(*name).map(|value| format!("{name}={value}")));
    places.collect::<Vec<_>>().join(" ")
}

/// A program by path, or by name on PATH.
fn find(command: &OsStr, path: &OsStr) -> Option<PathBuf> {
    let command = Path::new(command);
    if command.components().count() > 1 || command.is_absolute() {
        return is_program(command).then(|| command.to_owned());
    }
    std::env::split_paths(path).map(|folder| folder.join(command)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
