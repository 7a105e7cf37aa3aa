//! The format of the database and who may write it. A migration is one transaction and never touches entries.

use gander_model::JournalId;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::error::OpenError;
use crate::options::Options;

/// The format that this version writes.
pub const FORMAT: u32 = 1;
/// The oldest format whose writers may still write to what this version writes.
pub const OLDEST_WRITER: u32 = 1;

/// A number or text in `meta`.
pub fn meta<T: rusqlite::types::FromSql>(conn: &Connection, key: &str) -> rusqlite::Result<Option<T>> {
    conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

/// Sets a number or text in `meta`.
pub fn set_meta(conn: &Connection, key: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![key, value])?;
    Ok(())
}

/// Brings a new or older database to this version's format.
pub fn ensure(conn: &mut Connection, options: &Options) -> Result<(), OpenError> {
    let fresh: bool =
        conn.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'meta')", [], |row| row.get(0))?;
    if fresh {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(include_str!("schema.sql"))?;
        let now_ms = options.clock.now_ms();
        set_meta(&tx, "journal_id", new_journal_id(options).as_bytes())?;
        set_meta(&tx, "format", FORMAT)?;
        set_meta(&tx, "oldest_writer", OLDEST_WRITER)?;
        set_meta(&tx, "epoch", 0)?;
        set_meta(&tx, "clean", 1)?;
        set_meta(&tx, "created_at_ms", now_ms)?;
        set_meta(&tx, "written_by", &options.version)?;
        // Revisions start at 1, so that a cursor of 0 means "from the beginning" and is never expired by itself.
        tx.execute("INSERT INTO changes (revision, type) VALUES (1, 'begin')", [])?;
        tx.commit()?;
        return Ok(());
    }
    let oldest_writer: u32 = meta(conn, "oldest_writer")?.unwrap_or(u32::MAX);
    if oldest_writer > FORMAT {
        let found = meta(conn, "format")?.unwrap_or(oldest_writer);
        return Err(OpenError::Newer { found, known: FORMAT });
    }
    Ok(())
}

/// A new journal id.
pub fn new_journal_id(options: &Options) -> JournalId {
    let mut random = [0; 10];
    options.random.fill(&mut random);
    JournalId::from_parts(options.clock.now_ms(), &random)
}
