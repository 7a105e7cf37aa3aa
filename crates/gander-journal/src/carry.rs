//! Carrying sessions out and in again, byte for byte: for backups, exports and their restore. Out, nothing is judged
//! but order; in, every entry is verified first, and nothing that is here is changed: a session is new, goes on
//! exactly where it ends here, or is recorded anew beside what is here.

use gander_model::chain::{Walk, check_body};
use gander_model::{Body, By, Entry, Hash, Head, Kind, NamedBy, Origin, Seq, SessionId, SessionState, WindowId};
use rusqlite::{OptionalExtension, params};
use serde_json::json;
use serde_json::value::RawValue;

use crate::append::uses_of;
use crate::connect::{hash_at, int, session_at, u64_at};
use crate::entries::{self, Lineage};
use crate::erase::Erased;
use crate::error::{ReadError, WriteError};
use crate::read::Reader;
use crate::tx::{Result, Tx};
use crate::{blobs, changes, copies, project, sessions};

/// A session as its witnessed head and its row show it.
#[derive(Clone, Debug)]
pub struct CarriedSession {
    /// Its id.
    pub id: SessionId,
    /// Its witnessed head.
    pub head: Head,
    /// The entry that it was forked from.
    pub origin: Option<Origin>,
    /// Its status, as a word.
    pub status: String,
}

/// A window, draft, queued prompt or open item as JSON.
#[derive(Clone, Debug)]
pub struct CarriedDocument {
    /// `window`, `draft`, `queue` or `open_item`.
    pub kind: &'static str,
    /// Its id within its kind.
    pub key: String,
    /// The session that it belongs to.
    pub session: Option<SessionId>,
    /// The document.
    pub json: String,
}

impl Reader<'_> {
    /// Every session ever created, by ascending id.
    pub fn carried_sessions(&self) -> std::result::Result<Vec<CarriedSession>, ReadError> {
        let mut sessions: Vec<CarriedSession> = self
            .conn
            .prepare_cached(
                "SELECT h.session_id, h.seq, h.hash, s.status, s.origin_session, s.origin_seq, s.origin_hash
                 FROM heads h LEFT JOIN sessions s USING (session_id) ORDER BY h.session_id",
            )?
            .query_map([], |row| {
                let origin = match row.get::<_, Option<[u8; 16]>>(4)? {
                    Some(id) => Some(Origin {
                        session_id: SessionId::from_bytes(id),
                        seq: Seq(u64_at(row, 5)?),
                        hash: hash_at(row, 6)?,
                    }),
                    None => None,
                };
                Ok(CarriedSession {
                    id: session_at(row, 0)?,
                    head: Head { seq: Seq(u64_at(row, 1)?), hash: hash_at(row, 2)? },
                    origin,
                    status: row.get::<_, Option<String>>(3)?.unwrap_or_else(|| "active".to_owned()),
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        for session in &mut sessions {
            // A recovered copy's or import's origin is not what its chain begins at; only the entries can tell.
            if session.origin.is_some() {
                session.origin = entries::pinned(self.conn, session.id)?;
            }
        }
        Ok(sessions)
    }

    /// A session's own entries after `after` up to `through`, as stored. `take` answers `false` to stop.
    pub fn own_entries(
        &self,
        session: SessionId,
        after: Seq,
        through: Seq,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> std::result::Result<(), ReadError> {
        entries::for_each_while(self.conn, session, after.next(), through, |entry| Ok(take(entry)))?;
        Ok(())
    }

    /// The entry that a session was forked from, as its first own entry says.
    pub fn forked_from(&self, session: SessionId) -> std::result::Result<Option<Origin>, ReadError> {
        Ok(entries::pinned(self.conn, session)?)
    }

    /// The hash of a session's entry at a place, inherited ones included.
    pub fn hash_at(&self, session: SessionId, seq: Seq) -> std::result::Result<Option<Hash>, ReadError> {
        Ok(entries::hash_of(self.conn, session, seq)?)
    }

    /// A large content in pieces; `false` when it is not here.
    pub fn content(&self, hash: Hash, take: &mut dyn FnMut(&[u8])) -> std::result::Result<bool, ReadError> {
        if blobs::info(self.conn, hash)?.is_none() {
            return Ok(false);
        }
        blobs::read(self.conn, hash, |chunk| {
            take(chunk);
            Ok(())
        })?;
        Ok(true)
    }

    /// The last revision.
    pub fn revision(&self) -> std::result::Result<u64, ReadError> {
        Ok(changes::last_revision(self.conn)?)
    }

    /// Windows, drafts, queued prompts and open items, each as it is stored.
    pub fn documents(&self) -> std::result::Result<Vec<CarriedDocument>, ReadError> {
        let mut documents = Vec::new();
        for window in self.windows()? {
            let json = json!({"id": window.id, "ordinal": window.ordinal, "session_id": window.session,
                "open": window.open, "geometry": window.geometry, "scroll": window.scroll,
                "focused": window.focused, "closed_at_ms": window.closed_at_ms});
            documents.push(document("window", window.id.to_string(), None, &json));
        }
        let drafts = self
            .conn
            .prepare_cached(
                "SELECT window_id, session_id, rev, text, attachments FROM drafts WHERE full = 1
                 ORDER BY window_id, session_id",
            )?
            .query_map([], |row| {
                let (window, session) = (WindowId::from_bytes(row.get(0)?), session_at(row, 1)?);
                let attachments: String = row.get(4)?;
                let attachments = RawValue::from_string(attachments).ok();
                let json = json!({"window_id": window, "session_id": session, "rev": u64_at(row, 2)?,
                    "text": row.get::<_, String>(3)?, "attachments": attachments});
                Ok(document("draft", format!("{window} {session}"), Some(session), &json))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        documents.extend(drafts);
        let busy = |table: &str| {
            let sql = format!("SELECT DISTINCT session_id FROM {table} ORDER BY session_id");
            let mut query = self.conn.prepare_cached(&sql)?;
            query.query_map([], |row| session_at(row, 0))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        for session in busy("queue")? {
            for item in self.queue(session)?.items {
                let json = json!({"session_id": session, "turn_id": item.turn, "content": item.content,
                    "position": item.position, "window_id": item.window});
                documents.push(document("queue", format!("{session} {}", item.turn), Some(session), &json));
            }
        }
        for session in busy("open_items")? {
            for item in self.open_items(session)? {
                let json = json!({"session_id": session, "item": item.item, "turn": item.turn, "ord": item.ord,
                    "kind": item.kind, "at_ms": item.at_ms, "data": item.data});
                documents.push(document("open_item", format!("{session} {}", item.item), Some(session), &json));
            }
        }
        Ok(documents)
    }

    /// The recovered copy that holds a session's entry with this hash.
    pub fn copy_of(&self, session: SessionId, hash: Hash) -> std::result::Result<Option<SessionId>, ReadError> {
        Ok(copies::get(self.conn, session, hash)?)
    }
}

fn document(kind: &'static str, key: String, session: Option<SessionId>, json: &serde_json::Value) -> CarriedDocument {
    CarriedDocument { kind, key, session, json: json.to_string() }
}

impl Tx<'_> {
    /// Takes entries in as they are: a session that is not here (`after` is `None`), or the rest of one whose head is
    /// `after`. Large contents that they name must be here. Bodies that the entries list as erased are erased; one
    /// that is gone and not listed is listed by a new entry at the end.
    pub fn carry_in(
        &mut self,
        session: SessionId,
        origin: Option<Origin>,
        after: Option<Head>,
        entries: &[Entry],
    ) -> Result<Head> {
        let here = entries::head(self.conn, session)?;
        if here != after {
            let head = here.unwrap_or(Head { seq: Seq(0), hash: Hash::ZERO });
            return Err(WriteError::HeadMoved { head });
        }
        if after.is_some() {
            self.check_writable(session)?;
            if let Some(turn) = self.active_turn(session)? {
                return Err(WriteError::TurnRunning { turn: turn.id });
            }
        }
        if let Some(origin) = origin.filter(|_| after.is_none())
            && entries::hash_of(self.conn, origin.session_id, origin.seq)? != Some(origin.hash)
        {
            let text = format!("session {session} is forked from an entry that is not here");
            return Err(WriteError::Invalid(text));
        }
        let beginning = origin.map(|origin| Head { seq: origin.seq, hash: origin.hash });
        let mut walk = after.or(beginning).map_or_else(Walk::from_start, Walk::after);
        for entry in entries {
            let damaged = |damage| WriteError::Damaged { session, damage };
            if entry.header.session_id != session {
                let text = format!("entry {} is of session {}", entry.header.seq, entry.header.session_id);
                return Err(WriteError::Invalid(text));
            }
            walk.step(&entry.header).map_err(damaged)?;
            check_body(entry, true).map_err(damaged)?;
        }
        let mut before = after;
        for entry in entries {
            let position = self.insert(&entry.header, entry.body.as_ref(), before)?;
            before = Some(entry.header.head());
            if let Some(body) = entry.body.as_ref().and_then(|body| Body::parse(&body.bytes).ok()) {
                self.use_contents(&uses_of(&entry.header.kind, &body), position)?;
                self.remember_turn(session, &entry.header.kind, &body, entry.header.seq)?;
            }
            if after.is_some() {
                self.change("entry", Some(session), None, Some(entry.header.seq.0))?;
            }
        }
        self.honour_erasures(session, entries)?;
        let state = project::fold(self.conn, session)?
            .ok_or_else(|| WriteError::Invalid(format!("session {session} has no beginning")))?;
        if entries::pinned(self.conn, session)? != origin {
            return Err(WriteError::Invalid(format!("session {session} begins elsewhere than its first entry says")));
        }
        let head = state.head;
        self.store_state(state)?;
        self.list(session)?;
        self.touch_session(session);
        let gone = self.unexplained(session)?;
        if gone.is_empty() {
            return Ok(head);
        }
        self.erase_listed(session, &gone, "restore")?;
        entries::head(self.conn, session)?.ok_or_else(|| WriteError::not_found("session", session))
    }

    /// A turn id that was accepted elsewhere is not accepted again here.
    pub(crate) fn remember_turn(&mut self, session: SessionId, kind: &Kind, body: &Body, seq: Seq) -> Result<()> {
        let Some(turn) = body.turn else { return Ok(()) };
        if *kind == Kind::PROMPT {
            self.conn
                .prepare_cached(
                    "INSERT OR IGNORE INTO turns (session_id, turn_id, phase, prompt_seq) VALUES (?1, ?2, 'interrupted', ?3)",
                )?
                .execute(params![session.as_bytes(), turn.as_bytes(), int(seq.0)])?;
        }
        if *kind == Kind::TURN_ENDED {
            let state = body.data_as::<serde_json::Value>().and_then(|data| Some(data["state"].as_str()?.to_owned()));
            let phase = state.filter(|state| ["ended", "not_sent"].contains(&state.as_str()));
            self.conn
                .prepare_cached("UPDATE turns SET phase = ?3 WHERE session_id = ?1 AND turn_id = ?2")?
                .execute(params![session.as_bytes(), turn.as_bytes(), phase.unwrap_or("interrupted".into())])?;
        }
        Ok(())
    }

    /// `redacted` entries that came in erase what they list here too.
    pub(crate) fn honour_erasures(&mut self, session: SessionId, entries: &[Entry]) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Redacted {
            #[serde(default)]
            erased: Vec<Erased>,
        }
        for entry in entries.iter().filter(|entry| entry.header.kind == Kind::REDACTED) {
            let body = entry.body.as_ref().and_then(|body| Body::parse(&body.bytes).ok());
            let listed = body.and_then(|body| body.data_as::<Redacted>()).map(|data| data.erased).unwrap_or_default();
            let listed: Vec<_> = listed.into_iter().filter(|erased| erased.session_id == session).collect();
            let by = self.position_of(session, entry.header.seq)?;
            self.strike(&listed, by)?;
        }
        Ok(())
    }

    fn position_of(&self, session: SessionId, seq: Seq) -> Result<i64> {
        let position = self
            .conn
            .prepare_cached("SELECT position FROM entries WHERE session_id = ?1 AND seq = ?2")?
            .query_row(params![session.as_bytes(), int(seq.0)], |row| row.get(0))
            .optional()?;
        position.ok_or_else(|| WriteError::not_found("entry", seq))
    }

    /// Bodies that are gone without an entry that says so.
    fn unexplained(&self, session: SessionId) -> Result<Vec<Erased>> {
        let gone = self
            .conn
            .prepare_cached(
                "SELECT seq, body_hash FROM entries e WHERE session_id = ?1
                    AND NOT EXISTS (SELECT 1 FROM bodies b WHERE b.position = e.position)
                    AND NOT EXISTS (SELECT 1 FROM erasures x WHERE x.position = e.position)
                    AND kind NOT IN ('created', 'status', 'forked', 'imported', 'redacted') ORDER BY seq",
            )?
            .query_map([session.as_bytes()], |row| {
                Ok(Erased { session_id: session, seq: Seq(u64_at(row, 0)?), body_hash: hash_at(row, 1)? })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(gone)
    }

    fn erase_listed(&mut self, session: SessionId, gone: &[Erased], why: &str) -> Result<()> {
        let body = sessions::body(By::Gander, &json!({ "erased": gone, "why": why }))?;
        let head = self.append(session, Kind::REDACTED, body)?;
        let by = self.position_of(session, head.seq)?;
        self.strike(gone, by)
    }

    /// Makes a recovered copy: a fork of `session` at `common` (else a new session) in which `entries` are recorded
    /// anew, each with its origin. The same last entry is never copied twice.
    pub fn recover_copy(&mut self, session: SessionId, common: Option<Head>, entries: &[Entry]) -> Result<SessionId> {
        let last = entries.last().ok_or_else(|| WriteError::Invalid("there is nothing to recover".to_owned()))?;
        if let Some(copy) = copies::get(self.conn, session, last.header.hash)? {
            return Ok(copy);
        }
        let before = self.state(session)?;
        let copy = self.new_session_id();
        let mut state = SessionState::new(copy);
        match common {
            Some(common) => {
                let lineage = Lineage::of(self.conn, session)?;
                let shared = lineage.segments().iter().filter(|segment| segment.first <= common.seq);
                let mut owner = session;
                for segment in shared {
                    owner = segment.owner;
                    entries::for_each(
                        self.conn,
                        segment.owner,
                        segment.first,
                        segment.last.min(common.seq),
                        |entry| {
                            let body = entry.body.as_ref().and_then(|body| Body::parse(&body.bytes).ok());
                            state.inherit(&entry.header, body.as_ref());
                            Ok(())
                        },
                    )?;
                }
                let origin = Origin { session_id: owner, seq: common.seq, hash: common.hash };
                let forked = Body::with(By::Gander, &origin).map_err(|e| WriteError::Invalid(e.to_string()))?;
                self.append_to(state, Kind::FORKED, forked)?;
            }
            None => {
                self.append_to(state, Kind::CREATED, sessions::body(By::Gander, &json!({}))?)?;
            }
        }
        let configured = json!({ "agent": before.agent, "cwd": before.cwd });
        self.append(copy, Kind::CONFIGURED, sessions::body(By::Gander, &configured)?)?;
        for entry in entries {
            self.record_anew(copy, entry)?;
        }
        let name = before.name.as_deref().unwrap_or("Chat");
        let named = json!({ "name": format!("{name} (recovered)"), "named_by": NamedBy::Auto, "after": self.state(copy)?.named_seq });
        self.append(copy, Kind::NAMED, sessions::body(By::Gander, &named)?)?;
        copies::put(self.conn, session, last.header.hash, copy)?;
        self.list(copy)?;
        self.touch_session(copy);
        Ok(copy)
    }

    fn record_anew(&mut self, copy: SessionId, entry: &Entry) -> Result<()> {
        let header = &entry.header;
        // What binds the original, or says where it stands, is not said of the copy.
        let own = ["created", "forked", "linked", "status", "redacted", "imported", "named", "configured"];
        if own.contains(&header.kind.as_str()) {
            return Ok(());
        }
        let origin = json!({ "session": header.session_id, "seq": header.seq, "hash": header.hash });
        let origin = serde_json::value::to_raw_value(&origin).map_err(|e| WriteError::Invalid(e.to_string()))?;
        let parsed = entry.body.as_ref().map(|body| Body::parse(&body.bytes));
        let (kind, mut body) = match parsed {
            Some(Ok(body)) => (header.kind.clone(), body),
            _ => {
                let text = format!("Entry {} was erased.", header.seq);
                (Kind::NOTE, sessions::body(By::Gander, &json!({ "text": text }))?)
            }
        };
        body.extra.insert("origin".to_owned(), origin);
        let turn = body.clone();
        let head = self.append(copy, kind.clone(), body)?;
        self.remember_turn(copy, &kind, &turn, head.seq)
    }
}
