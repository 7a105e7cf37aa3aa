//! What the parts of one running agent share: what was asked, what is being answered, how it ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::event::EventSender;
use crate::folder::Folder;
use crate::terminal::Terminals;
use crate::wire::{Envelope, SessionParams};
use crate::{AgentError, AgentEvent, AgentProcess, AgentSessionId, Bounds, Exit, StartOptions, Timeouts, Update};

/// How long output is still waited for after the process is gone, when somebody else holds its pipe.
const AFTER_EXIT: Duration = Duration::from_secs(2);
/// How much of standard error is kept for messages.
const STDERR_TAIL: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) process: AgentProcess,
    pub(crate) bounds: Bounds,
    pub(crate) timeouts: Timeouts,
    pub(crate) options: StartOptions,
    pub(crate) folder: Arc<Folder>,
    pub(crate) terminals: Terminals,
    pub(crate) events: EventSender,
    pub(crate) exit: watch::Sender<Option<Exit>>,
    /// The agent's input is to be closed.
    pub(crate) closing: watch::Sender<bool>,
    /// The process is to be killed.
    pub(crate) kill: Notify,
    /// Something of a replay arrived.
    pub(crate) replaying: watch::Sender<u64>,
    requests: Arc<Semaphore>,
    state: Mutex<State>,
    stderr: Mutex<String>,
}

#[derive(Debug, Default)]
struct State {
    asked: HashMap<String, Asked>,
    /// The sessions that have a prompt running.
    prompts: HashMap<AgentSessionId, Prompting>,
    loading: Option<Loading>,
    permissions: HashMap<String, oneshot::Receiver<String>>,
    answering: HashMap<String, OwnedSemaphorePermit>,
    babble: Option<u64>,
    /// The protocol version that the agent offered.
    version: Option<String>,
    /// All output was read: nothing more will come.
    over: bool,
}

/// A request of ours that is not answered yet.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Prompt(AgentSessionId),
    Load,
    Initialize,
    Other,
}

#[derive(Debug)]
struct Prompting {
    text: String,
    /// The first terminal that was made since.
    terminals_from: u64,
    cancelled: bool,
}

#[derive(Debug)]
struct Loading {
    agent_session: AgentSessionId,
    updates: Vec<Update>,
    bytes: usize,
    complete: bool,
}

impl Shared {
    pub(crate) fn new(process: AgentProcess, folder: Folder, options: StartOptions, events: EventSender) -> Self {
        Self {
            terminals: Terminals::new(events.clone(), options.bounds.clone(), options.mark.clone()),
            process,
            bounds: options.bounds.clone(),
            timeouts: options.timeouts.clone(),
            folder: Arc::new(folder),
            events,
            exit: watch::Sender::new(None),
            closing: watch::Sender::new(false),
            kill: Notify::new(),
            replaying: watch::Sender::new(0),
            requests: Arc::new(Semaphore::new(options.bounds.requests.max(1))),
            state: Mutex::default(),
            stderr: Mutex::default(),
            options,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change below leaves the state whole, also when another thread panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- what we ask

    /// Notes a line that is about to be written to the agent.
    pub(crate) fn note_outgoing(&self, line: &str) {
        let Some(envelope) = Envelope::read(line) else { return };
        let Some(key) = envelope.key() else { return };
        let Some(method) = envelope.method() else {
            // Our answer to a request: its place is free for another.
            self.state().answering.remove(&key);
            return;
        };
        let params = envelope.params.and_then(|p| serde_json::from_str::<SessionParams<'_>>(p.get()).ok());
        let asked = match (method.as_str(), params.and_then(|p| p.session_id)) {
            ("session/prompt", Some(session)) => Asked::Prompt(session),
            ("session/load", _) => Asked::Load,
            ("initialize", _) => Asked::Initialize,
            _ => Asked::Other,
        };
        self.state().asked.insert(key, asked);
    }

    /// An answer arrived: to what?
    pub(crate) fn answered(&self, key: &str) -> Option<Asked> {
        self.state().asked.remove(key)
    }

    /// Notes that a prompt is about to be sent.
    pub(crate) fn begin_prompt(&self, session: &AgentSessionId, text: String) -> Result<(), AgentError> {
        let mut state = self.state();
        if state.over {
            drop(state);
            return Err(self.gone());
        }
        if state.prompts.contains_key(session) {
            return Err(AgentError::Prompting { agent_session: session.clone() });
        }
        let terminals_from = self.terminals.next();
        state.prompts.insert(session.clone(), Prompting { text, terminals_from, cancelled: false });
        Ok(())
    }

    pub(crate) fn note_cancel(&self, session: &AgentSessionId) {
        if let Some(prompt) = self.state().prompts.get_mut(session) {
            prompt.cancelled = true;
        }
    }

    /// The agent answered a prompt. What it had us run during a turn that was cancelled must not go on, and not every
    /// agent ends it itself (goose does not).
    pub(crate) async fn end_prompt(&self, session: &AgentSessionId) {
        let prompt = self.state().prompts.remove(session);
        if let Some(prompt) = prompt.filter(|prompt| prompt.cancelled) {
            self.terminals.end_since(prompt.terminals_from, session).await;
        }
    }

    /// A user chunk that repeats a part of the prompt that its session is working on.
    pub(crate) fn is_echo(&self, update: &Update) -> bool {
        let state = self.state();
        let Some(prompt) = state.prompts.get(&update.agent_session) else { return false };
        update.text().is_none_or(|text| prompt.text.contains(text.trim()))
    }

    pub(crate) fn note_version(&self, version: Option<String>) {
        self.state().version = version;
    }

    /// The protocol version in the agent's answer to `initialize`, as it spelled it.
    pub(crate) fn version(&self) -> Option<String> {
        self.state().version.clone()
    }

    // ---- session/load

    pub(crate) fn begin_load(&self, agent_session: AgentSessionId) {
        self.state().loading = Some(Loading { agent_session, updates: Vec::new(), bytes: 0, complete: false });
    }

    /// Keeps an update that belongs to a replay; gives it back if it does not.
    pub(crate) fn keep_for_replay(&self, update: Update, bytes: usize) -> Option<Update> {
        let mut state = self.state();
        match &mut state.loading {
            Some(loading) if loading.agent_session == update.agent_session && !loading.complete => {
                loading.bytes = loading.bytes.saturating_add(bytes);
                if loading.bytes <= self.bounds.replay_bytes {
                    loading.updates.push(update);
                } else {
                    // Too much: the load will fail, so that what came need not be held.
                    loading.updates = Vec::new();
                }
                drop(state);
                self.replaying.send_modify(|count| *count += 1);
                None
            }
            _ => Some(update),
        }
    }

    /// The agent answered the load: what comes now is live.
    pub(crate) fn replay_is_complete(&self) {
        if let Some(loading) = &mut self.state().loading {
            loading.complete = true;
        }
    }

    /// Ends a load; gives what was replayed.
    pub(crate) fn end_load(&self) -> Result<Vec<Update>, AgentError> {
        let loading = self.state().loading.take();
        let (updates, bytes) = loading.map(|loading| (loading.updates, loading.bytes)).unwrap_or_default();
        if bytes > self.bounds.replay_bytes {
            return Err(AgentError::ReplayTooLarge { limit: self.bounds.replay_bytes });
        }
        Ok(updates)
    }

    // ---- what the agent asks

    /// Takes a place for a request of the agent; waits while too many are open.
    pub(crate) async fn begin_answering(&self, key: String) {
        // The semaphore is never closed.
        if let Ok(place) = self.requests.clone().acquire_owned().await {
            self.state().answering.insert(key, place);
        }
    }

    pub(crate) fn is_answering(&self, key: &str) -> bool {
        self.state().answering.contains_key(key)
    }

    pub(crate) fn expect_permission(&self, key: String, answered: oneshot::Receiver<String>) {
        self.state().permissions.insert(key, answered);
    }

    pub(crate) fn take_permission(&self, key: &str) -> Option<oneshot::Receiver<String>> {
        self.state().permissions.remove(key)
    }

    // ---- the end

    /// Ends an agent that prints anything but messages.
    pub(crate) fn give_up_babbling(&self, lines: u64) {
        self.state().babble = Some(lines);
        self.kill.notify_one();
    }

    /// Pends until the process is gone and then some more.
    pub(crate) async fn long_gone(&self) {
        self.exited().await;
        tokio::time::sleep(AFTER_EXIT).await;
    }

    pub(crate) async fn exited(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        let found = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
        found.unwrap_or(Exit { code: None, signal: None, asked: false })
    }

    /// All output was read and the process is gone: ends what was waiting and says so.
    pub(crate) async fn finish(&self) {
        let exit = self.exited().await;
        let prompts: Vec<_> = {
            let mut state = self.state();
            state.over = true;
            state.permissions.clear();
            state.prompts.drain().map(|(session, _)| session).collect()
        };
        self.terminals.release_all().await;
        for agent_session in prompts {
            self.events.send(AgentEvent::PromptEnded { agent_session, result: Err(self.gone()) }, 0).await;
        }
        self.events.send(AgentEvent::Exited(exit), 0).await;
    }

    /// Why nothing more can be asked.
    pub(crate) fn gone(&self) -> AgentError {
        if let Some(lines) = self.state().babble {
            return AgentError::Babble { lines };
        }
        let exit = self.exit.borrow().unwrap_or(Exit { code: None, signal: None, asked: false });
        let tail = self.stderr_tail();
        let last = tail.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.chars().take(400).collect());
        AgentError::Exited { exit, stderr: last }
    }

    // ---- standard error

    pub(crate) fn note_stderr(&self, line: &str) {
        let mut tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        tail.push_str(line);
        tail.push('\n');
        if tail.len() > STDERR_TAIL {
            let cut = tail.ceil_char_boundary(tail.len() - STDERR_TAIL);
            tail.drain(..cut);
        }
    }

    pub(crate) fn stderr_tail(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
