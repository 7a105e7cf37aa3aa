//! Search inside sessions. The index is a file of its own, kept up by a thread of its own behind the writer, and
//! disposable: lost, damaged or of another journal, it is built anew from the entries, newest first, and nothing else
//! notices. A search says when it does not cover everything yet.

mod index;
mod query;
mod text;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gander_model::{JournalId, Kind, Seq, SessionId};
use rusqlite::{Connection, OptionalExtension};

use crate::bell::Bell;
use crate::beside::background;
use crate::connect::{int, session_at, u64_at};
use crate::error::ReadError;
use crate::migrate;
use crate::read::{Pool, Reader};
use crate::witness::last_position;
use index::{Index, Searcher, end_of, shard_of};
use query::{Query, Snippets};

/// The index's file in the data folder.
pub const FILE: &str = "index.db";
/// Results on a page, at most.
pub const PAGE_MAX: usize = 100;
/// Entries put into the index at once, at most.
const BATCH: u64 = 1_000;
/// Text put into the index at once, about.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Commits are gathered this long before they are indexed.
const AFTER: Duration = Duration::from_millis(150);
/// A search that takes longer gives what it has, and where to go on.
const SEARCH_TIME: Duration = Duration::from_millis(750);
/// Connections for searching that are kept open.
const KEEP: usize = 2;

/// One entry that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its session; for a fork's inherited part the ancestor that owns it.
    pub session: SessionId,
    /// Its place.
    pub seq: Seq,
    /// What it records.
    pub kind: Kind,
    /// When it was recorded.
    pub at_ms: i64,
    /// A line of it, matches between U+0002 and U+0003.
    pub snippet: String,
}

/// A page of results, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPage {
    /// What was found.
    pub hits: Vec<Hit>,
    /// What to go on from; opaque, and of this journal only.
    pub next: Option<u64>,
    /// Entries that the index does not cover yet.
    pub missing: u64,
    /// Time of the newest entry that it covers; `None` when it covers none.
    pub indexed_through_ms: Option<i64>,
}

impl SearchPage {
    /// Whether the index covers every entry.
    pub fn complete(&self) -> bool {
        self.missing == 0
    }
}

/// The index as searches and the thread share it.
pub struct Search {
    path: PathBuf,
    /// Where the journal is read.
    pool: Arc<Pool>,
    bell: Arc<Bell>,
    idle: Mutex<Vec<Lane>>,
    /// Counts up when the index is to be thrown away.
    discard: Mutex<bool>,
}

struct Lane {
    /// The file that is open, which need no longer be the one in the folder.
    file: u64,
    searcher: Searcher,
    snippets: Snippets,
}

impl Search {
    pub fn new(dir: &Path, pool: Arc<Pool>, bell: Arc<Bell>) -> Self {
        Self { path: dir.join(FILE), pool, bell, idle: Mutex::new(Vec::new()), discard: Mutex::new(false) }
    }

    /// Throws the index away; the thread builds it anew.
    pub fn discard(&self) {
        *self.discard.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.bell.ring();
    }

    /// A page of results. An index that fails is no failure of the search: it covers nothing, and is built anew.
    pub fn page(
        &self,
        reader: &Reader<'_>,
        text: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<SearchPage, ReadError> {
        let Some(query) = Query::parse(text) else { return Ok(SearchPage::default()) };
        let lane = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let lane = lane.filter(|lane| file_id(&self.path) == Some(lane.file));
        let found = lane.map_or_else(|| self.lane(), Ok).and_then(|lane| {
            let found = self.search(&lane, reader, &query, after, limit.clamp(1, PAGE_MAX))?;
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEEP {
                idle.push(lane);
            }
            Ok(found)
        });
        match found {
            Ok(found) => found,
            Err(error) => {
                use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
                if matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)) {
                    tracing::warn!(%error, "the search index is damaged and is built anew");
                    self.discard();
                } else {
                    // It may just be in the making. The thread looks for itself.
                    tracing::debug!(%error, "the search index cannot be used yet");
                    self.bell.ring();
                }
                Ok(SearchPage { missing: last_position(reader.conn)?, ..SearchPage::default() })
            }
        }
    }

    fn lane(&self) -> rusqlite::Result<Lane> {
        let file = file_id(&self.path).unwrap_or(0);
        Ok(Lane { file, searcher: Searcher::open(&self.path)?, snippets: Snippets::new()? })
    }

    /// The outer error is the index's, the inner one the journal's.
    fn search(
        &self,
        lane: &Lane,
        reader: &Reader<'_>,
        query: &Query,
        after: Option<u64>,
        limit: usize,
    ) -> rusqlite::Result<Result<SearchPage, ReadError>> {
        let started = Instant::now();
        let expression = query.all();
        let mut before = after.unwrap_or(i64::MAX.cast_unsigned());
        let mut found: Vec<(u64, Hit)> = Vec::new();
        let mut page = SearchPage::default();
        let journal = match reader.journal_id() {
            Ok(journal) => journal,
            Err(error) => return Ok(Err(error)),
        };
        lane.searcher
            .read(|searcher| {
                let last = match last_position(reader.conn) {
                    Ok(last) => last,
                    Err(error) => return Ok(Err(error.into())),
                };
                if searcher.journal()? != journal {
                    page.missing = last;
                    return Ok(Ok(()));
                }
                let shards = searcher.shards()?;
                page.missing = missing(&shards, last);
                page.indexed_through_ms = shards.first().and_then(|(_, through)| recorded_at(reader.conn, *through));
                for (shard, _) in shards {
                    if end_of(shard).saturating_sub(index::SHARD) + 1 >= before {
                        continue;
                    }
                    if started.elapsed() > SEARCH_TIME {
                        page.next = Some(end_of(shard) + 1);
                        break;
                    }
                    loop {
                        let wanted = limit + 1 - found.len();
                        let positions = searcher.find(shard, &expression, before, wanted)?;
                        let last_of_shard = positions.len() < wanted;
                        for position in positions {
                            before = position;
                            match hit(reader, &lane.snippets, query, position) {
                                Ok(hit) => found.extend(hit.map(|hit| (position, hit))),
                                Err(error) => return Ok(Err(error)),
                            }
                        }
                        if last_of_shard || found.len() > limit {
                            break;
                        }
                    }
                    if found.len() > limit {
                        found.truncate(limit);
                        page.next = found.last().map(|(position, _)| *position);
                        break;
                    }
                }
                Ok(Ok(()))
            })
            .map(|done| {
                done.map(|()| {
                    page.hits = found.into_iter().map(|(_, hit)| hit).collect();
                    page
                })
            })
    }

    /// The thread's whole life.
    pub fn run(&self) {
        background();
        let mut index = None;
        let mut heard = u64::MAX;
        while let Some(rings) = self.bell.wait(heard) {
            heard = rings;
            if std::mem::take(&mut *self.discard.lock().unwrap_or_else(PoisonError::into_inner)) {
                index = None;
                index::remove(&self.path);
            }
            match self.catch_up(&mut index) {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "the search index fell behind");
                    tracing::warn!(%error, "the search index fell behind");
                    index = None;
                    if !self.bell.pause(Duration::from_secs(1)) {
                        break;
                    }
                    heard = u64::MAX;
                }
            }
            if !self.bell.pause(AFTER) {
                break;
            }
        }
        // The last connection to close moves the log into the file, and those that only read cannot.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn catch_up(&self, kept: &mut Option<(Index, u64)>) -> rusqlite::Result<()> {
        loop {
            if self.bell.has_ended() || *self.discard.lock().unwrap_or_else(PoisonError::into_inner) {
                return Ok(());
            }
            let (last, id) = self.pool.with(|conn| {
                Ok::<_, rusqlite::Error>((last_position(conn)?, migrate::meta::<[u8; 16]>(conn, "journal_id")?))
            })?;
            let Some(id) = id else { return Ok(()) };
            // A file that was removed or replaced behind our back is not the one that is open.
            let same = kept.as_ref().is_some_and(|(_, file)| file_id(&self.path) == Some(*file));
            if !same {
                *kept = None;
                let index = Index::open(&self.path, JournalId::from_bytes(id), last)?;
                *kept = Some((index, file_id(&self.path).unwrap_or(0)));
            }
            let Some((index, _)) = kept else { return Ok(()) };
            let more = match step(index, &self.pool, last) {
                Ok(more) => more,
                Err(error) => {
                    // Whatever is wrong with it, it costs less to build it anew than to ask.
                    *kept = None;
                    index::remove(&self.path);
                    return Err(error);
                }
            };
            if !more {
                return Ok(());
            }
        }
    }
}

/// Puts the next entries into the newest shard that is not complete; false when nothing is left to do.
fn step(index: &Index, journal: &Pool, last: u64) -> rusqlite::Result<bool> {
    if last == 0 {
        return Ok(false);
    }
    let mut open = None;
    for shard in (0..=shard_of(last)).rev() {
        let through = index.through(shard)?;
        if through < end_of(shard).min(last) {
            open = Some((shard, through));
            break;
        }
    }
    let Some((shard, through)) = open else { return Ok(false) };
    let until = end_of(shard).min(last).min(through + BATCH);
    // Writing takes longer than reading: nobody who waits for readers has to wait for it.
    let batch = journal.with(|conn| Batch::read(conn, through, until))?;
    index.begin(shard)?;
    let erased = index.write(|index| {
        for (position, text) in &batch.texts {
            index.add(*position, text)?;
        }
        index.reached(batch.reached)?;
        let mut erased = false;
        for position in &batch.erased {
            if index.has(*position)? {
                index.forget(shard_of(*position))?;
                erased = true;
            }
        }
        Ok(erased)
    })?;
    if erased && !index.cut_log()? {
        tracing::warn!("a search kept the index's log from being cut; it is cut with the next one");
    }
    Ok(true)
}

/// What goes into the index in one transaction.
struct Batch {
    texts: Vec<(u64, String)>,
    /// Entries whose words are to be forgotten.
    erased: Vec<u64>,
    reached: u64,
}

impl Batch {
    fn read(journal: &Connection, after: u64, until: u64) -> rusqlite::Result<Batch> {
        let mut batch = Batch { texts: Vec::new(), erased: Vec::new(), reached: until };
        let mut bytes = 0;
        let mut query = journal.prepare_cached(
            "SELECT e.position, e.kind, b.body FROM entries e LEFT JOIN bodies b USING (position)
             WHERE e.position > ?1 AND e.position <= ?2 ORDER BY e.position",
        )?;
        let mut rows = query.query([int(after), int(until)])?;
        while let Some(row) = rows.next()? {
            let position = u64_at(row, 0)?;
            let kind = Kind::new(row.get_ref(1)?.as_str().unwrap_or_default());
            if kind == Kind::REDACTED {
                batch.erased.extend(erased_by(journal, position)?);
            }
            // A damaged row has no words; it does not keep others from having theirs.
            let Ok(body) = row.get_ref(2)?.as_blob() else { continue };
            if let Some(text) = text::of_entry(&kind, body, |hash| beginning(journal, hash)) {
                bytes += text.len();
                batch.texts.push((position, text));
            }
            if bytes > BATCH_BYTES {
                batch.reached = position;
                break;
            }
        }
        Ok(batch)
    }
}

fn erased_by(journal: &Connection, redaction: u64) -> rusqlite::Result<Vec<u64>> {
    let mut query = journal.prepare_cached("SELECT position FROM erasures WHERE by_position = ?1")?;
    query.query_map([int(redaction)], |row| u64_at(row, 0))?.collect()
}

/// The first chunk of a large content.
fn beginning(journal: &Connection, hash: gander_model::Hash) -> Option<Vec<u8>> {
    journal
        .prepare_cached(
            "SELECT data FROM content_chunks
             WHERE content_id = (SELECT content_id FROM contents WHERE hash = ?1) AND n = 0",
        )
        .ok()?
        .query_row([hash.0], |row| row.get(0))
        .ok()
}

/// A result, from the verified entry; `None` when there is no such text any more.
fn hit(reader: &Reader<'_>, snippets: &Snippets, query: &Query, position: u64) -> Result<Option<Hit>, ReadError> {
    let place = reader
        .conn
        .prepare_cached("SELECT session_id, seq FROM entries WHERE position = ?1")?
        .query_row([int(position)], |row| Ok((session_at(row, 0)?, Seq(u64_at(row, 1)?))))
        .optional()?;
    let Some((session, seq)) = place else { return Ok(None) };
    let view = match reader.entry(session, seq) {
        Ok(Some(view)) => view,
        // Damage is told where the session is opened; here it is no result.
        Ok(None) | Err(ReadError::Damaged { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let header = view.entry.header;
    let Some(body) = view.entry.body else { return Ok(None) };
    let text = text::of_entry(&header.kind, &body.bytes, |hash| beginning(reader.conn, hash));
    let Some(text) = text else { return Ok(None) };
    let snippet = snippets.line(query, &text)?;
    Ok(Some(Hit { session, seq, kind: header.kind, at_ms: header.at_ms, snippet }))
}

fn recorded_at(conn: &Connection, position: u64) -> Option<i64> {
    conn.prepare_cached("SELECT at_ms FROM entries WHERE position = ?1")
        .ok()?
        .query_row([int(position)], |row| row.get(0))
        .ok()
}

/// How many positions no shard covers.
fn missing(shards: &[(u64, u64)], last: u64) -> u64 {
    let covered: u64 =
        shards.iter().map(|(shard, through)| through.min(&last).saturating_sub(shard * index::SHARD)).sum();
    last.saturating_sub(covered)
}

fn file_id(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|about| about.ino())
}
