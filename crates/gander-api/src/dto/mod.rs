//! The bodies of the HTTP interface: what an operation takes and what it gives. Field names are the contract.

mod agent;
mod backup;
mod change;
mod entry;
mod handover;
mod session;
mod store;
mod turn;
mod upgrade;
mod window;

pub use agent::*;
pub use backup::*;
pub use change::*;
pub use entry::*;
pub use handover::*;
pub use session::*;
pub use store::*;
pub use turn::*;
pub use upgrade::*;
pub use window::*;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// An RFC 9457 problem document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:gander:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable, for programs.
    pub code: String,
    /// What happened, to which thing.
    pub detail: String,
    /// What is kept.
    pub safe: String,
    /// What to do next.
    pub todo: String,
    /// What the code carries beside: `head`, `current`, `finding`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Milliseconds since 1970 as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(at_ms) {
        Ok(at) => format!("{at:.3}"),
        // Outside jiff's years (-9999 to 9999): such a time comes only from a damaged clock; it is shown, not hidden.
        Err(_) => format!("{at_ms}ms"),
    }
}
