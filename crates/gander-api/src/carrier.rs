//! The journal as the vault sees it: a source of snapshots, and a target of restores.

use gander_journal::{CarriedDocument, CarriedSession, Journal, ReadError};
use gander_model::{DataRef, Entry, Hash, Head, Seq, SessionId, store_root};
use gander_vault::{Document, Origin, Sealed, SessionRecord, Source, SourceError, SourceSession, Target};

/// The journal at one moment.
pub(crate) struct JournalSource {
    journal: Journal,
    sealed: Sealed,
    sessions: Vec<CarriedSession>,
    documents: Vec<CarriedDocument>,
}

impl JournalSource {
    pub fn seal(journal: &Journal) -> Result<(Self, u64), ReadError> {
        let epoch = journal.epoch();
        let (sealed, sessions, documents) = journal.read(|reader| {
            let revision = reader.revision()?;
            let sessions = reader.carried_sessions()?;
            // The heads are all there, by ascending id: they are not read twice.
            let root = store_root(sessions.len() as u64, sessions.iter().map(|session| (session.id, session.head)));
            Ok((Sealed { journal: reader.journal_id()?, epoch, revision, root }, sessions, reader.documents()?))
        })?;
        let revision = sealed.revision;
        Ok((Self { journal: journal.clone(), sealed, sessions, documents }, revision))
    }
}

impl Source for JournalSource {
    fn sealed(&self) -> Result<Sealed, SourceError> {
        Ok(self.sealed.clone())
    }

    fn sessions(&self) -> Result<Vec<SourceSession>, SourceError> {
        let session = |session: &CarriedSession| SourceSession {
            id: session.id,
            head: session.head,
            pin: session.origin.map(|origin| Origin { session: origin.session_id, head: origin.head() }),
            status: session.status.clone(),
        };
        Ok(self.sessions.iter().map(session).collect())
    }

    fn entries(
        &self,
        session: SessionId,
        after: Seq,
        through: Seq,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), SourceError> {
        Ok(self.journal.read(|reader| reader.own_entries(session, after, through, take))?)
    }

    fn large(&self, hash: Hash, take: &mut dyn FnMut(&[u8])) -> Result<bool, SourceError> {
        match self.journal.read(|reader| reader.content(hash, take)) {
            // Damaged in the journal: for the snapshot it is as good as missing, and is noted.
            Err(ReadError::ContentDamaged { .. }) => Ok(false),
            other => Ok(other?),
        }
    }

    fn documents(&self) -> Result<Vec<Document>, SourceError> {
        let document = |document: &CarriedDocument| Document {
            kind: document.kind.to_owned(),
            key: document.key.clone(),
            session: document.session,
            json: document.json.clone(),
            large: blobs_in(&document.json),
        };
        Ok(self.documents.iter().map(document).collect())
    }
}

/// The attachments that a draft or queued prompt names.
fn blobs_in(json: &str) -> Vec<DataRef> {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else { return Vec::new() };
    let lists = ["attachments", "content"].map(|field| value.get(field).and_then(|list| list.as_array()));
    let blocks = lists.into_iter().flatten().flatten();
    blocks.filter_map(|block| serde_json::from_value(block.clone()).ok()).collect()
}

/// The journal as what is restored into.
pub(crate) struct JournalTarget(pub Journal);

impl Target for JournalTarget {
    fn head(&self, session: SessionId) -> Result<Option<Head>, SourceError> {
        Ok(self.0.read(|reader| reader.head(session))?)
    }

    fn hash_at(&self, session: SessionId, seq: Seq) -> Result<Option<Hash>, SourceError> {
        Ok(self.0.read(|reader| reader.hash_at(session, seq))?)
    }

    fn has_copy_of(&self, session: SessionId, head: Head) -> Result<bool, SourceError> {
        Ok(self.0.read(|reader| reader.copy_of(session, head.hash))?.is_some())
    }

    fn has_large(&self, hash: Hash) -> Result<bool, SourceError> {
        Ok(self.0.read(|reader| reader.blob_info(hash))?.is_some())
    }

    fn put_large(&mut self, hash: Hash, bytes: Vec<u8>) -> Result<(), SourceError> {
        let put = self.0.write_blocking(move |tx| tx.put_blob(&bytes, "application/octet-stream"))?;
        if put.hash == hash { Ok(()) } else { Err(format!("the large content {hash} does not match").into()) }
    }

    fn add(&mut self, session: &SessionRecord, after: Option<Head>, entries: Vec<Entry>) -> Result<(), SourceError> {
        let id = session.id;
        let origin = session.pin.map(|pin| gander_model::project::Origin {
            session_id: pin.session,
            seq: pin.head.seq,
            hash: pin.head.hash,
        });
        self.0.write_blocking(move |tx| tx.carry_in(id, origin, after, &entries))?;
        Ok(())
    }

    fn copy(&mut self, session: &SessionRecord, common: Option<Head>, entries: Vec<Entry>) -> Result<(), SourceError> {
        let id = session.id;
        self.0.write_blocking(move |tx| tx.recover_copy(id, common, &entries))?;
        Ok(())
    }
}
