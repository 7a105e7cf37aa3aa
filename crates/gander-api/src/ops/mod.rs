//! One function for each thing that a user can do.

mod agents;
mod backups;
mod blobs;
mod exports;
mod put_back;
mod queue;
mod sessions;
mod store;
mod turns;
mod upgrade;
mod windows;

pub(crate) use backups::made;
pub use blobs::{BLOB_MAX_BYTES, Download, Upload};
pub use exports::{Exported, Incoming};
pub(crate) use exports::{collect, slug};
pub use store::StoredGrant;
pub use upgrade::{upgrade_keys, upgrade_status};

use gander_journal::WriteError;
use serde_json::json;

use crate::convert;
use crate::error::{ApiError, Code};
use crate::feed::with_sources;

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotSaving(reason) => {
                ApiError::new(Code::NotSaving, format!("The journal cannot save: {reason}")).with("reason", reason)
            }
            WriteError::Frozen => {
                ApiError::new(Code::HandingOver, "The store is being handed over to another version.")
            }
            WriteError::Closed(why) => ApiError::new(Code::Stopping, why),
            WriteError::HeadMoved { head } => {
                ApiError::new(Code::HeadMoved, format!("The conversation has moved on to entry {}.", head.seq))
                    .with("head", convert::head(head))
            }
            WriteError::DraftStale { current } => {
                ApiError::new(Code::DraftStale, format!("Draft revision {} is kept.", current.rev))
                    .with("current", convert::draft(&current, true))
            }
            WriteError::TurnIdReused { turn } => {
                ApiError::new(Code::TurnIdReused, format!("Turn {turn} was sent before with other content."))
            }
            WriteError::TurnRunning { turn } => {
                ApiError::new(Code::TurnRunning, format!("Turn {turn} is running or waits in the queue."))
                    .with("turn", turn)
            }
            WriteError::TurnStarted { turn } => ApiError::new(Code::TurnStarted, format!("Turn {turn} has started.")),
            WriteError::TurnState { turn, state } => {
                ApiError::new(Code::TurnNotRunning, format!("Turn {turn} is {state}.")).with("state", state)
            }
            WriteError::NameTaken { named_by, named_seq } => {
                ApiError::new(Code::NameMoved, format!("The session was named by the {named_by} meanwhile."))
                    .with("named_seq", named_seq)
            }
            WriteError::WindowState { window, why } => {
                ApiError::new(Code::WrongState, format!("Window {window} {why}.")).todo("Look at the windows again.")
            }
            WriteError::NotFound { what: "permission", id } => {
                ApiError::new(Code::PermissionClosed, format!("Permission {id} was answered, cancelled or has lapsed."))
            }
            WriteError::NotFound { what, id } => ApiError::not_found(what, id),
            WriteError::Quarantined { session, detail } => {
                ApiError::new(Code::Quarantined, format!("Session {session} is quarantined: {detail}.")).with(
                    "finding",
                    json!({"kind": "damaged", "severity": "error", "subject": {"session": session}, "detail": detail,
                        "remedy": "Repair it from a backup (`gander doctor --repair`), or fork it before the damage."}),
                )
            }
            WriteError::Damaged { session, ref damage } => {
                ApiError::new(Code::Quarantined, format!("Session {session} is damaged: {damage}."))
            }
            WriteError::Invalid(why) => ApiError::new(Code::WrongState, sentence(&why)),
            other => ApiError::internal(with_sources(&other)),
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
