//! Verifying entries: each hash recomputes from the one before it, each body from its salt, and the last is the
//! head that was witnessed when it was written.

use crate::{Entry, EntryHeader, Hash, Head, Seq};

/// The first thing wrong with a run of entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Another place was expected: an entry is missing, doubled or out of order.
    #[error("entry {expected} is missing (found {found} in its place)")]
    Missing {
        /// The place that should come next.
        expected: Seq,
        /// The place found.
        found: Seq,
    },
    /// The header was altered, moved from another place or session, or the entry before it was.
    #[error("entry {seq} does not follow the entry before it")]
    Header {
        /// The entry that does not follow.
        seq: Seq,
    },
    /// The body or its salt was altered.
    #[error("the body of entry {seq} does not match its hash")]
    Body {
        /// The entry with the altered body.
        seq: Seq,
    },
    /// The body is gone, and no `redacted` entry says so.
    #[error("the body of entry {seq} is gone and was not erased on purpose")]
    BodyGone {
        /// The entry without its body.
        seq: Seq,
    },
    /// The entries end before, after or beside the head that was witnessed.
    #[error("the entries do not end at the witnessed head {witnessed}", witnessed = .witnessed.seq)]
    Head {
        /// What was witnessed.
        witnessed: Head,
    },
}

/// Walks headers forward: give it each in turn, then [`Walk::finish`].
#[derive(Debug, Clone)]
pub struct Walk {
    next: Seq,
    previous: Hash,
}

impl Walk {
    /// A walk of a whole chain, from seq 1.
    pub fn from_start() -> Self {
        Self { next: Seq(1), previous: Hash::ZERO }
    }

    /// A walk that goes on after an entry that is already known.
    pub fn after(known: Head) -> Self {
        Self { next: known.seq.next(), previous: known.hash }
    }

    /// The next header.
    pub fn step(&mut self, header: &EntryHeader) -> Result<(), Damage> {
        if header.seq != self.next {
            return Err(Damage::Missing { expected: self.next, found: header.seq });
        }
        if !header.follows(&self.previous) {
            return Err(Damage::Header { seq: header.seq });
        }
        self.next = header.seq.next();
        self.previous = header.hash;
        Ok(())
    }

    /// Where the walk stands.
    pub fn reached(&self) -> Head {
        Head { seq: Seq(self.next.0 - 1), hash: self.previous }
    }

    /// The walk must have ended at the witnessed head.
    pub fn finish(self, witnessed: Head) -> Result<(), Damage> {
        if self.reached() == witnessed { Ok(()) } else { Err(Damage::Head { witnessed }) }
    }
}

/// Whether an entry's body matches its header. `erased`: a `redacted` entry lists it.
pub fn check_body(entry: &Entry, erased: bool) -> Result<(), Damage> {
    match &entry.body {
        Some(body) if body.hash() == entry.header.body_hash => Ok(()),
        Some(_) => Err(Damage::Body { seq: entry.header.seq }),
        None if erased => Ok(()),
        None => Err(Damage::BodyGone { seq: entry.header.seq }),
    }
}

/// A whole chain from `start` (a fork's pinned parent, or `None`) to the witnessed head, bodies included.
/// `erased(seq)` says whether a `redacted` entry lists a body.
pub fn verify<'a>(
    start: Option<Head>,
    entries: impl IntoIterator<Item = &'a Entry>,
    witnessed: Head,
    mut erased: impl FnMut(Seq) -> bool,
) -> Result<(), Damage> {
    let mut walk = start.map_or_else(Walk::from_start, Walk::after);
    for entry in entries {
        walk.step(&entry.header)?;
        check_body(entry, entry.body.is_none() && erased(entry.header.seq))?;
    }
    walk.finish(witnessed)
}
