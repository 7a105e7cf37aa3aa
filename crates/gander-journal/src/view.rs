//! What reads give back: plain values, each read in one transaction.

use gander_model::{
    Entry, FindingId, Hash, Head, ItemId, Kind, PermissionId, SessionId, SessionState, TurnId, WindowId,
};
use serde_json::value::RawValue;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// The word for it in rows and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = ();

            fn from_str(word: &str) -> Result<Self, ()> {
                match word { $($word => Ok(Self::$variant),)* _ => Err(()) }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// Which list a session stands in.
    Bucket,
    /// The ordinary list.
    Active = "active",
    /// Out of the way.
    Archived = "archived",
    /// To be thrown away.
    Trashed = "trashed",
    /// Damaged: kept as it is, offered for repair.
    Quarantined = "quarantined",
    /// Nothing in it yet: it belongs to one window and shows in no list but its own.
    Empty = "empty",
);

words!(
    /// Where a turn stands.
    TurnPhase,
    /// Waits in the queue.
    Queued = "queued",
    /// Its prompt is recorded; the agent is not known to have it.
    Starting = "starting",
    /// The agent has the prompt.
    Running = "running",
    /// The agent was asked to stop.
    Cancelling = "cancelling",
    /// Done.
    Ended = "ended",
    /// The agent never got the prompt.
    NotSent = "not_sent",
    /// Cut off; offers Continue.
    Interrupted = "interrupted",
    /// Deleted from the queue before it started.
    Deleted = "deleted",
);

impl TurnPhase {
    /// Whether the session is busy with it.
    pub fn is_active(self) -> bool {
        matches!(self, TurnPhase::Starting | TurnPhase::Running | TurnPhase::Cancelling)
    }
}

/// A permission that an agent waits for.
#[derive(Clone, Debug)]
pub struct PermissionView {
    /// Its id.
    pub id: PermissionId,
    /// Its open item.
    pub item: ItemId,
    /// The options, as the agent gave them.
    pub options: Box<RawValue>,
}

/// The turn that a session is busy with.
#[derive(Clone, Debug)]
pub struct TurnView {
    /// Its id.
    pub id: TurnId,
    /// Where it stands.
    pub phase: TurnPhase,
    /// Requests that nobody has answered yet.
    pub permissions: Vec<PermissionView>,
}

/// A session as lists and windows show it.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// What its entries say.
    pub state: SessionState,
    /// Which list it stands in.
    pub bucket: Bucket,
    /// Kept at the top by the user.
    pub pinned: bool,
    /// Where it stands among those that are not pinned: the greatest is first. Grows with every turn, and means
    /// nothing in another journal.
    pub place: i64,
    /// A turn ended since the user last looked.
    pub unseen: bool,
    /// The only window that may take it for a new chat while it is empty.
    pub owner_window: Option<WindowId>,
    /// The turn that it is busy with.
    pub turn: Option<TurnView>,
    /// Prompts that wait.
    pub queue_count: u64,
    /// The queue waits for the user.
    pub queue_held: bool,
    /// Some window has a draft for it.
    pub has_draft: bool,
}

impl SessionView {
    /// Its id.
    pub fn id(&self) -> SessionId {
        self.state.session_id
    }

    /// Its last entry.
    pub fn head(&self) -> Head {
        self.state.head
    }
}

/// An entry with what a reader needs to know beside it.
#[derive(Clone, Debug)]
pub struct EntryView {
    /// The entry; its body verified, or absent.
    pub entry: Entry,
    /// The body was erased on purpose.
    pub erased: bool,
    /// The body does not match its hash, so it is not given out.
    pub damaged: bool,
}

/// A run of entries, verified and linked to the witnessed head.
#[derive(Clone, Debug)]
pub struct EntryPage {
    /// Ascending by seq. In a fork's inherited part the header's session is the ancestor that owns the entry.
    pub entries: Vec<EntryView>,
    /// Whether there are earlier entries than the first.
    pub more_before: bool,
    /// Whether there are later entries than the last.
    pub more_after: bool,
    /// The witnessed head that they were linked to.
    pub head: Head,
    /// What is wrong; the entries on the page are those that verify all the same.
    pub damage: Option<gander_model::chain::Damage>,
}

/// An item that is still being streamed.
#[derive(Clone, Debug)]
pub struct OpenItem {
    /// Its id.
    pub item: ItemId,
    /// First arrival within the turn.
    pub ord: u32,
    /// What it is.
    pub kind: Kind,
    /// Its turn.
    pub turn: Option<TurnId>,
    /// When it was first recorded.
    pub at_ms: i64,
    /// Raw updates, neighbours joined: an array; a permission's is its object.
    pub data: Box<RawValue>,
    /// UTF-8 bytes of text so far (text kinds), else number of updates.
    pub size: u64,
}

/// Unsent text and attachments of one window for one session.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The window.
    pub window: WindowId,
    /// The session.
    pub session: SessionId,
    /// Counts up with every save, and stays as a floor after a send.
    pub rev: u64,
    /// The text.
    pub text: String,
    /// Attachments: a JSON array, kept as the window gave it.
    pub attachments: Box<RawValue>,
}

impl Draft {
    /// Nothing in it (the floor that a send leaves behind).
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && matches!(self.attachments.get().trim(), "[]" | "null")
    }
}

/// A place on the user's screen.
#[derive(Clone, Debug)]
pub struct WindowView {
    /// Its id.
    pub id: WindowId,
    /// Its place among the windows.
    pub ordinal: i64,
    /// The session that it shows.
    pub session: SessionId,
    /// Closed only by an explicit close.
    pub open: bool,
    /// Position and size, as the window gave it.
    pub geometry: Option<Box<RawValue>>,
    /// Where it was scrolled to, as the window gave it.
    pub scroll: Option<Box<RawValue>>,
    /// Counts up with every focus: the greatest was focused last.
    pub focused: i64,
    /// When it was closed.
    pub closed_at_ms: Option<i64>,
    /// Its draft for the session that it shows.
    pub draft: Option<Draft>,
}

/// A prompt that waits for its turn.
#[derive(Clone, Debug)]
pub struct QueueItem {
    /// Its turn.
    pub turn: TurnId,
    /// Its content blocks.
    pub content: Box<RawValue>,
    /// Its place, from 0.
    pub position: u64,
    /// The window that sent it.
    pub window: Option<WindowId>,
}

/// The prompts that wait.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// In the order in which they start.
    pub items: Vec<QueueItem>,
    /// They wait for the user.
    pub held: bool,
}

/// A turn as it is remembered.
#[derive(Clone, Debug)]
pub struct TurnRecord {
    /// Its id.
    pub id: TurnId,
    /// Where it stands.
    pub phase: TurnPhase,
    /// Its prompt's entry; `None` while it is queued.
    pub prompt: Option<gander_model::Seq>,
    /// The window that sent it.
    pub window: Option<WindowId>,
}

/// An agent session bound to one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The agent.
    pub agent: String,
    /// Which of the agent's stores the id is from.
    pub store: String,
    /// The agent's own id.
    pub agent_session: String,
    /// The session.
    pub session: SessionId,
    /// The machine that it was made on.
    pub machine: String,
    /// When it was bound.
    pub bound_at_ms: i64,
}

/// A process of an agent that we started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProcess {
    /// The session that it serves.
    pub session: SessionId,
    /// Its process id.
    pub pid: u32,
    /// Its start time, in the operating system's words: a process id is used again, both together are not.
    pub started: Option<String>,
    /// Its process group.
    pub group: u32,
    /// What all processes that come from it have in their environment.
    pub mark: String,
    /// The epoch that started it.
    pub epoch: u64,
}

/// Something that verification, the guard or a turn found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its id.
    pub id: FindingId,
    /// What it is, as a word.
    pub kind: String,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// The session concerned.
    pub session: Option<SessionId>,
    /// More about the subject: a JSON object.
    pub subject: Box<RawValue>,
    /// What happened and what was kept.
    pub detail: String,
    /// What to do.
    pub remedy: String,
    /// When it was found.
    pub at_ms: i64,
    /// When it was closed.
    pub closed_at_ms: Option<i64>,
}

/// A browser's grant, as it is stored: never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Hash of the secret.
    pub hash: Hash,
    /// What to call it to the user.
    pub label: String,
    /// When it was given.
    pub at_ms: i64,
    /// When it was last used, to the day.
    pub used_at_ms: i64,
}
