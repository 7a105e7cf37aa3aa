//! A journal in memory: what snapshots are made of and restored into.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use gander_model::entry::StoredBody;
use gander_model::hash::content_hash;
use gander_model::root::store_root;
use gander_model::{Body, By, DataRef, Entry, EntryHeader, Hash, Head, JournalId, Kind, Salt, Seq, SessionId};
use gander_vault::{Document, Origin, Sealed, SessionRecord, Source, SourceError, SourceSession, Target};
use serde_json::json;

#[derive(Clone, Default)]
pub struct Session {
    pub pin: Option<Origin>,
    pub entries: Vec<Entry>,
    /// The witnessed head, where it is not the last entry's.
    pub witnessed: Option<Head>,
}

#[derive(Clone)]
pub struct Journal {
    pub id: JournalId,
    pub revision: u64,
    pub sessions: BTreeMap<SessionId, Session>,
    pub large: HashMap<Hash, Vec<u8>>,
    pub documents: Vec<Document>,
    pub copies: HashSet<(SessionId, Seq, Hash)>,
    /// Entries that a snapshot asked for.
    pub read: RefCell<u64>,
    numbers: RefCell<u64>,
}

impl Journal {
    /// A journal whose ids and salts all follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut id = [seed as u8; 16];
        id[6] = 0x70;
        Self {
            id: JournalId::from_bytes(id),
            revision: 7,
            sessions: BTreeMap::new(),
            large: HashMap::new(),
            documents: Vec::new(),
            copies: HashSet::new(),
            read: RefCell::new(0),
            numbers: RefCell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        }
    }

    /// Something like random (splitmix64), the same in every run.
    pub fn number(&self) -> u64 {
        let mut state = self.numbers.borrow_mut();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn salt(&self) -> Salt {
        let mut salt = [0; 32];
        salt.chunks_mut(8).for_each(|part| part.copy_from_slice(&self.number().to_be_bytes()));
        Salt(salt)
    }

    pub fn session(&mut self, entries: usize) -> SessionId {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.number().to_be_bytes());
        random[8..].copy_from_slice(&self.number().to_be_bytes()[..2]);
        let id = SessionId::from_parts(1_800_000_000_000 + self.sessions.len() as i64, &random);
        self.sessions.insert(id, Session::default());
        self.append(id, Kind::CREATED, &json!({}));
        for n in 1..entries {
            self.say(id, &format!("line {n} of {id}: {:x}", self.number()));
        }
        id
    }

    pub fn fork(&mut self, parent: SessionId, at: Seq) -> SessionId {
        let child = self.session(1);
        let pinned = self.sessions[&parent].entries[at.0 as usize - 1].header.head();
        let session = self.sessions.get_mut(&child).unwrap();
        session.pin = Some(Origin { session: parent, head: pinned });
        session.entries.clear();
        self.append(child, Kind::FORKED, &json!({"session_id": parent, "seq": pinned.seq, "hash": pinned.hash}));
        child
    }

    pub fn head(&self, id: SessionId) -> Head {
        let session = &self.sessions[&id];
        let beginning = session.pin.map_or(Head { seq: Seq(0), hash: Hash::ZERO }, |pin| pin.head);
        session.entries.last().map_or(beginning, |entry| entry.header.head())
    }

    pub fn append(&mut self, id: SessionId, kind: Kind, data: &serde_json::Value) {
        let body = Body::with(By::User, data).unwrap();
        self.append_body(id, kind, body);
    }

    pub fn append_body(&mut self, id: SessionId, kind: Kind, body: Body) {
        let before = self.head(id);
        let body = StoredBody { salt: self.salt(), bytes: body.to_bytes() };
        let header = EntryHeader::new(id, before.seq.next(), 1_800_000_000_000, kind, &before.hash, body.hash());
        self.sessions.get_mut(&id).unwrap().entries.push(Entry { header, body: Some(body) });
    }

    pub fn say(&mut self, id: SessionId, text: &str) {
        self.append(id, Kind::MESSAGE, &json!([{"sessionUpdate": "agent_message_chunk", "text": text}]));
    }

    /// An entry whose data lies beside it.
    pub fn say_large(&mut self, id: SessionId, bytes: Vec<u8>) -> Hash {
        let reference = DataRef { hash: content_hash(&bytes), bytes: bytes.len() as u64 };
        self.large.insert(reference.hash, bytes);
        self.append_body(id, Kind::TOOL_CALL, Body::new(By::Agent, gander_model::Data::Ref(reference)));
        reference.hash
    }

    pub fn document(&mut self, kind: &str, key: &str, session: Option<SessionId>, json: serde_json::Value) {
        let (kind, key, json) = (kind.to_owned(), key.to_owned(), json.to_string());
        self.documents.push(Document { kind, key, session, json, large: Vec::new() });
    }

    /// Erases bodies as the journal does: bodies gone, a `redacted` entry in their session.
    pub fn redact(&mut self, id: SessionId, seqs: &[u64], why: &str) {
        let mut erased = Vec::new();
        for seq in seqs {
            let entry = &mut self.sessions.get_mut(&id).unwrap().entries[*seq as usize - 1];
            entry.body = None;
            erased.push(json!({"session_id": id, "seq": seq, "body_hash": entry.header.body_hash}));
        }
        self.append(id, Kind::REDACTED, &json!({"erased": erased, "why": why}));
    }

    pub fn heads(&self) -> Vec<(SessionId, Head)> {
        self.sessions.iter().map(|(id, s)| (*id, s.witnessed.unwrap_or(self.head(*id)))).collect()
    }

    pub fn root(&self) -> Hash {
        store_root(self.sessions.len() as u64, self.heads())
    }
}

impl Source for Journal {
    fn sealed(&self) -> Result<Sealed, SourceError> {
        Ok(Sealed { journal: self.id, epoch: 1, revision: self.revision, root: self.root() })
    }

    fn sessions(&self) -> Result<Vec<SourceSession>, SourceError> {
        let session = |(id, head): (SessionId, Head)| SourceSession {
            id,
            head,
            pin: self.sessions[&id].pin,
            status: "active".into(),
        };
        Ok(self.heads().into_iter().map(session).collect())
    }

    fn entries(
        &self,
        session: SessionId,
        after: Seq,
        through: Seq,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), SourceError> {
        let entries = &self.sessions[&session].entries;
        for entry in entries.iter().filter(|e| e.header.seq > after && e.header.seq <= through) {
            *self.read.borrow_mut() += 1;
            if !take(entry.clone()) {
                break;
            }
        }
        Ok(())
    }

    fn large(&self, hash: Hash, take: &mut dyn FnMut(&[u8])) -> Result<bool, SourceError> {
        let Some(bytes) = self.large.get(&hash) else { return Ok(false) };
        bytes.chunks(1 << 20).for_each(take);
        Ok(true)
    }

    fn documents(&self) -> Result<Vec<Document>, SourceError> {
        Ok(self.documents.clone())
    }
}

impl Target for Journal {
    fn head(&self, session: SessionId) -> Result<Option<Head>, SourceError> {
        Ok(self.sessions.contains_key(&session).then(|| Journal::head(self, session)))
    }

    fn hash_at(&self, session: SessionId, seq: Seq) -> Result<Option<Hash>, SourceError> {
        let entries = self.sessions.get(&session).map(|s| s.entries.as_slice()).unwrap_or_default();
        Ok(entries.iter().find(|e| e.header.seq == seq).map(|e| e.header.hash))
    }

    fn has_copy_of(&self, session: SessionId, head: Head) -> Result<bool, SourceError> {
        Ok(self.copies.contains(&(session, head.seq, head.hash)))
    }

    fn has_large(&self, hash: Hash) -> Result<bool, SourceError> {
        Ok(self.large.contains_key(&hash))
    }

    fn put_large(&mut self, hash: Hash, bytes: Vec<u8>) -> Result<(), SourceError> {
        assert_eq!(content_hash(&bytes), hash);
        self.large.insert(hash, bytes);
        Ok(())
    }

    fn add(&mut self, session: &SessionRecord, after: Option<Head>, entries: Vec<Entry>) -> Result<(), SourceError> {
        assert_eq!(Target::head(self, session.id)?, after, "only onto what is there");
        if let Some(pin) = session.pin {
            assert!(self.sessions.contains_key(&pin.session), "parents come first");
        }
        let own = self.sessions.entry(session.id).or_default();
        own.pin = session.pin;
        own.entries.extend(entries);
        Ok(())
    }

    fn copy(&mut self, session: &SessionRecord, common: Option<Head>, entries: Vec<Entry>) -> Result<(), SourceError> {
        let last = entries.last().unwrap().header.head();
        let copy = match common {
            Some(common) => self.fork(session.id, common.seq),
            None => self.session(1),
        };
        for entry in entries {
            let text = format!("copy of {} {}", entry.header.seq, entry.header.hash);
            self.say(copy, &text);
        }
        self.copies.insert((session.id, last.seq, last.hash));
        Ok(())
    }
}

/// Everything that both hold is the same, erased bodies included.
pub fn assert_same(a: &Journal, b: &Journal) {
    assert_eq!(a.root(), b.root());
    for (id, session) in &a.sessions {
        assert_eq!(session.entries, b.sessions[id].entries, "session {id}");
        assert_eq!(session.pin, b.sessions[id].pin, "session {id}");
    }
}

impl Journal {
    /// [`Journal::redact`] for an entry of a fork, whose first own entry is not seq 1.
    pub fn redact_at(&mut self, id: SessionId, seq: u64) {
        let entries = &mut self.sessions.get_mut(&id).unwrap().entries;
        let entry = entries.iter_mut().find(|entry| entry.header.seq.0 == seq).unwrap();
        entry.body = None;
        let erased = json!([{"session_id": id, "seq": seq, "body_hash": entry.header.body_hash}]);
        self.append(id, Kind::REDACTED, &json!({"erased": erased, "why": "redact"}));
    }
}
