//! Verifying a vault: every object against its name, every run against its heads, every snapshot against its root.
//! What is wrong is named with the snapshots and sessions that it touches; everything else is unaffected.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use gander_model::{Hash, Head, SessionId, hash::content_hash, root::store_root};
use serde::Serialize;

use crate::erase::ErasedBody;
use crate::manifest::{self, SNAPSHOTS};
use crate::objects::Content;
use crate::page::{self, LargeRecord, SessionRecord};
use crate::read::Segments;
use crate::segment::{EntryRef, Record, Records};
use crate::source::redacted;
use crate::{Manifest, Run, SnapshotId, Vault, VaultError};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something could not be saved whole.
    Warning,
    /// Something cannot be restored from here.
    Error,
}

/// What a finding is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The object in the vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Snapshots that it touches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SnapshotId>,
    /// Sessions that it touches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionId>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable word.
    pub kind: String,
    /// How bad.
    pub severity: Severity,
    /// About what.
    pub subject: Subject,
    /// What happened.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Segments looked at.
    pub done: usize,
    /// Segments in all.
    pub total: usize,
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct Report {
    /// Snapshots whose manifest could be read.
    pub snapshots: usize,
    /// Objects read.
    pub objects: u64,
    /// Entries whose hashes were recomputed.
    pub entries: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Damaged or missing objects: give them to the next snapshot to distrust, and it heals what the journal has.
    pub distrust: HashSet<Hash>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn ok(&self) -> bool {
        self.findings.is_empty()
    }
}

const HEAL: &str = "Make a new snapshot: it stores again what the journal still has. \
                    Other sessions and snapshots are not affected.";

/// What is expected of one segment.
#[derive(Default)]
struct Expected {
    runs: BTreeMap<(SessionId, u64), Run>,
    large: HashMap<Hash, LargeRecord>,
    snapshots: BTreeSet<SnapshotId>,
    sessions: BTreeSet<SessionId>,
}

#[derive(Default)]
struct Found {
    entries: u64,
    gone: Vec<ErasedBody>,
    listed: HashSet<ErasedBody>,
    failed: Vec<(Hash, VaultError)>,
}

impl Vault {
    /// Reads everything that the snapshots name and recomputes every hash. `progress` is told after each segment and
    /// may stop it by answering `false`; then only what was looked at is reported.
    pub fn verify(&self, progress: &(dyn Fn(Progress) -> bool + Sync)) -> Result<Report, VaultError> {
        let mut report = Report::default();
        let listing = self.list()?;
        report.snapshots = listing.snapshots.len();
        for (id, error) in &listing.unreadable {
            report.findings.push(manifest_finding(*id, error));
        }
        let mut expected: HashMap<Hash, Expected> = HashMap::new();
        let mut many_parts: Vec<LargeRecord> = Vec::new();
        let mut pages: HashMap<Hash, Option<Vec<SessionRecord>>> = HashMap::new();
        let mut users: HashMap<Hash, Vec<SnapshotId>> = HashMap::new();
        for manifest in &listing.snapshots {
            manifest.pages.iter().for_each(|page| users.entry(page.object).or_default().push(manifest.id));
        }
        for manifest in &listing.snapshots {
            self.pages(manifest, &users, &mut pages, &mut expected, &mut many_parts, &mut report)?;
        }
        let segments = Segments::open(&self.objects)?;
        for (name, error) in &segments.erased.damaged {
            report.findings.push(Finding {
                remedy: "Redact or purge the same again, or make a new snapshot: that records it anew.".into(),
                ..object_finding(name.clone(), Subject::default(), error)
            });
        }
        let found = check_segments(&segments, &expected, progress);
        report.objects += expected.len() as u64 + report.snapshots as u64;
        report.entries = found.entries;
        for (hash, error) in found.failed {
            if !error.is_damage() && !matches!(error, VaultError::Newer { .. }) {
                return Err(error);
            }
            let about = expected.get(&hash).map(Expected::subject).unwrap_or_default();
            report.findings.push(object_finding(Content::Segment.name(&hash), about, &error));
            report.distrust.insert(hash);
        }
        many_parts.sort_by_key(|large| large.hash);
        many_parts.dedup();
        for large in &many_parts {
            if large.parts.iter().any(|part| report.distrust.contains(part)) {
                continue;
            }
            if let Err(error) = segments.large(large, &mut |_| {}) {
                let about = expected.get(&large.parts[0]).map(Expected::subject).unwrap_or_default();
                report.findings.push(object_finding(Content::Segment.name(&large.parts[0]), about, &error));
                report.distrust.extend(&large.parts);
            }
        }
        let unexplained = found.gone.iter().filter(|body| !found.listed.contains(body));
        let sessions: BTreeSet<_> = unexplained.map(|body| body.session_id).collect();
        for session in sessions {
            report.findings.push(body_gone(session));
        }
        report.findings.sort_by(|a, b| (&a.kind, &a.subject.object).cmp(&(&b.kind, &b.subject.object)));
        Ok(report)
    }

    /// Loads a manifest's pages, notes what they expect of segments, and checks roots and counts.
    fn pages(
        &self,
        manifest: &Manifest,
        users: &HashMap<Hash, Vec<SnapshotId>>,
        pages: &mut HashMap<Hash, Option<Vec<SessionRecord>>>,
        expected: &mut HashMap<Hash, Expected>,
        many_parts: &mut Vec<LargeRecord>,
        report: &mut Report,
    ) -> Result<(), VaultError> {
        let mut heads = Vec::new();
        let mut readable = true;
        for page in &manifest.pages {
            let records = match pages.entry(page.object) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(place) => {
                    report.objects += 1;
                    let snapshots = users.get(&page.object).cloned().unwrap_or_default();
                    place.insert(self.page(&page.object, snapshots, report)?)
                }
            };
            let Some(records) = records else {
                readable = false;
                continue;
            };
            for record in records.iter() {
                heads.push((record.id, record.head));
                expect(manifest.id, record, expected, many_parts);
            }
        }
        for segment in &manifest.documents {
            expected.entry(*segment).or_default().snapshots.insert(manifest.id);
        }
        for large in &manifest.large {
            expect_large(manifest.id, None, large, expected, many_parts);
        }
        let ascending = heads.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let fits = ascending && store_root(heads.len() as u64, heads.iter().copied()) == manifest.root;
        if readable && (!fits || heads.len() as u64 != manifest.sessions) {
            report.findings.push(Finding {
                kind: "snapshot_root".into(),
                severity: Severity::Error,
                subject: Subject { snapshots: vec![manifest.id], ..Subject::default() },
                detail: "The sessions that the snapshot lists do not give the store root that it records.".into(),
                remedy: HEAL.into(),
            });
        }
        Ok(())
    }
}

impl Vault {
    /// A page's records; `None`, and a finding, when it is damaged.
    fn page(
        &self,
        object: &Hash,
        snapshots: Vec<SnapshotId>,
        report: &mut Report,
    ) -> Result<Option<Vec<SessionRecord>>, VaultError> {
        match page::load(&self.objects, object) {
            Ok(records) => Ok(Some(records)),
            Err(error) if error.is_damage() || matches!(error, VaultError::Newer { .. }) => {
                let about = Subject { snapshots, ..Subject::default() };
                report.findings.push(object_finding(Content::Page.name(object), about, &error));
                report.distrust.insert(*object);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Expected {
    fn subject(&self) -> Subject {
        let snapshots = self.snapshots.iter().copied().collect();
        Subject { object: None, snapshots, sessions: self.sessions.iter().copied().collect() }
    }
}

fn expect(
    snapshot: SnapshotId,
    record: &SessionRecord,
    expected: &mut HashMap<Hash, Expected>,
    many_parts: &mut Vec<LargeRecord>,
) {
    for run in &record.runs {
        let of_segment = expected.entry(run.segment).or_default();
        of_segment.snapshots.insert(snapshot);
        of_segment.sessions.insert(record.id);
        of_segment.runs.insert((record.id, run.after.seq.0), *run);
    }
    for large in &record.large {
        expect_large(snapshot, Some(record.id), large, expected, many_parts);
    }
}

fn expect_large(
    snapshot: SnapshotId,
    session: Option<SessionId>,
    large: &LargeRecord,
    expected: &mut HashMap<Hash, Expected>,
    many_parts: &mut Vec<LargeRecord>,
) {
    for part in &large.parts {
        let of_segment = expected.entry(*part).or_default();
        of_segment.snapshots.insert(snapshot);
        of_segment.sessions.extend(session);
    }
    match large.parts.as_slice() {
        [only] => {
            expected.entry(*only).or_default().large.insert(large.hash, large.clone());
        }
        _ => many_parts.push(large.clone()),
    }
}

fn check_segments(
    segments: &Segments,
    expected: &HashMap<Hash, Expected>,
    progress: &(dyn Fn(Progress) -> bool + Sync),
) -> Found {
    let all: Vec<_> = expected.iter().collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let found = Mutex::new(Found::default());
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().min(8));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((hash, expected)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let checked = check_segment(segments, hash, expected);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    match checked {
                        Ok(mut one) => {
                            found.entries += one.entries;
                            found.gone.append(&mut one.gone);
                            found.listed.extend(one.listed);
                        }
                        Err(error) => found.failed.push((**hash, error)),
                    }
                    drop(found);
                    let at = Progress { done: done.fetch_add(1, Ordering::Relaxed) + 1, total: all.len() };
                    if !progress(at) {
                        next.store(all.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A run being checked.
struct Checking<'e> {
    run: Option<&'e Run>,
    key: (SessionId, u64),
    after: Head,
    last: Option<Head>,
    gapless: bool,
    found: Found,
}

/// Looks at a segment once, from the front, without a copy of what it holds.
fn check_segment(segments: &Segments, hash: &Hash, expected: &Expected) -> Result<Found, VaultError> {
    let mut found = Found::default();
    let (mut runs, mut large) = (HashSet::new(), HashSet::new());
    let name = Content::Segment.name(hash);
    if let Some((name, text)) = segments.text(hash)? {
        let mut open: Option<Checking<'_>> = None;
        for record in Records::new(&name, &text)? {
            match record? {
                Record::Run { session, after } => {
                    finish(&name, open.take(), &mut runs, &mut found)?;
                    let key = (session, after.seq.0);
                    let run = expected.runs.get(&key);
                    let found = Found::default();
                    open = Some(Checking { run, key, after, last: None, gapless: true, found });
                }
                Record::Entry(entry) => {
                    let out_of_run = || VaultError::damaged(&name, "an entry belongs to no run");
                    open.as_mut().ok_or_else(out_of_run)?.entry(segments, &entry);
                }
                Record::Large { hash: content, offset: 0, bytes } => {
                    if let Some(record) = expected.large.get(&content) {
                        if bytes.len() as u64 != record.bytes || content_hash(bytes) != content {
                            return Err(lacks(&name, &content));
                        }
                        large.insert(content);
                    }
                }
                Record::Large { .. } | Record::Document(_) => {}
            }
        }
        finish(&name, open.take(), &mut runs, &mut found)?;
    }
    if let Some((session, _)) = expected.runs.keys().find(|key| !runs.contains(key)) {
        return Err(VaultError::damaged(&name, format!("it lacks entries of session {session}")));
    }
    let missing = |content: &&Hash| !large.contains(content) && !segments.erased.dropped(hash, content);
    match expected.large.keys().find(missing) {
        Some(content) => Err(lacks(&name, content)),
        None => Ok(found),
    }
}

fn lacks(name: &str, content: &Hash) -> VaultError {
    VaultError::damaged(name, format!("it lacks the large content {content}"))
}

impl Checking<'_> {
    fn entry(&mut self, segments: &Segments, entry: &EntryRef<'_>) {
        let header = &entry.header;
        let before = self.last.map_or(self.after.seq, |last| last.seq);
        self.gapless &= header.seq == before.next();
        self.last = Some(header.head());
        self.found.entries += 1;
        match entry.body {
            Some((_, bytes)) => {
                let erased = redacted(&header.kind, bytes);
                self.found.listed.extend(erased.into_iter().flat_map(|(bodies, _)| bodies));
            }
            None => {
                let body = ErasedBody { session_id: self.key.0, seq: header.seq, body_hash: header.body_hash };
                if !segments.erased.contains(&body) {
                    self.found.gone.push(body);
                }
            }
        }
    }
}

/// The entries of a run must lead from its beginning to the head that the page names.
fn finish(
    name: &str,
    open: Option<Checking<'_>>,
    runs: &mut HashSet<(SessionId, u64)>,
    found: &mut Found,
) -> Result<(), VaultError> {
    let Some(mut open) = open else { return Ok(()) };
    let session = open.key.0;
    let Some(run) = open.run else { return Ok(()) };
    if !open.gapless || !runs.insert(open.key) {
        return Err(VaultError::damaged(name, format!("it lacks entries of session {session}")));
    }
    if open.after != run.after || open.last != Some(run.to) {
        let why = format!("entries of session {session} do not lead to the recorded head {}", run.to.seq);
        return Err(VaultError::damaged(name, why));
    }
    found.entries += open.found.entries;
    found.gone.append(&mut open.found.gone);
    found.listed.extend(open.found.listed);
    Ok(())
}

fn manifest_finding(id: SnapshotId, error: &VaultError) -> Finding {
    let newer = matches!(error, VaultError::Newer { .. });
    let remedy = if newer {
        "Open the vault with the version that made the snapshot. Other snapshots are not affected."
    } else {
        "This snapshot cannot be restored. The others are not affected: make a new one, then run \
         `gander backup prune --discard-damaged`."
    };
    Finding {
        kind: if newer { "newer_snapshot" } else { "torn_manifest" }.into(),
        severity: if newer { Severity::Warning } else { Severity::Error },
        subject: Subject { object: Some(manifest::name(SNAPSHOTS, id)), snapshots: vec![id], sessions: Vec::new() },
        detail: error.to_string(),
        remedy: remedy.into(),
    }
}

fn object_finding(name: String, about: Subject, error: &VaultError) -> Finding {
    let kind = match error {
        VaultError::Missing { .. } => "missing_object",
        VaultError::Newer { .. } => "newer_object",
        _ => "damaged_object",
    };
    Finding {
        kind: kind.into(),
        severity: Severity::Error,
        subject: Subject { object: Some(name), ..about },
        detail: error.to_string(),
        remedy: HEAL.into(),
    }
}

fn body_gone(session: SessionId) -> Finding {
    Finding {
        kind: "body_gone".into(),
        severity: Severity::Error,
        subject: Subject { sessions: vec![session], ..Subject::default() },
        detail: format!("Bodies of session {session} are gone, and nothing says that they were erased on purpose."),
        remedy: "Look for an older snapshot or another vault that still holds them.".into(),
    }
}
