//! A running agent, and what can be asked of it.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agent_client_protocol::UntypedMessage;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::folder::Folder;
use crate::link::{self, Link};
use crate::shared::Shared;
use crate::supervise::{Stopping, supervise};
use crate::{
    AgentError, AgentInfo, AgentProcess, AgentSessionId, AgentSpec, Events, Exit, Replay, StartOptions, event, process,
    wire,
};

/// A notification or answer that got lost must not hold up a stop.
const STOP_COMMANDS: usize = 8;

/// A session that the agent opened or resumed.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The agent's id of it.
    pub agent_session: AgentSessionId,
    /// The whole answer as received (modes, configuration options).
    pub raw: Box<RawValue>,
}

/// A handle to a running agent. Clones are the same agent; when the last is dropped, the process is ended.
#[derive(Debug, Clone)]
pub struct Agent {
    shared: Arc<Shared>,
    link: Arc<Link>,
    linked: watch::Receiver<bool>,
    info: Arc<OnceLock<AgentInfo>>,
    /// One load at a time, so that a replay is known to be its own.
    loading: Arc<tokio::sync::Mutex<()>>,
    stopping: mpsc::Sender<Stopping>,
}

impl Agent {
    /// Starts the process and agrees on the protocol: [`Agent::spawn`] and [`Agent::initialize`] in one.
    pub async fn start(spec: &AgentSpec, options: StartOptions) -> Result<(Self, Events), AgentError> {
        let (agent, events) = Self::spawn(spec, options)?;
        match agent.initialize().await {
            Ok(_) => Ok((agent, events)),
            Err(error) => {
                // Nobody takes its events any more, so nothing holds up its end.
                drop(events);
                agent.kill().await;
                Err(error)
            }
        }
    }

    /// Starts the process and says nothing yet, so that [`Agent::process`] can be recorded first. Needs a tokio runtime.
    pub fn spawn(spec: &AgentSpec, options: StartOptions) -> Result<(Self, Events), AgentError> {
        let folder = Folder::new(&options.folder, &options.extra_roots)
            .map_err(|source| AgentError::Folder { folder: options.folder.clone(), source })?;
        let (mut child, process) = process::spawn(spec, &options)?;
        let (sender, events) = event::queue(&options.bounds);
        let shared = Arc::new(Shared::new(process, folder, options, sender));
        let link = Arc::new(Link::new());
        let (up, linked) = watch::channel(false);
        let (stopping, commands) = mpsc::channel(STOP_COMMANDS);
        let (to_crate, from_reader) = mpsc::channel(1);
        let stderr = child.stderr.take().map(|stderr| tokio::spawn(wire::read_stderr(stderr, shared.clone())));
        if let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) {
            tokio::spawn(link::serve(stdin, from_reader, shared.clone(), link.clone(), up));
            let shared = shared.clone();
            tokio::spawn(async move {
                wire::read(stdout, shared.clone(), to_crate).await;
                if let Some(mut stderr) = stderr {
                    tokio::select! {
                        _ = &mut stderr => {}
                        () = shared.long_gone() => stderr.abort(),
                    }
                }
                shared.finish().await;
            });
        }
        tokio::spawn(supervise(child, shared.clone(), commands));
        let agent = Self { shared, link, linked, info: Arc::default(), loading: Arc::default(), stopping };
        Ok((agent, events))
    }

    /// Agrees on the protocol and learns what the agent can do.
    pub async fn initialize(&self) -> Result<AgentInfo, AgentError> {
        let options = &self.shared.options;
        let client = &options.client;
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": {
                "fs": {"readTextFile": options.files, "writeTextFile": options.files},
                "terminal": options.terminals,
                "session": {"notices": {}, "compaction": {}},
            },
            "clientInfo": {"name": client.name, "title": client.title, "version": client.version},
        });
        let answer = self.ask("initialize", params, self.shared.timeouts.initialize).await;
        // The crate refuses another version without saying that it was the version.
        match self.shared.version() {
            Some(version) if version != "1" => return Err(AgentError::Version { version }),
            _ => {}
        }
        let info = AgentInfo::read(answer?);
        Ok(self.info.get_or_init(|| info).clone())
    }

    /// What the agent said of itself, once initialized.
    pub fn info(&self) -> Option<AgentInfo> {
        self.info.get().cloned()
    }

    /// The process.
    pub fn process(&self) -> &AgentProcess {
        &self.shared.process
    }

    /// Opens a new session of the agent in a folder. Updates may come before the answer: keep reading the events.
    pub async fn new_session(&self, cwd: &Path) -> Result<Opened, AgentError> {
        let params = json!({"cwd": text(cwd)?, "mcpServers": []});
        let answer = self.ask("session/new", params, self.shared.timeouts.request).await?;
        let Some(id) = answer.get("sessionId").and_then(Value::as_str).filter(|id| !id.is_empty()) else {
            return Err(bad("session/new", "it has no sessionId"));
        };
        Ok(Opened { agent_session: id.into(), raw: raw("session/new", &answer)? })
    }

    /// Has the agent load a session of its own. What it replays comes in the answer and not as events.
    pub async fn load_session(&self, id: &AgentSessionId, cwd: &Path) -> Result<Replay, AgentError> {
        let params = json!({"sessionId": id, "cwd": text(cwd)?, "mcpServers": []});
        let _one = self.loading.lock().await;
        self.shared.begin_load(id.clone());
        let mut arriving = self.shared.replaying.subscribe();
        let answer = self.ask("session/load", params, Duration::MAX);
        tokio::pin!(answer);
        let answer = loop {
            let idle = tokio::time::sleep(self.shared.timeouts.load);
            tokio::select! {
                answer = &mut answer => break answer,
                // Something arrived: the time starts anew.
                Ok(()) = arriving.changed() => {}
                () = idle => break Err(timeout("session/load", self.shared.timeouts.load)),
            }
        };
        let updates = self.shared.end_load();
        let answer = answer?;
        Ok(Replay { updates: updates?, raw: Some(raw("session/load", &answer)?) })
    }

    /// Has the agent go on with a session of its own without a replay.
    pub async fn resume_session(&self, id: &AgentSessionId, cwd: &Path) -> Result<Opened, AgentError> {
        let params = json!({"sessionId": id, "cwd": text(cwd)?, "mcpServers": []});
        let answer = self.ask("session/resume", params, self.shared.timeouts.request).await?;
        Ok(Opened { agent_session: id.clone(), raw: raw("session/resume", &answer)? })
    }

    /// Sends a prompt (ACP content blocks). Its end comes as [`crate::AgentEvent::PromptEnded`], whatever happens to the agent.
    /// An error means that nothing was sent and no such event comes.
    pub fn prompt(&self, id: &AgentSessionId, content: &[Value]) -> Result<(), AgentError> {
        let link = self.link.get().ok_or_else(|| bad("session/prompt", "the agent is not initialized"))?;
        let message = UntypedMessage::new("session/prompt", json!({"sessionId": id, "prompt": content}))
            .map_err(|error| bad("session/prompt", &error.to_string()))?;
        let text = content.iter().filter_map(|block| block.get("text")?.as_str()).collect::<Vec<_>>().join("\n");
        self.shared.begin_prompt(id, text)?;
        // The reader reports the answer in its place among the updates; nobody waits for it here.
        link.send_request(message).detach();
        Ok(())
    }

    /// Asks the agent to stop its turn. The prompt's end still comes as an event; open permissions are the caller's to answer.
    pub fn cancel(&self, id: &AgentSessionId) -> Result<(), AgentError> {
        let link = self.link.get().ok_or_else(|| bad("session/cancel", "the agent is not initialized"))?;
        let sent = UntypedMessage::new("session/cancel", json!({"sessionId": id})).and_then(|message| {
            self.shared.note_cancel(id);
            link.send_notification(message)
        });
        sent.map_err(|_| self.shared.gone())
    }

    /// Tells the agent that the session is not needed for now.
    pub async fn close_session(&self, id: &AgentSessionId) -> Result<(), AgentError> {
        self.ask("session/close", json!({"sessionId": id}), self.shared.timeouts.request).await.map(drop)
    }

    /// Has the agent forget a session of its own for good.
    pub async fn delete_session(&self, id: &AgentSessionId) -> Result<(), AgentError> {
        self.ask("session/delete", json!({"sessionId": id}), self.shared.timeouts.request).await.map(drop)
    }

    /// Any other request (`session/set_mode`, `session/set_config_option`, `authenticate`, an extension).
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, AgentError> {
        self.ask(method, params, self.shared.timeouts.request).await
    }

    async fn ask(&self, method: &str, params: Value, wait: Duration) -> Result<Value, AgentError> {
        let asked = async {
            link::up(self.linked.clone()).await;
            let Some(link) = self.link.get() else { return Err(self.ended().await) };
            let message = UntypedMessage::new(method, params).map_err(|error| bad(method, &error.to_string()))?;
            match link.send_request(message).block_task().await {
                Ok(answer) => Ok(answer),
                Err(error)
                    if agent_client_protocol::is_incoming_transport_closed(&error)
                        || agent_client_protocol::is_connection_terminated(&error) =>
                {
                    Err(self.ended().await)
                }
                Err(error) => Err(AgentError::Refused {
                    method: method.to_owned(),
                    code: i32::from(error.code).into(),
                    message: error.message,
                    data: error.data.map(Box::new),
                }),
            }
        };
        match tokio::time::timeout(wait, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(timeout(method, wait)),
        }
    }

    /// The connection is over; the process follows within the supervisor's deadlines.
    async fn ended(&self) -> AgentError {
        self.shared.exited().await;
        self.shared.gone()
    }

    /// Closes the agent's input, waits for it to exit, and ends it and its descendants after `grace`.
    pub async fn stop(&self, grace: Duration) -> Exit {
        // A full queue holds earlier stops, which do as well; a closed one means that the process is gone.
        let _ = self.stopping.try_send(Stopping { grace });
        self.shared.exited().await
    }

    /// Ends it and its descendants now.
    pub async fn kill(&self) -> Exit {
        self.shared.kill.notify_one();
        self.shared.exited().await
    }

    /// Waits until the process is gone.
    pub async fn exited(&self) -> Exit {
        self.shared.exited().await
    }

    /// The end of what it wrote to standard error.
    pub fn stderr_tail(&self) -> String {
        self.shared.stderr_tail()
    }
}

/// A folder as the protocol can say it.
fn text(folder: &Path) -> Result<&str, AgentError> {
    folder.to_str().ok_or_else(|| AgentError::Folder {
        folder: folder.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "its name is not UTF-8"),
    })
}

fn bad(method: &str, detail: &str) -> AgentError {
    AgentError::BadAnswer { method: method.to_owned(), detail: detail.to_owned() }
}

fn timeout(method: &str, after: Duration) -> AgentError {
    AgentError::Timeout { method: method.to_owned(), after }
}

fn raw(method: &str, answer: &Value) -> Result<Box<RawValue>, AgentError> {
    serde_json::value::to_raw_value(answer).map_err(|error| bad(method, &error.to_string()))
}
