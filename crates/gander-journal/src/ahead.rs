//! Large data of an open item, written beside the entries before anything names it: a chunk a commit, so that nobody's
//! write waits for more than a chunk, and no more than that is held beside what came. One small write then names it as the
//! item's data so far, and the entry takes that over. What is cut off in between is a content that was never completed.

use gander_model::Hash;
use gander_model::updates::Joiner;
use rusqlite::params;

use crate::blobs::{self, CHUNK_BYTES, NewContent};
use crate::error::WriteError;
use crate::items::{self, ItemPart, updates_in};
use crate::journal::Journal;
use crate::tx::{Result, Tx};

/// All that an item has, and what comes next, ready beside the entries.
#[derive(Clone, Debug)]
pub struct Ahead {
    content: NewContent,
    /// The part that it goes on from.
    after: Option<i64>,
    /// What lay beside the entries of the item before.
    before: Option<Hash>,
    /// What comes next, in the item's own measure and in bytes; 0 bytes where nothing does.
    size: u64,
    bytes: u64,
}

/// Takes text, and writes a chunk whenever there is one.
struct Pieces<'j> {
    journal: &'j Journal,
    content: &'j mut NewContent,
    chunk: Vec<u8>,
    failed: Option<WriteError>,
}

impl Pieces<'_> {
    fn take(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() && self.failed.is_none() {
            let (fits, more) = rest.split_at(rest.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(fits);
            rest = more;
            if self.chunk.len() == CHUNK_BYTES {
                self.put();
            }
        }
    }

    fn put(&mut self) {
        let (mut content, chunk) = (self.content.clone(), std::mem::take(&mut self.chunk));
        let put = self.journal.write_blocking(move |tx| {
            tx.put_chunk(&mut content, &chunk)?;
            Ok((content, chunk))
        });
        match put {
            Ok((content, chunk)) => (*self.content, self.chunk) = (content, chunk),
            Err(error) => self.failed = Some(error),
        }
        self.chunk.clear();
    }

    fn end(mut self) -> Result<()> {
        if !self.chunk.is_empty() && self.failed.is_none() {
            self.put();
        }
        self.failed.map_or(Ok(()), Err)
    }
}

impl Journal {
    /// Puts all that an item has, and the updates of `part` behind it, beside the entries. `None` if all of it lies there.
    /// Blocks; nobody else may write to the item meanwhile. `content` is what was put so far: after a failure, what the next
    /// try (from the beginning) drops first.
    pub fn put_ahead(&self, part: &ItemPart<'_>, content: &mut NewContent) -> Result<Option<Ahead>> {
        self.forget(std::mem::take(content).id())?;
        if part.updates.is_empty() && self.read(|r| Ok(items::is_beside(r.conn, part.session, part.item)?))? {
            return Ok(None);
        }
        let so_far = self.read(|r| items::so_far(r.conn, part.session, part.item))?;
        let mut pieces = Pieces { journal: self, content, chunk: Vec::with_capacity(CHUNK_BYTES), failed: None };
        let mut joiner = Joiner::default();
        let parts = so_far.iter().flat_map(|so_far| &so_far.parts);
        for update in parts.flat_map(|part| updates_in(part)).chain(part.updates.iter().copied()) {
            joiner.push(update, &mut |text| pieces.take(text));
        }
        joiner.finish(&mut |text| pieces.take(text));
        pieces.end()?;
        let kind = so_far.as_ref().map_or(&part.kind, |so_far| &so_far.kind);
        Ok(Some(Ahead {
            content: content.clone(),
            after: so_far.as_ref().map(|so_far| so_far.newest.revision),
            before: so_far.as_ref().and_then(|so_far| so_far.beside),
            size: items::growth(kind, part.updates.iter().copied()),
            bytes: part.updates.iter().map(|update| update.get().len() as u64).sum(),
        }))
    }

    /// Drops what an [`Ahead`] that was written down has made superfluous, a few chunks a commit.
    pub fn clear_ahead(&self, ahead: &Ahead) -> Result<()> {
        // A content that was there already stays the one.
        self.forget(ahead.content.id())?;
        match ahead.before {
            Some(before) => {
                let id = self.write_blocking(move |tx| tx.unname(before))?;
                self.forget(id)
            }
            None => Ok(()),
        }
    }

    /// Drops a content that has no name, piece by piece.
    fn forget(&self, id: Option<i64>) -> Result<()> {
        let Some(id) = id else { return Ok(()) };
        while self.read(|r| Ok(blobs::is_nameless(r.conn, id)?))? {
            self.write_blocking(move |tx| tx.forget_chunks(id))?;
        }
        Ok(())
    }
}

impl Tx<'_> {
    /// Names what was put ahead as the item's data: [`Tx::item_append`] of the part that it was put for.
    pub fn item_append_ahead(&mut self, part: &ItemPart<'_>, ahead: &Ahead) -> Result<()> {
        let newest = match items::row(self.conn, part.session, part.item)? {
            Some(_) => Some(items::newest(self.conn, part.session, part.item)?.revision),
            None => None,
        };
        if newest != ahead.after {
            return Err(WriteError::Invalid(format!("item {} went on since it was put beside the entries", part.item)));
        }
        let hash = ahead.content.hash();
        if blobs::info(self.conn, hash)?.is_none() {
            self.finish_content(ahead.content.clone(), "application/json")?;
        }
        let revision = match newest {
            Some(newest) if ahead.bytes == 0 => newest,
            _ => self.grow(part, None, ahead.size, ahead.bytes)?.1,
        };
        self.conn
            .prepare_cached(
                "UPDATE open_items SET data_revision = ?3, data_hash = ?4 WHERE session_id = ?1 AND item = ?2",
            )?
            .execute(params![part.session.as_bytes(), part.item.as_bytes(), revision, hash.0])?;
        Ok(())
    }
}
