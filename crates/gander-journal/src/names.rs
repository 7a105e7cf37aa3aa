//! Names (G7): always an entry of the session itself, compare-and-set, never over a user's name.

use gander_model::{By, Head, Kind, NamedBy, Seq, SessionId};
use serde_json::json;

use crate::error::WriteError;
use crate::sessions::body;
use crate::tx::{Result, Tx};

/// Longest name, in characters.
pub const NAME_MAX_CHARS: usize = 200;

impl Tx<'_> {
    /// Names a session. `expected` is the `named` entry that the namer knew of (0 when there was none): another one
    /// refuses the name. The user may leave it out, and always wins; the others never replace a user's name.
    /// Naming it what it is called already, by the same, appends nothing.
    pub fn name(&mut self, session: SessionId, name: &str, by: NamedBy, expected: Option<Seq>) -> Result<Head> {
        let state = self.state(session)?;
        let name: String = gander_model::text::tidy(name).chars().take(NAME_MAX_CHARS).collect();
        if name.is_empty() || by == NamedBy::None {
            return Err(WriteError::Invalid("a name is not empty".to_owned()));
        }
        let expected = if by == NamedBy::User { expected } else { Some(expected.unwrap_or(Seq(0))) };
        let over_user = by != NamedBy::User && state.named_by == NamedBy::User;
        if over_user || expected.is_some_and(|expected| expected != state.named_seq) {
            return Err(WriteError::NameTaken { named_by: state.named_by, named_seq: state.named_seq });
        }
        if state.named_by == by && state.name.as_deref() == Some(name.as_str()) {
            return Ok(state.head);
        }
        let data = json!({ "after": state.named_seq, "name": name, "named_by": by });
        let from = match by {
            NamedBy::User => By::User,
            NamedBy::Agent => By::Agent,
            NamedBy::Auto | NamedBy::None => By::Gander,
        };
        self.append(session, Kind::NAMED, body(from, &data)?)
    }
}
