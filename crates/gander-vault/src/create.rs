//! Making a snapshot: only what changed since the last one is read, packed and stored; then pages, then the manifest.

use std::collections::{HashMap, HashSet};

use gander_model::{DataRef, Entry, Hash, Head, Kind, SessionId, chain::Walk, hash::content_hash};

use crate::erase::{Erased, ErasedBody};
use crate::manifest::{self, Manifest, PageRef, Reason, SNAPSHOTS, SnapshotId};
use crate::objects::Content;
use crate::packer::{self, Packer, PendingLarge, PendingRun, Stored};
use crate::page::{self, LargeRecord, Run, SessionRecord, page_root};
use crate::prune::SWEEP_GRACE_MS;
use crate::source::{large_refs, redacted};
use crate::{Document, Erasure, Source, SourceSession, Vault, VaultError};

/// Manifests that are looked at for one to build on. With more machines than this on one vault, a snapshot may store
/// again what is there.
const BASE_CANDIDATES: usize = 64;

/// How a snapshot is to be made.
pub struct CreateRequest<'a> {
    /// Its id, which carries its time.
    pub id: SnapshotId,
    /// The time now, asked again at the end, in milliseconds since 1970.
    pub now_ms: &'a dyn Fn() -> i64,
    /// Why it is made.
    pub reason: Reason,
    /// The machine, as a person would call it.
    pub machine: String,
    /// The version of Gander.
    pub version: String,
    /// Objects that a verification found damaged or missing: nothing is built on them, so the snapshot is whole.
    pub distrust: HashSet<Hash>,
}

/// A snapshot that was made and read back.
#[derive(Debug)]
pub struct Created {
    /// What it is.
    pub manifest: Manifest,
    /// Sessions that could not be saved whole, with the reason.
    pub damaged: Vec<(SessionId, String)>,
    /// Whether bodies that its entries say were erased could be erased from older snapshots too.
    pub erased: Result<u64, VaultError>,
}

/// A session's record whose newest segments have only numbers yet.
struct Pending {
    record: SessionRecord,
    runs: Vec<PendingRun>,
    large: Vec<PendingLarge>,
}

enum PendingPage<'a> {
    Same(PageRef),
    New(&'a [SourceSession], Vec<Pending>),
}

struct Build<'a> {
    vault: &'a Vault,
    source: &'a dyn Source,
    distrust: &'a HashSet<Hash>,
    base: Option<Manifest>,
    /// Records of base pages that had to be looked into.
    known: HashMap<SessionId, SessionRecord>,
    looked: HashSet<Hash>,
    erased: Erased,
    /// Large contents packed for this snapshot.
    packed: HashMap<Hash, PendingLarge>,
    new_erasures: Vec<ErasedBody>,
    purged: Vec<SessionId>,
}

impl Vault {
    /// Makes a snapshot of `source`. Nothing can be seen of it until its manifest is written, which is its last step
    /// but one; what it added has been read back and compared by then. The last step carries erasures that the new
    /// entries record on to older snapshots.
    pub fn create(&self, source: &dyn Source, request: &CreateRequest<'_>) -> Result<Created, VaultError> {
        let begun_ms = (request.now_ms)();
        let sealed = source.sealed().map_err(VaultError::Source)?;
        let mut sessions = source.sessions().map_err(VaultError::Source)?;
        sessions.sort_unstable_by_key(|session| session.id);
        let documents = source.documents().map_err(VaultError::Source)?;
        let base = self.base_for(&sealed)?;
        let base_id = base.as_ref().map(|base| base.id);
        let mut build = Build {
            vault: self,
            source,
            distrust: &request.distrust,
            base,
            known: HashMap::new(),
            looked: HashSet::new(),
            erased: Erased::load(&self.objects)?,
            packed: HashMap::new(),
            new_erasures: Vec::new(),
            purged: Vec::new(),
        };
        let ((pages, kept_documents), stored) = packer::pack(&self.objects, request.id, |packer| {
            let pages = build.pages(packer, &sessions)?;
            packer.flush()?;
            Ok((pages, build.documents(packer, &documents)?))
        })?;
        let mut new_bytes = stored.bytes;
        let mut damaged = Vec::new();
        let mut refs = Vec::new();
        for page in pages {
            refs.push(match page {
                PendingPage::Same(page) => page,
                PendingPage::New(sessions, records) => {
                    let records: Vec<_> = records.into_iter().map(|pending| pending.resolve(&stored)).collect();
                    damaged.extend(records.iter().filter_map(|r| Some((r.id, r.damage.clone()?))));
                    let (page, bytes) = self.store_page(request.id, sessions, &records)?;
                    new_bytes += bytes;
                    page
                }
            });
        }
        // A session that was damaged before and has not changed stands in a page that is looked into again, because
        // such a page is never taken over unseen: so `damaged` is complete.
        let (digest, documents, large) = kept_documents.resolve(&stored);
        let mut manifest = Manifest::new(
            request.id,
            begun_ms,
            request.reason,
            &sealed,
            &request.machine,
            &request.version,
            digest,
            documents,
            refs,
        );
        manifest.large = large;
        manifest.entries = sessions.iter().map(entry_count).sum();
        manifest.new_bytes = new_bytes;
        manifest.base = base_id;
        manifest.notes = damaged.iter().map(|(id, why)| format!("session {id}: {why}")).collect();
        if (request.now_ms)().saturating_sub(begun_ms) > SWEEP_GRACE_MS / 2 {
            return Err(VaultError::TookTooLong);
        }
        // Recorded before the manifest: the next snapshot will not see these entries as new.
        self.bury(&Erasure { bodies: build.new_erasures, sessions: build.purged, documents: Vec::new() })?;
        self.publish(&manifest)?;
        let erased = self.finish_erasures();
        Ok(Created { manifest, damaged, erased })
    }

    /// The newest readable snapshot of the same journal, else the newest of any: sessions are matched by id and hash,
    /// so another machine's snapshot serves as well. Ids carry their time, so few manifests are read.
    fn base_for(&self, sealed: &crate::Sealed) -> Result<Option<Manifest>, VaultError> {
        let mut newest = None;
        for id in self.ids(SNAPSHOTS)?.into_iter().rev().take(BASE_CANDIDATES) {
            match manifest::load(&self.objects, SNAPSHOTS, id) {
                Ok(manifest) if manifest.journal == sealed.journal => return Ok(Some(manifest)),
                Ok(manifest) => {
                    newest.get_or_insert(manifest);
                }
                // Torn, of a later version, or forgotten meanwhile: another one serves.
                Err(error) if error.is_damage() || matches!(error, VaultError::Newer { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(newest)
    }

    fn store_page(
        &self,
        snapshot: SnapshotId,
        sessions: &[SourceSession],
        records: &[SessionRecord],
    ) -> Result<(PageRef, u64), VaultError> {
        let (object, bytes) = packer::store(&self.objects, Content::Page, &page::encode(snapshot, records)?)?;
        let whole = records.iter().all(|record| record.damage.is_none());
        let root = page_root(sessions.iter().map(|session| (session.id, &session.head)));
        Ok((PageRef { object, first: records[0].id, sessions: records.len() as u64, root, whole }, bytes))
    }

    fn publish(&self, manifest: &Manifest) -> Result<(), VaultError> {
        let name = manifest::name(SNAPSHOTS, manifest.id);
        let bytes = manifest.to_bytes()?;
        match self.objects.put_new(&name, bytes.clone()) {
            // A repeated request whose first answer was lost.
            Err(VaultError::Exists { .. }) => {}
            other => other?,
        }
        if self.objects.get(&name)? != bytes {
            return Err(VaultError::ReadBack { name });
        }
        Ok(())
    }
}

fn entry_count(session: &SourceSession) -> u64 {
    let beginning = session.pin.map_or(0, |pin| pin.head.seq.0);
    session.head.seq.0.saturating_sub(beginning)
}

impl Pending {
    fn resolve(mut self, stored: &Stored) -> SessionRecord {
        self.record.runs.extend(self.runs.iter().map(|run| Run {
            segment: stored.names[run.segment],
            after: run.after,
            to: run.to,
        }));
        self.record.large.extend(self.large.iter().map(|large| resolve_large(large, stored)));
        self.record
    }
}

fn resolve_large(large: &PendingLarge, stored: &Stored) -> LargeRecord {
    let DataRef { hash, bytes } = large.reference;
    LargeRecord { hash, bytes, parts: large.parts.iter().map(|part| stored.names[*part]).collect() }
}

enum PendingDocuments {
    Same(Hash, Vec<Hash>, Vec<LargeRecord>),
    New(Hash, Vec<usize>, Vec<PendingLarge>),
}

impl PendingDocuments {
    fn resolve(self, stored: &Stored) -> (Hash, Vec<Hash>, Vec<LargeRecord>) {
        match self {
            Self::Same(digest, segments, large) => (digest, segments, large),
            Self::New(digest, segments, large) => (
                digest,
                segments.into_iter().map(|segment| stored.names[segment]).collect(),
                large.iter().map(|large| resolve_large(large, stored)).collect(),
            ),
        }
    }
}

impl Build<'_> {
    fn pages<'s>(
        &mut self,
        packer: &mut Packer<'_>,
        sessions: &'s [SourceSession],
    ) -> Result<Vec<PendingPage<'s>>, VaultError> {
        let unchanged: HashMap<(SessionId, Hash), PageRef> = self
            .base
            .iter()
            .flat_map(|base| &base.pages)
            .filter(|page| page.whole && !self.distrust.contains(&page.object))
            .map(|page| ((page.first, page.root), *page))
            .collect();
        let trusting = self.distrust.is_empty();
        let mut pages = Vec::new();
        for stretch in page::shard(sessions) {
            let root = page_root(stretch.iter().map(|session| (session.id, &session.head)));
            if let Some(page) = unchanged.get(&(stretch[0].id, root)).filter(|_| trusting) {
                pages.push(PendingPage::Same(*page));
                continue;
            }
            self.look_into(stretch)?;
            let records = stretch.iter().map(|session| self.session(packer, session)).collect::<Result<_, _>>()?;
            pages.push(PendingPage::New(stretch, records));
        }
        Ok(pages)
    }

    /// Loads the base's pages that may hold sessions of this stretch. A page that cannot be read costs a full copy of
    /// its sessions, and so is healed.
    fn look_into(&mut self, stretch: &[SourceSession]) -> Result<(), VaultError> {
        let Some(base) = &self.base else { return Ok(()) };
        let (first, last) = (stretch[0].id, stretch[stretch.len() - 1].id);
        let from = base.pages.partition_point(|page| page.first <= first).saturating_sub(1);
        for page in base.pages[from..].iter().take_while(|page| page.first <= last) {
            if self.distrust.contains(&page.object) || !self.looked.insert(page.object) {
                continue;
            }
            match page::load(&self.vault.objects, &page.object) {
                Ok(records) => self.known.extend(records.into_iter().map(|record| (record.id, record))),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn session(&mut self, packer: &mut Packer<'_>, session: &SourceSession) -> Result<Pending, VaultError> {
        let mut record = SessionRecord {
            id: session.id,
            head: session.head,
            held: session.head,
            pin: session.pin,
            status: session.status.clone(),
            damage: None,
            runs: Vec::new(),
            large: Vec::new(),
        };
        let known = self.known.remove(&session.id).filter(|known| known.pin == session.pin);
        let Some(mut known) = known else { return self.pack(packer, session, record, Vec::new()) };
        let distrusted = |segment: &Hash| self.distrust.contains(segment);
        known
            .large
            .retain(|large| !large.parts.iter().any(|part| distrusted(part) || self.erased.dropped(part, &large.hash)));
        // Runs up to the first that cannot be built on.
        let good = known.runs.iter().take_while(|run| !distrusted(&run.segment) && run.to.seq <= session.head.seq);
        let kept: Vec<Run> = good.copied().collect();
        record.large = known.large;
        if kept.last().map(|run| run.to) == Some(session.head) && known.damage.is_none() {
            record.runs = kept;
            return Ok(Pending { record, runs: Vec::new(), large: Vec::new() });
        }
        self.pack(packer, session, record, kept)
    }

    /// Packs a session's entries after the runs that are kept. Short runs at the end are packed again with the new
    /// entries while they are no longer than these, so that a session's runs stay few and each entry is copied a
    /// logarithmic number of times.
    fn pack(
        &mut self,
        packer: &mut Packer<'_>,
        session: &SourceSession,
        mut record: SessionRecord,
        kept: Vec<Run>,
    ) -> Result<Pending, VaultError> {
        // What reaches the head and still was not taken over has lost something beside its entries: read all again.
        let all_again = kept.last().map(|run| run.to) == Some(session.head);
        let mut base = if all_again { Vec::new() } else { kept.clone() };
        let start = base.last().map_or(record.beginning().seq.0, |run| run.to.seq.0);
        let mut count = session.head.seq.0.saturating_sub(start);
        while let Some(last) = base.last()
            && last.count() <= count
        {
            count += last.count();
            base.pop();
        }
        let attempts = if base.is_empty() { vec![base] } else { vec![base, Vec::new()] };
        let mut large = Vec::new();
        let mut best: (Head, Vec<Run>, Vec<PendingRun>, Option<String>) =
            (record.beginning(), Vec::new(), Vec::new(), None);
        for base in attempts {
            let after = base.last().map_or(record.beginning(), |run| run.to);
            let (reached, runs, damage) = self.stretch(packer, session, after, &mut record, &mut large)?;
            let whole = damage.is_none();
            if best.3.is_none() || reached.seq > best.0.seq || whole {
                best = (reached, base, runs, damage);
            }
            if whole {
                break;
            }
        }
        // Damaged in the journal: what the vault already held may reach further than what can be read now.
        if let Some(last) = kept.last().filter(|last| best.3.is_some() && last.to.seq >= best.0.seq) {
            best = (last.to, kept.clone(), Vec::new(), best.3);
        }
        let (held, base, runs, damage) = best;
        record.held = held;
        record.runs = base;
        record.damage = damage;
        Ok(Pending { record, runs, large })
    }

    fn stretch(
        &mut self,
        packer: &mut Packer<'_>,
        session: &SourceSession,
        after: Head,
        record: &mut SessionRecord,
        large: &mut Vec<PendingLarge>,
    ) -> Result<(Head, Vec<PendingRun>, Option<String>), VaultError> {
        let mut walk = Walk::after(after);
        let mut run = packer.run(session.id, after);
        let (mut failed, mut damage) = (None, None);
        let mut needed: Vec<(DataRef, bool)> = Vec::new();
        let read = self.source.entries(session.id, after.seq, session.head.seq, &mut |entry: Entry| {
            if let Err(found) = check(&mut walk, session.id, &entry) {
                damage = Some(found);
                return false;
            }
            let entry = self.erased.strip(entry);
            if let Some(body) = &entry.body {
                let kind = &entry.header.kind;
                needed.extend(large_refs(kind, &body.bytes).into_iter().map(|large| (large, *kind == Kind::PROMPT)));
                if let Some((bodies, purge)) = redacted(kind, &body.bytes) {
                    self.new_erasures.extend(bodies);
                    self.purged.extend(purge.then_some(session.id));
                }
            }
            failed = run.entry(packer, &entry).err();
            failed.is_none()
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if let Err(error) = read {
            damage = Some(error.to_string());
        }
        let reached = run.reached();
        if damage.is_none() && reached != session.head {
            damage = Some(format!("the entries end at {} instead of the witnessed head", reached.seq));
        }
        let runs = run.finish(packer);
        for (reference, prompt) in needed {
            if let Some(lost) = self.large(packer, reference, prompt, record, large)? {
                damage.get_or_insert(lost);
            }
        }
        // The chain is whole although a large content is not: nothing of the entries is held back.
        Ok((reached, runs, damage))
    }

    /// Packs a large content unless the record names it already. A prompt's own large data may name blobs.
    fn large(
        &mut self,
        packer: &mut Packer<'_>,
        reference: DataRef,
        prompt: bool,
        record: &SessionRecord,
        large: &mut Vec<PendingLarge>,
    ) -> Result<Option<String>, VaultError> {
        let has = |hash| record.large.iter().any(|l| l.hash == hash) || large.iter().any(|l| l.reference.hash == hash);
        if has(reference.hash) {
            return Ok(None);
        }
        if let Some(packed) = self.packed.get(&reference.hash) {
            large.push(packed.clone());
            return Ok(None);
        }
        let mut text = Vec::new();
        let packed = packer.large(reference, |take| {
            self.source.large(reference.hash, &mut |bytes| {
                if prompt {
                    text.extend_from_slice(bytes);
                }
                take(bytes);
            })
        })?;
        let Some(packed) = packed else {
            return Ok(Some(format!("the large content {} is missing or altered", reference.hash)));
        };
        self.packed.insert(reference.hash, packed.clone());
        large.push(packed);
        let mut body = b"{\"data\":".to_vec();
        body.append(&mut text);
        body.push(b'}');
        for blob in large_refs(&Kind::PROMPT, &body).into_iter().filter(|_| prompt) {
            if let Some(lost) = self.large(packer, blob, false, record, large)? {
                return Ok(Some(lost));
            }
        }
        Ok(None)
    }

    fn documents(&mut self, packer: &mut Packer<'_>, all: &[Document]) -> Result<PendingDocuments, VaultError> {
        let digest = digest(all);
        // Erasing takes a session's drafts and open items out of the documents that are there; the present ones stay.
        let base = self.base.as_ref().filter(|base| base.documents_digest == digest && self.new_erasures.is_empty());
        let usable = |segment: &Hash| !self.distrust.contains(segment) && !self.erased.is_replaced(segment);
        if let Some(base) = base.filter(|base| base.documents.iter().all(usable)) {
            return Ok(PendingDocuments::Same(digest, base.documents.clone(), base.large.clone()));
        }
        let mut segments = Vec::new();
        for document in all.iter().filter(|d| !d.session.is_some_and(|id| self.erased.sessions.contains(&id))) {
            segments.push(packer.document(document)?);
        }
        segments.dedup();
        let mut large = Vec::new();
        let no_record = SessionRecord {
            id: SessionId::from_bytes([0; 16]),
            head: crate::segment::BEGINNING,
            held: crate::segment::BEGINNING,
            pin: None,
            status: String::new(),
            damage: None,
            runs: Vec::new(),
            large: Vec::new(),
        };
        for reference in all.iter().flat_map(|document| &document.large) {
            // An attachment that is gone from the journal is the journal's finding; the document is kept as it is.
            self.large(packer, *reference, false, &no_record, &mut large)?;
        }
        Ok(PendingDocuments::New(digest, segments, large))
    }
}

fn check(walk: &mut Walk, session: SessionId, entry: &Entry) -> Result<(), String> {
    if entry.header.session_id != session {
        return Err(format!("entry {} says it is of session {}", entry.header.seq, entry.header.session_id));
    }
    // A body that is gone is the journal's to judge; here it is kept as gone.
    gander_model::chain::check_body(entry, true).map_err(|e| e.to_string())?;
    walk.step(&entry.header).map_err(|e| e.to_string())
}

/// One hash over all documents, in the order given.
pub(crate) fn digest(documents: &[Document]) -> Hash {
    let mut text = Vec::new();
    for Document { kind, key, session, json, .. } in documents {
        let session = session.map(|id| id.to_string()).unwrap_or_default();
        for field in [kind, key, &session, json] {
            text.extend_from_slice(&(field.len() as u64).to_be_bytes());
            text.extend_from_slice(field.as_bytes());
        }
    }
    content_hash(&text)
}
