//! Recomputing everything: every chain from its first entry to its witnessed head, every body, every large content,
//! every row of the projection, the counts, the witness and the database's own structure. One session at a time, each
//! in a read of its own, so that a long verification neither stops anybody nor keeps the log from being emptied.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gander_model::chain::{Damage, Walk, check_body};
use gander_model::{Body, Data, Hash, Head, Kind, Seq, SessionId, StoreRoot};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::audit::{self, Audit};
use crate::beside::background;
use crate::connect::{hash_at, int, raw_json, session_at, u64_at};
use crate::erase::Erased;
use crate::error::{ReadError, WriteError};
use crate::findings::NewFinding;
use crate::journal::Journal;
use crate::view::{EntryView, Finding};
use crate::witness::{Heads, Standing, Witness};
use crate::{blobs, entries, guards, listing, project, witness};

/// Damages told of one session, at most; the rest are counted.
const TOLD: usize = 20;

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Nothing is wrong.
    pub ok: bool,
    /// It was not cut off.
    pub complete: bool,
    /// The store root.
    pub root: StoreRoot,
    /// Sessions that were recomputed.
    pub sessions: u64,
    /// Entries that were recomputed.
    pub entries: u64,
    /// What is on the disk and where it is listed.
    pub audit: Audit,
    /// What is wrong; kept in the journal as open findings, too.
    pub findings: Vec<Finding>,
}

impl Journal {
    /// Recomputes everything, and waits for it. `progress` is told how many entries are done, of how many; `cancelled`
    /// is asked between sessions. Sessions that do not verify are set aside, and those that do so again are released.
    pub fn verify(
        &self,
        progress: impl FnMut(u64, u64) + Send,
        cancelled: impl Fn() -> bool + Sync,
    ) -> Result<Report, ReadError> {
        // On a thread of its own, whose work can wait for everybody else's.
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                background();
                self.recompute(progress, &cancelled)
            });
            work.join().unwrap_or(Err(ReadError::CutOff))
        })
    }

    fn recompute(
        &self,
        mut progress: impl FnMut(u64, u64),
        cancelled: &(impl Fn() -> bool + Sync),
    ) -> Result<Report, ReadError> {
        let (ids, total) = self.read(|r| Ok((all(r.conn)?, count(r.conn)?)))?;
        let mut found = Found::default();
        let mut done = 0;
        let mut complete = true;
        progress(0, total);
        for session in &ids {
            if cancelled() {
                complete = false;
                break;
            }
            let checked = self.read(|r| session_check(r.conn, *session))?;
            done += checked.entries;
            found.sessions += 1;
            found.take(*session, checked);
            progress(done, total.max(done));
        }
        if complete {
            complete = self.contents(&mut found, cancelled)?;
        }
        let mut root = Hash::ZERO;
        let mut audit = Audit::default();
        // Before what it is compared with: a journal that is written to meanwhile is behind a witness that is read later.
        let witness = witness::read(self.dir()).ok().flatten();
        self.read(|r| {
            root = r.root()?;
            audit = r.audit()?;
            if complete {
                whole(r.conn, self.epoch(), witness.as_ref(), audit, &mut found)?;
            }
            Ok(())
        })?;
        let findings = self.write_down(&found, complete)?;
        let ok = findings.iter().all(|finding| finding.severity == "info");
        // Setting aside and releasing moves sessions between lists.
        let audit = self.read(|r| r.audit())?;
        Ok(Report { ok, complete, root, sessions: found.sessions, entries: done, audit, findings })
    }

    /// Every large content, once; damage is told of the sessions that name it.
    fn contents(&self, found: &mut Found, cancelled: &impl Fn() -> bool) -> Result<bool, ReadError> {
        let hashes: Vec<Hash> = self.read(|r| {
            let mut query = r.conn.prepare("SELECT hash FROM contents WHERE hash IS NOT NULL")?;
            let hashes = query.query_map([], |row| hash_at(row, 0))?.collect::<rusqlite::Result<_>>()?;
            Ok(hashes)
        })?;
        for hash in hashes {
            if cancelled() {
                return Ok(false);
            }
            let users = self.read(|r| match blobs::read(r.conn, hash, |_| Ok(())) {
                Ok(_) => Ok(Vec::new()),
                Err(_) => users(r.conn, hash),
            })?;
            for (session, seq) in users {
                found.damage(
                    session,
                    format!("the large content {} of entry {seq} does not match its name", hash.short()),
                );
            }
        }
        Ok(true)
    }

    /// Keeps the findings, sets aside what is damaged and releases what is not any more. A journal that cannot save
    /// tells them all the same.
    fn write_down(&self, found: &Found, complete: bool) -> Result<Vec<Finding>, ReadError> {
        let damaged: BTreeMap<SessionId, String> =
            found.damaged.iter().map(|(session, damage)| (*session, damage.text())).collect();
        let sound: BTreeSet<SessionId> = if complete {
            found.sound.iter().filter(|s| !damaged.contains_key(s)).copied().collect()
        } else {
            BTreeSet::new()
        };
        let (to_keep, told) = (found.findings.clone(), damaged.clone());
        let kept = self.write_blocking(move |tx| {
            for (session, detail) in &told {
                tx.set_aside(*session, detail)?;
            }
            for session in tx.quarantined()? {
                if sound.contains(&session) {
                    tx.release_quarantine(session)?;
                    tx.close_findings_of(session, "session_damaged")?;
                }
            }
            to_keep.into_iter().map(|new| tx.finding_add(new)).collect::<Result<Vec<_>, _>>()
        });
        let unsaved = match kept {
            Ok(_) => false,
            Err(WriteError::NotSaving(_) | WriteError::Closed(_)) => true,
            Err(WriteError::Store(error)) => return Err(ReadError::Store(error)),
            Err(error) => {
                tracing::error!(%error, "findings could not be kept");
                true
            }
        };
        let told = damaged.into_iter().map(|(session, detail)| crate::recover::damaged(session, &detail));
        let told = told.chain(found.findings.iter().cloned());
        let at_ms = self.now_ms();
        let nameless = |new: NewFinding| Finding {
            id: gander_model::FindingId::from_bytes([0; 16]),
            kind: new.kind,
            severity: new.severity,
            session: new.session,
            subject: new.subject,
            detail: new.detail,
            remedy: new.remedy,
            at_ms,
            closed_at_ms: None,
        };
        if unsaved {
            return Ok(told.map(nameless).collect());
        }
        let open = self.read(|r| r.findings(10_000))?;
        let as_kept = |new: NewFinding| {
            let same =
                |kept: &&Finding| kept.kind == new.kind && kept.session == new.session && kept.detail == new.detail;
            open.iter().find(same).cloned().unwrap_or_else(|| nameless(new))
        };
        Ok(told.map(as_kept).collect())
    }
}

#[derive(Default)]
struct Damages {
    told: Vec<String>,
    more: usize,
}

impl Damages {
    fn add(&mut self, text: String) {
        if self.told.len() < TOLD { self.told.push(text) } else { self.more += 1 }
    }

    fn text(&self) -> String {
        let more = if self.more > 0 { format!("; and {} more", self.more) } else { String::new() };
        format!("{}{more}", self.told.join("; "))
    }
}

#[derive(Default)]
struct Found {
    sessions: u64,
    damaged: BTreeMap<SessionId, Damages>,
    sound: BTreeSet<SessionId>,
    findings: Vec<NewFinding>,
}

impl Found {
    fn damage(&mut self, session: SessionId, text: String) {
        self.damaged.entry(session).or_default().add(text);
    }

    fn take(&mut self, session: SessionId, checked: Checked) {
        if checked.damage.told.is_empty() {
            self.sound.insert(session);
        } else {
            self.damaged.insert(session, checked.damage);
        }
        if let Some(why) = checked.projection {
            self.findings.push(NewFinding {
                kind: "projection_differs".to_owned(),
                severity: "warning".to_owned(),
                session: Some(session),
                subject: raw_json("{}".to_owned()),
                detail: format!("The session's row {why}. Its entries are what counts, and they are read instead."),
                remedy: "Run `gander doctor --rebuild`.".to_owned(),
                raw: None,
            });
        }
    }

    fn global(&mut self, kind: &str, subject: serde_json::Value, detail: String, remedy: &str) {
        self.findings.push(NewFinding {
            kind: kind.to_owned(),
            severity: "error".to_owned(),
            session: None,
            subject: raw_json(subject.to_string()),
            detail,
            remedy: remedy.to_owned(),
            raw: None,
        });
    }
}

/// What one session's recomputation gave.
struct Checked {
    entries: u64,
    damage: Damages,
    projection: Option<&'static str>,
}

/// What is wrong with one session; `None` when it verifies.
pub(crate) fn damage_of(conn: &Connection, session: SessionId) -> Result<Option<String>, ReadError> {
    let checked = session_check(conn, session)?;
    Ok((!checked.damage.told.is_empty()).then(|| checked.damage.text()))
}

fn session_check(conn: &Connection, session: SessionId) -> Result<Checked, ReadError> {
    let mut checked = Checked { entries: 0, damage: Damages::default(), projection: None };
    let mut chain = Chain { conn, session, walk: None, broken: false, lists: HashMap::new() };
    let walked = entries::for_each_own(conn, session, |position, view| {
        checked.entries += 1;
        match view {
            Ok(view) => chain.step(position, &view, &mut checked.damage),
            Err(_) => checked.damage.add(format!("the row of its entry {} cannot be read", checked.entries)),
        }
    });
    // A page that cannot be read costs the sessions that lie on it, and no other.
    if let Err(error) = walked {
        checked.damage.add(format!("its entries cannot be read: {error}"));
        return Ok(checked);
    }
    chain.finish(&mut checked.damage)?;
    if checked.damage.told.is_empty() {
        let stored = project::stored(conn, session)?;
        checked.projection = match (stored, project::fold(conn, session)?) {
            (None, Some(_)) => Some("is missing"),
            (Some(stored), _) if !stored.sound => Some("does not match its checksum"),
            (Some(stored), Some(state)) if stored.state != state => Some("is not what its entries say"),
            (_, Some(state)) if !listing::is_right(conn, &state)? => Some("stands in the wrong list"),
            _ => None,
        };
    }
    Ok(checked)
}

/// The walk along a session's own entries.
struct Chain<'c> {
    conn: &'c Connection,
    session: SessionId,
    walk: Option<Walk>,
    broken: bool,
    /// What each `redacted` entry lists, by its position.
    lists: HashMap<i64, Vec<Erased>>,
}

impl Chain<'_> {
    fn step(&mut self, position: i64, view: &EntryView, damage: &mut Damages) {
        let header = &view.entry.header;
        if self.walk.is_none() {
            self.walk = Some(self.start(header.seq, damage));
        }
        if let Some(walk) = &mut self.walk
            && let Err(found) = walk.step(header)
        {
            damage.add(found.to_string());
            self.broken = true;
            // What follows is judged by itself, so that all of the damage is told.
            *walk = Walk::after(header.head());
        }
        let erased = view.entry.body.is_none() && self.is_listed(position, view);
        if let Err(found) = check_body(&view.entry, erased) {
            damage.add(found.to_string());
            return;
        }
        let Some(body) = view.entry.body.as_ref().and_then(|body| Body::parse(&body.bytes).ok()) else { return };
        if let Data::Ref(large) = body.data
            && !matches!(blobs::info(self.conn, large.hash), Ok(Some(info)) if info.bytes == large.bytes)
        {
            damage.add(format!("the large content {} of entry {} is missing", large.hash.short(), header.seq));
        }
    }

    /// A session of its own starts from nothing, a fork from its parent's pinned entry.
    fn start(&self, first: Seq, damage: &mut Damages) -> Walk {
        if first == Seq(1) {
            return Walk::from_start();
        }
        match entries::pinned(self.conn, self.session) {
            Ok(Some(origin)) => {
                let parents = entries::hash_of(self.conn, origin.session_id, origin.seq);
                if !matches!(parents, Ok(Some(hash)) if hash == origin.hash) {
                    damage.add(format!(
                        "the entry {} of {} that it was forked from is missing or altered",
                        origin.seq, origin.session_id
                    ));
                }
                Walk::after(origin.head())
            }
            _ => Walk::from_start(),
        }
    }

    /// Whether a `redacted` entry lists this one's body: a row that says so is not enough.
    fn is_listed(&mut self, position: i64, view: &EntryView) -> bool {
        let header = &view.entry.header;
        let by: Option<i64> = self
            .conn
            .prepare_cached("SELECT by_position FROM erasures WHERE position = ?1")
            .and_then(|mut query| query.query_row([position], |row| row.get(0)).optional())
            .unwrap_or_default();
        let Some(by) = by else { return false };
        let conn = self.conn;
        let list = self.lists.entry(by).or_insert_with(|| listed(conn, by).unwrap_or_default());
        list.iter().any(|erased| {
            (erased.session_id, erased.seq, erased.body_hash) == (header.session_id, header.seq, header.body_hash)
        })
    }

    fn finish(self, damage: &mut Damages) -> Result<(), ReadError> {
        let head = self
            .conn
            .prepare_cached(
                "SELECT h.seq, h.hash, EXISTS (SELECT 1 FROM entries e WHERE e.position = h.position AND e.hash = h.hash)
                 FROM heads h WHERE session_id = ?1",
            )?
            .query_row([self.session.as_bytes()], |row| {
                Ok((Head { seq: Seq(u64_at(row, 0)?), hash: hash_at(row, 1)? }, row.get::<_, bool>(2)?))
            })
            .optional();
        match head {
            Ok(Some((head, in_place))) => {
                let reached = self.walk.map(|walk| walk.reached());
                if reached != Some(head) {
                    damage.add(Damage::Head { witnessed: head }.to_string());
                } else if !in_place && !self.broken {
                    damage.add("its witnessed head is not where it was witnessed".to_owned());
                }
            }
            Ok(None) => damage.add("its witnessed head is missing".to_owned()),
            Err(_) => damage.add("its witnessed head cannot be read".to_owned()),
        }
        Ok(())
    }
}

fn listed(conn: &Connection, by: i64) -> rusqlite::Result<Vec<Erased>> {
    #[derive(serde::Deserialize)]
    struct Redacted {
        erased: Vec<Erased>,
    }
    let body: Option<Vec<u8>> = conn
        .prepare_cached(
            "SELECT b.body FROM entries e JOIN bodies b USING (position) WHERE position = ?1 AND kind = ?2",
        )?
        .query_row(params![by, Kind::REDACTED.as_str()], |row| row.get(0))
        .optional()?;
    let parsed = body.and_then(|bytes| Body::parse(&bytes).ok()).and_then(|body| body.data_as::<Redacted>());
    Ok(parsed.map(|redacted| redacted.erased).unwrap_or_default())
}

/// What concerns the journal as a whole.
fn whole(
    conn: &Connection,
    epoch: u64,
    witness: Option<&Witness>,
    audit: Audit,
    found: &mut Found,
) -> Result<(), ReadError> {
    let broken: Vec<String> = conn
        .prepare("PRAGMA quick_check(20)")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()
        .unwrap_or_else(|error| vec![error.to_string()]);
    if broken != ["ok"] {
        found.global(
            "database_damaged",
            json!({}),
            format!("The database's own structure is damaged: {}", broken.join("; ")),
            "Copy the data folder as it is, then restore from a backup beside it.",
        );
    }
    let missing = guards::missing(conn)?;
    if !missing.is_empty() {
        found.global(
            "guards_missing",
            json!({ "names": missing }),
            format!("Rules that keep entries from being changed are missing or altered: {}.", missing.join(", ")),
            "Start Gander again: it puts them back. Find out which program changed the database.",
        );
    }
    for session in audit::without_anything(conn)? {
        found.global(
            "session_gone",
            json!({ "session": session }),
            format!("Session {session} is listed, but neither an entry nor its witnessed head is on the disk."),
            "Restore it from a backup. `gander doctor --rebuild` takes it from the list.",
        );
    }
    if !audit.balances() {
        found.global(
            "audit_differs",
            json!({}),
            format!(
                "{} sessions are on the disk, and the lists hold {} active, {} archived, {} trashed and {} quarantined ones.",
                audit.on_disk, audit.active, audit.archived, audit.trashed, audit.quarantined
            ),
            "Run `gander doctor --rebuild`.",
        );
    }
    if let Some(witness) = witness {
        let id = journal_id(conn)?;
        let standing = witness::compare(conn, &Heads::load(conn)?, id, epoch, witness)?;
        if standing != Standing::Agrees {
            found.global(
                "journal_differs_from_witness",
                json!({ "witness": witness, "standing": format!("{standing:?}") }),
                "The journal's entries are not those that its witness file knows.".to_owned(),
                "Restore what is missing from a backup.",
            );
        }
    }
    Ok(())
}

fn journal_id(conn: &Connection) -> Result<gander_model::JournalId, ReadError> {
    let id: Option<[u8; 16]> = crate::migrate::meta(conn, "journal_id")?;
    Ok(gander_model::JournalId::from_bytes(id.unwrap_or_default()))
}

fn users(conn: &Connection, hash: Hash) -> Result<Vec<(SessionId, Seq)>, ReadError> {
    let mut query = conn.prepare_cached(
        "SELECT e.session_id, e.seq FROM content_uses u JOIN entries e USING (position) WHERE u.content_hash = ?1",
    )?;
    let users = query
        .query_map([hash.0], |row| Ok((session_at(row, 0)?, Seq(u64_at(row, 1)?))))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(users)
}

/// Every session that has an entry or a witnessed head.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<SessionId>> {
    let mut ids: BTreeSet<SessionId> = audit::with_entries(conn)?.into_iter().collect();
    ids.extend(audit::with_heads(conn)?);
    Ok(ids.into_iter().collect())
}

fn count(conn: &Connection) -> rusqlite::Result<u64> {
    // Positions count up by one, so the last is the number, and looking at every row is not needed to show progress.
    conn.query_row("SELECT coalesce(max(position), 0) FROM entries", [], |row| u64_at(row, 0))
        .map(|last| int(last).cast_unsigned())
}
