//! Changes as they come, without gaps. They are always read back from the journal after a commit, never passed on from
//! memory (G1).
//!
//! One task reads each new revision once and hands the text to all feeds. A feed that is behind (it just came, or its
//! client is slow) reads the journal itself, page by page, until it is not. So a slow client costs nobody else
//! anything, and no queue grows with it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gander_journal::{Change, Changes, Cursor, Part, ReadError, Saving, What};
use gander_model::{WindowId, text};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use crate::convert::{self, Ids};
use crate::error::{ApiError, Code};
use crate::gander::{Ctx, Gander};

/// Rows of one read.
const PAGE: usize = 256;
/// Reads that the hub keeps for feeds that are a little behind.
const KEPT: usize = 64;

/// One change, ready to be sent.
#[derive(Debug, Clone)]
pub struct Push {
    /// From where to go on after it, where it is kept.
    pub cursor: Option<Arc<str>>,
    /// Its type.
    pub kind: &'static str,
    /// `{cursor?,type,session_id?,window_id?,data}`
    pub json: Arc<str>,
}

/// A change that is not kept.
pub(crate) type Live = Push;

/// What one read gave: everything after `from` up to `to`.
struct Batch {
    from: u64,
    to: u64,
    pushes: Vec<(u64, Push)>,
}

/// Reads once for all feeds.
pub(crate) struct Hub {
    batches: broadcast::Sender<Arc<Batch>>,
    closed: watch::Sender<bool>,
    /// The task has seen the end.
    ended: watch::Sender<bool>,
}

impl Hub {
    pub fn new() -> Self {
        Hub { batches: broadcast::channel(KEPT).0, closed: watch::channel(false).0, ended: watch::channel(false).0 }
    }

    /// Lets feeds have what is committed, then ends them.
    pub async fn stop(&self) {
        self.closed.send_replace(true);
        let mut ended = self.ended.subscribe();
        let _ = tokio::time::timeout(Duration::from_secs(5), ended.wait_for(|ended| *ended)).await;
    }
}

/// Starts the task that reads.
pub(crate) async fn start(ctx: &Arc<Ctx>) -> Result<(), ReadError> {
    let cursor = ctx.read(|reader| reader.cursor()).await?;
    let ctx = ctx.clone();
    tokio::spawn(async move {
        let mut revisions = ctx.journal.revisions();
        let mut closed = ctx.hub.closed.subscribe();
        let mut at = cursor;
        loop {
            revisions.borrow_and_update();
            spread(&ctx, &mut at).await;
            tokio::select! {
                changed = revisions.changed() => if changed.is_err() { break },
                () = is_true(&mut closed) => break,
            }
        }
        spread(&ctx, &mut at).await;
        ctx.hub.ended.send_replace(true);
    });
    Ok(())
}

/// Resolves when it is true.
async fn is_true(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|flag| *flag).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn spread(ctx: &Arc<Ctx>, at: &mut Cursor) {
    loop {
        match page(ctx, *at).await {
            Ok(Page::Reset(now)) => *at = now,
            Ok(Page::Changes { pushes, reached, more }) => {
                if reached.revision > at.revision {
                    let batch = Batch { from: at.revision, to: reached.revision, pushes };
                    // Nobody listening is no error: whoever comes reads the journal.
                    let _ = ctx.hub.batches.send(Arc::new(batch));
                    *at = reached;
                }
                if !more {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "changes could not be read");
                return;
            }
        }
    }
}

enum Page {
    Reset(Cursor),
    Changes { pushes: Vec<(u64, Push)>, reached: Cursor, more: bool },
}

async fn page(ctx: &Arc<Ctx>, at: Cursor) -> Result<Page, ReadError> {
    let context = ctx.clone();
    ctx.read(move |reader| match reader.changes(at, PAGE)? {
        Changes::Reset => Ok(Page::Reset(reader.cursor()?)),
        Changes::Page { changes, revision, more } => {
            let last = changes.len();
            let pushes = changes
                .iter()
                .enumerate()
                .map(|(n, change)| {
                    // What is given last stands for everything that was read.
                    let revision = if n + 1 == last { revision } else { change.revision };
                    let cursor = Cursor { journal: at.journal, revision };
                    (revision, push(&context, change, &cursor.to_string()))
                })
                .collect();
            Ok(Page::Changes { pushes, reached: Cursor { journal: at.journal, revision }, more })
        }
    })
    .await
}

fn push(ctx: &Ctx, change: &Change, cursor: &str) -> Push {
    let of = |session| Ids { session: Some(session), window: None };
    let (kind, ids, data) = match &change.what {
        What::Entry { session, entry } => ("entry", of(*session), json!(convert::entry(entry))),
        What::OpenItem(part) => ("open_item", of(part.session), open_item(part)),
        What::Session(view) => ("session", of(view.id()), json!(convert::session(view))),
        What::Window(view) => {
            let window = convert::window(view, ctx.attachments.is_attached(view.id));
            ("window", Ids { session: window.session_id, window: Some(view.id) }, json!(window))
        }
        What::Draft(draft) => {
            let ids = Ids { session: Some(draft.session), window: Some(draft.window) };
            ("draft", ids, json!(convert::draft(draft, true)))
        }
        What::Queue { session, queue } => ("queue", of(*session), json!(convert::queue(queue))),
        What::Finding(finding) => {
            let ids = Ids { session: finding.session, window: None };
            ("finding", ids, json!(convert::finding(finding)))
        }
        What::Agents => ("agents", Ids::default(), json!({})),
        What::Config => ("config", Ids::default(), json!({})),
    };
    let json = convert::change(kind, Some(cursor), ids, &data);
    Push { cursor: Some(cursor.into()), kind, json: json.into() }
}

fn open_item(part: &Part) -> Value {
    let mut data = json!({"item": part.item, "ord": part.ord, "kind": part.kind, "turn": part.turn, "from": part.from});
    let Some(raw) = part.updates.as_ref().filter(|updates| updates.get().len() <= convert::SHOWN_MAX_BYTES) else {
        data["large"] = json!(part.updates.as_ref().map_or(part.bytes, |updates| updates.get().len() as u64));
        return data;
    };
    let updates = convert::value(raw);
    if part.kind.is_text() {
        data["text"] = json!(text::updates_text(raw));
        // An image within a message has no text to tell it by.
        let plain = |update: &Value| update.pointer("/content/type").and_then(Value::as_str) == Some("text");
        if !updates.as_array().is_some_and(|updates| updates.iter().all(plain)) {
            data["updates"] = updates;
        }
    } else {
        data["updates"] = updates;
    }
    data
}

/// A change that is not kept.
pub(crate) fn passing(kind: &'static str, ids: Ids, data: &Value) -> Push {
    Push { cursor: None, kind, json: convert::change(kind, None, ids, data).into() }
}

fn status(saving: &Saving) -> Push {
    let data = match saving {
        Saving::Yes => json!({"saving": true}),
        Saving::No { reason, .. } => json!({
            "saving": false,
            "reason": reason,
            "safe": "What was acknowledged is on disk. New text stays in the page until it can be saved; saving resumes by itself.",
        }),
    };
    passing("status", Ids::default(), &data)
}

pub(crate) fn handover(now: &crate::dto::Handover) -> Push {
    passing("handover", Ids::default(), &json!(now))
}

pub(crate) fn installed(now: Option<&crate::dto::Installed>) -> Push {
    passing("installed", Ids::default(), &json!(now))
}

impl Ctx {
    /// Tells that a page came to a window or left it.
    pub(crate) fn window_passing(self: &Arc<Self>, window: WindowId) {
        let ctx = self.clone();
        tokio::spawn(async move {
            let Ok(view) = ctx.read(move |reader| reader.window(window)).await else { return };
            let data = json!(convert::window(&view, ctx.attachments.is_attached(window)));
            let ids = Ids { session: Some(view.session), window: Some(window) };
            ctx.tell(passing("window", ids, &data));
        });
    }

    /// Tells all feeds what is not kept.
    pub(crate) fn tell(&self, passing: Push) {
        // Nobody listening is no error.
        let _ = self.passing.send(passing);
    }
}

/// The changes after a cursor, one after the other.
pub struct Feed {
    ctx: Arc<Ctx>,
    at: Cursor,
    behind: bool,
    ready: VecDeque<Push>,
    batches: broadcast::Receiver<Arc<Batch>>,
    passing: broadcast::Receiver<Live>,
    saving: watch::Receiver<Saving>,
    closed: watch::Receiver<bool>,
}

impl Gander {
    /// Changes after a cursor (from now on without one): first `hello` and `status`, then one after the other. A cursor
    /// that cannot be served gets `reset`.
    pub async fn feed(&self, after: Option<&str>) -> Result<Feed, ApiError> {
        self.check_serving()?;
        let ctx = &self.ctx;
        // Listening begins before reading, so nothing falls between the two.
        let batches = ctx.hub.batches.subscribe();
        let passing_by = ctx.passing.subscribe();
        let mut saving = ctx.journal.status();
        let now = ctx.read(|reader| reader.cursor()).await?;
        let wanted = match after {
            None => Some(now),
            Some(after) => after.parse::<Cursor>().ok().filter(|cursor| cursor.journal == now.journal),
        };
        let hello = json!({"version": gander_model::VERSION, "journal": now.journal, "cursor": now.to_string()});
        let mut ready = VecDeque::from([passing("hello", Ids::default(), &hello), status(&saving.borrow_and_update())]);
        ready.extend(ctx.handover_push().await);
        if wanted.is_none() {
            ready.push_back(reset(&now));
        }
        let at = wanted.unwrap_or(now);
        Ok(Feed {
            ctx: ctx.clone(),
            at,
            behind: at != now,
            ready,
            batches,
            passing: passing_by,
            saving,
            closed: ctx.hub.ended.subscribe(),
        })
    }
}

fn reset(now: &Cursor) -> Push {
    passing("reset", Ids::default(), &json!({"cursor": now.to_string()}))
}

impl Feed {
    /// The next change; `None` when the process stops. Cancel safe.
    pub async fn next(&mut self) -> Option<Push> {
        loop {
            if let Some(push) = self.ready.pop_front() {
                return Some(push);
            }
            if self.behind {
                self.catch_up().await;
                continue;
            }
            tokio::select! {
                biased;
                batch = self.batches.recv() => match batch {
                    Ok(batch) => self.take(&batch),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                passing = self.passing.recv() => if let Ok(passing) = passing {
                    return Some(passing);
                },
                changed = self.saving.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                    return Some(status(&self.saving.borrow_and_update()));
                }
                () = is_true(&mut self.closed) => return None,
            }
        }
    }

    /// A change that waits with the last one.
    pub fn try_next(&mut self) -> Option<Push> {
        self.ready.pop_front()
    }

    fn take(&mut self, batch: &Batch) {
        if batch.to <= self.at.revision {
            return;
        }
        if batch.from > self.at.revision {
            self.behind = true;
            return;
        }
        let after = self.at.revision;
        self.ready.extend(batch.pushes.iter().filter(|(revision, _)| *revision > after).map(|(_, push)| push.clone()));
        self.at.revision = batch.to;
    }

    async fn catch_up(&mut self) {
        match page(&self.ctx, self.at).await {
            Ok(Page::Reset(now)) => {
                self.at = now;
                self.behind = false;
                self.ready.push_back(reset(&now));
            }
            Ok(Page::Changes { pushes, reached, more }) => {
                self.ready.extend(pushes.into_iter().map(|(_, push)| push));
                self.at = reached;
                self.behind = more;
            }
            Err(error) => {
                tracing::warn!(%error, "a feed could not be read");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound { what, id } => ApiError::not_found(what, id),
            ReadError::Damaged { session, ref damage } => {
                ApiError::new(Code::Quarantined, format!("Session {session} is damaged: {damage}."))
            }
            ReadError::Index(why) => ApiError::internal(format!("The search index cannot be read: {why}"))
                .safe("Every session is safe: the index can be made anew.")
                .todo("Run `gander doctor --rebuild`."),
            other => ApiError::internal(with_sources(&other)),
        }
    }
}

/// An error and what caused it, in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
