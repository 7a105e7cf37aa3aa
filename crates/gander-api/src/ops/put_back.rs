//! What a snapshot holds beside entries, put back where nothing is: windows, drafts, queued prompts and open items.

use gander_journal::{CutItem, ReadError};
use gander_model::{ItemId, Kind, SessionId, TurnId, WindowId};
use gander_vault::{Action, Held, Plan, SnapshotReader, Target, VaultError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::carrier::JournalTarget;
use crate::dto;

#[derive(Deserialize)]
struct WindowDocument {
    id: WindowId,
    ordinal: i64,
    session_id: SessionId,
    open: bool,
    geometry: Option<Box<RawValue>>,
    scroll: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct DraftDocument {
    window_id: WindowId,
    session_id: SessionId,
    rev: u64,
    text: String,
    attachments: Box<RawValue>,
}

#[derive(Deserialize)]
struct QueueDocument {
    session_id: SessionId,
    turn_id: TurnId,
    content: Box<RawValue>,
    #[serde(default)]
    position: u64,
    #[serde(default)]
    window_id: Option<WindowId>,
}

#[derive(Deserialize)]
struct ItemDocument {
    session_id: SessionId,
    item: ItemId,
    turn: Option<TurnId>,
    ord: u32,
    kind: Kind,
    at_ms: i64,
    data: Box<RawValue>,
}

/// Puts back what is not here, attachments first, and counts it.
pub(super) fn documents(
    target: &mut JournalTarget,
    reader: &SnapshotReader<'_>,
    report: &mut dto::RestoreReport,
) -> Result<(), VaultError> {
    for large in &reader.manifest().large {
        if target.has_large(large.hash).map_err(VaultError::Target)? {
            continue;
        }
        let mut bytes = Vec::new();
        match Held::large(reader, large, &mut |part| bytes.extend_from_slice(part)) {
            Ok(true) => target.put_large(large.hash, bytes).map_err(VaultError::Target)?,
            Ok(false) => {}
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    let documents = reader.documents()?;
    let windows: Vec<WindowDocument> = of_kind(&documents, "window");
    let drafts: Vec<DraftDocument> = of_kind(&documents, "draft");
    let mut queue: Vec<QueueDocument> = of_kind(&documents, "queue");
    queue.sort_by_key(|prompt| (prompt.session_id, prompt.position));
    let items = cut_items(reader, of_kind(&documents, "open_item"))?;
    let counts = target.0.write_blocking(move |tx| {
        let (mut counts, queue) = ([0; 4], queue);
        for w in &windows {
            let (geometry, scroll) = (w.geometry.as_deref(), w.scroll.as_deref());
            counts[0] += u64::from(tx.restore_window(w.id, w.ordinal, w.session_id, w.open, geometry, scroll)?);
        }
        for d in &drafts {
            counts[1] += u64::from(tx.restore_draft(d.window_id, d.session_id, d.rev, &d.text, &d.attachments)?);
        }
        for q in &queue {
            counts[2] += u64::from(tx.restore_queued(q.session_id, q.turn_id, q.window_id, &q.content)?);
        }
        for (session, at, items) in &items {
            counts[3] += tx.restore_open_items(*session, *at, items)?;
        }
        Ok(counts)
    });
    let counts = counts.map_err(|error| VaultError::Target(error.into()))?;
    [report.windows, report.drafts, report.queue, report.open_items] = counts;
    Ok(())
}

/// Counts what [`documents`] would put back after `plan` was carried out.
pub(super) fn foreseen(
    target: &JournalTarget,
    reader: &SnapshotReader<'_>,
    plan: &Plan,
    report: &mut dto::RestoreReport,
) -> Result<(), VaultError> {
    let documents = reader.documents()?;
    let added =
        |session: SessionId| plan.steps.iter().any(|step| step.session == session && step.action == Action::Added);
    let forwarded = |session: SessionId| {
        plan.steps.iter().any(|step| step.session == session && matches!(step.action, Action::Forwarded { .. }))
    };
    let windows: Vec<WindowDocument> = of_kind(&documents, "window");
    let drafts: Vec<DraftDocument> = of_kind(&documents, "draft");
    let queue: Vec<QueueDocument> = of_kind(&documents, "queue");
    let items = cut_items(reader, of_kind(&documents, "open_item"))?;
    let counts = target.0.read(|here| {
        let mut counts = [0; 4];
        let comes = |session| -> Result<bool, ReadError> { Ok(added(session) || here.head(session)?.is_some()) };
        let is_here = |window| here.window(window).is_ok();
        for w in windows.iter().filter(|w| !is_here(w.id)) {
            counts[0] += u64::from(comes(w.session_id)?);
        }
        for d in &drafts {
            let window = is_here(d.window_id)
                || windows.iter().any(|w| w.id == d.window_id && comes(w.session_id).unwrap_or(false));
            let there = here.draft(d.window_id, d.session_id)?;
            let taken = there.is_some_and(|there| !there.is_empty() || there.rev >= d.rev);
            counts[1] += u64::from(window && !taken && comes(d.session_id)?);
        }
        for q in &queue {
            let known = here.head(q.session_id)?.is_some() && here.turn_record(q.session_id, q.turn_id)?.is_some();
            counts[2] += u64::from(!known && comes(q.session_id)?);
        }
        for (session, at, items) in &items {
            let ends_there = added(*session) || forwarded(*session) || here.head(*session)? == Some(*at);
            counts[3] += if ends_there { items.len() as u64 } else { 0 };
        }
        Ok(counts)
    });
    [report.windows, report.drafts, report.queue, report.open_items] =
        counts.map_err(|error| VaultError::Target(error.into()))?;
    Ok(())
}

/// Documents that are understood; others are of a later version.
fn of_kind<T: DeserializeOwned>(documents: &[gander_vault::Document], kind: &str) -> Vec<T> {
    let of_kind = documents.iter().filter(|document| document.kind == kind);
    of_kind.filter_map(|document| serde_json::from_str(&document.json).ok()).collect()
}

type OfSession = (SessionId, gander_model::Head, Vec<CutItem>);

/// Open items by session, with the head that it had in the snapshot.
fn cut_items(reader: &SnapshotReader<'_>, items: Vec<ItemDocument>) -> Result<Vec<OfSession>, VaultError> {
    let mut by_session: std::collections::BTreeMap<SessionId, Vec<CutItem>> = std::collections::BTreeMap::new();
    for ItemDocument { session_id, item, turn, ord, kind, at_ms, data } in items {
        by_session.entry(session_id).or_default().push(CutItem { item, turn, ord, kind, at_ms, data });
    }
    let mut found = Vec::new();
    for (session, mut items) in by_session {
        items.sort_by_key(|item| item.ord);
        match reader.session(session) {
            Ok(record) => found.push((session, record.held, items)),
            Err(VaultError::NoSession(_)) => {}
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
