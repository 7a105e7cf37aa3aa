//! The witness: a small synced file outside the database that says how far the journal had come. A database whose
//! tail was cut off, or in whose place an older copy was put, verifies in itself; only something outside of it knows
//! better.
//!
//! Two lines: the statement as JSON, and the BLAKE3 of that line (without its end) in hexadecimal digits, what
//! `head -n1 witness | tr -d '\n' | b3sum` prints. It is valid when both agree. It is replaced as a whole: written
//! beside, synced, renamed, and the folder synced, so there is always one, old or new. A lost or unreadable witness
//! loses nothing but this protection, says so as a finding, and is written anew.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use gander_model::{Hash, Head, JournalId, Seq, SessionId, StoreRoot, store_root};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::connect::{hash_at, int, session_at, u64_at};

/// The witness's file in the data folder.
pub const FILE: &str = "witness";
const FRESH: &str = "witness.new";

/// What the witness says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The journal.
    pub journal: JournalId,
    /// The epoch of the process that wrote it.
    pub epoch: u64,
    /// The revision that the journal had reached.
    pub revision: u64,
    /// The entry that it had reached.
    pub position: u64,
    /// The store root of the entries up to there.
    pub root: StoreRoot,
    /// Entries up to here need no look after a crash: they had left the log for the database file, synced, or a start
    /// had looked at them.
    pub settled: u64,
}

/// A witness that is there and cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The file failed.
    #[error("the witness file cannot be read")]
    Io(#[from] std::io::Error),
    /// Its two lines do not belong together, or are no statement.
    #[error("the witness file is damaged")]
    Damaged,
}

/// Reads the witness of a data folder; `None` when there is none.
pub fn read(dir: &Path) -> Result<Option<Witness>, WitnessError> {
    let bytes = match std::fs::read(dir.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| WitnessError::Damaged)?;
    let (statement, check) = text.split_once('\n').ok_or(WitnessError::Damaged)?;
    if check.trim_end().parse() != Ok(gander_model::content_hash(statement.as_bytes())) {
        return Err(WitnessError::Damaged);
    }
    serde_json::from_str(statement).map(Some).map_err(|_| WitnessError::Damaged)
}

/// Replaces the witness of a data folder; on return it is on the disk.
pub fn write(dir: &Path, witness: &Witness) -> std::io::Result<()> {
    let statement = serde_json::to_string(witness)?;
    let check = gander_model::content_hash(statement.as_bytes());
    let fresh = dir.join(FRESH);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(format!("{statement}\n{check}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

/// The heads of all sessions as of one position, kept in memory so that a new root costs only what was appended.
#[derive(Debug, Default)]
pub struct Heads {
    of: BTreeMap<SessionId, Head>,
    /// The last entry that is in.
    position: u64,
}

impl Heads {
    /// The witnessed heads, as of the last entry. Call it inside one read transaction.
    pub fn load(conn: &Connection) -> rusqlite::Result<Heads> {
        let position = last_position(conn)?;
        let mut query = conn.prepare_cached("SELECT session_id, seq, hash FROM heads")?;
        let rows = query.query_map([], head_at)?;
        Ok(Heads { of: rows.collect::<rusqlite::Result<_>>()?, position })
    }

    /// Takes in what was appended since.
    pub fn advance(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mut query = conn.prepare_cached(
            "SELECT session_id, seq, hash, position FROM entries WHERE position > ?1 ORDER BY position",
        )?;
        let mut rows = query.query([int(self.position)])?;
        while let Some(row) = rows.next()? {
            let (session, head) = head_at(row)?;
            self.of.insert(session, head);
            self.position = u64_at(row, 3)?;
        }
        Ok(())
    }

    /// The last entry that is in.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> u64 {
        self.of.len() as u64
    }

    /// The store root.
    pub fn root(&self) -> StoreRoot {
        store_root(self.sessions(), self.of.iter().map(|(session, head)| (*session, *head)))
    }

    /// The store root as it was when `position` was the last entry. Costs what was appended since.
    pub fn root_at(&self, conn: &Connection, position: u64) -> rusqlite::Result<StoreRoot> {
        let mut query =
            conn.prepare_cached("SELECT session_id, min(seq) FROM entries WHERE position > ?1 GROUP BY session_id")?;
        let later: Vec<(SessionId, u64)> = query
            .query_map([int(position)], |row| Ok((session_at(row, 0)?, u64_at(row, 1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        if later.is_empty() {
            return Ok(self.root());
        }
        let mut then = self.of.clone();
        let mut before =
            conn.prepare_cached("SELECT session_id, seq, hash FROM entries WHERE session_id = ?1 AND seq = ?2")?;
        for (session, first) in later {
            let mut rows = before.query(params![session.as_bytes(), int(first.saturating_sub(1))])?;
            match rows.next()? {
                Some(row) => then.insert(session, head_at(row)?.1),
                // Its first own entry came later, so it did not exist then.
                None => then.remove(&session),
            };
        }
        Ok(store_root(then.len() as u64, then))
    }
}

fn head_at(row: &rusqlite::Row<'_>) -> rusqlite::Result<(SessionId, Head)> {
    Ok((session_at(row, 0)?, Head { seq: Seq(u64_at(row, 1)?), hash: hash_at(row, 2)? }))
}

/// The last entry's position; 0 when there is none.
pub fn last_position(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT coalesce(max(position), 0) FROM entries")?.query_row([], |row| u64_at(row, 0))
}

/// The journal's revision; 0 when nothing was ever changed.
pub fn last_revision(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT coalesce(max(revision), 0) FROM changes")?.query_row([], |row| u64_at(row, 0))
}

/// How a journal stands to its witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds all that was witnessed.
    Agrees,
    /// It is another journal.
    OtherJournal,
    /// It has not come as far as was witnessed: its tail is missing, or it is an older copy.
    Behind {
        /// Entries that were witnessed and are missing, at least.
        missing: u64,
    },
    /// It has come as far, but not the same way.
    Differs {
        /// The root of its entries up to the witnessed one.
        root: Hash,
    },
}

/// Compares a journal with its witness.
pub fn compare(
    conn: &Connection,
    heads: &Heads,
    journal: JournalId,
    epoch: u64,
    witness: &Witness,
) -> rusqlite::Result<Standing> {
    if journal != witness.journal {
        return Ok(Standing::OtherJournal);
    }
    let missing = witness.position.saturating_sub(heads.position());
    if missing > 0 || epoch < witness.epoch || last_revision(conn)? < witness.revision {
        return Ok(Standing::Behind { missing });
    }
    let root = heads.root_at(conn, witness.position)?;
    Ok(if root == witness.root { Standing::Agrees } else { Standing::Differs { root } })
}
