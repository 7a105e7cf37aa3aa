//! From what the journal reads to what the wire says.

use gander_journal as view;
use gander_model::{Body, Data, Hash};
use serde::Serialize;
use serde_json::{Value, json};

use crate::dto::{self, rfc3339};
use crate::error::ApiError;

pub(crate) fn head(head: gander_model::Head) -> dto::Head {
    dto::Head { seq: head.seq.0, hash: head.hash.to_string() }
}

pub(crate) fn head_in(head: &dto::Head) -> Result<gander_model::Head, ApiError> {
    let hash: Hash =
        head.hash.parse().map_err(|_| ApiError::bad("expected_head.hash is not 64 hexadecimal digits."))?;
    Ok(gander_model::Head { seq: gander_model::Seq(head.seq), hash })
}

pub(crate) fn value(raw: &serde_json::value::RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or(Value::Null)
}

fn some_value(raw: &Option<Box<serde_json::value::RawValue>>) -> Option<Value> {
    raw.as_ref().map(|raw| value(raw)).filter(|value| !value.is_null())
}

pub(crate) fn session(view: &view::SessionView) -> dto::Session {
    let state = &view.state;
    let quarantined = view.bucket == view::Bucket::Quarantined;
    let status = if quarantined { "quarantined" } else { state.status.as_str() };
    dto::Session {
        id: state.session_id,
        name: state.name.clone().unwrap_or_default(),
        named_by: state.named_by.to_string(),
        agent: state.agent.clone().unwrap_or_default(),
        cwd: state.cwd.clone().unwrap_or_default(),
        status: status.to_owned(),
        entries: state.head.seq.0,
        head: head(state.head),
        created_at: rfc3339(state.created_at_ms),
        place: view.place,
        last_turn_at: state.last_turn_at_ms.map(rfc3339),
        running: view.turn.is_some(),
        turn: view.turn.as_ref().map(turn),
        queue: dto::QueueBrief { count: view.queue_count, held: view.queue_held },
        preview: state.preview.clone().unwrap_or_default(),
        pinned: view.pinned,
        unseen: view.unseen,
        interrupted: if view.turn.is_none() { state.interrupted } else { None },
        owner_window: view.owner_window,
        empty: view.bucket == view::Bucket::Empty,
        origin: state.origin.map(
            |origin| json!({"kind": "fork", "session_id": origin.session_id, "seq": origin.seq, "hash": origin.hash}),
        ),
        bytes: state.bytes,
        draft: view.has_draft,
        finding: None,
    }
}

fn turn(turn: &view::TurnView) -> dto::Turn {
    let permission = |permission: &view::PermissionView| dto::OpenPermission {
        id: permission.id.to_string(),
        item: permission.item.to_string(),
        options: value(&permission.options),
    };
    dto::Turn {
        id: turn.id,
        state: turn.phase.to_string(),
        permissions: turn.permissions.iter().map(permission).collect(),
    }
}

pub(crate) fn entry(view: &view::EntryView) -> dto::Entry {
    let header = &view.entry.header;
    let stored = view.entry.body.as_ref();
    let body = stored.map(|body| String::from_utf8_lossy(&body.bytes).into_owned());
    let data_bytes = stored.and_then(|body| match Body::parse(&body.bytes).ok()?.data {
        Data::Ref(large) => Some(large.bytes),
        _ => None,
    });
    dto::Entry {
        session_id: header.session_id,
        seq: header.seq.0,
        at: rfc3339(header.at_ms),
        kind: header.kind.to_string(),
        body,
        salt: stored.map(|body| body.salt.to_string()),
        body_hash: header.body_hash.to_string(),
        hash: header.hash.to_string(),
        erased: view.erased,
        data_bytes,
    }
}

/// An open item, or a part of one, that is larger than this is told by its size: nobody reads it as it comes, and a
/// page must not be held up by it. The entry that it becomes has all of it.
pub(crate) const SHOWN_MAX_BYTES: usize = 512 * 1024;

pub(crate) fn open_item(item: &view::OpenItem) -> dto::OpenItem {
    let size = item.data.get().len();
    let large = (size > SHOWN_MAX_BYTES).then_some(size as u64);
    dto::OpenItem {
        item: item.item.to_string(),
        ord: item.ord.into(),
        kind: item.kind.to_string(),
        turn: item.turn.unwrap_or(gander_model::TurnId::from_bytes([0; 16])),
        at: rfc3339(item.at_ms),
        data: if large.is_some() { json!([]) } else { value(&item.data) },
        bytes: item.size,
        large,
    }
}

pub(crate) fn draft(draft: &view::Draft, with_window: bool) -> dto::Draft {
    dto::Draft {
        session_id: draft.session,
        rev: draft.rev,
        text: draft.text.clone(),
        attachments: value(&draft.attachments),
        window_id: with_window.then_some(draft.window),
    }
}

pub(crate) fn window(view: &view::WindowView, attached: bool) -> dto::Window {
    dto::Window {
        id: view.id,
        ordinal: view.ordinal.max(0) as u64,
        session_id: Some(view.session),
        open: view.open,
        attached,
        geometry: some_value(&view.geometry),
        scroll: some_value(&view.scroll),
        draft: view.draft.as_ref().map(|kept| draft(kept, false)),
        cursor: None,
    }
}

pub(crate) fn queue(queue: &view::Queue) -> dto::Queue {
    let item = |item: &view::QueueItem| dto::QueueItem {
        turn_id: item.turn,
        content: value(&item.content),
        position: item.position,
    };
    dto::Queue { items: queue.items.iter().map(item).collect(), held: queue.held, cursor: None }
}

pub(crate) fn finding(finding: &view::Finding) -> dto::Finding {
    let mut subject = match value(&finding.subject) {
        Value::Object(subject) => subject,
        Value::Null => serde_json::Map::new(),
        other => serde_json::Map::from_iter([("value".to_owned(), other)]),
    };
    if let Some(session) = finding.session {
        subject.insert("session".to_owned(), json!(session));
    }
    dto::Finding {
        id: Some(finding.id.to_string()),
        kind: finding.kind.clone(),
        severity: finding.severity.clone(),
        subject: Value::Object(subject),
        detail: finding.detail.clone(),
        remedy: finding.remedy.clone(),
        at: Some(rfc3339(finding.at_ms)),
    }
}

/// A change as one JSON text.
pub(crate) fn change(kind: &str, cursor: Option<&str>, ids: Ids, data: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Change<'a, T> {
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<&'a str>,
        #[serde(rename = "type")]
        kind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        session_id: Option<gander_model::SessionId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        window_id: Option<gander_model::WindowId>,
        data: &'a T,
    }
    let change = Change { cursor, kind, session_id: ids.session, window_id: ids.window, data };
    // Our own shapes into memory: there is no way for it to fail that a caller could do something about.
    serde_json::to_string(&change).unwrap_or_else(|_| r#"{"type":"reset","data":{}}"#.to_owned())
}

/// What a change is of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ids {
    pub session: Option<gander_model::SessionId>,
    pub window: Option<gander_model::WindowId>,
}

pub(crate) fn audit(audit: &gander_journal::Audit) -> dto::Audit {
    dto::Audit {
        on_disk: audit.on_disk,
        active: audit.active,
        archived: audit.archived,
        trashed: audit.trashed,
        quarantined: audit.quarantined,
    }
}

pub(crate) fn report(report: &gander_journal::Report) -> dto::VerifyReport {
    dto::VerifyReport {
        ok: report.ok && report.complete,
        root: report.root.to_string(),
        sessions: report.sessions,
        entries: report.entries,
        audit: audit(&report.audit),
        findings: report.findings.iter().map(finding).collect(),
    }
}
