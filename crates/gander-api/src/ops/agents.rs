//! Agents, settings and folders.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gander_journal::Announcement;

use crate::agents::{self, Known};
use crate::config::AgentSettings;
use crate::dto;
use crate::error::{ApiError, Code};
use crate::gander::{DEFAULT_IDLE_MINUTES, DEFAULT_MAX_AGENTS, Gander, blocking};

/// How many folders of one folder are listed.
const MAX_FOLDERS: usize = 1000;
/// How long a check waits; a first start may have to fetch the program.
const CHECK_TIMEOUT: Duration = Duration::from_secs(45);

impl Gander {
    fn shown(&self, known: &Known) -> dto::Agent {
        known.dto(self.ctx.agent_version(&known.spec.id))
    }

    /// All agents, the default one first.
    pub async fn agents(&self) -> Result<dto::Agents, ApiError> {
        let gander = self.clone();
        // Looking on PATH touches the disk.
        Ok(blocking(move || dto::Agents {
            agents: gander.ctx.agents().iter().map(|known| gander.shown(known)).collect(),
        })
        .await)
    }

    async fn announce(&self, what: Announcement) {
        if let Err(error) = self.ctx.write(move |tx| tx.announce(what)).await {
            tracing::warn!(%error, "a change of the settings could not be announced");
        }
    }

    /// Adds an agent, or changes the one of that id.
    pub async fn add_agent(&self, new: dto::NewAgent) -> Result<dto::Agent, ApiError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if new.id.is_empty() || new.id.len() > 64 || !new.id.chars().all(plain) {
            return Err(ApiError::bad("An agent's id has letters, digits, -, _ and . (at most 64)."));
        }
        if new.command.trim().is_empty() {
            return Err(ApiError::bad("`command` is empty."));
        }
        let id = new.id.clone();
        let settings = AgentSettings {
            id: new.id,
            name: new.name,
            command: PathBuf::from(new.command),
            args: new.args,
            env: new.env,
            cwd: new.cwd.map(PathBuf::from),
            store: None,
        };
        let ctx = self.ctx.clone();
        blocking(move || {
            ctx.change_settings(|kept| match kept.agents.iter_mut().find(|agent| agent.id == settings.id) {
                Some(agent) => *agent = AgentSettings { store: agent.store.take(), ..settings },
                None => kept.agents.push(settings),
            })
        })
        .await?;
        self.announce(Announcement::Agents).await;
        let known = self.ctx.agent(&id).ok_or_else(|| ApiError::not_found("agent", &id))?;
        Ok(self.shown(&known))
    }

    /// Removes an agent from the settings; its sessions stay.
    pub async fn remove_agent(&self, id: &str) -> Result<(), ApiError> {
        let known = self.ctx.settings().agents.iter().any(|agent| agent.id == id);
        if !known {
            let detail = match self.ctx.agent(id) {
                Some(_) => {
                    return Err(ApiError::new(Code::WrongState, format!("The agent {id} is not from the settings."))
                        .todo("An agent that is built in or found on PATH cannot be removed."));
                }
                None => id.to_owned(),
            };
            return Err(ApiError::not_found("agent", detail));
        }
        let (ctx, id) = (self.ctx.clone(), id.to_owned());
        blocking(move || {
            ctx.change_settings(|kept| {
                kept.agents.retain(|agent| agent.id != id);
                if kept.default_agent.as_deref() == Some(id.as_str()) {
                    kept.default_agent = None;
                }
            })
        })
        .await?;
        self.announce(Announcement::Agents).await;
        Ok(())
    }

    /// Starts an agent, asks what it can do, and ends it.
    pub async fn check_agent(&self, id: &str) -> Result<dto::AgentCheck, ApiError> {
        let known = self.ctx.agent(id).ok_or_else(|| ApiError::not_found("agent", id))?;
        match gander_acp::check(&known.spec, CHECK_TIMEOUT).await {
            Ok(check) => {
                self.ctx.saw_agent(id, check.version.clone());
                let mut agent = self.shown(&known);
                agent.detail = check.detail;
                let capabilities = check.info.raw.get("agentCapabilities").cloned().unwrap_or_default();
                Ok(dto::AgentCheck { ok: true, agent, capabilities, error: None })
            }
            Err(error) => Ok(dto::AgentCheck {
                ok: false,
                agent: self.shown(&known),
                capabilities: serde_json::Value::Null,
                error: Some(crate::feed::with_sources(&error)),
            }),
        }
    }

    /// Settings.
    pub async fn config(&self) -> Result<dto::Config, ApiError> {
        let settings = self.ctx.settings();
        Ok(dto::Config {
            default_agent: agents::default_id(&settings),
            default_cwd: self.ctx.default_cwd().display().to_string(),
            theme: settings.theme.unwrap_or_else(|| "system".to_owned()),
            remote_images: settings.remote_images.unwrap_or(false),
            agent_idle_minutes: settings.agent_idle_minutes.unwrap_or(DEFAULT_IDLE_MINUTES),
            max_agents: settings.max_agents.unwrap_or(DEFAULT_MAX_AGENTS),
        })
    }

    /// Changes settings.
    pub async fn patch_config(&self, patch: dto::ConfigPatch) -> Result<dto::Config, ApiError> {
        if let Some(agent) = &patch.default_agent
            && self.ctx.agent(agent).is_none()
        {
            return Err(ApiError::not_found("agent", agent));
        }
        if patch.theme.as_deref().is_some_and(|theme| !matches!(theme, "system" | "light" | "dark")) {
            return Err(ApiError::bad("theme is system, light or dark."));
        }
        if patch.agent_idle_minutes.is_some_and(|minutes| !(1..=10_080).contains(&minutes))
            || patch.max_agents.is_some_and(|agents| !(1..=1000).contains(&agents))
        {
            return Err(ApiError::bad("agent_idle_minutes is 1 to 10080, max_agents 1 to 1000."));
        }
        let ctx = self.ctx.clone();
        blocking(move || {
            let cwd = patch.default_cwd.as_deref().map(super::sessions::folder).transpose()?;
            ctx.change_settings(|kept| {
                kept.default_agent = patch.default_agent.or(kept.default_agent.take());
                kept.default_cwd = cwd.map(PathBuf::from).or(kept.default_cwd.take());
                kept.theme = patch.theme.or(kept.theme.take());
                kept.remote_images = patch.remote_images.or(kept.remote_images);
                kept.agent_idle_minutes = patch.agent_idle_minutes.or(kept.agent_idle_minutes);
                kept.max_agents = patch.max_agents.or(kept.max_agents);
            })
        })
        .await?;
        let max_agents = self.ctx.settings().max_agents.unwrap_or(DEFAULT_MAX_AGENTS);
        self.ctx.live.set_max_agents(usize::try_from(max_agents).unwrap_or(usize::MAX));
        self.announce(Announcement::Config).await;
        self.config().await
    }

    /// The folders in a folder.
    pub async fn folders(&self, query: dto::FoldersQuery) -> Result<dto::Folders, ApiError> {
        let home = self.ctx.home().to_owned();
        let path = query.path.filter(|path| !path.is_empty()).map_or_else(|| home.clone(), PathBuf::from);
        if !path.is_absolute() {
            return Err(ApiError::bad("`path` is not absolute."));
        }
        blocking(move || list(&path, &home)).await
    }
}

fn list(path: &Path, home: &Path) -> Result<dto::Folders, ApiError> {
    let entries = std::fs::read_dir(path).map_err(|error| {
        ApiError::new(Code::NotFound, format!("The folder {} cannot be read: {error}.", path.display()))
    })?;
    let mut folders: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    folders.sort_by_key(|name| (name.starts_with('.'), name.to_lowercase()));
    folders.truncate(MAX_FOLDERS);
    Ok(dto::Folders {
        path: path.display().to_string(),
        parent: path.parent().map(|parent| parent.display().to_string()),
        folders,
        home: home.display().to_string(),
    })
}
