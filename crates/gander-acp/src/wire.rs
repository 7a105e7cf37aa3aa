//! Reading an agent's standard output: lines, what each of them is, and the one order in which they count.
//!
//! The official crate parses each line into a JSON tree and queues it without a bound, and it hands an answer to its
//! awaiter while later lines are already being dispatched. A journal needs the bytes as they came, a reader that stops
//! when nobody takes, and a turn's end behind its updates. So this reader stands before the crate: it sends updates,
//! permissions and the ends of prompts into the event queue itself, in the order of the lines, and passes on to the
//! crate only what the crate is there for: answers to requests that we sent, and requests of the agent, of which at
//! most `Bounds::requests` are open at once.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::{mpsc, oneshot};

use crate::event::{Permission, PermissionReply};
use crate::mend;
use crate::shared::{Asked, Shared};
use crate::{AgentError, AgentEvent, AgentSessionId, Garbage, Stop, Update, UpdateKind};

/// The parts of a JSON-RPC message, unparsed.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Envelope<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) method: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn read(line: &'a str) -> Option<Self> {
        // A JSON array is a batch, which ACP does not have, and serde would read it as the fields in order.
        line.trim_start().starts_with('{').then(|| serde_json::from_str(line).ok())?
    }

    /// The id in one spelling, whatever the agent's; `None` if it is neither a whole number nor a text.
    pub(crate) fn key(&self) -> Option<String> {
        let id = serde_json::from_str::<serde_json::Value>(self.id?.get()).ok()?;
        (id.is_i64() || id.is_string()).then(|| id.to_string())
    }

    pub(crate) fn method(&self) -> Option<String> {
        serde_json::from_str(self.method?.get()).ok()
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SessionParams<'a> {
    pub(crate) session_id: Option<AgentSessionId>,
    #[serde(borrow)]
    update: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call: Option<&'a RawValue>,
    #[serde(borrow)]
    options: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PromptResult {
    #[serde(rename = "stopReason")]
    stop_reason: String,
}

#[derive(Deserialize)]
struct Offer<'a> {
    #[serde(borrow, rename = "protocolVersion")]
    protocol_version: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct ToolCallId {
    #[serde(rename = "toolCallId")]
    id: String,
}

/// Reads until the agent's output ends or is given up.
pub(crate) async fn read(stdout: ChildStdout, shared: Arc<Shared>, to_crate: mpsc::Sender<String>) {
    let mut lines = LineReader::new(stdout, shared.bounds.line_bytes);
    let mut reader = Reader { shared: shared.clone(), to_crate, torn: None, garbage: 0, garbage_in_a_row: 0 };
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            // A descendant that we could not end may hold the pipe open for good.
            () = shared.long_gone() => break,
        };
        match line {
            Ok(Some(line)) => reader.take(line).await,
            Ok(None) | Err(_) => break,
        }
        if reader.garbage_in_a_row > shared.bounds.garbage_lines {
            shared.give_up_babbling(reader.garbage_in_a_row);
            break;
        }
    }
}

struct Reader {
    shared: Arc<Shared>,
    /// The first half of a character that a chunk ended with.
    torn: Option<Torn>,
    to_crate: mpsc::Sender<String>,
    garbage: u64,
    garbage_in_a_row: u64,
}

/// Half a character, and where the other half is expected.
struct Torn {
    agent_session: AgentSessionId,
    kind: UpdateKind,
    item_key: Option<String>,
    half: String,
}

impl Reader {
    /// Puts a character together that was cut in half between two chunks: the half that ends a chunk goes to the next.
    fn put_together(&mut self, mut update: Update) -> Update {
        let torn = self.torn.take();
        let Some(at) = update.text_at.clone() else { return update };
        let json = update.update.get();
        let (before, inside, after) = (&json[..at.start], &json[at.clone()], &json[at.end..]);
        let awaited = torn.filter(|torn| {
            torn.agent_session == update.agent_session && torn.kind == update.kind && torn.item_key == update.item_key
        });
        let awaited = awaited.filter(|_| mend::begins_torn(inside));
        // As a rule nothing is torn, and nothing copied.
        if awaited.is_none() && mend::torn_end(inside).is_none() {
            return update;
        }
        let mut inside = awaited.map_or_else(String::new, |torn| torn.half) + inside;
        let half = mend::torn_end(&inside).map(|(head, half)| (head.len(), half.to_owned()));
        if let Some((length, half)) = half {
            inside.truncate(length);
            self.torn = Some(Torn {
                agent_session: update.agent_session.clone(),
                kind: update.kind.clone(),
                item_key: update.item_key.clone(),
                half,
            });
        }
        if let Ok(json) = RawValue::from_string(format!("{before}{inside}{after}")) {
            update = Update::read(update.agent_session, json);
        }
        update
    }

    async fn take(&mut self, line: Line) {
        let (text, bytes) = match line {
            Line::TooLong { head, bytes } => return self.garbage(&head, Garbage::TooLong, bytes).await,
            Line::Whole(bytes) => {
                let length = bytes.len() as u64;
                match String::from_utf8(bytes) {
                    Ok(text) => (text, length),
                    Err(error) => {
                        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                        self.garbage(&text, Garbage::NotUtf8, length).await;
                        (text, length)
                    }
                }
            }
        };
        if text.trim().is_empty() {
            return;
        }
        let Some(envelope) = Envelope::read(&text) else {
            return self.garbage(&text, Garbage::NotAMessage, bytes).await;
        };
        let understood = match (envelope.method(), envelope.id.is_some()) {
            (Some(method), true) => self.request(&method, &envelope, text.len()).await,
            (Some(method), false) => self.notification(&method, &envelope, text.len()).await,
            (None, true) => self.answer(&envelope, text.len()).await,
            (None, false) => Err(Garbage::NotAMessage),
        };
        match understood {
            Ok(()) => self.garbage_in_a_row = 0,
            Err(why) => self.garbage(&text, why, bytes).await,
        }
    }

    async fn notification(&mut self, method: &str, envelope: &Envelope<'_>, bytes: usize) -> Result<(), Garbage> {
        match method {
            "session/update" => {
                let params = envelope.params.and_then(|p| serde_json::from_str::<SessionParams<'_>>(p.get()).ok());
                let params = params.ok_or(Garbage::NoSession)?;
                let (Some(session), Some(update)) = (params.session_id, params.update) else {
                    return Err(Garbage::NoSession);
                };
                let mut update = self.put_together(Update::read(session, update.to_owned()));
                let length = update.update.get().len();
                update.update = mend::sound(update.update);
                // A mended character takes the same room; what is kept as text is another value.
                if update.update.get().len() != length {
                    update = Update::read(update.agent_session, update.update);
                }
                if update.kind == UpdateKind::UserMessage {
                    update.echo = self.shared.is_echo(&update);
                }
                if let Some(update) = self.shared.keep_for_replay(update, bytes) {
                    self.shared.events.send(AgentEvent::Update(Box::new(update)), bytes).await;
                }
            }
            "$/cancel_request" => {
                // Only for a request that is open, so that these cannot pile up in the crate.
                let params = envelope.params.and_then(|p| serde_json::from_str::<serde_json::Value>(p.get()).ok());
                let key = params.and_then(|p| p.get("requestId").map(ToString::to_string));
                if key.is_some_and(|key| self.shared.is_answering(&key)) {
                    self.forward(method, envelope, false).await;
                }
            }
            _ => {
                let params = envelope.params.map(|params| mend::sound(params.to_owned()));
                self.shared.events.send(AgentEvent::Notification { method: method.to_owned(), params }, bytes).await;
            }
        }
        Ok(())
    }

    async fn request(&mut self, method: &str, envelope: &Envelope<'_>, bytes: usize) -> Result<(), Garbage> {
        let key = envelope.key().ok_or(Garbage::NotAMessage)?;
        // A second request under an open id could not be told from the first, nor counted.
        if self.shared.is_answering(&key) {
            return Err(Garbage::NotAMessage);
        }
        // What the crate would not parse it would not answer under its id, and its place would never be free again.
        let params = envelope.params.map(|params| serde_json::from_str::<serde_json::Value>(params.get()));
        if params.is_some_and(|params| !params.is_ok_and(|params| params.is_object() || params.is_array())) {
            return Err(Garbage::NotAMessage);
        }
        self.shared.begin_answering(key.clone()).await;
        if method != "session/request_permission" {
            self.forward(method, envelope, false).await;
            return Ok(());
        }
        let params = envelope.params.and_then(|p| serde_json::from_str::<SessionParams<'_>>(p.get()).ok());
        let params = params.unwrap_or_default();
        if let (Some(agent_session), Some(tool_call), Some(options)) =
            (params.session_id, params.tool_call, params.options)
        {
            let (answer, answered) = oneshot::channel();
            self.shared.expect_permission(key, answered);
            let permission = Permission {
                agent_session,
                tool_call_id: serde_json::from_str::<ToolCallId>(tool_call.get()).ok().map(|call| call.id),
                tool_call: mend::sound(tool_call.to_owned()),
                options: mend::sound(options.to_owned()),
                reply: PermissionReply { answer },
            };
            self.shared.events.send(AgentEvent::Permission(Box::new(permission)), bytes).await;
        }
        // The crate routes the answer; it needs no copy of what may be a large diff. Without a receiver that waits for
        // it, it is refused as malformed.
        self.forward(method, envelope, true).await;
        Ok(())
    }

    async fn answer(&mut self, envelope: &Envelope<'_>, bytes: usize) -> Result<(), Garbage> {
        let key = envelope.key().ok_or(Garbage::NotAMessage)?;
        match self.shared.answered(&key).ok_or(Garbage::StrayAnswer)? {
            Asked::Prompt(agent_session) => {
                let result = match (envelope.result, envelope.error) {
                    (_, Some(error)) => Err(refused("session/prompt", error)),
                    (Some(result), None) => match serde_json::from_str::<PromptResult>(result.get()) {
                        Ok(stop) => Ok(Stop { reason: stop.stop_reason, raw: mend::sound(result.to_owned()) }),
                        Err(error) => Err(bad_answer("session/prompt", &error)),
                    },
                    (None, None) => Err(AgentError::BadAnswer {
                        method: "session/prompt".into(),
                        detail: "it has neither a result nor an error".into(),
                    }),
                };
                self.shared.end_prompt(&agent_session).await;
                self.shared.events.send(AgentEvent::PromptEnded { agent_session, result }, bytes).await;
            }
            Asked::Load => self.shared.replay_is_complete(),
            Asked::Initialize => {
                let version = envelope.result.and_then(|r| serde_json::from_str::<Offer<'_>>(r.get()).ok());
                self.shared.note_version(version.and_then(|offer| Some(offer.protocol_version?.get().to_owned())));
            }
            Asked::Other => {}
        }
        let id = envelope.id.map_or("null", RawValue::get);
        let line = match envelope.error {
            Some(error) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
            None => {
                let result = envelope.result.map_or("null", RawValue::get);
                format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
            }
        };
        // The crate is gone only when the connection is being closed.
        let _ = self.to_crate.send(line).await;
        Ok(())
    }

    /// Passes a request or notification on to the crate, spelled as it expects it.
    async fn forward(&mut self, method: &str, envelope: &Envelope<'_>, without_params: bool) {
        let id = envelope.id.map_or_else(String::new, |id| format!(r#""id":{id},"#));
        let params = envelope.params.filter(|_| !without_params).map_or("{}", RawValue::get);
        let method = serde_json::Value::from(method);
        let line = format!(r#"{{"jsonrpc":"2.0",{id}"method":{method},"params":{params}}}"#);
        let _ = self.to_crate.send(line).await;
    }

    async fn garbage(&mut self, line: &str, why: Garbage, bytes: u64) {
        self.garbage += 1;
        self.garbage_in_a_row += 1;
        if self.garbage.is_power_of_two() {
            let line = line.chars().take(400).map(|c| if c.is_control() { ' ' } else { c }).collect();
            let event = AgentEvent::Garbage { line, why, bytes, count: self.garbage };
            self.shared.events.send(event, 400).await;
        }
    }
}

/// Carries standard error into the tail that error messages show, and offers its lines as events.
pub(crate) async fn read_stderr(stderr: ChildStderr, shared: Arc<Shared>) {
    let mut lines = LineReader::new(stderr, 4096);
    while let Ok(Some(line)) = lines.next().await {
        let line = match line {
            Line::Whole(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Line::TooLong { head, bytes } => format!("{head}… ({bytes} bytes)"),
        };
        shared.note_stderr(&line);
        shared.events.offer(AgentEvent::Stderr { line });
    }
}

fn refused(method: &str, error: &RawValue) -> AgentError {
    match serde_json::from_str::<RpcError>(error.get()) {
        Ok(error) => AgentError::Refused {
            method: method.to_owned(),
            code: error.code,
            message: error.message,
            data: error.data.map(Box::new),
        },
        Err(error) => bad_answer(method, &error),
    }
}

fn bad_answer(method: &str, error: &serde_json::Error) -> AgentError {
    AgentError::BadAnswer { method: method.to_owned(), detail: error.to_string() }
}

/// A line of output.
enum Line {
    /// Without its newline.
    Whole(Vec<u8>),
    /// Longer than the bound: only its beginning was kept.
    TooLong { head: String, bytes: u64 },
}

/// Splits output into lines, holding at most one line of at most `limit` bytes.
struct LineReader<R> {
    input: BufReader<R>,
    limit: usize,
    line: Vec<u8>,
    /// The length of a line that is being skipped.
    skipping: Option<u64>,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    fn new(input: R, limit: usize) -> Self {
        Self { input: BufReader::with_capacity(64 << 10, input), limit, line: Vec::new(), skipping: None }
    }

    /// The next line; cancel safe, because what was read is kept in `self`.
    async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let available = self.input.fill_buf().await?;
            if available.is_empty() {
                // A last line without a newline may be torn, which parsing will tell.
                let nothing = self.line.is_empty() && self.skipping.is_none();
                return Ok((!nothing).then(|| self.finish()));
            }
            let newline = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..newline.unwrap_or(available.len())];
            let used = newline.map_or(available.len(), |at| at + 1);
            match &mut self.skipping {
                Some(skipped) => *skipped += part.len() as u64,
                None if self.line.len() + part.len() > self.limit => {
                    self.skipping = Some((self.line.len() + part.len()) as u64);
                    let room = 4096_usize.saturating_sub(self.line.len()).min(part.len());
                    self.line.extend_from_slice(&part[..room]);
                    self.line.truncate(4096);
                    self.line.shrink_to_fit();
                }
                None => self.line.extend_from_slice(part),
            }
            self.input.consume(used);
            if newline.is_some() {
                return Ok(Some(self.finish()));
            }
        }
    }

    fn finish(&mut self) -> Line {
        let line = std::mem::take(&mut self.line);
        match self.skipping.take() {
            Some(bytes) => Line::TooLong { head: String::from_utf8_lossy(&line).into_owned(), bytes },
            None => Line::Whole(line),
        }
    }
}
