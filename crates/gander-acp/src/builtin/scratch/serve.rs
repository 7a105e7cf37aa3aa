//! The connection: the official crate's `Agent` role on standard input and output.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_client_protocol::v1::schema::{
    CancelNotification, CloseSessionRequest, CloseSessionResponse, DeleteSessionRequest, InitializeRequest,
    LoadSessionRequest, NewSessionRequest, PromptRequest, ResumeSessionRequest, SetSessionModeRequest,
    SetSessionModeResponse,
};
use agent_client_protocol::v1::{ConnectionTo, Responder};
use agent_client_protocol::{Agent, Client, Error, Lines, UntypedMessage};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::watch;

use super::memory::Memory;
use super::phrases;
use super::turn::Turn;

/// What the agent says of itself before anything else.
pub(super) const GREETING: &str = "I am Gander's built-in scratch agent. I work offline and have no model behind me.";
/// How many lines may wait to be written before a turn waits too.
const AHEAD: u64 = 64;

/// The state of one process of this agent.
#[derive(Clone)]
pub(super) struct Scratch {
    pub(super) memory: Memory,
    pub(super) outlet: Outlet,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<String, Session>,
    client: ClientOffers,
}

/// What the client does for us.
#[derive(Clone, Copy, Default)]
pub(super) struct ClientOffers {
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) terminal: bool,
}

/// A session that is open in this process.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) cwd: PathBuf,
    pub(super) cancel: watch::Sender<bool>,
    pub(super) prompts: usize,
    pub(super) title: Option<String>,
    /// Do not ask for leave for these kinds of tool calls (`edit`, `execute`).
    pub(super) allowed: Vec<String>,
    pub(super) mode: String,
    /// Characters said and heard, for the usage figure.
    pub(super) characters: u64,
}

impl Scratch {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn client(&self) -> ClientOffers {
        self.inner().client
    }

    pub(super) fn session(&self, id: &str) -> Option<Session> {
        self.inner().sessions.get(id).cloned()
    }

    pub(super) fn change<T>(&self, id: &str, change: impl FnOnce(&mut Session) -> T) -> Option<T> {
        self.inner().sessions.get_mut(id).map(change)
    }

    fn open(&self, id: &str, cwd: PathBuf, prompts: usize, title: Option<String>) -> Value {
        let session = Session {
            cwd,
            cancel: watch::Sender::new(false),
            prompts,
            title,
            allowed: Vec::new(),
            mode: "ask".into(),
            characters: 0,
        };
        self.inner().sessions.insert(id.to_owned(), session);
        json!({
            "sessionId": id,
            "modes": {
                "currentModeId": "ask",
                "availableModes": [
                    {"id": "ask", "name": "Ask", "description": "Asks before it edits a file or runs a command"},
                    {"id": "allow", "name": "Allow", "description": "Edits and runs without asking"},
                ],
            },
            "_meta": {"gander/greeting": GREETING},
        })
    }
}

/// Counts what was handed to the crate and what was written, so that a turn cannot run ahead of the pipe: the crate's
/// own queue has no bound.
#[derive(Clone)]
pub(super) struct Outlet {
    sent: watch::Sender<u64>,
    written: watch::Sender<u64>,
    /// For what is not a message ([`super::tricks`]).
    pub(super) raw: Arc<tokio::sync::Mutex<tokio::io::Stdout>>,
}

impl Outlet {
    /// Sends an update of a session; waits while too much is unwritten.
    pub(super) async fn update(
        &self,
        connection: &ConnectionTo<Client>,
        session: &str,
        update: Value,
    ) -> Result<(), Error> {
        let params = json!({"sessionId": session, "update": update});
        connection.send_notification(UntypedMessage::new("session/update", params)?)?;
        self.sent.send_modify(|count| *count += 1);
        let sent = *self.sent.borrow();
        // An error would mean that the connection is gone, which sending will tell.
        let _ = self.written.subscribe().wait_for(|written| *written + AHEAD >= sent).await;
        Ok(())
    }

    /// Waits until everything that was sent has been written.
    pub(super) async fn drain(&self) {
        let sent = *self.sent.borrow();
        let _ = self.written.subscribe().wait_for(|written| *written >= sent).await;
    }
}

pub(super) async fn serve(memory: Memory) -> std::io::Result<()> {
    let raw = Arc::new(tokio::sync::Mutex::new(tokio::io::stdout()));
    let outlet = Outlet { sent: watch::Sender::new(0), written: watch::Sender::new(0), raw: raw.clone() };
    let written = outlet.written.clone();
    let outgoing = futures::sink::unfold((raw, written), |(raw, written), line: String| async move {
        let is_update = line.contains(r#""method":"session/update""#);
        let mut line = line.into_bytes();
        line.push(b'\n');
        let mut stdout = raw.lock().await;
        stdout.write_all(&line).await?;
        stdout.flush().await?;
        drop(stdout);
        if is_update {
            written.send_modify(|count| *count += 1);
        }
        Ok::<_, std::io::Error>((raw, written))
    });
    let lines = BufReader::new(tokio::io::stdin()).lines();
    let incoming =
        futures::stream::unfold(lines, |mut lines| async move { Some((lines.next_line().await.transpose()?, lines)) });
    let scratch = Scratch { memory, outlet, inner: Arc::default() };

    let (initialize, create, load) = (scratch.clone(), scratch.clone(), scratch.clone());
    let (resume, close, delete, mode, prompt, cancel) =
        (scratch.clone(), scratch.clone(), scratch.clone(), scratch.clone(), scratch.clone(), scratch);
    Agent
        .v1()
        .name("scratch")
        .on_receive_request(
            async move |request: InitializeRequest, responder, _cx: ConnectionTo<Client>| {
                let offers = request.client_capabilities;
                initialize.inner().client = ClientOffers {
                    read: offers.fs.read_text_file,
                    write: offers.fs.write_text_file,
                    terminal: offers.terminal,
                };
                answer(responder, Ok(description()))
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: NewSessionRequest, responder, cx: ConnectionTo<Client>| {
                let id = format!("scratch-{}", uuid::Uuid::now_v7());
                // If that fails, every answer will say so; the session works all the same.
                let _ = create.memory.create(&id, &request.cwd);
                let opened = create.open(&id, request.cwd, 0, None);
                answer(responder, Ok(opened))?;
                create.outlet.update(&cx, &id, commands()).await
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: LoadSessionRequest, responder, cx: ConnectionTo<Client>| {
                let id = request.session_id.to_string();
                let scratch = load.clone();
                let Some(remembered) = scratch.memory.load(&id) else { return answer(responder, Err(unknown(&id))) };
                // The replay may be larger than the pipe: not in the handler.
                cx.clone().spawn(async move {
                    for update in remembered.updates {
                        scratch.outlet.update(&cx, &id, update).await?;
                    }
                    let opened = scratch.open(&id, request.cwd, remembered.prompts, remembered.title);
                    answer(responder, Ok(without_id(opened)))?;
                    scratch.outlet.update(&cx, &id, commands()).await
                })
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: ResumeSessionRequest, responder, cx: ConnectionTo<Client>| {
                let id = request.session_id.to_string();
                let Some(remembered) = resume.memory.load(&id) else { return answer(responder, Err(unknown(&id))) };
                let opened = resume.open(&id, request.cwd, remembered.prompts, remembered.title);
                answer(responder, Ok(without_id(opened)))?;
                resume.outlet.update(&cx, &id, commands()).await
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: CloseSessionRequest,
                        responder: Responder<CloseSessionResponse>,
                        _cx: ConnectionTo<Client>| {
                if let Some(session) = close.inner().sessions.remove(&request.session_id.to_string()) {
                    session.cancel.send_replace(true);
                }
                responder.respond(CloseSessionResponse::new())
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: DeleteSessionRequest, responder, _cx: ConnectionTo<Client>| {
                let id = request.session_id.to_string();
                if let Some(session) = delete.inner().sessions.remove(&id) {
                    session.cancel.send_replace(true);
                }
                answer(
                    responder,
                    match delete.memory.delete(&id) {
                        Ok(true) => Ok(json!({})),
                        Ok(false) => Err(unknown(&id)),
                        Err(error) => Err(Error::internal_error().data(error.to_string())),
                    },
                )
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: SetSessionModeRequest,
                        responder: Responder<SetSessionModeResponse>,
                        cx: ConnectionTo<Client>| {
                let (id, wanted) = (request.session_id.to_string(), request.mode_id.to_string());
                if wanted != "ask" && wanted != "allow" {
                    return responder.respond_with_error(Error::invalid_params().data("the modes are ask and allow"));
                }
                if mode.change(&id, |session| session.mode.clone_from(&wanted)).is_none() {
                    return responder.respond_with_error(unknown(&id));
                }
                responder.respond(SetSessionModeResponse::new())?;
                let update = json!({"sessionUpdate": "current_mode_update", "currentModeId": wanted});
                mode.outlet.update(&cx, &id, update).await
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: PromptRequest, responder, cx: ConnectionTo<Client>| {
                let id = request.session_id.to_string();
                if prompt.session(&id).is_none() {
                    return answer(responder, Err(unknown(&id)));
                }
                let turn = Turn::new(prompt.clone(), cx.clone(), id);
                cx.spawn(async move {
                    let (result, after) = turn.run(request.prompt).await;
                    answer(responder, result)?;
                    if let Some(after) = after {
                        after.await?;
                    }
                    Ok(())
                })
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_notification(
            async move |request: CancelNotification, _cx: ConnectionTo<Client>| {
                cancel.change(&request.session_id.to_string(), |session| session.cancel.send_replace(true));
                Ok(())
            },
            agent_client_protocol::on_receive_notification!(),
        )
        .connect_to(Lines::new(Box::pin(outgoing), Box::pin(incoming)))
        .await
        .map_err(|error| std::io::Error::other(error.to_string()))
}

/// Answers with JSON as written here: what is sent is what a reader of this file sees.
fn answer<T: agent_client_protocol::JsonRpcResponse>(
    responder: Responder<T>,
    result: Result<Value, Error>,
) -> Result<(), Error> {
    responder.erase_to_json().respond_with_result(result)
}

fn unknown(id: &str) -> Error {
    Error::new(-32002, "Resource not found").data(format!("I remember no session {id}"))
}

fn without_id(mut opened: Value) -> Value {
    if let Some(fields) = opened.as_object_mut() {
        fields.remove("sessionId");
    }
    opened
}

fn description() -> Value {
    json!({
        "protocolVersion": 1,
        "agentCapabilities": {
            "loadSession": true,
            "promptCapabilities": {"image": true, "embeddedContext": true},
            "sessionCapabilities": {"resume": {}, "close": {}, "delete": {}},
        },
        "agentInfo": {"name": "scratch", "title": "Scratch (offline, no model)", "version": env!("CARGO_PKG_VERSION")},
        "authMethods": [],
        "_meta": {"gander/greeting": GREETING},
    })
}

/// The update that advertises the slash commands.
pub(super) fn commands() -> Value {
    let commands: Vec<Value> = phrases::COMMANDS
        .iter()
        .map(|command| match command.hint {
            "" => json!({"name": command.name, "description": command.what}),
            hint => json!({"name": command.name, "description": command.what, "input": {"hint": hint}}),
        })
        .collect();
    json!({"sessionUpdate": "available_commands_update", "availableCommands": commands})
}
