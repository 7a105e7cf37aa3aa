//! What an entry records. A kind is a word, not a number: an unknown one is kept, shown and passed on.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of an entry or open item.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(Cow<'static, str>);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Kind = Kind(Cow::Borrowed($word));)*

            /// Every kind that this version writes or understands.
            pub const KNOWN: &[Kind] = &[$(Kind::$name),*];
        }
    };
}

kinds! {
    /// First entry of a session that is nobody's fork.
    CREATED = "created";
    /// What the user asked of the agent.
    PROMPT = "prompt";
    /// Text of the agent.
    MESSAGE = "message";
    /// Reasoning that the agent showed.
    THOUGHT = "thought";
    /// A tool call and all its updates.
    TOOL_CALL = "tool_call";
    /// The agent's plan.
    PLAN = "plan";
    /// A permission request and what became of it.
    PERMISSION = "permission";
    /// The end of a turn, however it ended.
    TURN_ENDED = "turn_ended";
    /// A name was given.
    NAMED = "named";
    /// Agent and folder were chosen.
    CONFIGURED = "configured";
    /// An agent session was bound, or context handed over.
    LINKED = "linked";
    /// The folder was relinked.
    MOVED = "moved";
    /// Active, archived or trashed.
    STATUS = "status";
    /// First own entry of a fork; pins the parent.
    FORKED = "forked";
    /// What follows came from elsewhere.
    IMPORTED = "imported";
    /// The agent's context was compacted; nothing is removed.
    COMPACTED = "compacted";
    /// The conversation goes on from an earlier entry; nothing is removed.
    REWOUND = "rewound";
    /// Bodies were erased; lists them.
    REDACTED = "redacted";
    /// Anything else worth keeping.
    NOTE = "note";
}

impl Kind {
    /// A kind by its word, known or not.
    pub fn new(word: impl Into<String>) -> Self {
        let word = word.into();
        Self::KNOWN.iter().find(|kind| kind.as_str() == word).cloned().unwrap_or(Kind(Cow::Owned(word)))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Entries of these kinds hold only ids, hashes, numbers and fixed words; their bodies are never erased.
    pub fn is_never_erased(&self) -> bool {
        ["created", "status", "forked", "imported", "redacted"].contains(&self.as_str())
    }

    /// Kinds whose open item grows by text, so that its changes carry text and count in bytes.
    pub fn is_text(&self) -> bool {
        *self == Kind::MESSAGE || *self == Kind::THOUGHT
    }

    /// What a fork inherits: the conversation, and not the parent's name, status, folder or link.
    pub fn is_conversation(&self) -> bool {
        !["created", "named", "configured", "linked", "moved", "status", "forked", "imported"].contains(&self.as_str())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
