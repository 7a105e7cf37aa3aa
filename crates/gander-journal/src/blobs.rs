//! Large content: the data of entries that is too long for a body, and attachments. Each content once, in chunks of
//! at most 1 MiB, every chunk with its own hash, so that a part can be checked without reading the whole.

use gander_model::hash::ContentHasher;
use gander_model::{Hash, content_hash};
use rusqlite::{Connection, OptionalExtension, params};

use crate::connect::{hash_at, int, u64_at};
use crate::error::ReadError;
use crate::tx::{Result, Tx};

/// Bytes in a chunk, at most.
pub const CHUNK_BYTES: usize = 1024 * 1024;
/// Contents that nothing names are kept for a day: what was uploaded may be sent yet.
const KEEP_UNUSED_MS: i64 = 24 * 60 * 60 * 1000;

/// What is known of a content without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentInfo {
    /// Its name.
    pub hash: Hash,
    /// Its length.
    pub bytes: u64,
    /// Its media type, as it was given.
    pub mime: String,
}

/// What is known of a content; `None` when it is not here.
pub fn info(conn: &Connection, hash: Hash) -> rusqlite::Result<Option<ContentInfo>> {
    conn.prepare_cached("SELECT bytes, mime FROM contents WHERE hash = ?1")?
        .query_row([hash.0], |row| Ok(ContentInfo { hash, bytes: u64_at(row, 0)?, mime: row.get(1)? }))
        .optional()
}

/// One chunk of a content, checked; `None` after the last.
pub fn chunk(conn: &Connection, hash: Hash, n: u64) -> std::result::Result<Option<Vec<u8>>, ReadError> {
    let row = conn
        .prepare_cached(
            "SELECT hash, data FROM content_chunks
             WHERE content_id = (SELECT content_id FROM contents WHERE hash = ?1) AND n = ?2",
        )?
        .query_row(params![hash.0, int(n)], |row| Ok((hash_at(row, 0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    match row {
        Some((of_chunk, data)) if content_hash(&data) == of_chunk => Ok(Some(data)),
        Some(_) => Err(ReadError::ContentDamaged { hash }),
        None => Ok(None),
    }
}

/// A content that comes in pieces, each written as it comes: what is kept in memory is a chunk, and a commit holds no more.
/// Nothing knows of the content until it is complete. One that is never completed is dropped after a day, or at the next start.
#[derive(Clone, Debug, Default)]
pub struct NewContent {
    id: Option<i64>,
    chunks: u64,
    bytes: u64,
    whole: ContentHasher,
}

impl NewContent {
    /// Its length so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its row, once something of it was written.
    pub(crate) fn id(&self) -> Option<i64> {
        self.id
    }

    /// Its name, if nothing more comes.
    pub(crate) fn hash(&self) -> Hash {
        self.whole.finish()
    }
}

/// Whether there is such a content, and nothing can know of it.
pub fn is_nameless(conn: &Connection, id: i64) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM contents WHERE content_id = ?1 AND hash IS NULL")?.exists([id])
}

/// Drops contents that were never written to their end: whoever wrote them is gone.
pub fn drop_unfinished(conn: &Connection) -> rusqlite::Result<usize> {
    conn.execute(
        "DELETE FROM content_chunks WHERE content_id IN (SELECT content_id FROM contents WHERE hash IS NULL)",
        [],
    )?;
    conn.execute("DELETE FROM contents WHERE hash IS NULL", [])
}

/// Reads a content chunk by chunk; each is checked before it is given out.
pub fn read(
    conn: &Connection,
    hash: Hash,
    mut each: impl FnMut(&[u8]) -> std::result::Result<(), ReadError>,
) -> std::result::Result<ContentInfo, ReadError> {
    let info = info(conn, hash)?.ok_or_else(|| ReadError::not_found("content", hash))?;
    let damaged = || ReadError::ContentDamaged { hash };
    let mut query = conn.prepare_cached(
        "SELECT n, hash, data FROM content_chunks
         WHERE content_id = (SELECT content_id FROM contents WHERE hash = ?1) ORDER BY n",
    )?;
    let mut rows = query.query([hash.0])?;
    let (mut n, mut bytes, mut whole) = (0, 0, ContentHasher::default());
    while let Some(row) = rows.next()? {
        let data = row.get_ref(2)?.as_blob().map_err(|_| damaged())?;
        if u64_at(row, 0)? != n || content_hash(data) != hash_at(row, 1)? {
            return Err(damaged());
        }
        n += 1;
        bytes += data.len() as u64;
        whole.update(data);
        each(data)?;
    }
    // Chunks that match their own hashes can still be those of another content.
    if bytes == info.bytes && whole.finish() == hash { Ok(info) } else { Err(damaged()) }
}

impl Tx<'_> {
    /// Keeps a content; once, however often it is put. Unreferenced ones are dropped after a day.
    pub fn put_blob(&mut self, bytes: &[u8], mime: &str) -> Result<ContentInfo> {
        self.drop_unused_contents()?;
        let hash = self.put_content(bytes, mime)?;
        let known = info(self.conn, hash)?;
        Ok(known.unwrap_or(ContentInfo { hash, bytes: bytes.len() as u64, mime: mime.to_owned() }))
    }

    /// Adds a chunk to a content: [`CHUNK_BYTES`] of it, or what is left at its end.
    pub fn put_chunk(&mut self, content: &mut NewContent, chunk: &[u8]) -> Result<()> {
        let id = match content.id {
            Some(id) => id,
            None => {
                self.drop_unused_contents()?;
                self.conn
                    .prepare_cached("INSERT INTO contents (hash, bytes, mime, at_ms) VALUES (NULL, 0, '', ?1)")?
                    .execute([self.now_ms])?;
                self.conn.last_insert_rowid()
            }
        };
        self.insert_chunk(id, content.chunks, chunk)?;
        content.id = Some(id);
        content.chunks += 1;
        content.bytes += chunk.len() as u64;
        content.whole.update(chunk);
        Ok(())
    }

    /// Completes a content that came in chunks: from now on it is there, once, however often it came.
    pub fn finish_content(&mut self, content: NewContent, mime: &str) -> Result<ContentInfo> {
        let Some(id) = content.id else { return self.put_blob(&[], mime) };
        let hash = content.whole.finish();
        if let Some(known) = info(self.conn, hash)? {
            self.forget_content(id)?;
            self.conn
                .prepare_cached("UPDATE contents SET at_ms = ?2 WHERE hash = ?1")?
                .execute(params![hash.0, self.now_ms])?;
            return Ok(known);
        }
        self.conn
            .prepare_cached("UPDATE contents SET hash = ?2, bytes = ?3, mime = ?4, at_ms = ?5 WHERE content_id = ?1")?
            .execute(params![id, hash.0, int(content.bytes), mime, self.now_ms])?;
        Ok(ContentInfo { hash, bytes: content.bytes, mime: mime.to_owned() })
    }

    /// Drops a content that will not be completed.
    pub fn abandon_content(&mut self, content: NewContent) -> Result<()> {
        content.id.map_or(Ok(()), |id| self.forget_content(id))
    }

    fn forget_content(&mut self, id: i64) -> Result<()> {
        self.conn.prepare_cached("DELETE FROM content_chunks WHERE content_id = ?1")?.execute([id])?;
        self.conn.prepare_cached("DELETE FROM contents WHERE content_id = ?1 AND hash IS NULL")?.execute([id])?;
        Ok(())
    }

    /// Drops some chunks of a content without a name, and the content with the last of them.
    pub(crate) fn forget_chunks(&mut self, id: i64) -> Result<()> {
        let dropped = self
            .conn
            .prepare_cached(
                "DELETE FROM content_chunks WHERE chunk_id IN (SELECT chunk_id FROM content_chunks WHERE content_id =
                    (SELECT content_id FROM contents WHERE content_id = ?1 AND hash IS NULL) LIMIT 8)",
            )?
            .execute([id])?;
        if dropped == 0 { self.forget_content(id) } else { Ok(()) }
    }

    /// Takes a content's name away if nothing uses it; gives what is to be dropped then.
    pub(crate) fn unname(&mut self, hash: Hash) -> Result<Option<i64>> {
        if self.is_named(hash)? {
            return Ok(None);
        }
        let id = self
            .conn
            .prepare_cached("UPDATE contents SET hash = NULL WHERE hash = ?1 RETURNING content_id")?
            .query_row([hash.0], |row| row.get(0))
            .optional()?;
        Ok(id)
    }

    /// Drops a content if nothing uses it.
    pub(crate) fn drop_unnamed(&mut self, hash: Hash) -> Result<()> {
        if self.is_named(hash)? { Ok(()) } else { self.drop_content(hash) }
    }

    /// Whether an entry, an open item, a draft or a queued prompt names a content.
    fn is_named(&self, hash: Hash) -> Result<bool> {
        let named = self
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM content_uses WHERE content_hash = ?1)
                     OR EXISTS (SELECT 1 FROM open_items WHERE data_hash = ?1)
                     OR EXISTS (SELECT 1 FROM drafts WHERE full = 1 AND attachments LIKE ?2)
                     OR EXISTS (SELECT 1 FROM queue WHERE content LIKE ?2)",
            )?
            .query_row(params![hash.0, format!("%{hash}%")], |row| row.get(0))?;
        Ok(named)
    }

    fn insert_chunk(&mut self, content: i64, n: u64, chunk: &[u8]) -> Result<()> {
        self.conn
            .prepare_cached("INSERT INTO content_chunks (content_id, n, hash, data) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![content, int(n), content_hash(chunk).0, chunk])?;
        Ok(())
    }

    pub(crate) fn put_content(&mut self, bytes: &[u8], mime: &str) -> Result<Hash> {
        let hash = content_hash(bytes);
        let known = self
            .conn
            .prepare_cached("UPDATE contents SET at_ms = ?2 WHERE hash = ?1")?
            .execute(params![hash.0, self.now_ms])?;
        if known > 0 {
            return Ok(hash);
        }
        self.conn
            .prepare_cached("INSERT INTO contents (hash, bytes, mime, at_ms) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![hash.0, int(bytes.len() as u64), mime, self.now_ms])?;
        let id = self.conn.last_insert_rowid();
        for (n, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
            self.insert_chunk(id, n as u64, chunk)?;
        }
        Ok(hash)
    }

    /// Drops contents that were put more than a day ago and that no entry, draft or queued prompt names.
    pub fn drop_unused_contents(&mut self) -> Result<u64> {
        let unused: Vec<Hash> = self
            .conn
            .prepare_cached(
                "SELECT hash FROM contents c WHERE at_ms < ?1 AND hash IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM content_uses u WHERE u.content_hash = c.hash)
                    AND NOT EXISTS (SELECT 1 FROM open_items o WHERE o.data_hash = c.hash)
                    AND NOT EXISTS (SELECT 1 FROM drafts WHERE full = 1 AND instr(attachments, lower(hex(c.hash))) > 0)
                    AND NOT EXISTS (SELECT 1 FROM queue WHERE instr(content, lower(hex(c.hash))) > 0)",
            )?
            .query_map([self.now_ms - KEEP_UNUSED_MS], |row| hash_at(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        for hash in &unused {
            self.drop_content(*hash)?;
        }
        let unfinished: Vec<i64> = self
            .conn
            .prepare_cached("SELECT content_id FROM contents WHERE at_ms < ?1 AND hash IS NULL")?
            .query_map([self.now_ms - KEEP_UNUSED_MS], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for id in unfinished {
            self.forget_content(id)?;
        }
        Ok(unused.len() as u64)
    }

    /// Drops a content that nothing names any more.
    pub(crate) fn drop_content(&mut self, hash: Hash) -> Result<()> {
        self.conn
            .prepare_cached(
                "DELETE FROM content_chunks WHERE content_id = (SELECT content_id FROM contents WHERE hash = ?1)",
            )?
            .execute([hash.0])?;
        self.conn.prepare_cached("DELETE FROM contents WHERE hash = ?1")?.execute([hash.0])?;
        Ok(())
    }
}
