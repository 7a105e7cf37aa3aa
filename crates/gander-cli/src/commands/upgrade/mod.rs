//! `gander upgrade`: to another version of Gander itself, and back.

mod apply;
mod describe;
mod rollback;
mod status;

use std::io::ErrorKind;

use clap::Subcommand;
use gander_upgrade::driver::UpgradeError;
use gander_upgrade::package::PackageError;
use gander_upgrade::{StateError, UpgradeId};
use serde_json::Value;

use super::Context;
use crate::failure::Failure;
use crate::launcher::now_ms;
use crate::output::Outcome;

/// Upgrade Gander itself, see how that went, and go back
///
/// Before another version writes anything, there is a backup that was read back; afterwards every session, window and draft is
/// compared with what the old version left. If anything differs, the old version runs again by itself.
#[derive(Subcommand)]
#[command(after_help = "Examples:
  gander upgrade apply gander-0.2.0-x86_64-unknown-linux-gnu.gander
  gander upgrade apply https://example.org/gander-0.2.0-x86_64-unknown-linux-gnu.gander
  gander upgrade status
  gander upgrade rollback")]
pub enum Upgrade {
    Apply(apply::Apply),
    Status(status::Status),
    Rollback(rollback::Rollback),
    Describe(describe::Describe),
}

impl Upgrade {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        match self {
            Self::Apply(command) => command.run(context).await,
            Self::Status(command) => command.run(context).await,
            Self::Rollback(command) => command.run(context).await,
            Self::Describe(command) => command.run(context),
        }
    }

    /// Whether it is about this very program, whatever serves the data folder.
    pub fn is_about_itself(&self) -> bool {
        match self {
            Self::Describe(_) => true,
            Self::Apply(apply) => apply.installed,
            Self::Status(_) | Self::Rollback(_) => false,
        }
    }
}

fn new_id() -> UpgradeId {
    let random = uuid::Uuid::now_v7();
    let mut ten = [0; 10];
    ten.copy_from_slice(&random.as_bytes()[6..]);
    UpgradeId::from_parts(now_ms(), &ten)
}

/// What is told when an upgrade did not go through.
fn failed(error: &UpgradeError) -> Failure {
    let nothing = "Nothing was changed; the version that served goes on.";
    match error {
        UpgradeError::RolledBack(state) => Failure::new(
            format!("The upgrade to gander {} was rolled back.", state.to.version),
            "See to the cause and try again; `gander upgrade status` says more.",
        )
        .why(state.failed.clone().unwrap_or_default())
        .why(format!("Everything is as before: gander {} serves", state.from.version)),
        UpgradeError::Abandoned(state) => Failure::new(
            format!("The upgrade to gander {} was given up.", state.to.version),
            "See to the cause and try again; `gander upgrade status` says more.",
        )
        .why(state.failed.clone().unwrap_or_default())
        .why(nothing),
        UpgradeError::Driven(_) | UpgradeError::State(StateError::UnderWay(_)) => {
            Failure::new("No upgrade was begun.", "See `gander upgrade status`, and wait for its end.").because(error)
        }
        UpgradeError::Package(_) | UpgradeError::Fetch(_) => Failure::new(
            "The package is not taken.",
            match error {
                UpgradeError::Package(PackageError::NoRoom { .. }) => "Make room there, and try again.",
                UpgradeError::Package(PackageError::Io { source, .. })
                    if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
                {
                    "Make room there, and try again."
                }
                UpgradeError::Package(PackageError::Older { .. }) => {
                    "To go back to an older version all the same: --downgrade."
                }
                UpgradeError::Package(PackageError::Format { .. }) => {
                    "The version before the last upgrade comes back with `gander upgrade rollback`, which carries the journal back too."
                }
                _ => "Get it again from where releases are published.",
            },
        )
        .because(error)
        .why(nothing),
        UpgradeError::Installed(_) => {
            Failure::new("This program does not take over.", "The version that serves goes on.").because(error)
        }
        UpgradeError::NobodyServes => Failure::new(
            "There is nobody to take over from.",
            "Start Gander: it backs up and verifies before it writes, and needs no upgrade.",
        )
        .because(error),
        UpgradeError::NoWayBack(_) => {
            Failure::new("There is no way back.", "Restore what you need with `gander backup restore`.").because(error)
        }
        UpgradeError::Stuck(_) | UpgradeError::Rollback(_) => Failure::new(
            "The upgrade has not ended.",
            "See to the cause and start Gander again: it goes on from there. Every session is in the journal and in the snapshot.",
        )
        .because(error),
        _ => Failure::new("The upgrade was not done.", "See `gander upgrade status`.").because(error),
    }
}

/// What went where, for people.
fn told(document: &Value) -> String {
    let upgrade = if document["current"].is_null() { &document["last"] } else { &document["current"] };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("Gander {} ({})", text(&document["version"]), text(&document["target"]))];
    lines.extend(told_installed(&document["installed"]));
    if upgrade.is_null() {
        lines.push("There was no upgrade of this data folder.".to_owned());
        return lines.join("\n") + "\n";
    }
    let how = match upgrade["result"].as_str() {
        Some("committed") => "went through".to_owned(),
        Some("rolled_back") => "was rolled back".to_owned(),
        Some("abandoned") => "was given up before anything changed".to_owned(),
        _ => format!("is under way, in its phase \u{201c}{}\u{201d}", text(&upgrade["phase"])),
    };
    let what = if upgrade["rollback"] == true { "rollback" } else { "upgrade" };
    lines.push(format!("The {what} from {} to {} {how}.", text(&upgrade["from"]), text(&upgrade["to"])));
    if let Some(ended) = upgrade["ended_at"].as_str() {
        lines.push(format!("  ended     {ended}"));
    }
    if let Some(what) = upgrade["error"]["what"].as_str() {
        lines.push(format!("  why       {what} {}", text(&upgrade["error"]["safe"])));
    }
    let checks = &upgrade["checks"];
    if !checks.is_null() {
        let count = |name: &str| checks[name]["after"].as_u64().unwrap_or_default();
        let same = if checks["ok"] == true { "the same before and after" } else { "NOT the same" };
        lines.push(format!(
            "  checked   {} sessions, {} windows, {} drafts: {same}",
            count("sessions"),
            count("windows"),
            count("drafts")
        ));
        lines.push(format!("  root      {}", text(&checks["root"]["after"])));
    }
    if let Some(snapshot) = upgrade["backup"]["snapshot"].as_str() {
        lines.push(format!("  backup    {snapshot} in {}", text(&upgrade["backup"]["place"])));
    }
    if let Some(folder) = upgrade["exports"]["folder"].as_str() {
        lines.push(format!("  readable  {folder}"));
    }
    for warning in upgrade["warnings"].as_array().into_iter().flatten() {
        lines.push(format!("  note      {}", text(warning)));
    }
    if document["can_roll_back"] == true {
        lines.push("To go back: gander upgrade rollback".to_owned());
    }
    lines.join("\n") + "\n"
}

/// Another version in the installed program's place.
fn told_installed(installed: &Value) -> Option<String> {
    let what = match installed["state"].as_str()? {
        "waits" => "and takes over when running answers have ended".to_owned(),
        "taking_over" => "and takes over now".to_owned(),
        "unfit" => format!("and does not take over: {}", installed["why"].as_str().unwrap_or_default()),
        _ => "and takes over at the next start, or now with `gander upgrade apply --installed`".to_owned(),
    };
    Some(format!("Gander {} is installed {what}.", installed["version"].as_str().unwrap_or_default()))
}

/// What `apply` and `rollback` end with: the same, said by the version that serves now.
fn done(context: &Context<'_>) -> Result<Value, Failure> {
    let mut document = document(context)?;
    document["version"] = document["last"]["to"].clone();
    Ok(document)
}

/// The document of `upgrade status`.
fn document(context: &Context<'_>) -> Result<Value, Failure> {
    let unreadable = |error: &dyn std::error::Error| {
        Failure::new("How the last upgrade went cannot be read.", "Look at the folder `upgrade`.").because(error)
    };
    let status = gander_api::upgrade_status(&context.data_dir).map_err(|error| unreadable(&error))?;
    serde_json::to_value(status).map_err(|error| unreadable(&error))
}
