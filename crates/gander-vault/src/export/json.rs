//! JSON for programs: one document, bodies taken apart, large data put in its place.

use gander_model::{Body, Data, Entry};
use serde_json::{Value, json};

use super::{Export, Unsent, rfc3339};

/// The export as one JSON document.
pub fn json(export: &Export) -> String {
    let session = export.sessions.last();
    let mut document = json!({
        "gander": "session",
        "v": 1,
        "session": {
            "id": session.map(|session| session.id),
            "name": export.heading.name,
            "agent": export.heading.agent,
            "cwd": export.heading.cwd,
            "head": session.map(super::ExportedSession::head),
            "forked_from": session.and_then(|session| session.pin),
        },
        "entries": export.conversation().map(|entry| one(export, entry)).collect::<Vec<_>>(),
    });
    if !export.unsent.is_empty() {
        document["unsent"] = export.unsent.iter().map(unsent).collect();
    }
    format!("{document:#}\n")
}

fn unsent(unsent: &Unsent) -> Value {
    let data = serde_json::from_str::<Value>(&unsent.json).unwrap_or_else(|_| json!(unsent.json));
    json!({"what": unsent.what, "text": unsent.text, "data": data})
}

fn one(export: &Export, entry: &Entry) -> Value {
    let header = &entry.header;
    let mut body = entry.body.as_ref().and_then(|body| serde_json::from_slice::<Value>(&body.bytes).ok());
    let parsed = entry.body.as_ref().and_then(|body| Body::parse(&body.bytes).ok());
    if let (Some(Data::Ref(large)), Some(body)) = (parsed.map(|body| body.data), body.as_mut())
        && let Some(data) = export.large.get(&large.hash).and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok())
    {
        body["data"] = data;
    }
    json!({"session_id": header.session_id, "seq": header.seq, "at": rfc3339(header.at_ms), "kind": header.kind,
        "hash": header.hash, "erased": entry.body.is_none(), "body": body})
}
