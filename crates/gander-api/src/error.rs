//! What went wrong, said for a person and for a program.
//!
//! A code exists only where somebody branches on it. Every error says what happened, what is safe and what to do;
//! over HTTP it is an RFC 9457 problem document ([`crate::dto::Problem`]).

use serde_json::{Map, Value};

/// The stable codes of CONTRACT.md and the few more that a client branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// The request cannot be understood.
    BadRequest,
    /// No credential, or one that is not valid (any more).
    Unauthorized,
    /// A foreign Host, Origin or fetch site.
    Forbidden,
    /// The id names nothing.
    NotFound,
    /// The send was composed against an older conversation; `head` is the one now.
    HeadMoved,
    /// The turn id was accepted before with other content.
    TurnIdReused,
    /// The draft is older than the one kept; `current` is that.
    DraftStale,
    /// The queued prompt has started.
    TurnStarted,
    /// A turn runs and the send would not wait.
    TurnRunning,
    /// The turn is not running (any more).
    TurnNotRunning,
    /// The permission was answered, cancelled or has lapsed.
    PermissionClosed,
    /// The session is not in a state that allows this (trashed, archived, not empty).
    WrongState,
    /// The name was changed meanwhile.
    NameMoved,
    /// The session's record is damaged; `finding` says how.
    Quarantined,
    /// The journal cannot save at the moment.
    NotSaving,
    /// More than the bound on this body.
    TooLarge,
    /// More requests than the bound.
    TooMany,
    /// It took longer than the bound.
    TimedOut,
    /// The store is being handed over to another version.
    HandingOver,
    /// The process is stopping.
    Stopping,
    /// The agent could not be started or refused.
    AgentFailed,
    /// A bug, or a failing disk.
    Internal,
}

impl Code {
    /// The code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadRequest => "bad_request",
            Code::Unauthorized => "unauthorized",
            Code::Forbidden => "forbidden",
            Code::NotFound => "not_found",
            Code::HeadMoved => "head_moved",
            Code::TurnIdReused => "turn_id_reused",
            Code::DraftStale => "draft_stale",
            Code::TurnStarted => "turn_started",
            Code::TurnRunning => "turn_running",
            Code::TurnNotRunning => "turn_not_running",
            Code::PermissionClosed => "permission_closed",
            Code::WrongState => "wrong_state",
            Code::NameMoved => "name_moved",
            Code::Quarantined => "quarantined",
            Code::NotSaving => "not_saving",
            Code::TooLarge => "too_large",
            Code::TooMany => "too_many",
            Code::TimedOut => "timed_out",
            Code::HandingOver => "handing_over",
            Code::Stopping => "stopping",
            Code::AgentFailed => "agent_failed",
            Code::Internal => "internal",
        }
    }

    /// The HTTP status that goes with the code.
    pub fn status(self) -> u16 {
        match self {
            Code::BadRequest => 400,
            Code::Unauthorized => 401,
            Code::Forbidden => 403,
            Code::NotFound => 404,
            Code::HeadMoved
            | Code::TurnIdReused
            | Code::DraftStale
            | Code::TurnStarted
            | Code::TurnRunning
            | Code::TurnNotRunning
            | Code::PermissionClosed
            | Code::WrongState
            | Code::NameMoved => 409,
            Code::Quarantined => 423,
            Code::TooLarge => 413,
            Code::TooMany => 429,
            Code::TimedOut => 408,
            Code::AgentFailed => 502,
            Code::NotSaving | Code::HandingOver | Code::Stopping => 503,
            Code::Internal => 500,
        }
    }

    /// A short sentence that is the same for every error of this code.
    pub fn title(self) -> &'static str {
        match self {
            Code::BadRequest => "The request cannot be understood",
            Code::Unauthorized => "A credential is wanted",
            Code::Forbidden => "Not from here",
            Code::NotFound => "There is no such thing",
            Code::HeadMoved => "The conversation went on meanwhile",
            Code::TurnIdReused => "This turn id stands for another prompt",
            Code::DraftStale => "A newer draft is kept",
            Code::TurnStarted => "This prompt has started already",
            Code::TurnRunning => "A turn is running",
            Code::TurnNotRunning => "This turn is not running",
            Code::PermissionClosed => "This permission is not open any more",
            Code::WrongState => "The session is not in a state for this",
            Code::NameMoved => "The name was changed meanwhile",
            Code::Quarantined => "The session is quarantined",
            Code::NotSaving => "The journal cannot save",
            Code::TooLarge => "Too large",
            Code::TooMany => "Too many requests",
            Code::TimedOut => "It took too long",
            Code::HandingOver => "Gander hands over to another version",
            Code::Stopping => "Gander is stopping",
            Code::AgentFailed => "The agent failed",
            Code::Internal => "Something went wrong inside",
        }
    }
}

/// One error of an operation.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct ApiError {
    /// Stable, for programs.
    pub code: Code,
    /// What happened, to which thing.
    pub detail: String,
    /// What is kept.
    pub safe: String,
    /// What to do next.
    pub todo: String,
    /// What the code carries beside: `head`, `current`, `finding`.
    pub extra: Box<Map<String, Value>>,
}

impl ApiError {
    /// An error whose "safe" and "todo" are the ones that go with the code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let (safe, todo) = match code {
            Code::BadRequest => ("Nothing was changed.", "Correct the request and send it again."),
            Code::Unauthorized => ("Nothing was changed.", "Open Gander again with `gander open`."),
            Code::Forbidden => ("Nothing was changed.", "Use the address that `gander open` gives."),
            Code::NotFound => ("Nothing was changed.", "Look it up again: the list may have changed."),
            Code::HeadMoved => ("Your text is still in the draft.", "Read what came meanwhile, then send again."),
            Code::TurnIdReused => ("The first prompt stands as it is.", "Send with a new turn id."),
            Code::DraftStale => ("Both texts are kept.", "Merge them and save with a higher revision."),
            Code::TurnStarted => ("The prompt is in the conversation.", "Cancel the turn, or send another prompt."),
            Code::TurnRunning => ("Your text is still in the draft.", "Queue it, or wait until the turn ends."),
            Code::TurnNotRunning => ("The conversation stands as it is.", "Nothing needs to be done."),
            Code::PermissionClosed => ("Nothing was allowed by this answer.", "Nothing needs to be done."),
            Code::WrongState => ("Nothing was changed.", "Bring the session back first, then try again."),
            Code::NameMoved => ("The newer name stands.", "Read it and rename again if you still want to."),
            Code::Quarantined => (
                "Every other session works; nothing of this one was changed.",
                "Run `gander verify` and see the finding.",
            ),
            Code::NotSaving => (
                "What was acknowledged is on disk; drafts stay in the page.",
                "Free space or make the disk writable: saving resumes by itself.",
            ),
            Code::TooLarge => ("Nothing was changed.", "Send less at a time."),
            Code::TooMany => ("Nothing was changed.", "Wait a moment and try again."),
            Code::TimedOut => ("What was acknowledged is on disk.", "Try again."),
            Code::HandingOver => (
                "What was acknowledged is on disk; drafts stay in the page.",
                "Wait a moment: the page comes back by itself. Then send again.",
            ),
            Code::Stopping => ("What was acknowledged is on disk.", "Start Gander again."),
            Code::AgentFailed => {
                ("The session and its prompts are kept.", "Check the agent with `gander agents check`.")
            }
            Code::Internal => ("What was acknowledged is on disk.", "Try again; run `gander doctor` if it stays."),
        };
        ApiError { code, detail: detail.into(), safe: safe.into(), todo: todo.into(), extra: Box::default() }
    }

    /// Says what is safe in this very case.
    pub fn safe(mut self, safe: impl Into<String>) -> Self {
        self.safe = safe.into();
        self
    }

    /// Says what to do in this very case.
    pub fn todo(mut self, todo: impl Into<String>) -> Self {
        self.todo = todo.into();
        self
    }

    /// Carries a further member of the problem document.
    pub fn with(mut self, key: &str, value: impl serde::Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.extra.insert(key.to_owned(), value);
        }
        self
    }

    /// There is no `what` of this id.
    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("There is no {what} {id}."))
    }

    /// A bug or a failing disk, with its cause.
    pub fn internal(source: impl std::fmt::Display) -> Self {
        Self::new(Code::Internal, source.to_string())
    }

    /// A request that cannot be understood.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, detail)
    }

    /// The problem document.
    pub fn problem(&self) -> crate::dto::Problem {
        crate::dto::Problem {
            kind: format!("urn:gander:problem:{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status(),
            code: self.code.as_str().to_owned(),
            detail: self.detail.clone(),
            safe: self.safe.clone(),
            todo: self.todo.clone(),
            extra: (*self.extra).clone(),
        }
    }
}
