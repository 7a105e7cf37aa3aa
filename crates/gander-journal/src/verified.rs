//! Entries that this process has linked to their session's witnessed head. A page further up links to the nearest of
//! them instead of walking to the head again, so paging through a long session costs the same at every page.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use gander_model::{Hash, Head, Seq, SessionId};

/// Every so many headers of a long walk one is remembered.
pub const STRIDE: u64 = 512;
/// Sessions remembered; beyond that everything is forgotten and found again as needed.
const MAX_SESSIONS: usize = 256;

/// What was linked, by session.
#[derive(Default)]
pub struct Verified(Mutex<HashMap<SessionId, BTreeMap<u64, Hash>>>);

impl Verified {
    /// The nearest linked entry at or after `seq`.
    pub fn at_or_after(&self, session: SessionId, seq: Seq) -> Option<Head> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (seq, hash) = known.get(&session)?.range(seq.0..).next()?;
        Some(Head { seq: Seq(*seq), hash: *hash })
    }

    /// Remembers entries that were linked to the head.
    pub fn remember(&self, session: SessionId, heads: &[Head]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_SESSIONS && !known.contains_key(&session) {
            known.clear();
        }
        let mut of_session = known.remove(&session).unwrap_or_default();
        of_session.extend(heads.iter().map(|head| (head.seq.0, head.hash)));
        known.insert(session, of_session);
    }

    /// Forgets everything: the files were opened again.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
