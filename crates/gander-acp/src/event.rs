//! What comes from an agent: one ordered, bounded stream.

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{AgentError, Exit, Update};

/// The agent's own id of a session. An attribute, never an identity: agents use ids again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AgentSessionId(pub String);

impl AgentSessionId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for AgentSessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for AgentSessionId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl From<String> for AgentSessionId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

/// Something that an agent did, in the order in which it did it.
#[derive(Debug)]
pub enum AgentEvent {
    /// A session's update.
    Update(Box<Update>),
    /// The agent asks for leave. It waits until the reply is given; dropping the reply answers "cancelled".
    Permission(Box<Permission>),
    /// A prompt is over. Every update that the agent printed before it came before it.
    PromptEnded {
        /// The session that was prompted.
        agent_session: AgentSessionId,
        /// How it ended: the agent's stop reason, its refusal, or that it is gone.
        result: Result<Stop, AgentError>,
    },
    /// More output of a command that the agent had us run. All of it comes before the agent learns of the command's end.
    Terminal(Box<TerminalOutput>),
    /// A notification that is not `session/update`: an extension of the agent's. Kept raw.
    Notification {
        /// Its method.
        method: String,
        /// Its parameters exactly as received.
        params: Option<Box<RawValue>>,
    },
    /// A line that is no message. Reported for the 1st, 2nd, 4th, 8th, … so that a babbling agent cannot flood.
    Garbage {
        /// The line's beginning, at most 400 characters, made printable.
        line: String,
        /// What is wrong with it.
        why: Garbage,
        /// The line's length in bytes.
        bytes: u64,
        /// How many such lines the agent has printed so far.
        count: u64,
    },
    /// A line of standard error, at most 4 KiB of it. Left out rather than waited for when many events wait.
    Stderr {
        /// The line.
        line: String,
    },
    /// The process is gone and all that it printed has been reported. Always the last event.
    Exited(Exit),
}

/// Why a line is not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbage {
    /// It is not JSON, or not a JSON-RPC message.
    NotAMessage,
    /// It is longer than the bound, and was skipped: its content is lost. A note of it belongs in the session.
    TooLong,
    /// It is not UTF-8. Its bad bytes were replaced (U+FFFD), and if it then was a message, that follows.
    NotUtf8,
    /// A `session/update` that names no session or has no `update`.
    NoSession,
    /// An answer to nothing that was asked.
    StrayAnswer,
}

/// A request for leave.
#[derive(Debug)]
pub struct Permission {
    /// The session it is for.
    pub agent_session: AgentSessionId,
    /// The tool call, exactly as received.
    pub tool_call: Box<RawValue>,
    /// The options, exactly as received: `[{"optionId","name","kind"}]`.
    pub options: Box<RawValue>,
    /// The tool call's id, by which its item is found.
    pub tool_call_id: Option<String>,
    /// Where the answer goes.
    pub reply: PermissionReply,
}

/// The place for a permission's answer. Dropping it answers "cancelled".
#[derive(Debug)]
pub struct PermissionReply {
    pub(crate) answer: oneshot::Sender<String>,
}

impl PermissionReply {
    /// Answers with one of the offered options. An agent that is gone by now is not an error.
    pub fn select(self, option_id: impl Into<String>) {
        // The receiving side is gone only when the agent is.
        let _ = self.answer.send(option_id.into());
    }

    /// Answers that the turn was cancelled.
    pub fn cancel(self) {}
}

/// How a prompt ended.
#[derive(Debug, Clone)]
pub struct Stop {
    /// `end_turn`, `max_tokens`, `max_turn_requests`, `refusal`, `cancelled`, or what else the agent said.
    pub reason: String,
    /// The whole answer exactly as received; it may have usage.
    pub raw: Box<RawValue>,
}

/// Output of a command that the agent had us run. It is in none of the agent's updates, which only name the terminal.
#[derive(Debug, Clone)]
pub struct TerminalOutput {
    /// The session it is for.
    pub agent_session: AgentSessionId,
    /// The terminal, as tool calls name it (`{"type":"terminal","terminalId"}`).
    pub terminal_id: String,
    /// The command line, for people.
    pub command: String,
    /// How many bytes of output were reported before.
    pub from: u64,
    /// What came since.
    pub text: String,
    /// Set on the last report.
    pub exit: Option<Exit>,
    /// On the last report: bytes that were not reported because of the bound.
    pub omitted: u64,
}

/// The receiving side of an agent's events. While it is not read, the agent is not read.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Queued>,
    ended: bool,
}

/// An event and the room that it takes, given back when the event is taken.
#[derive(Debug)]
struct Queued {
    event: AgentEvent,
    _room: Option<OwnedSemaphorePermit>,
}

/// The sending side: bounded in events and in bytes.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    room_bytes: u32,
}

/// An ordered, bounded queue of events.
pub(crate) fn queue(bounds: &crate::Bounds) -> (EventSender, Events) {
    let (sender, receiver) = mpsc::channel(bounds.events.max(1));
    let room_bytes = u32::try_from(bounds.event_bytes.clamp(1, 1 << 29)).unwrap_or(1 << 29);
    let room = Arc::new(Semaphore::new(room_bytes as usize));
    (EventSender { queue: sender, room, room_bytes }, Events { queue: receiver, ended: false })
}

impl EventSender {
    /// Waits until there is room. An event larger than all the room waits until it is alone. Gives whether somebody listens.
    pub(crate) async fn send(&self, event: AgentEvent, bytes: usize) -> bool {
        let want = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.room_bytes);
        let room = tokio::select! {
            room = self.room.clone().acquire_many_owned(want) => room.ok(),
            () = self.queue.closed() => None,
        };
        self.queue.send(Queued { event, _room: room }).await.is_ok()
    }

    /// Sends only if at least half of the queue is free: for what may be left out.
    pub(crate) fn offer(&self, event: AgentEvent) {
        if self.queue.capacity() * 2 > self.queue.max_capacity() {
            // Left out when it is full after all.
            let _ = self.queue.try_send(Queued { event, _room: None });
        }
    }
}

impl Events {
    /// The next event; `None` after [`AgentEvent::Exited`]. Cancel safe.
    pub async fn recv(&mut self) -> Option<AgentEvent> {
        if self.ended {
            return None;
        }
        let event = self.queue.recv().await.map(|queued| queued.event);
        self.note(event)
    }

    /// The next event if one waits.
    pub fn try_recv(&mut self) -> Option<AgentEvent> {
        if self.ended {
            return None;
        }
        let event = self.queue.try_recv().ok().map(|queued| queued.event);
        self.note(event)
    }

    fn note(&mut self, event: Option<AgentEvent>) -> Option<AgentEvent> {
        self.ended = matches!(event, Some(AgentEvent::Exited(_)));
        event
    }
}
