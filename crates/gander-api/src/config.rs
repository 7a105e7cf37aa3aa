//! `config.toml`: settings and agents. Keys that this version does not know are kept; a file that cannot be read is
//! never written over.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gander_acp::AgentSpec;
use serde::{Deserialize, Serialize};

/// The file's known keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    pub default_agent: Option<String>,
    pub default_cwd: Option<PathBuf>,
    pub theme: Option<String>,
    pub remote_images: Option<bool>,
    pub agent_idle_minutes: Option<u64>,
    pub max_agents: Option<u64>,
    pub agents: Vec<AgentSettings>,
    /// Never written from here: the file's own table stays as it is.
    #[serde(skip_serializing)]
    pub backup: BackupSettings,
}

/// The `[backup]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BackupSettings {
    /// Another folder than `vault/` in the data folder.
    pub folder: Option<PathBuf>,
    /// A bucket instead of a folder.
    pub bucket: Option<gander_vault::s3::Bucket>,
    /// How often a snapshot is made while there are changes; 0 switches the timer off.
    pub every_minutes: Option<u64>,
    /// What a prune keeps.
    pub keep: Option<gander_vault::Policy>,
}

/// One `[[agents]]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AgentSettings {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub command: PathBuf,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Names the agent's own store where the environment does not; ids of one store are not those of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

impl AgentSettings {
    pub fn spec(&self) -> AgentSpec {
        let mut spec = AgentSpec::new(self.id.clone(), self.command.clone(), self.args.clone());
        spec.env = self.env.clone();
        spec.cwd = self.cwd.clone();
        spec
    }
}

/// Why the file is not used or not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not understood: {source}", path.display())]
    Parse { path: PathBuf, source: toml::de::Error },
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// The file, as last read.
pub(crate) struct ConfigFile {
    path: PathBuf,
    table: toml::Table,
    pub settings: Settings,
    /// Set while the file is not understood: defaults are used, and nothing is written.
    pub broken: Option<String>,
}

impl ConfigFile {
    /// Reads the file; one that is missing is an empty one.
    pub fn open(path: PathBuf) -> Self {
        match read(&path) {
            Ok((table, settings)) => ConfigFile { path, table, settings, broken: None },
            Err(error) => {
                let broken = Some(error.to_string());
                ConfigFile { path, table: toml::Table::new(), settings: Settings::default(), broken }
            }
        }
    }

    /// Changes the settings and writes the file. What it says now is read first: somebody may have edited it.
    pub fn change(&mut self, change: impl FnOnce(&mut Settings)) -> Result<(), ConfigError> {
        let (mut table, mut settings) = read(&self.path)?;
        change(&mut settings);
        let known = toml::Table::try_from(&settings)
            .map_err(|error| ConfigError::Write { path: self.path.clone(), source: io::Error::other(error) })?;
        // A field that is unset now is absent from `known`, so it has to leave the file too.
        for key in
            ["default_agent", "default_cwd", "theme", "remote_images", "agent_idle_minutes", "max_agents", "agents"]
        {
            table.remove(key);
        }
        table.extend(known);
        if settings.agents.is_empty() {
            table.remove("agents");
        }
        write(&self.path, &table.to_string())
            .map_err(|source| ConfigError::Write { path: self.path.clone(), source })?;
        self.table = table;
        self.settings = settings;
        self.broken = None;
        Ok(())
    }
}

fn read(path: &Path) -> Result<(toml::Table, Settings), ConfigError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    let parse = |source| ConfigError::Parse { path: path.to_owned(), source };
    let table: toml::Table = text.parse().map_err(parse)?;
    let settings = table.clone().try_into().map_err(parse)?;
    Ok((table, settings))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension(format!("toml.{}", std::process::id()));
    let _ = fs::remove_file(&beside);
    // An agent's environment may hold a key.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
