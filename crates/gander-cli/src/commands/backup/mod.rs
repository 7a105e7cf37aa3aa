//! `gander backup`: one file per thing that can be done with snapshots.

mod create;
mod drill;
mod list;
mod prune;
mod restore;
mod verify;

use clap::Subcommand;

use super::Context;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::Outcome;

/// Make, check and restore snapshots of everything
///
/// Snapshots lie in the vault: the folder `vault` in the data folder, or where `[backup]` in config.toml says. They also come by
/// themselves, at quit and every quarter of an hour while there are changes.
#[derive(Subcommand)]
#[command(after_help = "Examples:
  gander backup create
  gander backup list
  gander backup verify
  gander backup drill
  gander backup restore latest --dry-run
  gander backup prune --last 10 --daily 14")]
pub enum Backup {
    Create(create::Create),
    List(list::List),
    Verify(verify::Verify),
    Drill(drill::Drill),
    Restore(restore::Restore),
    Prune(prune::Prune),
}

impl Backup {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Verify(command) => command.run(context).await,
            Self::Drill(command) => command.run(context).await,
            Self::Restore(command) => command.run(context).await,
            Self::Prune(command) => command.run(context).await,
        }
    }
}

/// A snapshot's id from what a person typed: the id, or `latest` for the newest of this journal.
async fn resolve(client: &Client, named: &str) -> Result<String, Failure> {
    if named != "latest" {
        return Ok(named.to_owned());
    }
    let listed = client.get("backups").await?;
    let own = listed["backups"].as_array().into_iter().flatten().find(|backup| backup["own"] == true);
    own.and_then(|backup| backup["id"].as_str()).map(str::to_owned).ok_or_else(|| {
        Failure::new("There is no snapshot of this journal yet.", "Make one with `gander backup create`.")
    })
}
