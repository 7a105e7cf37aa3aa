//! What the tables need of the server's answers. Everything else passes through untouched, so that an older command line
//! gets along with a newer instance: fields that are missing are empty here, fields that are new go unseen.
//!
//! These are mirrors of the interface's own documents on purpose. Those are strict and belong to one version; the instance
//! that answers may be of another one, in the middle of an upgrade most of all.

use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;

/// Reads an answer, or says that it is not understood.
pub fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|error| {
        Failure::new(
            "The answer of the running Gander is not understood.",
            "Compare `gander --version` with the version that runs (`gander doctor`).",
        )
        .because(&error)
    })
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Head {
    pub seq: u64,
    pub hash: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Session {
    pub id: String,
    pub name: String,
    pub agent: String,
    pub cwd: String,
    pub status: String,
    pub entries: u64,
    pub head: Head,
    pub created_at: String,
    pub last_turn_at: Option<String>,
    pub running: bool,
    pub turn: Option<Turn>,
    pub queue: Queue,
    pub preview: String,
    pub pinned: bool,
    pub interrupted: Option<String>,
    pub empty: bool,
    pub draft: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Turn {
    pub id: String,
    pub state: String,
    pub permissions: Vec<Permission>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Permission {
    pub id: String,
    pub item: String,
    pub options: Vec<PermissionOption>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PermissionOption {
    pub option_id: String,
    pub name: String,
    pub kind: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Queue {
    pub count: u64,
    pub held: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    pub seq: u64,
    pub at: String,
    pub kind: String,
    pub body: Option<String>,
    pub erased: bool,
    pub data_bytes: Option<u64>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Window {
    pub id: String,
    pub ordinal: u64,
    pub session_id: Option<String>,
    pub open: bool,
    pub attached: bool,
    pub draft: Option<Draft>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Draft {
    pub text: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Finding {
    pub kind: String,
    pub severity: String,
    pub subject: Value,
    pub detail: String,
    pub remedy: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Audit {
    pub on_disk: u64,
    pub active: u64,
    pub archived: u64,
    pub trashed: u64,
    pub quarantined: u64,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Report {
    pub ok: bool,
    pub root: String,
    pub sessions: u64,
    pub entries: u64,
    pub audit: Audit,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Agent {
    pub id: String,
    pub name: String,
    pub command: String,
    pub args: Vec<String>,
    pub builtin: bool,
    pub available: bool,
    pub detail: String,
    pub version: Option<String>,
}
