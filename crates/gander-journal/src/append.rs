//! Appending an entry: the one way in which a session grows. Header, body, witnessed head, projection and change are
//! written together, or not at all.

use gander_model::entry::{EntryHeader, StoredBody, body_hash};
use gander_model::{
    Body, Data, DataRef, Hash, Head, Kind, Salt, Seq, SessionId, SessionState, body::INLINE_DATA_MAX_BYTES,
};
use rusqlite::{OptionalExtension, params};
use serde::Deserialize;

use crate::connect::int;
use crate::error::WriteError;
use crate::project;
use crate::tx::{Listing, Result, Tx};
use crate::{entries, listing};

#[derive(Deserialize)]
struct Prompt {
    content: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    hash: Option<Hash>,
}

/// The attachments that a prompt names.
fn blobs_of(prompt: &Body) -> impl Iterator<Item = Hash> + use<> {
    let content = prompt.data_as::<Prompt>().map(|prompt| prompt.content).unwrap_or_default();
    content.into_iter().filter(|block| block.kind == "blob").filter_map(|block| block.hash)
}

/// The contents that an entry names.
pub(crate) fn uses_of(kind: &Kind, body: &Body) -> Vec<Hash> {
    match &body.data {
        Data::Ref(large) => vec![large.hash],
        Data::Inline(_) if *kind == Kind::PROMPT => blobs_of(body).collect(),
        _ => Vec::new(),
    }
}

impl Tx<'_> {
    /// Appends an entry to a session. Large data is put beside the entries first.
    pub fn append(&mut self, session: SessionId, kind: Kind, body: Body) -> Result<Head> {
        let stored = match self.take_state(session) {
            Some((state, true)) => return self.append_to(state, kind, body),
            Some((state, false)) => Some(state),
            None => project::load(self.conn, session)?,
        };
        let head = self.head_to_append(session)?;
        let state = match stored.filter(|state| state.head == head) {
            Some(state) => state,
            // The row is behind or beside the witnessed head: only the entries can tell.
            None => project::fold(self.conn, session)?.ok_or_else(|| WriteError::not_found("session", session))?,
        };
        if state.head != head {
            let damage = gander_model::chain::Damage::Head { witnessed: head };
            return Err(WriteError::Damaged { session, damage });
        }
        self.append_to(state, kind, body)
    }

    /// Appends to a session whose state was just folded up to its head (or, for a new one, is empty).
    pub(crate) fn append_to(&mut self, mut state: SessionState, kind: Kind, mut body: Body) -> Result<Head> {
        let session = state.session_id;
        let mut uses = Vec::new();
        if let Data::Inline(data) = &body.data
            && data.get().len() > INLINE_DATA_MAX_BYTES
            && !kind.is_never_erased()
        {
            let hash = self.put_content(data.get().as_bytes(), "application/json")?;
            uses.push(hash);
            body.data = Data::Ref(DataRef { hash, bytes: data.get().len() as u64 });
        } else if let Data::Ref(large) = &body.data {
            uses.push(large.hash);
        }
        if kind == Kind::PROMPT {
            uses.extend(blobs_of(&body));
        }
        let mut salt = [0; 32];
        self.random.fill(&mut salt);
        let stored = StoredBody { salt: Salt(salt), bytes: body.to_bytes() };
        let of_body = body_hash(&stored.salt, &stored.bytes);
        let seq = state.head.seq.next();
        let header = EntryHeader::new(session, seq, self.now_ms, kind, &state.head.hash, of_body);
        let after = (state.created_at_ms != 0).then_some(state.head);
        let listed = listing::basis(&state);
        state.apply(&header, Some(&body), stored.bytes.len() as u64);
        let position = self.insert(&header, Some(&stored), after)?;
        self.use_contents(&uses, position)?;
        let listing = match after {
            Some(_) => listing::after_entry(&listed, &state, position),
            None => Listing::Anew,
        };
        self.store_appended(state)?;
        self.change("entry", Some(session), None, Some(seq.0))?;
        self.touch(session, listing);
        Ok(header.head())
    }

    /// Notes that an entry names these contents.
    pub(crate) fn use_contents(&mut self, uses: &[Hash], position: i64) -> Result<()> {
        for hash in uses {
            self.conn
                .prepare_cached("INSERT OR IGNORE INTO content_uses (content_hash, position) VALUES (?1, ?2)")?
                .execute(params![hash.0, position])?;
        }
        Ok(())
    }

    /// Writes an entry that follows the witnessed head `after`, `None` for a session's first own one, and witnesses it.
    pub(crate) fn insert(
        &mut self,
        header: &EntryHeader,
        body: Option<&StoredBody>,
        after: Option<Head>,
    ) -> Result<i64> {
        let session = header.session_id;
        self.kept
            .statement(
                "INSERT INTO entries (session_id, seq, at_ms, kind, body_hash, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                session.as_bytes(),
                int(header.seq.0),
                header.at_ms,
                header.kind.as_str(),
                header.body_hash.0,
                header.hash.0
            ])?;
        let position = self.conn.last_insert_rowid();
        if let Some(body) = body {
            self.kept.statement("INSERT INTO bodies (position, salt, body) VALUES (?1, ?2, ?3)")?.execute(params![
                position,
                body.salt.0,
                body.bytes
            ])?;
        }
        let Some(after) = after else {
            self.conn
                .prepare_cached("INSERT INTO heads (session_id, seq, hash, position) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![session.as_bytes(), int(header.seq.0), header.hash.0, position])?;
            return Ok(position);
        };
        let moved = self
            .kept
            .statement(
                "UPDATE heads SET seq = ?2, hash = ?3, position = ?4 WHERE session_id = ?1 AND seq = ?5 AND hash = ?6",
            )?
            .execute(params![
                session.as_bytes(),
                int(header.seq.0),
                header.hash.0,
                position,
                int(after.seq.0),
                after.hash.0
            ])?;
        if moved == 1 {
            return Ok(position);
        }
        // Somebody else has moved it: what is there does not follow from what was appended before.
        let witnessed = entries::head(self.conn, session)?.ok_or_else(|| WriteError::not_found("session", session))?;
        Err(WriteError::Damaged { session, damage: gander_model::chain::Damage::Head { witnessed } })
    }

    /// The head that an entry is appended to.
    fn head_to_append(&self, session: SessionId) -> Result<Head> {
        let (head, quarantine) = self
            .conn
            .prepare_cached(
                "SELECT h.seq, h.hash, q.detail FROM (SELECT 1) LEFT JOIN heads h ON h.session_id = ?1
                    LEFT JOIN quarantine q ON q.session_id = ?1",
            )?
            .query_row([session.as_bytes()], |row| {
                let (seq, hash) = (row.get::<_, Option<i64>>(0)?, row.get::<_, Option<[u8; 32]>>(1)?);
                let head = seq.zip(hash).map(|(seq, hash)| Head { seq: Seq(seq.cast_unsigned()), hash: Hash(hash) });
                Ok((head, row.get::<_, Option<String>>(2)?))
            })?;
        match (head, quarantine) {
            (_, Some(detail)) => Err(WriteError::Quarantined { session, detail }),
            (head, None) => head.ok_or_else(|| WriteError::not_found("session", session)),
        }
    }

    /// A quarantined session keeps its entries as they are.
    pub(crate) fn check_writable(&self, session: SessionId) -> Result<()> {
        let detail: Option<String> = self
            .conn
            .prepare_cached("SELECT detail FROM quarantine WHERE session_id = ?1")?
            .query_row([session.as_bytes()], |row| row.get(0))
            .optional()?;
        detail.map_or(Ok(()), |detail| Err(WriteError::Quarantined { session, detail }))
    }

    /// The session's state, or that there is no such session.
    pub(crate) fn state(&self, session: SessionId) -> Result<SessionState> {
        match self.stored_state(session) {
            Some(state) => Ok(state.clone()),
            None => project::load(self.conn, session)?.ok_or_else(|| WriteError::not_found("session", session)),
        }
    }

    /// Whether a head is an entry of the session's chain, inherited part included.
    pub(crate) fn in_chain(&self, session: SessionId, head: Head) -> Result<bool> {
        Ok(head.seq != Seq(0) && entries::hash_of(self.conn, session, head.seq)? == Some(head.hash))
    }
}
