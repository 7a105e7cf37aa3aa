//! How the last change of versions went, for people and pages. The upgrade itself is driven from outside
//! (`gander upgrade apply`): who is to be replaced does not replace itself.

use std::path::Path;

use gander_upgrade::state::Check;
use gander_upgrade::{Phase, Place, State, StateError, driver, launch, versions};

use serde::Deserialize;
use serde_json::Value;

use crate::dto::{self, rfc3339};
use crate::error::ApiError;
use crate::gander::{Gander, blocking};

/// The setting that says whose result a person has seen.
const SEEN: &str = "upgrade_seen";

/// Which version serves a data folder, and how its last upgrade went. Needs no journal.
pub fn upgrade_status(data_dir: &Path) -> Result<dto::UpgradeStatus, StateError> {
    let place = Place::new(data_dir);
    let state = State::read(&place)?;
    let way_back = driver::way_back(&place);
    let kept = versions::kept(&place).unwrap_or_default();
    let told = state.as_ref().map(upgrade);
    let (current, last) = match &state {
        Some(state) if !state.phase.is_final() => (told, None),
        _ => (None, told),
    };
    Ok(dto::UpgradeStatus {
        version: gander_model::VERSION.to_owned(),
        target: gander_upgrade::TARGET.to_owned(),
        current,
        last,
        can_roll_back: way_back.is_ok(),
        rollback_why: way_back.err().map(|error| driver::with_sources(&error)),
        versions: kept.iter().map(ToString::to_string).collect(),
        installed: None,
    })
}

/// The public keys in `upgrade.keys` of a data folder's config.toml: whose packages are taken beside the releases'.
pub fn upgrade_keys(data_dir: &Path) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct File {
        upgrade: Table,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Table {
        keys: Vec<String>,
    }
    match std::fs::read_to_string(data_dir.join("config.toml")) {
        Ok(text) => Ok(toml::from_str::<File>(&text)?.upgrade.keys),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn upgrade(state: &State) -> dto::Upgrade {
    let at = |phase: Phase| state.steps.iter().rev().find(|step| step.phase == phase).map(|step| step.at_ms);
    let ended = state.steps.last().filter(|_| state.phase.is_final()).map(|step| step.at_ms);
    let result = match state.phase {
        Phase::Commit => Some("committed"),
        Phase::RolledBack => Some("rolled_back"),
        Phase::Abandoned => Some("abandoned"),
        _ => None,
    };
    let kind = serde_json::to_value(state.kind).ok().and_then(|kind| Some(kind.as_str()?.to_owned()));
    let frozen_ms = at(Phase::Seal).zip(at(Phase::Commit)).map(|(seal, commit)| commit - seal);
    dto::Upgrade {
        id: state.id.to_string(),
        kind: kind.unwrap_or_default(),
        from: state.from.version.to_string(),
        to: state.to.version.to_string(),
        phase: state.phase.word().to_owned(),
        steps: state
            .steps
            .iter()
            .map(|step| dto::UpgradeStep { phase: step.phase.word().to_owned(), at: rfc3339(step.at_ms) })
            .collect(),
        started_at: state.steps.first().map(|step| rfc3339(step.at_ms)).unwrap_or_default(),
        ended_at: ended.map(rfc3339),
        result: result.map(str::to_owned),
        error: problem(state),
        checks: state.check.as_ref().map(|check| checks(check, state.seal.as_ref())),
        backup: state.backup.as_ref().map(|backup| dto::UpgradeBackup {
            snapshot: backup.snapshot.clone(),
            place: backup.place.clone(),
            verified: backup.drilled,
            sessions: backup.sessions,
            entries: backup.entries,
        }),
        exports: state.exports.as_ref().map(|folder| dto::UpgradeExports { folder: folder.display().to_string() }),
        seal: state.seal.clone(),
        migrated: state.phase == Phase::Commit && state.from.format != state.to.format,
        frozen_ms,
        warnings: state.warnings.clone(),
        rollback: state.kind == gander_upgrade::state::Kind::Rollback,
        seen: false,
    }
}

fn problem(state: &State) -> Option<dto::UpgradeProblem> {
    let failed = state.failed.clone()?;
    let safe = match state.phase {
        Phase::Abandoned => format!("Nothing was changed: gander {} serves as before.", state.from.version),
        Phase::RolledBack => format!("Pointer and journal are as before: gander {} serves.", state.from.version),
        _ => "Every session is in the journal and in the snapshot.".to_owned(),
    };
    let todo = "See to the cause, then run `gander upgrade apply` again.".to_owned();
    Some(dto::UpgradeProblem { what: format!("{failed}."), safe, todo })
}

fn checks(check: &Check, seal: Option<&Value>) -> dto::UpgradeChecks {
    let counted = |name: &str| {
        let after = *check.counts.get(name)?;
        let before = seal.and_then(|seal| seal[name].as_u64()).unwrap_or(after);
        Some(dto::BeforeAfter { before, after })
    };
    dto::UpgradeChecks {
        ok: check.ok,
        sessions: counted("sessions"),
        windows: counted("windows"),
        drafts: counted("drafts"),
        queue: counted("queue"),
        open_items: counted("open_items"),
        root: dto::HashBeforeAfter { before: check.root_before.clone(), after: check.root_after.clone() },
        documents: dto::HashBeforeAfter {
            before: check.documents_before.clone(),
            after: check.documents_after.clone(),
        },
        differences: check.differences.clone(),
    }
}

impl Gander {
    /// Which version serves, and how the last upgrade went.
    pub async fn upgrade(&self) -> Result<dto::UpgradeStatus, ApiError> {
        let data_dir = self.ctx.data_dir.clone();
        let status = blocking(move || upgrade_status(&data_dir)).await;
        let mut status = status.map_err(|error| ApiError::internal(driver::with_sources(&error)))?;
        status.installed = self.ctx.installed_now();
        if let Some(last) = &mut status.last {
            let seen = self.ctx.read(|reader| reader.setting(SEEN)).await?;
            last.seen = seen.as_deref() == Some(last.id.as_str());
        }
        Ok(status)
    }

    /// The native windows that belong to this version: those that are open become them.
    pub async fn upgrade_windows(&self) -> dto::NativeWindows {
        let data_dir = self.ctx.data_dir.clone();
        // Whole programs are compared with their manifests.
        let program = blocking(move || {
            let file = std::env::current_exe().ok()?;
            launch::desktop(&Place::new(data_dir), &driver::this_version(), &file)
        });
        let program = program.await.map(|program| program.display().to_string());
        dto::NativeWindows { version: gander_model::VERSION.to_owned(), program }
    }

    /// A person has seen the result of an upgrade: no window shows it by itself again.
    pub async fn upgrade_seen(&self, body: dto::UpgradeSeen) -> Result<(), ApiError> {
        let id: gander_upgrade::UpgradeId =
            body.id.parse().map_err(|error: gander_model::ids::IdError| ApiError::bad(error.to_string()))?;
        let id = id.to_string();
        Ok(self.ctx.write(move |tx| tx.set(SEEN, Some(&id))).await?)
    }
}
