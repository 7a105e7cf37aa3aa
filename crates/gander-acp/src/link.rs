//! The official crate's `Client` role, joined to our line transport: it sends our requests, hands their answers to who
//! waits, and routes the agent's requests to the handlers here.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agent_client_protocol::v1::schema::{
    CreateTerminalRequest, CreateTerminalResponse, KillTerminalRequest, KillTerminalResponse, ReadTextFileRequest,
    ReadTextFileResponse, ReleaseTerminalRequest, ReleaseTerminalResponse, TerminalExitStatus, TerminalOutputRequest,
    TerminalOutputResponse, WaitForTerminalExitRequest, WaitForTerminalExitResponse, WriteTextFileRequest,
    WriteTextFileResponse,
};
use agent_client_protocol::v1::{ConnectionTo, Responder};
use agent_client_protocol::{Agent, Client, Error, Lines, UntypedMessage};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;

use crate::folder::FolderError;
use crate::shared::Shared;
use crate::terminal::Launch;
use crate::{AgentSessionId, Exit};

/// How long the crate may take to write what it still has when the agent's input is being closed.
const DRAIN: Duration = Duration::from_secs(1);

/// ACP's code for something that is not there.
const RESOURCE_NOT_FOUND: i32 = -32002;

/// Where the connection stands once it is up.
pub(crate) type Link = OnceLock<ConnectionTo<Agent>>;

/// Serves the connection until the input is to be closed or the agent's output ends. Dropping `stdin` at the end is what
/// the agent sees as the end of its input.
pub(crate) async fn serve(
    stdin: ChildStdin,
    from_reader: mpsc::Receiver<String>,
    shared: Arc<Shared>,
    link: Arc<Link>,
    linked: tokio::sync::watch::Sender<bool>,
) {
    let outgoing = futures::sink::unfold((stdin, shared.clone()), |(mut stdin, shared), line: String| async move {
        shared.note_outgoing(&line);
        let mut line = line.into_bytes();
        line.push(b'\n');
        stdin.write_all(&line).await?;
        stdin.flush().await?;
        Ok::<_, std::io::Error>((stdin, shared))
    });
    let incoming = futures::stream::unfold(from_reader, |mut lines| async move {
        let line = lines.recv().await?;
        Some((Ok::<_, std::io::Error>(line), lines))
    });
    let mut closing = shared.closing.subscribe();
    let handled = shared.clone();
    let connection = Client
        .v1()
        .name("gander")
        .on_receive_request(
            async move |request: UntypedMessage, responder: Responder, _connection| {
                // Never awaited here: a handler holds up every message behind it.
                tokio::spawn(answer(handled.clone(), request, responder));
                Ok(())
            },
            agent_client_protocol::on_receive_request!(),
        )
        .connect_with(Lines::new(Box::pin(outgoing), Box::pin(incoming)), async move |connection| {
            // Set once: a connection is served once.
            let _ = link.set(connection.clone());
            linked.send_replace(true);
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => {}
                () = connection.incoming_closed() => {}
            }
            Ok(())
        });
    let mut closing = shared.closing.subscribe();
    let result = tokio::select! {
        result = connection => result,
        () = async {
            // An agent that does not read its input would hold up the drain for ever.
            let _ = closing.wait_for(|closing| *closing).await;
            tokio::time::sleep(DRAIN).await;
        } => Ok(()),
    };
    if let Err(error) = result {
        tracing::debug!(agent = shared.process.pid, %error, "the connection to the agent ended");
    }
    // Without a connection the process is of no use: an agent that closed its input would never exit by itself.
    shared.closing.send_replace(true);
}

async fn answer(shared: Arc<Shared>, request: UntypedMessage, responder: Responder) {
    let key = serde_json::to_string(responder.raw_id()).unwrap_or_default();
    let cancellation = responder.cancellation();
    let (method, params) = request.into_parts();
    let result = tokio::select! {
        result = handle(&shared, &key, &method, params) => result,
        () = cancellation.cancelled() => Err(Error::request_cancelled()),
    };
    // It fails only when the connection is gone.
    let _ = responder.respond_with_result(result);
}

async fn handle(shared: &Arc<Shared>, key: &str, method: &str, params: Value) -> Result<Value, Error> {
    match method {
        "session/request_permission" => {
            let answered =
                shared.take_permission(key).ok_or_else(|| wrong("sessionId, toolCall and options are needed"))?;
            // A reply that was dropped means: cancelled.
            Ok(match answered.await {
                Ok(option) => json!({"outcome": {"outcome": "selected", "optionId": option}}),
                Err(_) => json!({"outcome": {"outcome": "cancelled"}}),
            })
        }
        "fs/read_text_file" if shared.options.files => {
            let request: ReadTextFileRequest = parse(params)?;
            let (folder, limit) = (shared.folder.clone(), shared.bounds.file_bytes);
            let text =
                blocking(move || folder.read_text(&request.path, limit).map(|t| slice(t, request.line, request.limit)));
            done(ReadTextFileResponse::new(text.await?))
        }
        "fs/write_text_file" if shared.options.files => {
            let request: WriteTextFileRequest = parse(params)?;
            let limit = shared.bounds.file_bytes;
            if request.content.len() as u64 > limit {
                let size = request.content.len() as u64;
                return Err(refuse(&FolderError::TooLarge { path: request.path, size, limit }));
            }
            let folder = shared.folder.clone();
            blocking(move || folder.write_text(&request.path, &request.content)).await?;
            done(WriteTextFileResponse::new())
        }
        "terminal/create" if shared.options.terminals => {
            let request: CreateTerminalRequest = parse(params)?;
            let cwd = match request.cwd {
                Some(cwd) => shared.folder.folder(&cwd).map_err(|error| refuse(&error))?,
                None => shared.folder.root().to_owned(),
            };
            let launch = Launch {
                agent_session: AgentSessionId(request.session_id.to_string()),
                command: request.command,
                args: request.args,
                env: request.env.into_iter().map(|variable| (variable.name, variable.value)).collect(),
                cwd,
                output_limit: request.output_byte_limit,
            };
            let command = launch.command.clone();
            match shared.terminals.create(launch) {
                Ok(id) => done(CreateTerminalResponse::new(id)),
                Err(error) => Err(Error::internal_error().data(format!("{command} could not be started: {error}"))),
            }
        }
        "terminal/output" if shared.options.terminals => {
            let request: TerminalOutputRequest = parse(params)?;
            let (text, truncated, exit) = terminal(shared, &request.terminal_id.to_string())?.output();
            done(TerminalOutputResponse::new(text, truncated).exit_status(exit.map(exit_status)))
        }
        "terminal/wait_for_exit" if shared.options.terminals => {
            let request: WaitForTerminalExitRequest = parse(params)?;
            let exit = terminal(shared, &request.terminal_id.to_string())?.exited().await;
            done(WaitForTerminalExitResponse::new(exit_status(exit)))
        }
        "terminal/kill" if shared.options.terminals => {
            let request: KillTerminalRequest = parse(params)?;
            terminal(shared, &request.terminal_id.to_string())?.end().await;
            done(KillTerminalResponse::new())
        }
        "terminal/release" if shared.options.terminals => {
            let request: ReleaseTerminalRequest = parse(params)?;
            let id = request.terminal_id.to_string();
            match shared.terminals.release(&id).await {
                true => done(ReleaseTerminalResponse::new()),
                false => Err(unknown_terminal(&id)),
            }
        }
        _ => Err(Error::method_not_found().data(method.to_owned())),
    }
}

fn terminal(shared: &Shared, id: &str) -> Result<Arc<crate::terminal::Terminal>, Error> {
    shared.terminals.get(id).ok_or_else(|| unknown_terminal(id))
}

fn unknown_terminal(id: &str) -> Error {
    Error::new(RESOURCE_NOT_FOUND, "Resource not found").data(format!("there is no terminal {id}"))
}

fn exit_status(exit: Exit) -> TerminalExitStatus {
    TerminalExitStatus::new()
        .exit_code(exit.code.and_then(|code| u32::try_from(code).ok()))
        .signal(exit.signal.map(|signal| signal.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(params: Value) -> Result<T, Error> {
    serde_json::from_value(params).map_err(|error| wrong(&error.to_string()))
}

fn done(response: impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(response).map_err(Error::into_internal_error)
}

fn wrong(detail: &str) -> Error {
    Error::invalid_params().data(detail.to_owned())
}

fn refuse(error: &FolderError) -> Error {
    match error {
        FolderError::NotFound(path) => {
            Error::new(RESOURCE_NOT_FOUND, "Resource not found").data(path.display().to_string())
        }
        FolderError::Io { .. } => Error::internal_error().data(error.to_string()),
        _ => wrong(&error.to_string()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FolderError> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| refuse(&error)),
        Err(error) => Err(Error::internal_error().data(error.to_string())),
    }
}

/// The lines from `line` (counted from 1) on, at most `limit` of them.
fn slice(text: String, line: Option<u32>, limit: Option<u32>) -> String {
    if line.is_none() && limit.is_none() {
        return text;
    }
    let skip = line.unwrap_or(1).saturating_sub(1) as usize;
    let take = limit.map_or(usize::MAX, |limit| limit as usize);
    text.split_inclusive('\n').skip(skip).take(take).collect()
}

/// Waits until the connection stands.
pub(crate) async fn up(mut linked: tokio::sync::watch::Receiver<bool>) {
    // An error means that the connection ended first; asking it will tell.
    let _ = linked.wait_for(|up| *up).await;
}
