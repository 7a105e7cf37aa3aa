//! The format of the database and who may write it. A migration is one transaction, never touches entries, and is
//! committed only when the store root and the digest of windows, drafts, queue and open items are what they were.
//!
//! `schema.sql` is format 1; each later format is one step from the format before it. A new database takes the same
//! steps, so a fresh schema is a migrated one. What a snapshot reads (entries, bodies, erasures, heads, sessions,
//! contents, windows, drafts, queue, turns, open items, changes, meta) is read in every released format, because the
//! backup before a migration is made by the newer version.

use std::path::Path;

use gander_model::JournalId;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::connect;
use crate::error::OpenError;
use crate::inspect::Facts;
use crate::options::Options;
use crate::read::Reader;
use crate::verified::Verified;

/// One format from the one before it.
struct Step {
    tables: &'static str,
    move_data: fn(&Connection) -> rusqlite::Result<()>,
}

const STEPS: &[Step] = &[
    #[cfg(feature = "format-2")]
    Step { tables: crate::copies::TABLES, move_data: crate::copies::move_from_settings },
];

/// The format that this version writes.
pub const FORMAT: u32 = 1 + STEPS.len() as u32;
/// The oldest format whose writers may still write to what this version writes.
pub const OLDEST_WRITER: u32 = FORMAT;

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

/// The tables of this version's format, in an empty database.
pub fn make_tables(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(include_str!("schema.sql"))?;
    STEPS.iter().try_for_each(|step| conn.execute_batch(step.tables))
}

/// Whether only a newer version may write this database.
pub fn is_newer(database: &Path) -> rusqlite::Result<bool> {
    let conn = connect::reader(database)?;
    Ok(meta::<u32>(&conn, "oldest_writer")?.is_some_and(|oldest| oldest > FORMAT))
}

/// Brings a new or older database to this version's format.
pub fn ensure(conn: &mut Connection, options: &Options) -> Result<(), OpenError> {
    let fresh: bool =
        conn.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'meta')", [], |row| row.get(0))?;
    if fresh {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        make_tables(&tx)?;
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
    let found: u32 = meta(conn, "format")?.unwrap_or(oldest_writer);
    if oldest_writer > FORMAT {
        let by = meta(conn, "written_by")?.unwrap_or_default();
        return Err(OpenError::Newer { found, known: FORMAT, by });
    }
    if found < FORMAT {
        migrate(conn, found, options).map_err(|error| OpenError::Migration {
            found,
            known: FORMAT,
            source: Box::new(error),
        })?;
    }
    Ok(())
}

/// All steps from `found`, or none.
fn migrate(conn: &mut Connection, found: u32, options: &Options) -> Result<(), OpenError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = facts(&tx)?;
    for step in STEPS.iter().skip(found.saturating_sub(1) as usize) {
        tx.execute_batch(step.tables)?;
        options.faults.during_migration().map_err(stopped)?;
        (step.move_data)(&tx)?;
    }
    set_meta(&tx, "format", FORMAT)?;
    set_meta(&tx, "oldest_writer", OLDEST_WRITER)?;
    let after = facts(&tx)?;
    if (before.root, before.documents, before.sessions) != (after.root, after.documents, after.sessions) {
        let why = "its sessions, windows or drafts would not have been the same afterwards".to_owned();
        return Err(OpenError::Check { why });
    }
    options.faults.before_commit().map_err(stopped)?;
    tx.commit()?;
    tracing::info!(from = found, to = FORMAT, "the journal was migrated");
    Ok(())
}

fn facts(conn: &Connection) -> Result<Facts, OpenError> {
    let verified = Verified::default();
    Facts::read(&Reader::new(conn, &verified)).map_err(|error| OpenError::Check { why: error.to_string() })
}

fn stopped(error: std::io::Error) -> OpenError {
    OpenError::Check { why: error.to_string() }
}

/// A new journal id.
pub fn new_journal_id(options: &Options) -> JournalId {
    let mut random = [0; 10];
    options.random.fill(&mut random);
    JournalId::from_parts(options.clock.now_ms(), &random)
}
