//! The store root: one hash over the heads of every session ever created, whatever its status.

use crate::hash::Framed;
use crate::{Hash, Head, SessionId};

/// One hash over all heads. Two journals with equal roots hold the same entries.
pub type StoreRoot = Hash;

/// The store root of `heads`, which must come by ascending session id, each once; `count` is their number.
///
/// `BLAKE3 derive_key("gander root v1")` of count (u64 BE), then for each head: session id (16 bytes), seq (u64 BE),
/// hash (32 bytes), without prefixes.
pub fn store_root(count: u64, heads: impl IntoIterator<Item = (SessionId, Head)>) -> StoreRoot {
    let mut state = Framed::new("gander root v1");
    state.raw(&count.to_be_bytes());
    let mut before: Option<SessionId> = None;
    let mut seen = 0;
    for (session, head) in heads {
        debug_assert!(before.is_none_or(|before| before < session), "heads come by ascending session id");
        before = Some(session);
        seen += 1;
        state.raw(session.as_bytes()).raw(&head.seq.0.to_be_bytes()).raw(&head.hash.0);
    }
    debug_assert_eq!(seen, count, "the count is the number of heads");
    state.finish()
}
