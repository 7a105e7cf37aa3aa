//! Erasing: a redacted or purged body leaves every snapshot too. The order makes a cut harmless: first a tombstone
//! (from then on nobody shows or adds the body), then large contents that only it named, then the segments that hold
//! it are written anew without it, a `replaced` object leads from the old name to the new, and the old is deleted.
//! Manifests and pages keep the old name. Doing it again finishes what was cut off.

use std::collections::{BTreeSet, HashMap, HashSet};

use gander_model::{Entry, Hash, Seq, SessionId};
use serde::{Deserialize, Serialize};

use crate::manifest::{FORGOTTEN, Manifest, SNAPSHOTS};
use crate::objects::{Content, Objects};
use crate::packer;
use crate::page::{self, SessionRecord};
use crate::read::Segments;
use crate::segment::{self, Record, Records, SegmentWriter};
use crate::source::large_refs;
use crate::{SnapshotId, Vault, VaultError};

const ERASED: &str = "erased";
pub(crate) const REPLACED: &str = "replaced";
/// Longer chains of replacements than this do not come from erasing.
const CHAIN_MAX: usize = 1000;

/// A body as a `redacted` entry lists it.
#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ErasedBody {
    /// The session that owns the entry.
    pub session_id: SessionId,
    /// The entry.
    pub seq: Seq,
    /// The hash that stays.
    pub body_hash: Hash,
}

/// What is to be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Bodies.
    pub bodies: Vec<ErasedBody>,
    /// Purged sessions: their drafts, queued prompts and open items go too.
    pub sessions: Vec<SessionId>,
    /// Segments of documents that were there when this was recorded: what they hold of the sessions concerned (the
    /// draft or queued prompt that became an erased entry) goes too. Filled in when it is recorded.
    #[serde(default)]
    pub documents: Vec<Hash>,
}

impl Erasure {
    /// Whether there is nothing to erase.
    pub fn is_empty(&self) -> bool {
        self.bodies.is_empty() && self.sessions.is_empty()
    }
}

/// Leads from a segment that was erased from to what took its place.
#[derive(Serialize, Deserialize, Clone, Debug)]
struct Replaced {
    /// The segment without the erased bodies; `None` when nothing else was in it.
    by: Option<Hash>,
    /// Large contents that were dropped from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<Hash>,
}

/// All erasures that the vault knows.
#[derive(Default)]
pub(crate) struct Erased {
    bodies: HashSet<ErasedBody>,
    pub sessions: HashSet<SessionId>,
    replaced: HashMap<Hash, Replaced>,
    /// Erasures that may not have been carried out to the end, by their tombstone.
    pub open: Vec<(Hash, Erasure)>,
    /// Tombstones and replacements that cannot be read. They hold up nothing: recording the same again heals them.
    pub damaged: Vec<(String, VaultError)>,
}

/// Says that an erasure was carried out.
fn done_name(tombstone: &Hash) -> String {
    format!("{ERASED}/{tombstone}.done")
}

fn replaced_name(hash: &Hash) -> String {
    format!("{REPLACED}/{hash}.json")
}

impl Erased {
    pub fn load(objects: &Objects) -> Result<Self, VaultError> {
        let mut this = Self::default();
        let tombstones = objects.list(ERASED)?;
        let names: HashSet<&str> = tombstones.iter().map(|object| object.name.as_str()).collect();
        for object in &tombstones {
            let Some(hash) = hash_of(&object.name) else { continue };
            let read = objects.get_content(Content::Erased, &hash).and_then(|bytes| {
                serde_json::from_slice::<Erasure>(&bytes).map_err(|e| VaultError::damaged(&object.name, e))
            });
            let Some(erasure) = this.readable(&object.name, read)? else { continue };
            this.bodies.extend(erasure.bodies.iter().copied());
            this.sessions.extend(erasure.sessions.iter().copied());
            if !names.contains(done_name(&hash).as_str()) {
                this.open.push((hash, erasure));
            }
        }
        for object in objects.list(REPLACED)? {
            let Some(hash) = hash_of(&object.name) else { continue };
            let read = parse(objects, &object.name);
            if let Some(replaced) = this.readable(&object.name, read)? {
                this.replaced.insert(hash, replaced);
            }
        }
        Ok(this)
    }

    fn readable<T>(&mut self, name: &str, read: Result<T, VaultError>) -> Result<Option<T>, VaultError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.is_damage() => {
                self.damaged.push((name.to_owned(), error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub fn contains(&self, body: &ErasedBody) -> bool {
        self.bodies.contains(body)
    }

    /// The entry without its body, when that is erased.
    pub fn strip(&self, mut entry: Entry) -> Entry {
        if entry.body.is_some() && self.bodies.contains(&listed(&entry)) {
            entry.body = None;
        }
        entry
    }

    /// The names under which a segment's content lies, from the one that pages use to the present one.
    pub fn chain(&self, hash: &Hash) -> Vec<Hash> {
        let mut chain = vec![*hash];
        while let Some(Replaced { by: Some(next), .. }) = chain.last().and_then(|last| self.replaced.get(last)) {
            chain.push(*next);
            if chain.len() > CHAIN_MAX {
                break;
            }
        }
        chain
    }

    /// The present name of a segment; `None` when nothing of it is left.
    pub fn stored_as(&self, hash: &Hash) -> Result<Option<Hash>, VaultError> {
        let chain = self.chain(hash);
        if chain.len() > CHAIN_MAX {
            return Err(VaultError::damaged(&replaced_name(hash), "its replacements lead in a circle"));
        }
        let last = chain[chain.len() - 1];
        Ok(if self.replaced.contains_key(&last) { None } else { Some(last) })
    }

    /// Asks the storage itself what replaced a segment: `None`, nothing did.
    pub fn replacement(objects: &Objects, hash: &Hash) -> Result<Option<Option<Hash>>, VaultError> {
        match parse::<Replaced>(objects, &replaced_name(hash)) {
            Ok(replaced) => Ok(Some(replaced.by)),
            Err(VaultError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a large content was dropped from a segment on purpose.
    pub fn dropped(&self, segment: &Hash, large: &Hash) -> bool {
        let chain = self.chain(segment);
        chain.iter().filter_map(|name| self.replaced.get(name)).any(|replaced| replaced.dropped.contains(large))
    }

    /// Whether a segment was written anew.
    pub fn is_replaced(&self, segment: &Hash) -> bool {
        self.replaced.contains_key(segment)
    }

    fn of_sessions(&self) -> HashMap<SessionId, Vec<ErasedBody>> {
        let mut by_session: HashMap<SessionId, Vec<ErasedBody>> = HashMap::new();
        for body in &self.bodies {
            by_session.entry(body.session_id).or_default().push(*body);
        }
        by_session
    }
}

/// The hash that a `.json` object is named after.
fn hash_of(name: &str) -> Option<Hash> {
    name.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()
}

fn listed(entry: &Entry) -> ErasedBody {
    let header = &entry.header;
    ErasedBody { session_id: header.session_id, seq: header.seq, body_hash: header.body_hash }
}

fn parse<T: serde::de::DeserializeOwned>(objects: &Objects, name: &str) -> Result<T, VaultError> {
    serde_json::from_slice(&objects.get(name)?).map_err(|e| VaultError::damaged(name, e))
}

impl Vault {
    /// Erases bodies, and what belonged to purged sessions beside their entries, from every snapshot. Answers how
    /// many segments were written anew. Doing it again is harmless and finishes what was cut off.
    pub fn erase(&self, erasure: &Erasure) -> Result<u64, VaultError> {
        self.bury(erasure)?;
        self.finish_erasures()
    }

    /// Records an erasure: from now on nobody shows, restores or adds the bodies.
    pub(crate) fn bury(&self, erasure: &Erasure) -> Result<(), VaultError> {
        let known = Erased::load(&self.objects)?;
        let mut new = erasure.clone();
        new.bodies.retain(|body| !known.bodies.contains(body));
        new.sessions.retain(|session| !known.sessions.contains(session));
        new.bodies.sort_unstable();
        new.sessions.sort_unstable();
        if !new.is_empty() {
            let manifests = self.manifests(&mut None)?;
            let documents: BTreeSet<Hash> = manifests.iter().flat_map(|m| &m.documents).copied().collect();
            new.documents = documents.into_iter().collect();
            let text = serde_json::to_vec(&new).map_err(|e| VaultError::damaged("a new erasure", e))?;
            self.objects.put_content(Content::Erased, text.into())?;
        }
        Ok(())
    }

    /// Carries out the erasures that were recorded and perhaps cut off, and marks them as done.
    pub(crate) fn finish_erasures(&self) -> Result<u64, VaultError> {
        let mut rewritten = 0;
        for (tombstone, erasure) in Erased::load(&self.objects)?.open {
            rewritten += self.carry_out(Some(&erasure))?;
            // A cut may have come between the replacement and the deletion of what it replaces.
            for replaced in Erased::load(&self.objects)?.replaced.keys() {
                self.objects.delete(&Content::Segment.name(replaced))?;
            }
            match self.objects.put_new(&done_name(&tombstone), bytes::Bytes::from_static(b"done\n")) {
                Err(VaultError::Exists { .. }) => {}
                other => other?,
            }
        }
        Ok(rewritten)
    }

    /// Carries out all erasures ever recorded (`only`: those of these sessions), where something is still left.
    pub(crate) fn carry_out(&self, only: Option<&Erasure>) -> Result<u64, VaultError> {
        let known = Erased::load(&self.objects)?;
        let mut bodies = known.of_sessions();
        let mut said_in = known.sessions.clone();
        if let Some(only) = only {
            let touched: HashSet<_> = only.bodies.iter().map(|body| body.session_id).collect();
            bodies.retain(|session, _| touched.contains(session));
            said_in.extend(touched);
        }
        if bodies.is_empty() && said_in.is_empty() {
            return Ok(0);
        }
        let mut unsure = None;
        let manifests = self.manifests(&mut unsure)?;
        let records = self.records(&manifests, &mut unsure)?;
        let mut rewritten = 0;
        // Documents first: what only they still name is unused then. Bodies last: they say what there is to do.
        for segment in only.iter().flat_map(|only| &only.documents) {
            rewritten += u64::from(self.rewrite(*segment, &[], &said_in)?);
        }
        for segment in manifests.iter().flat_map(|m| &m.documents).collect::<BTreeSet<_>>() {
            rewritten += u64::from(self.rewrite(*segment, &[], &known.sessions)?);
        }
        let segments = Segments::open(&self.objects)?;
        let (holding, large) = holding(&segments, &records, &bodies, &mut unsure)?;
        // What an unreadable snapshot names is not known: its large contents stay, and the erasure stays open.
        if unsure.is_none() {
            for (segment, dropped) in self.unused_large(&segments, &manifests, &records, &large)? {
                rewritten += u64::from(self.rewrite(segment, &dropped, &known.sessions)?);
            }
        }
        for segment in holding {
            rewritten += u64::from(self.rewrite(segment, &[], &known.sessions)?);
        }
        unsure.map_or(Ok(rewritten), Err)
    }

    /// The readable manifests, also those forgotten lately; `unsure` says if there are others.
    fn manifests(&self, unsure: &mut Option<VaultError>) -> Result<Vec<Manifest>, VaultError> {
        let mut manifests = Vec::new();
        for folder in [SNAPSHOTS, FORGOTTEN] {
            let mut listing = self.list_in(folder)?;
            if let Some((id, source)) = listing.unreadable.pop() {
                let name = crate::manifest::name(folder, id);
                unsure.get_or_insert(VaultError::Unsure { name, source: Box::new(source) });
            }
            manifests.append(&mut listing.snapshots);
        }
        Ok(manifests)
    }

    /// All manifests, or an error when one is not readable.
    pub(crate) fn all_manifests(&self) -> Result<Vec<Manifest>, VaultError> {
        let mut unsure = None;
        let manifests = self.manifests(&mut unsure)?;
        unsure.map_or(Ok(manifests), Err)
    }

    /// The records of all readable pages, each page once.
    fn records(
        &self,
        manifests: &[Manifest],
        unsure: &mut Option<VaultError>,
    ) -> Result<Vec<SessionRecord>, VaultError> {
        let pages: BTreeSet<Hash> = manifests.iter().flat_map(|m| &m.pages).map(|page| page.object).collect();
        let mut records = Vec::new();
        for object in pages {
            match page::load(&self.objects, &object) {
                Ok(loaded) => records.extend(loaded),
                Err(error) if error.is_damage() => {
                    let name = Content::Page.name(&object);
                    unsure.get_or_insert(VaultError::Unsure { name, source: Box::new(error) });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(records)
    }

    /// Of these large contents, those that no body and no document names any more, by the segments that hold them.
    fn unused_large(
        &self,
        segments: &Segments,
        manifests: &[Manifest],
        records: &[SessionRecord],
        large: &HashSet<Hash>,
    ) -> Result<HashMap<Hash, Vec<Hash>>, VaultError> {
        let mut unused: HashSet<Hash> = large.clone();
        for manifest in manifests.iter().filter(|m| m.large.iter().any(|named| large.contains(&named.hash))) {
            for segment in &manifest.documents {
                let documents = segments.get(segment)?;
                let named = documents.documents.iter().flat_map(|document| &document.large);
                for reference in named {
                    unused.remove(&reference.hash);
                }
            }
        }
        for record in records.iter().filter(|r| r.large.iter().any(|named| large.contains(&named.hash))) {
            segments.entries(record, Seq(0), &mut |entry| {
                if let Some(body) = &entry.body {
                    for reference in large_refs(&entry.header.kind, &body.bytes) {
                        unused.remove(&reference.hash);
                    }
                }
                Ok(true)
            })?;
        }
        let mut by_segment: HashMap<Hash, Vec<Hash>> = HashMap::new();
        let of_documents = manifests.iter().flat_map(|manifest| &manifest.large);
        let named = records.iter().flat_map(|record| &record.large).chain(of_documents);
        for large in named.filter(|large| unused.contains(&large.hash)) {
            for part in &large.parts {
                let dropped = by_segment.entry(*part).or_default();
                if !dropped.contains(&large.hash) {
                    dropped.push(large.hash);
                }
            }
        }
        Ok(by_segment)
    }

    /// Writes a segment anew without what is erased. `false`: there was nothing of it in there.
    fn rewrite(&self, segment: Hash, dropped: &[Hash], said_in: &HashSet<SessionId>) -> Result<bool, VaultError> {
        let mut rewritten = false;
        loop {
            let erased = Erased::load(&self.objects)?;
            let Some(old) = erased.stored_as(&segment)? else { return Ok(rewritten) };
            let name = Content::Segment.name(&old);
            let bytes = match self.objects.get_content(Content::Segment, &old) {
                Err(VaultError::Missing { .. }) if Erased::replacement(&self.objects, &old)?.is_some() => continue,
                // Gone with the snapshots that named it.
                Err(VaultError::Missing { .. }) => return Ok(rewritten),
                other => other?,
            };
            let text = segment::decompress(&name, &bytes)?;
            let Some((new, lost)) = without(&name, &text, &erased, dropped, said_in)? else { return Ok(rewritten) };
            let by = packer::store(&self.objects, Content::Segment, &new)?.0;
            let replaced = Replaced { by: Some(by), dropped: lost };
            let json = serde_json::to_vec(&replaced).map_err(|e| VaultError::damaged("a new replacement", e))?;
            match self.objects.put_new(&replaced_name(&old), json.clone().into()) {
                Err(VaultError::Exists { .. }) => match Erased::replacement(&self.objects, &old) {
                    // Torn when it was written.
                    Err(error) if error.is_damage() => self.objects.put_over(&replaced_name(&old), json.into())?,
                    // Another machine erases too: look again at what it left.
                    other => drop(other?),
                },
                other => other?,
            }
            self.objects.delete(&name)?;
            rewritten = true;
        }
    }
}

/// The segments that still hold one of these bodies, and the large contents that these bodies name.
fn holding(
    segments: &Segments,
    records: &[SessionRecord],
    bodies: &HashMap<SessionId, Vec<ErasedBody>>,
    unsure: &mut Option<VaultError>,
) -> Result<(BTreeSet<Hash>, HashSet<Hash>), VaultError> {
    let (mut holding, mut large) = (BTreeSet::new(), HashSet::new());
    for record in records {
        let Some(erased) = bodies.get(&record.id) else { continue };
        for run in &record.runs {
            let within = |body: &&ErasedBody| body.seq > run.after.seq && body.seq <= run.to.seq;
            let places: HashSet<Seq> = erased.iter().filter(within).map(|body| body.seq).collect();
            if places.is_empty() {
                continue;
            }
            let name = Content::Segment.name(&run.segment);
            let segment = match segments.get(&run.segment) {
                Err(error) if error.is_damage() => {
                    unsure.get_or_insert(VaultError::Unsure { name, source: Box::new(error) });
                    continue;
                }
                other => other?,
            };
            let entries = segment.run(&name, record.id, run)?;
            let left =
                entries.iter().filter(|e| places.contains(&e.header.seq) && segments.erased.contains(&listed(e)));
            for entry in left {
                if let Some(body) = &entry.body {
                    holding.insert(run.segment);
                    large.extend(large_refs(&entry.header.kind, &body.bytes).iter().map(|large| large.hash));
                }
            }
        }
    }
    Ok((holding, large))
}

/// What is left of a segment's text, and the large contents dropped.
type Rest = (Vec<u8>, Vec<Hash>);

/// A segment's text without what is erased, and the large contents dropped; `None` when nothing is.
fn without(
    name: &str,
    text: &[u8],
    erased: &Erased,
    dropped: &[Hash],
    said_in: &HashSet<SessionId>,
) -> Result<Option<Rest>, VaultError> {
    let writer_id = first_line_snapshot(text);
    let mut new = SegmentWriter::new(writer_id);
    let (mut changed, mut lost) = (false, Vec::new());
    for record in Records::new(name, text)? {
        match record? {
            Record::Run { session, after } => new.run(session, after),
            Record::Entry(entry) => {
                let had = entry.body.is_some();
                let entry = erased.strip(entry.to_entry());
                changed |= had != entry.body.is_some();
                new.entry(&entry);
            }
            Record::Large { hash, .. } if dropped.contains(&hash) => {
                changed = true;
                if !lost.contains(&hash) {
                    lost.push(hash);
                }
            }
            Record::Large { hash, offset, bytes } => new.large(hash, offset, bytes),
            Record::Document(document) if document.session.is_some_and(|id| said_in.contains(&id)) => {
                changed = true;
            }
            Record::Document(document) => new.document(&document),
        }
    }
    Ok(changed.then(|| (new.into_text(), lost)))
}

/// The snapshot that a segment says it was written for.
fn first_line_snapshot(text: &[u8]) -> SnapshotId {
    #[derive(Deserialize)]
    struct First {
        snapshot: SnapshotId,
    }
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let first = serde_json::from_slice::<First>(&text[..end]);
    first.map_or_else(|_| SnapshotId::from_parts(0, &[0; 10]), |first| first.snapshot)
}
