//! The agent's own memory: one JSON Lines file per session. A prompt is written when it arrives, the answer when its turn
//! ends: like every agent in the field, it forgets a partial answer when it is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub(super) struct Memory {
    home: Arc<PathBuf>,
}

/// What is remembered of a session.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// The updates that replay it, in order.
    pub(super) updates: Vec<Value>,
    /// Its title, if it has one.
    pub(super) title: Option<String>,
    /// How many prompts it had.
    pub(super) prompts: usize,
}

impl Memory {
    pub(super) fn open() -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = folder("GANDER_SCRATCH_HOME").unwrap_or_else(|| {
            let user = || folder("HOME").unwrap_or_else(std::env::temp_dir);
            let state = if cfg!(target_os = "macos") {
                user().join("Library/Application Support")
            } else {
                folder("XDG_STATE_HOME").unwrap_or_else(|| user().join(".local/state"))
            };
            state.join("gander/scratch")
        });
        Self { home: Arc::new(home) }
    }

    fn file(&self, session: &str) -> Option<PathBuf> {
        // An id comes from outside: it must not be able to name another file.
        let plain = !session.is_empty() && session.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        plain.then(|| self.home.join(format!("{session}.jsonl")))
    }

    pub(super) fn create(&self, session: &str, cwd: &Path) -> std::io::Result<()> {
        self.append(session, &[json!({"session": session, "cwd": cwd})])
    }

    pub(super) fn append(&self, session: &str, lines: &[Value]) -> std::io::Result<()> {
        let file = self.file(session).ok_or_else(|| std::io::Error::other("not a session id of ours"))?;
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        // What was said is nobody else's to read.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&*self.home)?;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    }

    /// Forgets a session for good; whether there was one.
    pub(super) fn delete(&self, session: &str) -> std::io::Result<bool> {
        let Some(file) = self.file(session) else { return Ok(false) };
        match std::fs::remove_file(file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `None` if there is no such session. A torn or unknown line is passed over: it costs itself only.
    pub(super) fn load(&self, session: &str) -> Option<Remembered> {
        let file = std::fs::File::open(self.file(session)?).ok()?;
        let mut remembered = Remembered::default();
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            let Ok(mut line) = serde_json::from_str::<Value>(&line) else { continue };
            if let Some(title) = line["title"].as_str() {
                remembered.title = Some(title.to_owned());
            }
            if let Some(Value::Array(blocks)) = line.get_mut("prompt").map(Value::take) {
                remembered.prompts += 1;
                let chunk = |content| json!({"sessionUpdate": "user_message_chunk", "content": content});
                remembered.updates.extend(blocks.into_iter().map(chunk));
            }
            if let Some(update) = line.get_mut("update").map(Value::take) {
                remembered.updates.push(update);
            }
        }
        Some(remembered)
    }
}
