//! Driving an agent and looking at what came.

use std::path::Path;
use std::time::Duration;

use gander_acp::{
    Agent, AgentError, AgentEvent, AgentSessionId, AgentSpec, Events, StartOptions, Stop, Update, UpdateKind,
};
use serde_json::json;

/// So long that only a bug reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An agent in a folder of its own.
pub struct Probe {
    pub agent: Agent,
    pub events: Events,
    pub folder: tempfile::TempDir,
    pub home: tempfile::TempDir,
    pub session: AgentSessionId,
}

/// What a turn brought.
#[derive(Default)]
pub struct Turn {
    pub updates: Vec<Update>,
    pub others: Vec<AgentEvent>,
    pub stop: Option<Result<Stop, AgentError>>,
}

impl Turn {
    /// All text of a kind, joined.
    pub fn text(&self, kind: &UpdateKind) -> String {
        self.updates.iter().filter(|update| update.kind == *kind).filter_map(Update::text).collect()
    }

    pub fn message(&self) -> String {
        self.text(&UpdateKind::Message)
    }

    /// The stop reason, or the error as text.
    pub fn outcome(&self) -> String {
        match &self.stop {
            Some(Ok(stop)) => stop.reason.clone(),
            Some(Err(error)) => format!("error: {error}"),
            None => "no end".into(),
        }
    }
}

pub fn spec(mode: &str, home: &Path) -> AgentSpec {
    AgentSpec::new(mode, env!("CARGO_BIN_EXE_gander-acp-test-agent"), [mode])
        .env("GANDER_SCRATCH_HOME", home.display().to_string())
        .env("GANDER_SCRATCH_PACE_MS", "0")
}

pub fn mark() -> String {
    uuid::Uuid::now_v7().to_string()
}

impl Probe {
    /// Starts an agent of the test program and opens a session.
    pub async fn start(mode: &str) -> Self {
        Self::start_with(mode, |_| {}).await
    }

    pub async fn start_with(mode: &str, change: impl FnOnce(&mut StartOptions)) -> Self {
        let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut options = StartOptions::new(folder.path(), mark());
        change(&mut options);
        let (agent, events) = Agent::start(&spec(mode, home.path()), options).await.unwrap();
        let session = agent.new_session(folder.path()).await.unwrap().agent_session;
        Self { agent, events, folder, home, session }
    }

    pub async fn next(&mut self) -> AgentEvent {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("an event")
    }

    pub fn send(&self, text: &str) {
        self.agent.prompt(&self.session, &[json!({"type": "text", "text": text})]).unwrap();
    }

    /// Prompts and reads until the turn's end; permissions are answered with `option` (none: cancelled).
    pub async fn turn(&mut self, text: &str, option: Option<&str>) -> Turn {
        self.send(text);
        self.until_end(option).await
    }

    pub async fn until_end(&mut self, option: Option<&str>) -> Turn {
        let mut turn = Turn::default();
        loop {
            match self.next().await {
                AgentEvent::Update(update) => turn.updates.push(*update),
                AgentEvent::Permission(permission) => match option {
                    Some(option) => permission.reply.select(option),
                    None => permission.reply.cancel(),
                },
                AgentEvent::PromptEnded { agent_session, result } => {
                    assert_eq!(agent_session, self.session);
                    turn.stop = Some(result);
                    return turn;
                }
                other => turn.others.push(other),
            }
        }
    }

    /// All that comes until the process is gone.
    pub async fn rest(&mut self) -> Vec<AgentEvent> {
        let mut rest = Vec::new();
        while let Some(event) = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an end in time") {
            rest.push(event);
        }
        rest
    }
}

/// Waits until something is so; the only clock is that of giving up.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !so() {
        assert!(std::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process lives (a zombie does not).
pub fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
}
