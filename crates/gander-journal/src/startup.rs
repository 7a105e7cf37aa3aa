//! What is looked at before a journal serves.
//!
//! After a clean end that is little: the witnessed heads must give the witness's root, and every session must have
//! its rows. After an unclean one, or when the witness disagrees, also that every head is its session's last entry,
//! and the entries that may still have been in the log. What is found is told as findings; a damaged session is set
//! aside and stops no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gander_model::{JournalId, SessionId};
use rusqlite::{Connection, TransactionBehavior};
use serde_json::json;

use crate::connect::{self, int, raw_json, session_at};
use crate::error::{OpenError, ReadError, WriteError};
use crate::findings::NewFinding;
use crate::options::Options;
use crate::read::Reader;
use crate::tx::Tx;
use crate::verified::Verified;
use crate::witness::{self, Heads, Standing, Witness};
use crate::{audit, blobs, guards, migrate, repair};

/// Entries at the end that are recomputed after an unclean end when nothing says how far the database file had come.
const TAIL_ENTRIES: u64 = 5_000;
/// And at most, whatever the witness says: the log cannot have held more.
const TAIL_MAX_ENTRIES: u64 = 50_000;

/// A journal that may serve.
pub struct Started {
    pub journal: JournalId,
    pub epoch: u64,
    pub heads: Heads,
    /// The position up to which the database file was known to hold everything.
    pub settled: u64,
    /// The witness agreed, or there was none to ask.
    agrees: bool,
    /// There is no witness that says what the journal says.
    pub writes_witness: bool,
}

/// A database that is missing or empty where a witness says that there was one is never taken for a new journal.
pub fn guard(dir: &Path, database: &Path) -> Result<(), OpenError> {
    if std::fs::metadata(database).is_ok_and(|about| about.len() > 0) {
        return Ok(());
    }
    let lost = |why: String| Err(OpenError::Lost { path: database.to_owned(), why });
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(&log).is_ok_and(|about| about.len() > 0) {
        return lost("its log is still there".to_owned());
    }
    match witness::read(dir) {
        Ok(Some(witness)) if witness.position > 0 => {
            lost(format!("the witness says that it held {} entries", witness.position))
        }
        _ => Ok(()),
    }
}

/// Looks at a journal whose lock and epoch were just taken, and writes down what is found.
pub fn check(
    conn: &mut Connection,
    dir: &Path,
    options: &Options,
    epoch: u64,
    unclean: bool,
) -> Result<Started, OpenError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let verified = Verified::default();
    let id: [u8; 16] = migrate::meta(&tx, "journal_id")?.unwrap_or_default();
    let mut started = Started {
        journal: JournalId::from_bytes(id),
        epoch,
        heads: Heads::load(&tx)?,
        settled: 0,
        agrees: true,
        writes_witness: true,
    };
    let mut write = Tx::new(&tx, options.clock.now_ms(), epoch, &*options.random, &verified);
    let witness = witness::read(dir);
    if let Ok(Some(witness)) = &witness {
        let standing = witness::compare(&tx, &started.heads, started.journal, epoch - 1, witness)?;
        started.agrees = standing == Standing::Agrees;
        started.writes_witness = !started.agrees;
        started.settled = if started.agrees { witness.settled } else { 0 };
        if !started.agrees {
            // Cursors, and whoever compares epochs, must not take this journal for the one that was witnessed.
            started.journal = migrate::new_journal_id(options);
            migrate::set_meta(&tx, "journal_id", started.journal.as_bytes())?;
            started.epoch = epoch.max(witness.epoch + 1);
            migrate::set_meta(&tx, "epoch", int(started.epoch))?;
            found(write.finding_add(disagrees(&standing, witness)))?;
        }
    } else if started.heads.position() > 0 && epoch > 1 {
        found(write.finding_add(no_witness(witness.err())))?;
    }
    blobs::drop_unfinished(&tx)?;
    let rules = guards::restore(&tx)?;
    if !rules.is_empty() {
        found(write.finding_add(unguarded(&rules)))?;
    }
    let doubtful = unclean || !started.agrees || !rules.is_empty();
    if doubtful {
        deep(&tx, &mut write, started.settled)?;
        started.heads = Heads::load(&tx)?;
    }
    if doubtful || !audit::adds_up(&tx, started.heads.sessions())? {
        rows(&tx, &mut write)?;
    }
    found(write.finish())?;
    found(write.settle_moves())?;
    // A clean end left nothing in the log, and after any other what it held was looked at.
    started.settled = started.heads.position();
    drop(write);
    tx.commit()?;
    Ok(started)
}

/// Every head, and the entries that may still have been in the log.
fn deep(conn: &Connection, write: &mut Tx<'_>, settled: u64) -> Result<(), OpenError> {
    let mut damaged: BTreeMap<SessionId, String> = BTreeMap::new();
    for session in audit::without_head(conn)? {
        found(repair::witness_again(write, session))?;
        damaged.insert(session, "its witnessed head was missing".to_owned());
    }
    for session in audit::beside_head(conn)? {
        damaged.entry(session).or_insert_with(|| "its entries do not end at the witnessed head".to_owned());
    }
    let last = witness::last_position(conn)?;
    let from = if settled == 0 {
        last.saturating_sub(TAIL_ENTRIES)
    } else {
        settled.max(last.saturating_sub(TAIL_MAX_ENTRIES))
    };
    for (session, why) in tail(conn, from)? {
        damaged.entry(session).or_insert(why);
    }
    for (session, why) in damaged {
        found(write.set_aside(session, &why))?;
    }
    Ok(())
}

/// Sessions with a damaged entry after a position.
fn tail(conn: &Connection, after: u64) -> Result<BTreeMap<SessionId, String>, OpenError> {
    let verified = Verified::default();
    let reader = Reader::new(conn, &verified);
    let mut damaged = BTreeMap::new();
    let mut query = conn.prepare("SELECT session_id, seq FROM entries WHERE position > ?1 ORDER BY position")?;
    let mut rows = query.query([int(after)])?;
    while let Some(row) = rows.next()? {
        let (session, seq) = (session_at(row, 0)?, gander_model::Seq(connect::u64_at(row, 1)?));
        if damaged.contains_key(&session) {
            continue;
        }
        match reader.entry(session, seq) {
            Ok(_) => {}
            Err(ReadError::Damaged { damage, .. }) => drop(damaged.insert(session, damage.to_string())),
            Err(ReadError::Store(error)) => return Err(error.into()),
            Err(error) => drop(damaged.insert(session, error.to_string())),
        }
    }
    Ok(damaged)
}

/// Every session has its rows in the projection, at its head.
fn rows(conn: &Connection, write: &mut Tx<'_>) -> Result<(), OpenError> {
    let lost: BTreeSet<SessionId> = audit::without_rows(conn)?.into_iter().collect();
    for session in &lost {
        found(repair::project_again(write, *session))?;
    }
    if !lost.is_empty() {
        found(write.finding_add(NewFinding {
            kind: "projection_repaired".to_owned(),
            severity: "warning".to_owned(),
            session: None,
            subject: raw_json(json!({ "sessions": lost }).to_string()),
            detail: format!(
                "The rows of {} sessions were missing or behind, and were made again from their entries.",
                lost.len()
            ),
            remedy: "Nothing needs to be done. If it happens again, check the disk.".to_owned(),
            raw: None,
        }))?;
    }
    for session in audit::without_anything(conn)? {
        found(write.finding_add(NewFinding {
            kind: "session_gone".to_owned(),
            severity: "error".to_owned(),
            session: Some(session),
            subject: raw_json("{}".to_owned()),
            detail: "The session is listed, but neither an entry nor its witnessed head is on the disk.".to_owned(),
            remedy: "Restore it from a backup. `gander doctor --rebuild` takes it from the list.".to_owned(),
            raw: None,
        }))?;
    }
    Ok(())
}

fn disagrees(standing: &Standing, witness: &Witness) -> NewFinding {
    let (kind, detail) = match standing {
        Standing::Behind { missing: 0 } => (
            "journal_behind_witness",
            "The journal is an older copy than the one that was open last: windows, drafts or queued prompts may be \
             missing, and no entry."
                .to_owned(),
        ),
        Standing::Behind { missing } => (
            "journal_behind_witness",
            format!(
                "The journal's end is missing, or an older copy was put in its place: it lacks at least {missing} entries."
            ),
        ),
        Standing::OtherJournal => (
            "journal_replaced",
            format!(
                "Another journal was put in the place of {}, which held {} entries.",
                witness.journal, witness.position
            ),
        ),
        Standing::Differs { .. } | Standing::Agrees => (
            "journal_differs_from_witness",
            "The journal's entries are not those that were witnessed: some were altered, removed or replaced."
                .to_owned(),
        ),
    };
    NewFinding {
        kind: kind.to_owned(),
        severity: "error".to_owned(),
        session: None,
        subject: raw_json(json!({ "witness": witness, "standing": format!("{standing:?}") }).to_string()),
        detail: format!("{detail} What is there was kept as it is, and open windows read everything again."),
        remedy: "Run `gander verify`, and restore what is missing from a backup.".to_owned(),
        raw: None,
    }
}

fn unguarded(rules: &[String]) -> NewFinding {
    NewFinding {
        kind: "guards_missing".to_owned(),
        severity: "error".to_owned(),
        session: None,
        subject: raw_json(json!({ "names": rules }).to_string()),
        detail: format!(
            "Rules that keep entries from being changed were missing or altered, and were put back: {}.",
            rules.join(", ")
        ),
        remedy: "Run `gander verify`, and find out which program changed the database.".to_owned(),
        raw: None,
    }
}

fn no_witness(error: Option<witness::WitnessError>) -> NewFinding {
    let (kind, detail) = match error {
        None => ("witness_missing", "The witness file is missing".to_owned()),
        Some(error) => ("witness_unreadable", format!("The witness file cannot be used ({error})")),
    };
    NewFinding {
        kind: kind.to_owned(),
        severity: "warning".to_owned(),
        session: None,
        subject: raw_json("{}".to_owned()),
        detail: format!(
            "{detail}, so this start could not tell whether an older copy of the journal was put in its place. A new one is written."
        ),
        remedy:
            "If you did not remove it yourself, run `gander verify` and look whether your newest sessions are there."
                .to_owned(),
        raw: None,
    }
}

/// What is written down at a start fails like the start.
fn found<T>(result: Result<T, WriteError>) -> Result<T, OpenError> {
    result.map_err(|error| match error {
        WriteError::Store(error) => OpenError::Store(error),
        other => OpenError::Check { why: other.to_string() },
    })
}
