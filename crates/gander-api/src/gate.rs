//! What stands between looking at a journal and writing to it (G10).
//!
//! A journal that another version wrote last is backed up, and the backup read back, before this one writes a byte; a
//! failing backup refuses the start. Within an upgrade the old version has made that backup and left a seal: here the
//! journal is compared with it, and the upgrade is committed or recorded as failed, before anything but the migration is
//! written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use gander_journal::{Facts, Inspected, Journal};
use gander_model::UpgradeId;
use gander_upgrade::place::Place;
use gander_upgrade::state::{Check, Phase, State};
use gander_vault::{Reason, SnapshotId};
use tokio::runtime::Handle;

use crate::backups::BackupError;
use crate::feed::with_sources;
use crate::gander::OpenError;
use crate::place::{SafePlace, Taken};
use crate::seal::{COPY, Seal};

/// How a journal is opened.
pub(crate) struct Gate {
    pub data_dir: PathBuf,
    pub journal: gander_journal::Options,
    /// Where the backup goes.
    pub place: SafePlace,
    pub may_migrate: bool,
    pub upgrade: Option<UpgradeId>,
    pub runtime: Handle,
}

/// What was done before another version's journal was written to.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Passed {
    from: String,
    to: String,
    format_from: u32,
    format_to: u32,
    root: String,
    snapshot: String,
    at_ms: i64,
}

impl Gate {
    /// Opens the journal; blocks.
    pub fn open(self) -> Result<(Journal, Option<Passed>), OpenError> {
        let inspected = match Journal::inspect(&self.data_dir, self.journal.clone()) {
            Ok(inspected) => inspected,
            // What can be shown all the same is shown.
            Err(_) if self.upgrade.is_none() => return Ok((Journal::open(&self.data_dir, self.journal)?, None)),
            Err(error) => return Err(error.into()),
        };
        if let Some(id) = self.upgrade {
            return Ok((self.checked(inspected, id)?, None));
        }
        if inspected.is_newer() {
            return Ok((inspected.open()?, None));
        }
        let Some(facts) = inspected.facts().cloned() else { return Ok((inspected.open()?, None)) };
        let migrates = inspected.migrates();
        if let (Some((found, known)), false) = (migrates, self.may_migrate) {
            return Err(OpenError::MigrationWanted { found, known });
        }
        let passed = if migrates.is_some() || facts.written_by != self.journal.version {
            Some(self.backed_up(&inspected, &facts)?)
        } else {
            None
        };
        Ok((inspected.open()?, passed))
    }

    /// A snapshot that holds the journal as it is: the one of the seal, or a new one.
    fn backed_up(&self, inspected: &Inspected, facts: &Facts) -> Result<Passed, OpenError> {
        let (from, to) = (facts.written_by.clone(), self.journal.version.clone());
        let refused =
            |source: BackupError| OpenError::NoBackup { from: from.clone(), to: to.clone(), source: source.into() };
        let snapshot = match self.of_the_seal(facts) {
            Some(snapshot) => snapshot,
            None => self.new_snapshot(inspected, facts).map_err(refused)?,
        };
        tracing::warn!(from, to, snapshot, "another version wrote this journal last; it was backed up first");
        Ok(Passed {
            from,
            to,
            format_from: facts.format,
            format_to: gander_journal::FORMAT,
            root: facts.root.to_string(),
            snapshot,
            at_ms: self.journal.clock.now_ms(),
        })
    }

    /// The snapshot that the version before made as it handed over, if nothing was written since.
    fn of_the_seal(&self, facts: &Facts) -> Option<String> {
        let seal = Seal::read(&self.data_dir).ok()??;
        let id: SnapshotId = seal.snapshot.parse().ok()?;
        let vault = self.place.vault(self.runtime.clone()).ok()?;
        let holds = seal.is(facts) && vault.snapshot(id).ok()?.manifest().root == facts.root;
        holds.then_some(seal.snapshot)
    }

    /// Where the settings want it; where that cannot be reached (a bucket without a network), in the data folder.
    fn new_snapshot(&self, inspected: &Inspected, facts: &Facts) -> Result<String, BackupError> {
        match self.snapshot_in(&self.place, inspected, facts) {
            Err(error) if !self.place.is_inside() => {
                tracing::warn!(error = with_sources(&error), "the backup goes to the data folder instead");
                self.snapshot_in(&SafePlace::inside(&self.data_dir), inspected, facts)
            }
            there => there,
        }
    }

    fn snapshot_in(&self, place: &SafePlace, inspected: &Inspected, facts: &Facts) -> Result<String, BackupError> {
        let Some(journal) = inspected.journal() else { return Err(BackupError::Differs) };
        let vault = place.vault(self.runtime.clone())?;
        let now_ms = || self.journal.clock.now_ms();
        let mut random = [0; 10];
        self.journal.random.fill(&mut random);
        let migrates = inspected.migrates().is_some();
        let reason = if migrates { Reason::Migration } else { Reason::Upgrade };
        let id = SnapshotId::from_parts(now_ms(), &random);
        let (created, _) = Taken { id, reason, now_ms: &now_ms, distrust: HashSet::new() }.of(journal, &vault)?;
        // What it added was read back. A migration also wants to see it come back whole; what the journal itself had
        // lost before cannot.
        let whole = !migrates || !created.damaged.is_empty() || vault.snapshot(id)?.drill(&mut |_| true)?.ok();
        if created.manifest.root != facts.root || !whole {
            return Err(BackupError::Differs);
        }
        Ok(id.to_string())
    }

    /// The new version's part of an upgrade: compare with the seal, then commit, then open.
    fn checked(&self, mut inspected: Inspected, id: UpgradeId) -> Result<Journal, OpenError> {
        let place = Place::new(&self.data_dir);
        let now_ms = || self.journal.clock.now_ms();
        let failed = |why: String| OpenError::CheckFailed(why);
        let state = State::advance(&place, id, &[Phase::Start, Phase::Check], Phase::Check, now_ms(), |_| {})
            .map_err(|error| failed(format!("there is nothing to check: {}", with_sources(&error))))?;
        // A package manager may have put yet another version there after the one that was asked.
        if state.to.version.to_string() != self.journal.version {
            let why = format!("this is gander {}, and the upgrade is to {}", self.journal.version, state.to.version);
            return Err(failed(why));
        }
        let mut check = Check::default();
        if state.carries_back() {
            match self.carried_back(inspected, id) {
                Ok(again) => inspected = again,
                Err(why) => {
                    let told = why.clone();
                    let recorded = State::record(&place, id, &[Phase::Check], |state| state.failed = Some(told));
                    if let Err(error) = recorded {
                        tracing::error!(error = with_sources(&error), "why the check failed could not be recorded");
                    }
                    return Err(failed(why));
                }
            }
        }
        if let Err(why) = self.compared(&place, &mut inspected, id, &mut check) {
            check.differences.push(why.clone());
            let (noted, told) = (check, why.clone());
            let recorded = State::record(&place, id, &[Phase::Check], |state| {
                state.check = Some(noted);
                state.failed = Some(told);
            });
            if let Err(error) = recorded {
                tracing::error!(error = with_sources(&error), "why the check failed could not be recorded");
            }
            return Err(failed(why));
        }
        check.ok = true;
        // From here on this version is the one: whoever drives finds out here, and nowhere else.
        State::advance(&place, id, &[Phase::Check], Phase::Commit, now_ms(), |state| state.check = Some(check))
            .map_err(|error| failed(format!("the upgrade was given up meanwhile: {}", with_sources(&error))))?;
        Ok(inspected.open()?)
    }

    /// On the way back to this older format: what was written since is carried in first.
    fn carried_back(&self, inspected: Inspected, id: UpgradeId) -> Result<Inspected, String> {
        let seal = Seal::read(&self.data_dir).map_err(|error| with_sources(&error))?;
        let seal = seal.filter(|seal| seal.id == id.to_string());
        let seal = seal.ok_or_else(|| "the version before left no seal for this rollback".to_owned())?;
        crate::way_back::carry(&self.data_dir, inspected, &seal, &self.place, self.runtime.clone())?;
        Journal::inspect(&self.data_dir, self.journal.clone()).map_err(|error| with_sources(&error))
    }

    fn compared(
        &self,
        place: &Place,
        inspected: &mut Inspected,
        id: UpgradeId,
        check: &mut Check,
    ) -> Result<(), String> {
        let seal = Seal::read(&self.data_dir).map_err(|error| with_sources(&error))?;
        let seal = seal.filter(|seal| seal.id == id.to_string());
        let seal = seal.ok_or_else(|| "the version before left no seal for this upgrade".to_owned())?;
        check.root_before = seal.root.to_string();
        check.documents_before = seal.documents_digest.to_string();
        check.format_before = seal.format;
        let counts = [
            ("sessions", seal.sessions),
            ("windows", seal.windows.len() as u64),
            ("drafts", seal.drafts.len() as u64),
            ("queue", seal.queue.len() as u64),
            ("open_items", seal.open_items.len() as u64),
        ];
        check.counts = counts.map(|(word, count)| (word.to_owned(), count)).into();
        if inspected.is_newer() {
            return Err(format!("the journal has a newer format than {} writes", self.journal.version));
        }
        if inspected.migrates().is_some() {
            same(&seal, inspected.facts(), check)?;
            let copied = inspected.copy_to(&self.data_dir.join(COPY));
            copied.map_err(|error| format!("the journal could not be copied: {}", with_sources(&error)))?;
            State::record(place, id, &[Phase::Check], |state| state.sealed_copy = true)
                .map_err(|error| with_sources(&error))?;
            inspected.migrate().map_err(|error| with_sources(&error))?;
        }
        same(&seal, inspected.facts(), check)
    }
}

fn same(seal: &Seal, facts: Option<&Facts>, check: &mut Check) -> Result<(), String> {
    let facts = facts.ok_or_else(|| "the journal cannot be read".to_owned())?;
    check.root_after = facts.root.to_string();
    check.documents_after = facts.documents.to_string();
    check.format_after = facts.format;
    if seal.root != facts.root || seal.sessions != facts.sessions {
        return Err("the sessions are not those that were sealed".to_owned());
    }
    if seal.documents_digest != facts.documents {
        return Err("windows, drafts or waiting prompts are not those that were sealed".to_owned());
    }
    Ok(())
}

/// Puts the journal back as it was sealed, for an upgrade that migrated it and did not go through. Does nothing to one
/// that was not migrated. Nobody may have the journal open; doing it again changes nothing.
pub fn put_back_sealed(data_dir: &Path) -> Result<(), OpenError> {
    let seal = Seal::read(data_dir)?.ok_or_else(|| OpenError::CheckFailed("there is no seal".to_owned()))?;
    let options = gander_journal::Options::default();
    gander_journal::sealed::put_back(data_dir, &data_dir.join(COPY), &options, |facts| seal.is(facts))?;
    Ok(())
}

/// A journal that lacks what was sealed went back in time, or lost a part: found whatever is in its own files.
pub(crate) fn lacks(journal: &Journal, seal: &Seal) -> Result<Vec<gander_model::SessionId>, gander_journal::ReadError> {
    journal.read(|reader| {
        if reader.root()? == seal.root {
            return Ok(Vec::new());
        }
        let mut lacking = Vec::new();
        for (session, seq, hash) in &seal.heads {
            if reader.hash_at(*session, *seq)? != Some(*hash) {
                lacking.push(*session);
            }
        }
        Ok(lacking)
    })
}

const BEHIND: &str = "journal_behind_seal";

/// Keeps that as a finding, or closes the one that was healed.
pub(crate) fn note(
    tx: &mut gander_journal::Tx<'_>,
    lacks: &[gander_model::SessionId],
    seal: &Seal,
) -> Result<(), gander_journal::WriteError> {
    let open = tx.reader()?.findings(500)?.into_iter().filter(|finding| finding.kind == BEHIND);
    let subject = serde_json::json!({ "seal": seal.id, "snapshot": seal.snapshot, "sessions": lacks });
    let detail = format!(
        "The journal lacks what was sealed at {} by gander {}: {} of {} sessions are missing or shorter. An older copy was \
         put in its place, or its end was lost.",
        seal.at,
        seal.version,
        lacks.len(),
        seal.sessions
    );
    for finding in open.filter(|finding| lacks.is_empty() || finding.detail != detail).collect::<Vec<_>>() {
        tx.finding_close(finding.id)?;
    }
    if lacks.is_empty() {
        return Ok(());
    }
    tracing::error!(detail, snapshot = seal.snapshot, "the journal went back in time");
    tx.finding_add(gander_journal::NewFinding {
        kind: BEHIND.to_owned(),
        severity: "error".to_owned(),
        session: None,
        subject: serde_json::value::to_raw_value(&subject)
            .map_err(|error| gander_journal::WriteError::Invalid(error.to_string()))?,
        detail,
        remedy: format!("Run `gander backup restore {} --windows`: it only adds what is missing.", seal.snapshot),
        raw: None,
    })?;
    Ok(())
}
