//! Restoring: only ever adding. A plan says first what will happen to each session; carrying it out changes nothing
//! that is there.

use std::collections::{BTreeSet, HashMap, HashSet};

use gander_model::{Entry, Hash, Head, Seq, SessionId};
use serde::Serialize;

use crate::VaultError;
use crate::page::{LargeRecord, SessionRecord};
use crate::read::SnapshotReader;
use crate::source::SourceError;

/// The store that is restored into.
pub trait Target {
    /// A session's head here.
    fn head(&self, session: SessionId) -> Result<Option<Head>, SourceError>;

    /// The hash of a session's own entry (or of the entry that it is forked from) at `seq`.
    fn hash_at(&self, session: SessionId, seq: Seq) -> Result<Option<Hash>, SourceError>;

    /// Whether a recovered copy here says that it holds this entry: then the same content is not copied again.
    fn has_copy_of(&self, session: SessionId, head: Head) -> Result<bool, SourceError>;

    /// Whether a large content is here.
    fn has_large(&self, hash: Hash) -> Result<bool, SourceError>;

    /// Stores a large content.
    fn put_large(&mut self, hash: Hash, bytes: Vec<u8>) -> Result<(), SourceError>;

    /// Adds a session's entries verbatim, in one transaction: a session that is not here (`after` is `None`), or one
    /// whose head is `after`. Must refuse anything else.
    fn add(&mut self, session: &SessionRecord, after: Option<Head>, entries: Vec<Entry>) -> Result<(), SourceError>;

    /// Makes a recovered copy beside a session whose history differs: a fork at `common` (else a new session) in
    /// which `entries` are recorded anew with their origin.
    fn copy(&mut self, session: &SessionRecord, common: Option<Head>, entries: Vec<Entry>) -> Result<(), SourceError>;
}

/// What can be restored from: a snapshot, or an export that was read back.
pub trait Held {
    /// Every session that can be listed, and how many cannot.
    fn all(&self) -> Result<(Vec<SessionRecord>, u64), VaultError>;

    /// One session.
    fn one(&self, id: SessionId) -> Result<SessionRecord, VaultError>;

    /// The hash of a session's own entry at `seq`, or of the entry before its first.
    fn hash_at(&self, record: &SessionRecord, seq: Seq) -> Result<Option<Hash>, VaultError>;

    /// A session's own entries after `after`; `take` answers `false` to stop.
    fn entries(
        &self,
        record: &SessionRecord,
        after: Seq,
        take: &mut dyn FnMut(Entry) -> Result<bool, VaultError>,
    ) -> Result<(), VaultError>;

    /// A large content, piece by piece; `false` when it was erased.
    fn large(&self, record: &LargeRecord, take: &mut dyn FnMut(&[u8])) -> Result<bool, VaultError>;
}

impl Held for SnapshotReader<'_> {
    fn all(&self) -> Result<(Vec<SessionRecord>, u64), VaultError> {
        self.readable_sessions()
    }

    fn one(&self, id: SessionId) -> Result<SessionRecord, VaultError> {
        self.session(id)
    }

    fn hash_at(&self, record: &SessionRecord, seq: Seq) -> Result<Option<Hash>, VaultError> {
        SnapshotReader::hash_at(self, record, seq)
    }

    fn entries(
        &self,
        record: &SessionRecord,
        after: Seq,
        take: &mut dyn FnMut(Entry) -> Result<bool, VaultError>,
    ) -> Result<(), VaultError> {
        self.segments.entries(record, after, take)
    }

    fn large(&self, record: &LargeRecord, take: &mut dyn FnMut(&[u8])) -> Result<bool, VaultError> {
        self.segments.large(record, take)
    }
}

/// What a restore is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Every session of the snapshot.
    All,
    /// These, and what they are forked from.
    Sessions(BTreeSet<SessionId>),
}

/// What will happen to one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// It is not here: all of it is added.
    Added,
    /// What is here is the beginning of what the snapshot holds: the rest is added.
    Forwarded {
        /// The head here.
        after: Head,
    },
    /// The histories differ: a recovered copy is made beside it.
    Copied {
        /// The last entry that both have.
        common: Option<Head>,
    },
    /// All of it is here already.
    Unchanged,
}

/// One session of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The session.
    pub session: SessionId,
    /// What will happen.
    #[serde(flatten)]
    pub action: Action,
}

/// How many sessions are added, forwarded, copied, left as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Sessions added.
    pub added: u64,
    /// Sessions fast-forwarded.
    pub forwarded: u64,
    /// Recovered copies made.
    pub copied: u64,
    /// Sessions that had it all.
    pub unchanged: u64,
}

impl Counts {
    fn count(&mut self, action: &Action) {
        match action {
            Action::Added => self.added += 1,
            Action::Forwarded { .. } => self.forwarded += 1,
            Action::Copied { .. } => self.copied += 1,
            Action::Unchanged => self.unchanged += 1,
        }
    }
}

/// What a restore will do; nothing has happened yet.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Parents before their forks.
    pub steps: Vec<Step>,
    /// How many sessions of the snapshot cannot be listed, because their page is damaged.
    pub unreadable: u64,
    records: Vec<SessionRecord>,
}

impl Plan {
    /// The preview.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.steps.iter().for_each(|step| counts.count(&step.action));
        counts
    }
}

/// What a restore did.
#[derive(Debug, Default)]
pub struct Restored {
    /// What was done.
    pub counts: Counts,
    /// Sessions that could not be restored, each with the reason; they do not hold up the others.
    pub failed: Vec<(SessionId, VaultError)>,
}

/// Plans a restore of `wanted` from a snapshot into `target`.
pub fn plan(reader: &dyn Held, target: &dyn Target, wanted: &Wanted) -> Result<Plan, VaultError> {
    let mut plan = Plan::default();
    let (records, unreadable) = chosen(reader, wanted)?;
    plan.unreadable = unreadable;
    for record in records {
        let action = decide(&record, target, &mut |seq| reader.hash_at(&record, seq))?;
        plan.steps.push(Step { session: record.id, action });
        plan.records.push(record);
    }
    Ok(plan)
}

/// The wanted sessions with their ancestors, parents first.
fn chosen(reader: &dyn Held, wanted: &Wanted) -> Result<(Vec<SessionRecord>, u64), VaultError> {
    let mut unreadable = 0;
    let mut records: HashMap<SessionId, SessionRecord> = HashMap::new();
    let mut order: Vec<SessionId> = Vec::new();
    match wanted {
        Wanted::All => {
            let (readable, lost) = reader.all()?;
            unreadable = lost;
            order.extend(readable.iter().map(|record| record.id));
            records.extend(readable.into_iter().map(|record| (record.id, record)));
        }
        Wanted::Sessions(ids) => {
            order.extend(ids);
            let mut at = 0;
            while let Some(id) = order.get(at).copied() {
                at += 1;
                if let std::collections::hash_map::Entry::Vacant(place) = records.entry(id) {
                    let record = place.insert(reader.one(id)?);
                    order.extend(record.pin.map(|pin| pin.session));
                }
            }
        }
    }
    let mut sorted = Vec::new();
    let mut placed = HashSet::new();
    for id in order {
        // Climb to the first ancestor that is not placed yet, then come down.
        let mut line = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next.filter(|id| !placed.contains(id) && !line.contains(id)) {
            line.push(id);
            next = records.get(&id).and_then(|record| record.pin).map(|pin| pin.session);
        }
        for id in line.into_iter().rev() {
            placed.insert(id);
            sorted.extend(records.remove(&id));
        }
    }
    Ok((sorted, unreadable))
}

/// What must happen for `target` to hold what `record` holds. `ours` gives the snapshot's hash at a place.
fn decide(
    record: &SessionRecord,
    target: &dyn Target,
    ours: &mut dyn FnMut(Seq) -> Result<Option<Hash>, VaultError>,
) -> Result<Action, VaultError> {
    if record.held == record.beginning() {
        return Ok(Action::Unchanged);
    }
    let Some(head) = target.head(record.id).map_err(VaultError::Target)? else { return Ok(Action::Added) };
    let theirs = |seq| target.hash_at(record.id, seq).map_err(VaultError::Target);
    if record.held.seq <= head.seq && theirs(record.held.seq)? == Some(record.held.hash) {
        return Ok(Action::Unchanged);
    }
    if head.seq < record.held.seq && ours(head.seq)? == Some(head.hash) {
        return Ok(Action::Forwarded { after: head });
    }
    if target.has_copy_of(record.id, record.held).map_err(VaultError::Target)? {
        return Ok(Action::Unchanged);
    }
    // Once two chains differ they never meet again: the last common entry is found by halving.
    let (mut same, mut differs) = (record.beginning().seq, Seq(head.seq.0.min(record.held.seq.0)));
    while same.0 + 1 < differs.0 {
        let middle = Seq(same.0.midpoint(differs.0));
        let hash = ours(middle)?;
        if hash.is_some() && hash == theirs(middle)? { same = middle } else { differs = middle }
    }
    let common = if same > record.beginning().seq { ours(same)?.map(|hash| Head { seq: same, hash }) } else { None };
    Ok(Action::Copied { common })
}

impl Plan {
    /// Carries the plan out. A session whose objects are damaged fails alone.
    pub fn carry_out(
        &self,
        reader: &dyn Held,
        target: &mut dyn Target,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Restored, VaultError> {
        let mut restored = Restored::default();
        for (at, (step, record)) in self.steps.iter().zip(&self.records).enumerate() {
            progress(at, self.steps.len());
            match restore_one(reader, target, record, &step.action) {
                Ok(()) => restored.counts.count(&step.action),
                Err(error) if error.is_damage() || matches!(error, VaultError::Target(_)) => {
                    restored.failed.push((record.id, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(restored)
    }
}

fn restore_one(
    reader: &dyn Held,
    target: &mut dyn Target,
    record: &SessionRecord,
    action: &Action,
) -> Result<(), VaultError> {
    let after = match action {
        Action::Unchanged => return Ok(()),
        Action::Added => record.beginning().seq,
        Action::Forwarded { after } => after.seq,
        Action::Copied { common } => common.map_or(record.beginning().seq, |common| common.seq),
    };
    let mut entries = Vec::new();
    reader.entries(record, after, &mut |entry| {
        entries.push(entry);
        Ok(true)
    })?;
    for large in &record.large {
        if target.has_large(large.hash).map_err(VaultError::Target)? {
            continue;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(large.bytes).unwrap_or(0).min(64 * 1024 * 1024));
        if reader.large(large, &mut |part| bytes.extend_from_slice(part))? {
            target.put_large(large.hash, bytes).map_err(VaultError::Target)?;
        }
    }
    match action {
        Action::Added => target.add(record, None, entries),
        Action::Forwarded { after } => target.add(record, Some(*after), entries),
        Action::Copied { common } => target.copy(record, *common, entries),
        Action::Unchanged => Ok(()),
    }
    .map_err(VaultError::Target)
}
