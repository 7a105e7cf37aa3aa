//! Opening connections: the engine's version, the pragmas that make a commit durable, and how rows hold our types.

use std::path::Path;
use std::time::Duration;

use gander_model::{Hash, SessionId};
use rusqlite::config::DbConfig::{SQLITE_DBCONFIG_ENABLE_QPSG, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE};
use rusqlite::{Connection, OpenFlags, Row};

use crate::error::OpenError;

/// The oldest SQLite that does not lose commits in WAL mode: 3.51.3.
const SQLITE_WANTED: i32 = 3_051_003;

const _: () = assert!(rusqlite::ffi::SQLITE_VERSION_NUMBER >= SQLITE_WANTED, "SQLite 3.51.3 or newer is needed");

/// The engine that is really linked, which need not be the one that was compiled against.
pub fn check_engine() -> Result<(), OpenError> {
    let found = rusqlite::version_number();
    if found < SQLITE_WANTED { Err(OpenError::OldEngine { found, wanted: SQLITE_WANTED }) } else { Ok(()) }
}

/// The version of the engine that is linked.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// The connection that writes. Checkpoints are run beside it ([`crate::checkpoint`]), never inside a commit.
pub fn writer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    keep_plans(&conn)?;
    conn.set_prepared_statement_cache_capacity(128);
    // A commit in which a page was split looks through the whole page cache, so that a larger one is not faster.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA recursive_triggers = ON;
         PRAGMA secure_delete = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 16777216;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -4096;",
    )?;
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    debug_assert_eq!(mode, "wal");
    Ok(conn)
}

/// A connection that writes, and never takes the log away when it is the last to be closed: the engine would go by its
/// own count of the pages that were moved, which only [`crate::checkpoint`] knows whether to believe.
pub fn keeping_log(path: &Path) -> rusqlite::Result<Connection> {
    let conn = writer(path)?;
    keep_log(&conn, true)?;
    Ok(conn)
}

/// Whether the log stays when this connection is the last to be closed.
pub fn keep_log(conn: &Connection, keep: bool) -> rusqlite::Result<()> {
    conn.set_db_config(SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop)
}

/// A statement is planned once, whatever is bound to it: otherwise the engine plans some anew at each run, which costs
/// more than running them.
fn keep_plans(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// How a database is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Beside a writer, through the log.
    Shared,
    /// Nobody writes it, and nothing can be made beside it: the file alone.
    Alone,
}

/// A connection that reads and cannot write.
pub fn reader(path: &Path) -> rusqlite::Result<Connection> {
    reader_with(path, Access::Shared)
}

/// A connection that reads in this way.
pub fn reader_with(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match access {
        Access::Shared => Connection::open_with_flags(path, flags)?,
        Access::Alone => {
            let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let uri = format!("file:{escaped}?immutable=1");
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
        }
    };
    conn.busy_timeout(Duration::from_secs(5))?;
    keep_plans(&conn)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -2048;")?;
    Ok(conn)
}

/// A session id in a column.
pub fn session_at(row: &Row<'_>, column: usize) -> rusqlite::Result<SessionId> {
    row.get(column).map(SessionId::from_bytes)
}

/// A hash in a column.
pub fn hash_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Hash> {
    row.get(column).map(Hash)
}

/// An unsigned number in a column (stored ones are never negative).
pub fn u64_at(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// Raw JSON in a column. What is stored was JSON when it was written; damage reads as null.
pub fn json_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Box<serde_json::value::RawValue>> {
    row.get::<_, String>(column).map(raw_json)
}

/// Text that was JSON when it was written.
pub fn raw_json(text: String) -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string(text).unwrap_or_else(|_| serde_json::value::RawValue::NULL.to_owned())
}

/// Writes again, and syncs, what can be read of the log. A commit whose sync failed may be on the disk or only in the
/// system's memory; what is written after it would be lost with it. For who is alone with the files.
pub fn settle_log(conn: &Connection) -> rusqlite::Result<()> {
    use rusqlite::ffi;
    /// The engine's files take less than 128 KiB at a time.
    const CHUNK: i64 = 1 << 16;
    let frames: i64 = conn.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))?;
    if frames <= 0 {
        return Ok(());
    }
    let page: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    // The log's file: a header of 32 bytes, then its pages with a header of 24 bytes each.
    let size = 32 + frames * (24 + page);
    let settled = with_file(conn, ffi::SQLITE_FCNTL_JOURNAL_POINTER, |file, methods| {
        let (Some(read), Some(write), Some(sync)) = (methods.xRead, methods.xWrite, methods.xSync) else {
            return ffi::SQLITE_IOERR;
        };
        let mut chunk = vec![0_u8; CHUNK as usize];
        for at in (0..size).step_by(CHUNK as usize) {
            let count = CHUNK.min(size - at) as std::ffi::c_int;
            // SAFETY: `chunk` has room for `count` bytes.
            let code = unsafe {
                match read(file, chunk.as_mut_ptr().cast(), count, at) {
                    ffi::SQLITE_OK => write(file, chunk.as_ptr().cast(), count, at),
                    code => code,
                }
            };
            if code != ffi::SQLITE_OK {
                return code;
            }
        }
        // SAFETY: as above.
        unsafe { sync(file, ffi::SQLITE_SYNC_NORMAL) }
    });
    conn.execute_batch("ROLLBACK")?;
    settled
}

/// Syncs the database file as it is now. The engine does so itself where it matters; this spreads the work.
pub fn sync_database(conn: &Connection) -> rusqlite::Result<()> {
    use rusqlite::ffi;
    with_file(conn, ffi::SQLITE_FCNTL_FILE_POINTER, |file, methods| match methods.xSync {
        // SAFETY: the file is open.
        Some(sync) => unsafe { sync(file, ffi::SQLITE_SYNC_NORMAL) },
        None => ffi::SQLITE_IOERR,
    })
}

/// Runs on a file that the engine has open. A second descriptor must not be opened for it: closing that one would drop
/// the engine's locks.
fn with_file(
    conn: &Connection,
    which: std::ffi::c_int,
    run: impl FnOnce(*mut rusqlite::ffi::sqlite3_file, &rusqlite::ffi::sqlite3_io_methods) -> std::ffi::c_int,
) -> rusqlite::Result<()> {
    use rusqlite::ffi;
    let mut file: *mut ffi::sqlite3_file = std::ptr::null_mut();
    // SAFETY: the engine writes the file that `conn` has open into `file`, which lives as long as `conn`, and a
    // connection is used by one thread at a time.
    let code = unsafe {
        let out = (&raw mut file).cast();
        let code = ffi::sqlite3_file_control(conn.handle(), c"main".as_ptr(), which, out);
        match file.as_ref().and_then(|file| file.pMethods.as_ref()) {
            Some(methods) if code == ffi::SQLITE_OK => run(file, methods),
            _ => code,
        }
    };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)) }
}

/// An unsigned number as a column value.
pub fn int(n: u64) -> i64 {
    n.cast_signed()
}

/// Keeps count of the pages in the write-ahead log, as each commit leaves it.
pub fn count_wal_pages(
    conn: &mut Connection,
    pages: &std::sync::Arc<std::sync::atomic::AtomicU32>,
) -> rusqlite::Result<()> {
    let pages = pages.clone();
    conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: std::ffi::c_int| {
        pages.store(count.cast_unsigned(), std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }))
}
