//! An entry: one immutable record of a session, and the bytes that its hashes cover. This is frozen.
//!
//! ```text
//! body_hash = BLAKE3 derive_key("gander body v1")  of  len32 salt, len64 body
//! hash      = BLAKE3 derive_key("gander entry v1") of  len32 session id (16 bytes), len32 seq (u64 BE),
//!             len32 at_ms (i64 BE), len32 kind (UTF-8), len32 previous hash, len32 body_hash
//! ```
//! `len32` and `len64` are the field's length in bytes, big-endian. The previous hash is zeros at seq 1, and the
//! pinned hash of the parent at a fork's first own entry. An entry is valid when its hash recomputes from the stored
//! header and the hash of the entry before it, and its body, unless erased, from the stored salt and bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hash::{BODY, ENTRY, Framed};
use crate::{Hash, Kind, Salt, SessionId};

/// An entry's place in its session, counted from 1. The only order of entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The place after this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A session's last entry, or the entry that somebody takes for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Head {
    /// Its place.
    pub seq: Seq,
    /// Its hash.
    pub hash: Hash,
}

/// All that an entry's hash covers, and the hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryHeader {
    /// The session that owns the entry (a fork's inherited entries keep their owner).
    pub session_id: SessionId,
    /// Its place.
    pub seq: Seq,
    /// When it was recorded, in milliseconds since 1970, UTC. Never orders anything.
    pub at_ms: i64,
    /// What it records.
    pub kind: Kind,
    /// Hash of salt and body; stays when they are erased.
    pub body_hash: Hash,
    /// Hash of this header and the entry before it.
    pub hash: Hash,
}

impl EntryHeader {
    /// The header of a new entry after `previous` ([`Hash::ZERO`] at seq 1).
    pub fn new(session_id: SessionId, seq: Seq, at_ms: i64, kind: Kind, previous: &Hash, body_hash: Hash) -> Self {
        let hash = entry_hash(session_id, seq, at_ms, &kind, previous, &body_hash);
        Self { session_id, seq, at_ms, kind, body_hash, hash }
    }

    /// This entry as a head.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }

    /// Whether the hash recomputes after `previous`.
    pub fn follows(&self, previous: &Hash) -> bool {
        entry_hash(self.session_id, self.seq, self.at_ms, &self.kind, previous, &self.body_hash) == self.hash
    }
}

/// An entry as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What is hashed into the chain.
    pub header: EntryHeader,
    /// Salt and bytes of the body; `None` when erased.
    pub body: Option<StoredBody>,
}

/// A body and its salt, byte for byte as hashed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredBody {
    /// Hashed before the body.
    pub salt: Salt,
    /// UTF-8 JSON ([`crate::Body`] is its view).
    pub bytes: Vec<u8>,
}

impl StoredBody {
    /// The hash that the entry's header must hold.
    pub fn hash(&self) -> Hash {
        body_hash(&self.salt, &self.bytes)
    }
}

/// The hash of a body and its salt.
pub fn body_hash(salt: &Salt, body: &[u8]) -> Hash {
    Framed::of(&BODY).field(&salt.0).long_field(body).finish()
}

/// The hash of an entry after `previous`.
pub fn entry_hash(session: SessionId, seq: Seq, at_ms: i64, kind: &Kind, previous: &Hash, body_hash: &Hash) -> Hash {
    Framed::of(&ENTRY)
        .field(session.as_bytes())
        .field(&seq.0.to_be_bytes())
        .field(&at_ms.to_be_bytes())
        .field(kind.as_str().as_bytes())
        .field(&previous.0)
        .field(&body_hash.0)
        .finish()
}
