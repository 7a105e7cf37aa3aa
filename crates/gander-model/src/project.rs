//! What a session is, folded from its entries. The journal keeps the result as a row beside the entries, written in
//! the same transaction; folding the entries again must give the same row, so nothing here may come from elsewhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::hash::{Framed, ROW};
use crate::{Body, EntryHeader, Hash, Head, Kind, Seq, SessionId, TurnId, text};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// The word for it in entries, rows and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(word: &str) -> Result<Self, ()> {
                match word { $($word => Ok(Self::$variant),)* _ => Err(()) }
            }
        }
    };
}

words!(
    /// Where the user put a session.
    Status,
    /// In the list.
    Active = "active",
    /// Out of the way.
    Archived = "archived",
    /// To be thrown away; nothing is, until purged.
    Trashed = "trashed",
);

words!(
    /// Who named a session.
    NamedBy,
    /// The user; never overwritten by the others.
    User = "user",
    /// The agent's session info.
    Agent = "agent",
    /// Gander, from the first prompt.
    Auto = "auto",
    /// Nobody yet.
    None = "none",
);

/// The entry of the parent that a fork pins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The session that owns the pinned entry.
    pub session_id: SessionId,
    /// Its place.
    pub seq: Seq,
    /// Its hash.
    pub hash: Hash,
}

impl Origin {
    /// The pinned entry as a head.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }
}

/// What a session's entries say about it, up to its head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionState {
    /// The session.
    pub session_id: SessionId,
    /// Last entry folded in. A fork's counts on from its parent's, so this is also the number of entries.
    pub head: Head,
    /// Recording time of the first own entry.
    pub created_at_ms: i64,
    /// Recording time of the last own `prompt` or `turn_ended`.
    pub last_turn_at_ms: Option<i64>,
    /// That entry; 0 when there is none. Lists are ordered by it, and never by a clock.
    pub last_turn_seq: Seq,
    /// Where the user put it.
    pub status: Status,
    /// Its name.
    pub name: Option<String>,
    /// Who gave it.
    pub named_by: NamedBy,
    /// The `named` entry, for compare-and-set; 0 when there is none.
    pub named_seq: Seq,
    /// The agent chosen.
    pub agent: Option<String>,
    /// The folder, as the user gave it.
    pub cwd: Option<String>,
    /// Prompts in the conversation, inherited ones included.
    pub prompts: u64,
    /// Last own or inherited prompt; 0 when there is none.
    pub last_prompt_seq: Seq,
    /// Last `compacted` or `rewound`, which outdates what was composed before it; 0 when there is none.
    pub barrier_seq: Seq,
    /// Last entry worth telling the user of (a turn's end); 0 when there is none.
    pub news_seq: Seq,
    /// The turn that offers Continue: the last one, if it was interrupted or not sent.
    pub interrupted: Option<TurnId>,
    /// Last line of the conversation.
    pub preview: Option<String>,
    /// The parent's entry, for a fork.
    pub origin: Option<Origin>,
    /// Bytes of own bodies and of the large data that they name.
    pub bytes: u64,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    named_by: Option<NamedBy>,
}

#[derive(Deserialize)]
struct Configured {
    #[serde(default)]
    agent: Option<String>,
    #[serde(default)]
    cwd: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    content: Box<RawValue>,
}

#[derive(Deserialize)]
struct Ended {
    state: String,
}

#[derive(Deserialize)]
struct StatusData {
    status: Status,
}

impl SessionState {
    /// A session of which nothing has been folded in yet.
    pub fn new(session_id: SessionId) -> Self {
        Self {
            session_id,
            head: Head { seq: Seq(0), hash: Hash::ZERO },
            created_at_ms: 0,
            last_turn_at_ms: None,
            last_turn_seq: Seq(0),
            status: Status::Active,
            name: None,
            named_by: NamedBy::None,
            named_seq: Seq(0),
            agent: None,
            cwd: None,
            prompts: 0,
            last_prompt_seq: Seq(0),
            barrier_seq: Seq(0),
            news_seq: Seq(0),
            interrupted: None,
            preview: None,
            origin: None,
            bytes: 0,
        }
    }

    /// Folds in an entry inherited from a fork's ancestor: its conversation only.
    pub fn inherit(&mut self, header: &EntryHeader, body: Option<&Body>) {
        self.head = header.head();
        if header.kind.is_conversation() {
            self.converse(header, body);
        }
        // What happened before the fork is no news of the fork, and its turns are not the fork's to continue.
        self.news_seq = Seq(0);
        self.interrupted = None;
    }

    /// Folds in the session's own next entry. `body` is `None` when erased, `body_bytes` its stored length.
    pub fn apply(&mut self, header: &EntryHeader, body: Option<&Body>, body_bytes: u64) {
        if self.created_at_ms == 0 {
            self.created_at_ms = header.at_ms;
        }
        self.head = header.head();
        self.bytes += body_bytes;
        if let Some(Body { data: crate::Data::Ref(large), .. }) = body {
            self.bytes += large.bytes;
        }
        if header.kind.is_conversation() {
            self.converse(header, body);
            if header.kind == Kind::PROMPT || header.kind == Kind::TURN_ENDED {
                self.last_turn_at_ms = Some(header.at_ms);
                self.last_turn_seq = header.seq;
            }
        } else {
            self.describe(header, body);
        }
    }

    fn converse(&mut self, header: &EntryHeader, body: Option<&Body>) {
        let kind = &header.kind;
        if *kind == Kind::PROMPT {
            self.prompts += 1;
            self.last_prompt_seq = header.seq;
            self.interrupted = None;
            let said = body.and_then(|b| b.data_as::<Content>()).map(|data| text::prompt_text(&data.content));
            self.preview = said.and_then(|said| text::preview(&said)).or(self.preview.take());
        } else if *kind == Kind::MESSAGE {
            let said = match body.map(|body| &body.data) {
                Some(crate::Data::Inline(data)) => Some(text::updates_text(data)),
                _ => None,
            };
            self.preview = said.and_then(|said| text::preview(&said)).or(self.preview.take());
        } else if *kind == Kind::TURN_ENDED {
            self.news_seq = header.seq;
            let well = body.and_then(|b| b.data_as::<Ended>()).is_none_or(|ended| ended.state == "ended");
            self.interrupted = if well { None } else { body.and_then(|b| b.turn) };
        } else if *kind == Kind::COMPACTED || *kind == Kind::REWOUND {
            self.barrier_seq = header.seq;
        }
    }

    fn describe(&mut self, header: &EntryHeader, body: Option<&Body>) {
        let kind = &header.kind;
        if *kind == Kind::NAMED {
            let named = body.and_then(|b| b.data_as::<Named>());
            self.named_seq = header.seq;
            self.named_by = named.as_ref().and_then(|n| n.named_by).unwrap_or(NamedBy::None);
            self.name = named.map(|n| n.name);
        } else if *kind == Kind::CONFIGURED || *kind == Kind::MOVED {
            if let Some(chosen) = body.and_then(|b| b.data_as::<Configured>()) {
                self.agent = chosen.agent.or(self.agent.take());
                self.cwd = chosen.cwd.or(self.cwd.take());
            }
        } else if *kind == Kind::STATUS {
            if let Some(data) = body.and_then(|b| b.data_as::<StatusData>()) {
                self.status = data.status;
            }
        } else if *kind == Kind::FORKED {
            self.origin = body.and_then(|b| b.data_as::<Origin>());
        }
    }

    /// Sixteen hexadecimal digits over every field, kept with the row: a row that was changed by anything but the
    /// fold does not match it.
    pub fn checksum(&self) -> String {
        let mut state = Framed::of(&ROW);
        let origin = self.origin.map(|o| format!("{} {} {}", o.session_id, o.seq, o.hash));
        let last_turn_at = self.last_turn_at_ms.map(|at| at.to_string());
        let interrupted = self.interrupted.map(|turn| turn.to_string());
        state
            .field(self.session_id.as_bytes())
            .field(&self.head.seq.0.to_be_bytes())
            .field(&self.head.hash.0)
            .field(&self.created_at_ms.to_be_bytes())
            .optional(last_turn_at.as_deref())
            .field(self.status.as_str().as_bytes())
            .optional(self.name.as_deref())
            .field(self.named_by.as_str().as_bytes());
        for seq in [self.last_turn_seq, self.named_seq, self.last_prompt_seq, self.barrier_seq, self.news_seq] {
            state.field(&seq.0.to_be_bytes());
        }
        state
            .optional(self.agent.as_deref())
            .optional(self.cwd.as_deref())
            .field(&self.prompts.to_be_bytes())
            .optional(interrupted.as_deref())
            .optional(self.preview.as_deref())
            .optional(origin.as_deref())
            .field(&self.bytes.to_be_bytes());
        state.finish().half()
    }
}
