//! Ids: each a newtype over a UUID, never reused, written as a hyphenated string everywhere outside the database.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what} id (a UUID is wanted)")]
pub struct IdError {
    what: &'static str,
    text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id (UUIDv7) from a time in milliseconds and ten random bytes.
            pub fn from_parts(at_ms: i64, random: &[u8; 10]) -> Self {
                let at_ms = u64::try_from(at_ms).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(at_ms, random).into_uuid())
            }

            /// The id with these sixteen bytes, of whatever UUID version.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The sixteen bytes, in the order in which they are hashed and compared.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.as_hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text).map(Self).map_err(|_| IdError { what: $what, text: text.to_owned() })
            }
        }
    };
}

id!(
    /// One conversation. Its UUIDv7 is its only identity: folder, name and agent are attributes.
    SessionId,
    "session"
);
id!(
    /// A place on the user's screen.
    WindowId,
    "window"
);
id!(
    /// One prompt and all that follows until the agent stops. Chosen by who sends; unique within its session.
    TurnId,
    "turn"
);
id!(
    /// A message, thought, tool call, plan or permission within a turn.
    ItemId,
    "item"
);
id!(
    /// One permission request of an agent.
    PermissionId,
    "permission"
);
id!(
    /// One journal. A journal that was found behind its witness takes a new one, so that old cursors reset.
    JournalId,
    "journal"
);
id!(
    /// One finding of verification, of the guard, or of a turn.
    FindingId,
    "finding"
);
id!(
    /// One upgrade of Gander itself, or one way back.
    UpgradeId,
    "upgrade"
);
