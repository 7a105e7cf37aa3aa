//! Sessions: lists, pages, and what is done to one.

use gander_journal::{Bounds, Filter, ReadError, Reader, Tx, WriteError};
use gander_journal::{Bucket, SessionView};
use gander_model::{NamedBy, Seq, SessionId, Status};
use serde_json::json;

use crate::convert;
use crate::dto;
use crate::error::{ApiError, Code};
use crate::gander::{Gander, blocking};
use crate::live;

const LIST_LIMIT: u32 = 50;
const ENTRIES_LIMIT: u32 = 200;
const MAX_LIMIT: u32 = 500;

/// How many are asked for. A number that cannot be had is refused: fewer than were asked for would read as the end.
fn limit(asked: Option<u32>, usual: u32) -> Result<usize, ApiError> {
    match asked.unwrap_or(usual) {
        asked @ 1..=MAX_LIMIT => Ok(asked as usize),
        asked => Err(ApiError::bad(format!("`limit` is a number from 1 to {MAX_LIMIT}, and not {asked}."))),
    }
}

/// An absolute path of a folder that is there.
pub(super) fn folder(path: &str) -> Result<String, ApiError> {
    let found = std::path::Path::new(path);
    if !found.is_absolute() {
        return Err(ApiError::bad(format!("{path:.500} is not an absolute path.")));
    }
    if !found.is_dir() {
        return Err(ApiError::bad(format!("There is no folder {path:.500}.")));
    }
    Ok(path.to_owned())
}

/// A session for the wire; a quarantined one with what is wrong.
pub(crate) fn shown(reader: &Reader<'_>, view: &SessionView) -> Result<dto::Session, ReadError> {
    let mut session = convert::session(view);
    if view.bucket == Bucket::Quarantined {
        session.finding = reader.quarantine_detail(view.id())?.map(|detail| dto::Finding {
            id: None,
            kind: "damaged".into(),
            severity: "error".into(),
            subject: json!({"session": view.id()}),
            detail,
            remedy:
                "What still verifies is shown. Repair it from a backup (`gander doctor --repair`), or fork it before \
                     the damage."
                    .into(),
            at: None,
        });
    }
    Ok(session)
}

impl Gander {
    /// A page of sessions.
    pub async fn sessions(&self, query: dto::SessionsQuery) -> Result<dto::Sessions, ApiError> {
        let bucket = match query.status.as_deref() {
            None => Some(Bucket::Active),
            Some("all") => None,
            Some(word) => Some(
                word.parse()
                    .map_err(|()| ApiError::bad("status is active, archived, trashed, quarantined, empty or all."))?,
            ),
        };
        let after = match query.after.as_deref() {
            None | Some("") => None,
            Some(after) => Some(after.parse().map_err(|_| ApiError::bad("`after` is not the `next` of a page."))?),
        };
        let filter = Filter { bucket, agent: query.agent, text: query.q };
        let limit = limit(query.limit, LIST_LIMIT)?;
        let page = self
            .ctx
            .read(move |reader| {
                let page = reader.sessions(&filter, after, limit)?;
                let sessions: Result<Vec<_>, _> = page.sessions.iter().map(|view| shown(reader, view)).collect();
                Ok(dto::Sessions {
                    sessions: sessions?,
                    hidden: page.hidden,
                    total: page.matching,
                    counts: dto::Counts {
                        active: page.counts.active,
                        archived: page.counts.archived,
                        trashed: page.counts.trashed,
                        quarantined: page.counts.quarantined,
                        empty: page.counts.empty,
                    },
                    next: page.next.map(|next| next.to_string()),
                    cursor: reader.cursor()?.to_string(),
                })
            })
            .await?;
        Ok(page)
    }

    /// One session.
    pub async fn session(&self, session: SessionId) -> Result<dto::SessionBody, ApiError> {
        let body = self
            .ctx
            .read(move |reader| {
                let view = reader.session(session)?;
                let cursor = Some(reader.cursor()?.to_string());
                Ok(dto::SessionBody { session: shown(reader, &view)?, cursor })
            })
            .await?;
        Ok(body)
    }

    /// Changes a session: all that is asked, or nothing.
    pub async fn patch_session(
        &self,
        session: SessionId,
        patch: dto::SessionPatch,
    ) -> Result<dto::SessionBody, ApiError> {
        let status = match patch.status.as_deref() {
            None => None,
            Some(word) => {
                let status: Result<Status, ()> = word.parse();
                Some(status.map_err(|()| ApiError::bad("status is active, archived or trashed."))?)
            }
        };
        let cwd = match patch.cwd {
            Some(cwd) => Some(blocking(move || folder(&cwd)).await?),
            None => None,
        };
        if let Some(agent) = &patch.agent
            && self.ctx.agent(agent).is_none()
        {
            return Err(ApiError::not_found("agent", agent));
        }
        let name = patch.name.as_deref().map(gander_model::text::given_name).transpose();
        let name = name.map_err(|fault| ApiError::bad(fault.to_string()).safe("The session keeps its name."))?;
        let (agent, pinned, seen) = (patch.agent, patch.pinned, patch.seen);
        self.ctx
            .write(move |tx| {
                if let Some(name) = &name {
                    tx.name(session, name, NamedBy::User, None)?;
                }
                if let Some(cwd) = &cwd {
                    set_folder(tx, session, cwd)?;
                }
                if let Some(agent) = &agent {
                    tx.configure(session, Some(agent), None)?;
                }
                if let Some(status) = status {
                    tx.set_status(session, status)?;
                }
                if let Some(pinned) = pinned {
                    tx.set_pinned(session, pinned)?;
                }
                if let Some(seen) = seen {
                    tx.set_seen(session, seen)?;
                }
                Ok(())
            })
            .await?;
        self.session(session).await
    }

    /// A verified page of entries and what is still being streamed, all of one moment (G4).
    pub async fn entries(&self, session: SessionId, query: dto::EntriesQuery) -> Result<dto::Entries, ApiError> {
        let forward = query.after.is_some();
        let bounds = Bounds {
            after: query.after.map(Seq),
            before: query.before.map(Seq),
            limit: limit(query.limit, ENTRIES_LIMIT)?,
        };
        let page = self
            .ctx
            .read(move |reader| {
                let view = reader.session(session)?;
                let page = reader.entries(session, bounds)?;
                let seq = |view: &gander_journal::EntryView| view.entry.header.seq.to_string();
                let next = match forward {
                    true => page.entries.last().filter(|_| page.more_after).map(seq),
                    false => page.entries.first().filter(|_| page.more_before).map(seq),
                };
                let damage = page.damage.as_ref().map(|damage| dto::Finding {
                    id: None,
                    kind: "damaged".into(),
                    severity: "error".into(),
                    subject: json!({"session": session}),
                    detail: format!("{damage}. What is shown verifies; the rest is kept as it is and not shown."),
                    remedy: "Restore this session from a backup, or fork it before the damage.".into(),
                    at: None,
                });
                Ok(dto::Entries {
                    session: shown(reader, &view)?,
                    entries: page.entries.iter().map(convert::entry).collect(),
                    open_items: reader.open_items(session)?.iter().map(convert::open_item).collect(),
                    next,
                    cursor: reader.cursor()?.to_string(),
                    verified: damage.is_none(),
                    damage,
                })
            })
            .await?;
        Ok(page)
    }

    /// The `data` of an entry, wherever it lies.
    pub async fn entry_data(&self, session: SessionId, seq: u64) -> Result<Vec<u8>, ApiError> {
        let data = self
            .ctx
            .read(move |reader| match reader.entry(session, Seq(seq))? {
                Some(view) => reader.entry_data(&view.entry),
                None => Ok(None),
            })
            .await?;
        data.ok_or_else(|| ApiError::not_found("data of entry", seq))
    }

    /// A session that goes on from the end of a turn of another one.
    pub async fn fork(&self, session: SessionId, body: dto::ForkBody) -> Result<dto::SessionBody, ApiError> {
        self.check_serving()?;
        let fork = self
            .ctx
            .write(move |tx| {
                let fork = tx.fork(session, Seq(body.at_seq), body.window_id)?;
                if let Some(window) = body.window_id {
                    tx.show(window, fork)?;
                }
                Ok(fork)
            })
            .await?;
        self.session(fork).await
    }

    /// Erases one body for good.
    pub async fn redact(&self, session: SessionId, body: dto::RedactBody) -> Result<dto::SessionBody, ApiError> {
        let entry = move |reader: &Reader<'_>| reader.entry(session, Seq(body.seq));
        let owner = self.ctx.read(entry).await.ok().flatten().map_or(session, |view| view.entry.header.session_id);
        self.ctx.write(move |tx| tx.redact(session, Seq(body.seq))).await?;
        self.ctx.backups.soon();
        self.ctx.erase_exports(owner).await?;
        self.session(session).await
    }

    /// Erases the bodies of a trashed session for good, and has its agents forget what they keep of it themselves.
    pub async fn purge(&self, session: SessionId) -> Result<dto::Purged, ApiError> {
        // An agent that is kept for it remembers the conversation: it goes first.
        self.ctx.live.let_go(session).await;
        let machine = self.ctx.machine.clone();
        let (owed, away) = self
            .ctx
            .write(move |tx| {
                let links = tx.reader()?.links(session)?;
                tx.purge(session)?;
                let (here, away): (Vec<_>, Vec<_>) = links.into_iter().partition(|link| link.machine == machine);
                Ok((live::owe(tx, session, &here)?, away))
            })
            .await?;
        self.ctx.backups.soon();
        self.ctx.erase_exports(session).await?;
        let mut asked = tokio::task::JoinSet::new();
        for owed in owed {
            let ctx = self.ctx.clone();
            asked.spawn(async move { live::forget(&ctx, owed).await });
        }
        let mut agents = asked.join_all().await;
        agents.extend(away.into_iter().map(|link| dto::AgentMemory {
            detail: format!(
                "{} keeps its own session {} on the machine that it was made on. Delete it there.",
                link.agent, link.agent_session
            ),
            agent: link.agent,
            store: link.store,
            agent_session_id: link.agent_session,
            erased: false,
        }));
        let dto::SessionBody { session, cursor } = self.session(session).await?;
        Ok(dto::Purged { session, cursor, agents })
    }

    /// Searches inside sessions.
    pub async fn search(&self, query: dto::SearchQuery) -> Result<dto::SearchPage, ApiError> {
        let words = query.q.trim().to_owned();
        if words.is_empty() {
            return Err(ApiError::bad("`q` is empty."));
        }
        if words.len() > 1000 {
            return Err(ApiError::new(Code::TooLarge, "`q` may be 1,000 bytes long."));
        }
        let after = match query.after.as_deref() {
            None | Some("") => None,
            Some(after) => Some(after.parse().map_err(|_| ApiError::bad("`after` is not the `next` of a page."))?),
        };
        self.search_index(words, after, limit(query.limit, LIST_LIMIT)?).await
    }
}

/// The folder of an empty session is its choice; later it is a move.
fn set_folder(tx: &mut Tx<'_>, session: SessionId, cwd: &str) -> Result<(), WriteError> {
    if tx.reader()?.session(session)?.bucket == Bucket::Empty {
        tx.configure(session, None, Some(cwd))
    } else {
        tx.move_folder(session, cwd)
    }
}
