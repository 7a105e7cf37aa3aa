//! Erasing: the only thing that removes what was said. A body and its salt go in one transaction with a `redacted`
//! entry that lists them; header and hash stay, so the chain still verifies and says that something was here.
//!
//! Erasing reaches large content with its last reference, the change log, queue, drafts, findings and the projection;
//! freed pages are overwritten (`secure_delete`), and the write-ahead log is cut before the write is acknowledged.

use gander_model::{Body, By, Hash, Kind, Seq, SessionId, Status};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::connect::{hash_at, int, session_at, u64_at};
use crate::entries::Lineage;
use crate::error::WriteError;
use crate::project;
use crate::tx::{Result, Tx};

/// A body that a `redacted` entry lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// The session that owns the entry.
    pub session_id: SessionId,
    /// Its place.
    pub seq: Seq,
    /// The hash that stays.
    pub body_hash: Hash,
}

#[derive(Deserialize)]
struct Redacted {
    why: String,
}

struct Victim {
    position: i64,
    erased: Erased,
}

impl Tx<'_> {
    /// Erases the body of one entry. In a fork's inherited part it is the owner's entry that is erased, for all.
    pub fn redact(&mut self, session: SessionId, seq: Seq) -> Result<()> {
        let lineage = Lineage::of(self.conn, session)?;
        let owner = lineage.segments().iter().find(|s| s.first <= seq && seq <= s.last).map(|s| s.owner);
        let owner = owner.ok_or_else(|| WriteError::not_found("entry", seq))?;
        let victims = self.victims(owner, seq, seq)?;
        if victims.is_empty() {
            let text = format!("entry {seq} holds nothing that can be erased, or was erased before");
            return Err(WriteError::Invalid(text));
        }
        self.erase(owner, victims, "redact")
    }

    /// Erases what a trashed session says: every body but those that a fork still shows, and its queue, drafts and
    /// open items. The session stays in the trash as what it was: entries without content.
    pub fn purge(&mut self, session: SessionId) -> Result<()> {
        let state = self.state(session)?;
        if state.status != Status::Trashed {
            return Err(WriteError::Invalid("only a session in the trash can be purged".to_owned()));
        }
        if let Some(turn) = self.active_turn(session)? {
            return Err(WriteError::TurnRunning { turn: turn.id });
        }
        self.check_writable(session)?;
        let shown = self.shown_by_forks(session)?;
        let mut victims = self.victims(session, Seq(1), state.head.seq)?;
        victims.retain(|(victim, kind)| victim.erased.seq > shown || !kind.is_conversation());
        self.erase(session, victims, "purge")?;
        self.forget_unsaid(session)?;
        // A parent that was purged before kept what only this fork showed.
        for segment in Lineage::of(self.conn, session)?.segments() {
            if segment.owner != session && self.is_purged(segment.owner)? {
                let shown = self.shown_by_forks(segment.owner)?;
                let mut left = self.victims(segment.owner, segment.first, segment.last)?;
                left.retain(|(victim, _)| victim.erased.seq > shown);
                if !left.is_empty() {
                    self.erase(segment.owner, left, "purge")?;
                }
            }
        }
        Ok(())
    }

    /// Entries whose bodies are there and may be erased.
    fn victims(&self, owner: SessionId, first: Seq, last: Seq) -> Result<Vec<(Victim, Kind)>> {
        let found = self
            .conn
            .prepare_cached(
                "SELECT e.position, e.seq, e.body_hash, e.kind FROM entries e JOIN bodies b USING (position)
                 WHERE e.session_id = ?1 AND e.seq BETWEEN ?2 AND ?3 ORDER BY e.seq",
            )?
            .query_map(params![owner.as_bytes(), int(first.0), int(last.0)], |row| {
                let erased = Erased { session_id: owner, seq: Seq(u64_at(row, 1)?), body_hash: hash_at(row, 2)? };
                let kind = Kind::new(row.get_ref(3)?.as_str().unwrap_or_default());
                Ok((Victim { position: row.get(0)?, erased }, kind))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(found.into_iter().filter(|(_, kind)| !kind.is_never_erased()).collect())
    }

    /// The last of a session's entries that a fork which is not purged itself still shows; 0 when there is none.
    fn shown_by_forks(&self, session: SessionId) -> Result<Seq> {
        let mut shown = Seq(0);
        for (fork, pinned) in self.forks_of(session)? {
            if !self.is_purged(fork)? || self.shown_by_forks(fork)? > Seq(0) {
                shown = shown.max(pinned);
            }
        }
        Ok(shown)
    }

    fn forks_of(&self, session: SessionId) -> Result<Vec<(SessionId, Seq)>> {
        let forks = self
            .conn
            .prepare_cached("SELECT session_id, origin_seq FROM sessions WHERE origin_session = ?1")?
            .query_map([session.as_bytes()], |row| Ok((session_at(row, 0)?, Seq(u64_at(row, 1)?))))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(forks)
    }

    fn is_purged(&self, session: SessionId) -> Result<bool> {
        let bodies: Vec<Vec<u8>> = self
            .conn
            .prepare_cached(
                "SELECT b.body FROM entries e JOIN bodies b USING (position)
                 WHERE e.session_id = ?1 AND e.kind = 'redacted' ORDER BY e.seq DESC",
            )?
            .query_map([session.as_bytes()], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let why = |bytes: &Vec<u8>| Body::parse(bytes).ok()?.data_as::<Redacted>().map(|data| data.why);
        Ok(bodies.iter().filter_map(why).any(|why| why == "purge"))
    }

    fn erase(&mut self, owner: SessionId, victims: Vec<(Victim, Kind)>, why: &str) -> Result<()> {
        let list: Vec<&Erased> = victims.iter().map(|(victim, _)| &victim.erased).collect();
        let data = json!({ "erased": list, "why": why });
        let body = Body::with(By::User, &data).map_err(|error| WriteError::Invalid(error.to_string()))?;
        self.append(owner, Kind::REDACTED, body)?;
        let by: i64 = self
            .conn
            .prepare_cached("SELECT position FROM heads WHERE session_id = ?1")?
            .query_row([owner.as_bytes()], |row| row.get(0))?;
        self.strike_at(owner, victims.iter().map(|(victim, _)| (victim.position, victim.erased.seq)), by)?;
        self.forget_parts(owner)?;
        self.conn
            .prepare_cached(
                "UPDATE findings SET raw = NULL, subject = '{}', detail = '(erased)' WHERE session_id = ?1",
            )?
            .execute([owner.as_bytes()])?;
        self.fold_again(owner)?;
        self.erased = true;
        Ok(())
    }

    /// Erases bodies that an entry at `by` lists, as far as they are entries here and not erased yet.
    pub(crate) fn strike(&mut self, listed: &[Erased], by: i64) -> Result<()> {
        for erased in listed {
            let found: Option<i64> = self
                .conn
                .prepare_cached(
                    "SELECT position FROM entries e WHERE session_id = ?1 AND seq = ?2 AND body_hash = ?3
                        AND NOT EXISTS (SELECT 1 FROM erasures x WHERE x.position = e.position)",
                )?
                .query_row(params![erased.session_id.as_bytes(), int(erased.seq.0), erased.body_hash.0], |row| {
                    row.get(0)
                })
                .optional()?;
            if let Some(position) = found {
                self.strike_at(erased.session_id, [(position, erased.seq)], by)?;
                self.forget_parts(erased.session_id)?;
                self.erased = true;
            }
        }
        Ok(())
    }

    fn strike_at(&mut self, owner: SessionId, victims: impl IntoIterator<Item = (i64, Seq)>, by: i64) -> Result<()> {
        for (position, seq) in victims {
            self.conn
                .prepare_cached("INSERT INTO erasures (position, by_position) VALUES (?1, ?2)")?
                .execute([position, by])?;
            self.conn.prepare_cached("DELETE FROM bodies WHERE position = ?1")?.execute([position])?;
            self.forget_content_of(position)?;
            // Only a prompt's turn has this seq.
            self.conn
                .prepare_cached("UPDATE turns SET content_hash = NULL WHERE session_id = ?1 AND prompt_seq = ?2")?
                .execute(params![owner.as_bytes(), int(seq.0)])?;
        }
        Ok(())
    }

    /// Drops large content whose last mention this entry was.
    fn forget_content_of(&mut self, position: i64) -> Result<()> {
        let named: Vec<Hash> = self
            .conn
            .prepare_cached("DELETE FROM content_uses WHERE position = ?1 RETURNING content_hash")?
            .query_map([position], |row| hash_at(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        for hash in named {
            self.drop_unnamed(hash)?;
        }
        Ok(())
    }

    /// Empties the parts of items that are entries by now: they would say again what was erased.
    fn forget_parts(&mut self, session: SessionId) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE changes SET updates = NULL WHERE type = 'open_item' AND session_id = ?1 AND NOT EXISTS
                    (SELECT 1 FROM open_items o WHERE o.session_id = changes.session_id AND o.item = changes.item
                        AND o.first_revision <= changes.revision)",
            )?
            .execute([session.as_bytes()])?;
        Ok(())
    }

    /// Rows of a session and of its forks are made anew from what is left.
    pub(crate) fn fold_again(&mut self, session: SessionId) -> Result<()> {
        if let Some(state) = project::fold(self.conn, session)? {
            self.store_state(state)?;
            self.touch_session(session);
        }
        for (fork, _) in self.forks_of(session)? {
            self.fold_again(fork)?;
        }
        Ok(())
    }

    /// What was never an entry: queue, drafts, open items, links.
    fn forget_unsaid(&mut self, session: SessionId) -> Result<()> {
        let beside: Vec<Hash> = self
            .conn
            .prepare_cached("SELECT data_hash FROM open_items WHERE session_id = ?1 AND data_hash IS NOT NULL")?
            .query_map([session.as_bytes()], |row| hash_at(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        for sql in [
            "UPDATE turns SET phase = 'deleted', content_hash = NULL WHERE session_id = ?1 AND phase = 'queued'",
            "DELETE FROM queue WHERE session_id = ?1",
            "UPDATE drafts SET text = '', attachments = '[]', full = 0 WHERE session_id = ?1",
            "DELETE FROM permissions WHERE session_id = ?1",
            "DELETE FROM open_items WHERE session_id = ?1",
            "DELETE FROM links WHERE session_id = ?1",
        ] {
            self.conn.prepare_cached(sql)?.execute([session.as_bytes()])?;
        }
        for hash in beside {
            self.drop_unnamed(hash)?;
        }
        self.forget_parts(session)?;
        self.touch_queue(session);
        Ok(())
    }
}
