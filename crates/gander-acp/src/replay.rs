//! Comparing what an agent remembers of a session (its replay of `session/load`) with what the journal holds. Pure.

use crate::Update;

/// What `session/load` replayed, in order.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// All updates, as received.
    pub updates: Vec<Update>,
    /// The answer to `session/load`, as received (modes, configuration options).
    pub raw: Option<Box<serde_json::value::RawValue>>,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A prompt.
    User,
    /// A message of the agent.
    Agent,
}

/// A prompt's or a message's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whose it is.
    pub who: Who,
    /// The text.
    pub text: String,
}
