//! The search index's file: which words stand in which entry, and nothing else. No text is kept in it, so what is
//! shown always comes from verified entries.
//!
//! Entries are put into shards by position, each a full-text table of its own. A search goes through them from the
//! newest and stops when its page is full; a common word or a short beginning of one costs no more than the newest
//! shard. A redaction builds the shards anew that knew the erased words, which leaves no trace of them.

use std::path::Path;
use std::time::Duration;

use gander_model::JournalId;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::connect::{int, u64_at};

/// Positions in a shard.
pub const SHARD: u64 = 65_536;
/// Counts up when the tables or the choice of text change; another one is built anew.
const FORMAT: i64 = 1;

pub const TOKENIZER: &str = "unicode61 remove_diacritics 2";

/// The number of the shard that a position belongs to.
pub fn shard_of(position: u64) -> u64 {
    position.saturating_sub(1) / SHARD
}

/// The last position of a shard.
pub fn end_of(shard: u64) -> u64 {
    (shard + 1) * SHARD
}

/// The index, for writing.
pub struct Index {
    conn: Connection,
}

impl Index {
    /// Opens the index of a journal. One that belongs to another journal, that knows more than this one has, or that
    /// cannot be read is thrown away.
    pub fn open(path: &Path, journal: JournalId, last_position: u64) -> rusqlite::Result<Index> {
        match Self::try_open(path, journal, last_position) {
            Ok(Some(index)) => Ok(index),
            Ok(None) | Err(_) => {
                remove(path);
                Self::create(path, journal)
            }
        }
    }

    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let conn = Connection::open(path)?;
        conn.busy_timeout(Duration::from_secs(2))?;
        conn.set_prepared_statement_cache_capacity(16);
        conn.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             PRAGMA secure_delete = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA journal_size_limit = 8388608;
             PRAGMA cache_size = -4096;",
        )?;
        Ok(conn)
    }

    fn try_open(path: &Path, journal: JournalId, last_position: u64) -> rusqlite::Result<Option<Index>> {
        if !path.exists() {
            return Ok(None);
        }
        let conn = Self::connect(path)?;
        let about = conn
            .query_row("SELECT format, journal FROM about", [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
            .optional()?;
        let index = Index { conn };
        let known = about == Some((FORMAT, *journal.as_bytes()));
        let through: u64 =
            index.conn.query_row("SELECT coalesce(max(through), 0) FROM shards", [], |row| u64_at(row, 0))?;
        Ok((known && through <= last_position).then_some(index))
    }

    fn create(path: &Path, journal: JournalId) -> rusqlite::Result<Index> {
        make_private(path);
        let conn = Self::connect(path)?;
        conn.execute_batch(
            "BEGIN;
             CREATE TABLE about (format INTEGER NOT NULL, journal BLOB NOT NULL);
             CREATE TABLE shards (shard INTEGER PRIMARY KEY, through INTEGER NOT NULL);",
        )?;
        conn.execute("INSERT INTO about (format, journal) VALUES (?1, ?2)", params![FORMAT, journal.as_bytes()])?;
        conn.execute_batch("COMMIT")?;
        Ok(Index { conn })
    }

    /// Runs `work` in one transaction.
    pub fn write<T>(&self, work: impl FnOnce(&Self) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let tx = self.conn.unchecked_transaction()?;
        let done = work(self)?;
        tx.commit()?;
        Ok(done)
    }

    /// The last position of a shard that is in the index; one before its first when nothing is.
    pub fn through(&self, shard: u64) -> rusqlite::Result<u64> {
        through(&self.conn, shard)
    }

    /// Adds an entry's text.
    pub fn add(&self, position: u64, text: &str) -> rusqlite::Result<()> {
        let shard = shard_of(position);
        self.conn
            .prepare_cached(&format!("INSERT INTO words_{shard} (rowid, text) VALUES (?1, ?2)"))?
            .execute(params![int(position), text])?;
        Ok(())
    }

    /// Everything of the shard up to `position` is in now.
    pub fn reached(&self, position: u64) -> rusqlite::Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO shards (shard, through) VALUES (?1, ?2) ON CONFLICT (shard) DO UPDATE SET through = ?2",
            )?
            .execute(params![int(shard_of(position)), int(position)])?;
        Ok(())
    }

    /// Makes a shard's table.
    pub fn begin(&self, shard: u64) -> rusqlite::Result<()> {
        self.conn.execute_batch(&format!(
            "CREATE VIRTUAL TABLE IF NOT EXISTS words_{shard}
             USING fts5 (text, content = '', tokenize = \"{TOKENIZER}\", prefix = '1 2 3')"
        ))
    }

    /// Whether words of an entry are in.
    pub fn has(&self, position: u64) -> rusqlite::Result<bool> {
        let shard = shard_of(position);
        if self.through(shard)? < position {
            return Ok(false);
        }
        self.conn.prepare_cached(&format!("SELECT 1 FROM words_{shard}_docsize WHERE id = ?1"))?.exists([int(position)])
    }

    /// Forgets a shard, to be built anew.
    pub fn forget(&self, shard: u64) -> rusqlite::Result<()> {
        self.conn.flush_prepared_statement_cache();
        self.conn.execute_batch(&format!("DROP TABLE IF EXISTS words_{shard}"))?;
        self.conn.execute("DELETE FROM shards WHERE shard = ?1", [int(shard)])?;
        Ok(())
    }

    /// Empties the log, which may still hold erased words. Says whether it could.
    pub fn cut_log(&self) -> rusqlite::Result<bool> {
        let busy: i64 = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }
}

fn through(conn: &Connection, shard: u64) -> rusqlite::Result<u64> {
    let found = conn
        .prepare_cached("SELECT through FROM shards WHERE shard = ?1")?
        .query_row([int(shard)], |row| u64_at(row, 0))
        .optional()?;
    Ok(found.unwrap_or(shard * SHARD))
}

/// A connection that only searches.
pub struct Searcher {
    conn: Connection,
}

impl Searcher {
    pub fn open(path: &Path) -> rusqlite::Result<Searcher> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(Duration::from_secs(2))?;
        conn.set_prepared_statement_cache_capacity(64);
        conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cache_size = -2048;")?;
        Ok(Searcher { conn })
    }

    /// Runs `work` over one state of the index.
    pub fn read<T>(&self, work: impl FnOnce(&Self) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let _tx = self.conn.unchecked_transaction()?;
        work(self)
    }

    /// The journal that the index is of.
    pub fn journal(&self) -> rusqlite::Result<JournalId> {
        self.conn.query_row("SELECT journal FROM about", [], |row| row.get(0).map(JournalId::from_bytes))
    }

    /// Shards that have anything, newest first, with how far they come.
    pub fn shards(&self) -> rusqlite::Result<Vec<(u64, u64)>> {
        self.conn
            .prepare_cached("SELECT shard, through FROM shards ORDER BY shard DESC")?
            .query_map([], |row| Ok((u64_at(row, 0)?, u64_at(row, 1)?)))?
            .collect()
    }

    /// Positions in one shard that match, newest first, all before `before`.
    pub fn find(&self, shard: u64, expression: &str, before: u64, limit: usize) -> rusqlite::Result<Vec<u64>> {
        self.conn
            .prepare_cached(&format!(
                "SELECT rowid FROM words_{shard} WHERE words_{shard} MATCH ?1 AND rowid < ?2
                 ORDER BY rowid DESC LIMIT ?3"
            ))?
            .query_map(params![expression, int(before), limit as i64], |row| u64_at(row, 0))?
            .collect()
    }
}

/// Removes the index's files; what cannot be removed shows itself when they are made anew.
pub fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
}

/// Only the owner reads the words; the engine gives its other files the same permissions.
fn make_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}
