//! Names (G7): always an entry of the session itself, compare-and-set, never over a user's name.

use gander_model::text::{self, NameFault};
use gander_model::{By, Head, Kind, NamedBy, Seq, SessionId};
use serde_json::json;

use crate::error::WriteError;
use crate::sessions::body;
use crate::tx::{Result, Tx};

impl Tx<'_> {
    /// Names a session. `expected` is the `named` entry that the namer knew of (0 when there was none): another one
    /// refuses the name. The user may leave it out, and always wins; the others never replace a user's name.
    /// Naming it what it is called already, by the same, appends nothing. A user's name is taken as it is or refused,
    /// others are made fit for one plain line.
    pub fn name(&mut self, session: SessionId, name: &str, by: NamedBy, expected: Option<Seq>) -> Result<Head> {
        let state = self.state(session)?;
        let name = match by {
            NamedBy::User => text::given_name(name),
            NamedBy::Agent | NamedBy::Auto => text::made_name(name).ok_or(NameFault::Empty),
            NamedBy::None => Err(NameFault::Empty),
        };
        let name = name.map_err(|fault| WriteError::Invalid(fault.to_string()))?;
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
