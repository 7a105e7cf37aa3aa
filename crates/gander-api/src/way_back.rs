//! The way back to a version whose format is older: the journal as it was sealed before the upgrade is put in its place,
//! and this version carries in what was written since. Entries come from the snapshot that the newer version made as it
//! handed over, with their hashes; windows, drafts and waiting prompts from its database file, which was kept aside. What
//! comes of it is compared with the newer version's seal like after any upgrade, and otherwise the newer version runs on.

use std::path::Path;

use gander_journal::rows::Rows;
use gander_journal::{Inspected, Journal};
use gander_upgrade::place::Place;
use gander_vault::{SnapshotId, Wanted};
use tokio::runtime::Handle;

use crate::carrier::JournalTarget;
use crate::feed::with_sources;
use crate::gander::OpenError;
use crate::place::SafePlace;
use crate::seal::Seal;

/// Keeps the journal as it is, before an older copy is put in its place. Nobody may have it open.
pub fn set_journal_aside(data_dir: &Path) -> Result<(), OpenError> {
    let to = Place::new(data_dir).newer_journal();
    Ok(gander_journal::sealed::copy(&data_dir.join("journal.db"), &to)?)
}

/// Puts one of the kept copies in the journal's place: the one that has this store root and this digest of documents.
pub fn put_back(data_dir: &Path, copy: &Path, root: &str, documents: &str) -> Result<(), OpenError> {
    let options = gander_journal::Options::default();
    gander_journal::sealed::put_back(data_dir, copy, &options, |facts| {
        facts.root.to_string() == root && facts.documents.to_string() == documents
    })?;
    Ok(())
}

/// Carries in what the seal's snapshot and the newer file hold beyond this journal, and closes it again.
pub(crate) fn carry(
    data_dir: &Path,
    inspected: Inspected,
    seal: &Seal,
    vault: &SafePlace,
    runtime: Handle,
) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| with_sources(error);
    let newer = Place::new(data_dir).newer_journal();
    let rows = Rows::read(&data_dir.join("journal.db"), &newer).map_err(|error| text(&error))?;
    let id: SnapshotId = seal.snapshot.parse().map_err(|_| "the seal names no snapshot".to_owned())?;
    let journal = inspected.open().map_err(|error| text(&error))?;
    let carried = from_snapshot(&journal, id, vault, runtime.clone()).and_then(|()| {
        let taken = journal.write_blocking(move |tx| tx.take_over(&rows));
        taken.map_err(|error| text(&error))
    });
    runtime.block_on(journal.close());
    carried
}

fn from_snapshot(journal: &Journal, id: SnapshotId, vault: &SafePlace, runtime: Handle) -> Result<(), String> {
    let vault = vault.vault(runtime).map_err(|error| with_sources(&error))?;
    let reader = vault.snapshot(id).map_err(|error| with_sources(&error))?;
    let mut target = JournalTarget(journal.clone());
    let plan = gander_vault::plan(&reader, &target, &Wanted::All).map_err(|error| with_sources(&error))?;
    let done = plan.carry_out(&reader, &mut target, |_, _| {}).map_err(|error| with_sources(&error))?;
    match done.failed.first() {
        Some((session, error)) => Err(format!("session {session} could not be carried back: {}", with_sources(error))),
        None => Ok(()),
    }
}
