//! The sealed copy: the database file as it was before a newer version migrated it, and the way back to it.
//!
//! Both ways go through the engine's own backup calls, so that nothing but the engine opens the journal's files. A
//! copy is made beside its name, synced and renamed. Going back is one transaction in the journal's place: cut off
//! anywhere, the journal is the one or the other.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use crate::connect::{self, Access, int};
use crate::error::{OpenError, ReadError};
use crate::inspect::{self, Facts};
use crate::lock::Lock;
use crate::migrate;
use crate::options::Options;
use crate::read::Reader;
use crate::verified::Verified;
use crate::witness::{self, Heads, Witness};

/// Copies a database that nobody writes into the file `to`, which appears whole and synced or not at all.
pub fn copy(database: &Path, to: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: to.to_owned(), source };
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(io)?;
    let fresh = to.with_extension("new");
    if let Err(error) = fs::remove_file(&fresh)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(io(error));
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(io)?;
    let copied = copy_into(database, &fresh);
    if let Err(error) = copied {
        // What is left of it would only be in the way.
        let _ = fs::remove_file(&fresh);
        return Err(error);
    }
    File::open(&fresh).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(&fresh, to).map_err(io)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

fn copy_into(database: &Path, fresh: &Path) -> Result<(), OpenError> {
    let from = connect::reader(database)?;
    let mut into = Connection::open(fresh)?;
    inspect::run(&Backup::new(&from, &mut into)?)?;
    Ok(())
}

/// What a sealed copy says of itself, after its structure was checked.
pub fn facts(copy: &Path) -> Result<Facts, OpenError> {
    let conn = connect::reader_with(copy, Access::Alone)?;
    let sound: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(OpenError::Check { why: format!("the copy {} is damaged: {sound}", copy.display()) });
    }
    facts_of(&conn)
}

fn facts_of(conn: &Connection) -> Result<Facts, OpenError> {
    let verified = Verified::default();
    Facts::read(&Reader::new(conn, &verified)).map_err(|error| match error {
        ReadError::Store(error) => OpenError::Store(error),
        other => OpenError::Check { why: other.to_string() },
    })
}

/// Puts a sealed copy in the place of the journal in `dir`, whose lock is taken meanwhile. `expected` says of the copy
/// whether it is the one that is wanted. Doing it again changes nothing.
///
/// A journal that somebody wrote to since the copy was made gets a new id and a later epoch, so that old cursors
/// reset, and a witness that says what is there now. The caller has saved what was written since: it is not in the
/// copy.
pub fn put_back(
    dir: &Path,
    copy: &Path,
    options: &Options,
    expected: impl FnOnce(&Facts) -> bool,
) -> Result<Facts, OpenError> {
    let wanted = facts(copy)?;
    if !expected(&wanted) {
        let why = format!("the copy {} is not the one that was sealed; nothing was changed", copy.display());
        return Err(OpenError::Check { why });
    }
    let _lock = Lock::take(dir, &options.version, options.clock.now_ms())?;
    let mut conn = connect::writer(&dir.join("journal.db"))?;
    let epoch_now: u64 = migrate::meta::<i64>(&conn, "epoch").unwrap_or_default().unwrap_or(0).cast_unsigned();
    {
        let from = connect::reader_with(copy, Access::Alone)?;
        inspect::run(&Backup::new(&from, &mut conn)?)?;
    }
    let witnessed = witness::read(dir).ok().flatten().map_or(0, |witness| witness.epoch);
    let last = epoch_now.max(witnessed);
    if last > wanted.epoch {
        let tx = conn.transaction()?;
        migrate::set_meta(&tx, "journal_id", migrate::new_journal_id(options).as_bytes())?;
        migrate::set_meta(&tx, "epoch", int(last))?;
        tx.commit()?;
        let facts = facts_of(&conn)?;
        let heads = Heads::load(&conn)?;
        let witness = Witness {
            journal: facts.journal,
            epoch: last,
            revision: facts.revision,
            position: heads.position(),
            root: heads.root(),
            settled: 0,
        };
        witness::write(dir, &witness).map_err(|source| OpenError::Io { path: dir.join(witness::FILE), source })?;
    }
    let back = facts_of(&conn)?;
    if (back.root, back.documents) != (wanted.root, wanted.documents) {
        return Err(OpenError::Check { why: "the journal differs from the copy that was put in its place".to_owned() });
    }
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(back)
}
