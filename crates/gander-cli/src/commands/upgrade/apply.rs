use std::path::Path;
use std::time::Duration;

use clap::Args;
use gander_upgrade::driver::{self, Progress};
use gander_upgrade::host::Host;
use gander_upgrade::keys::Keys;

use super::super::Context;
use super::{done, failed, new_id, told};
use crate::failure::Failure;
use crate::launcher;
use crate::output::Outcome;
use crate::upgrade_host::HttpHost;

/// Upgrade to the version in a package
///
/// The package is a file or an https address; its signature lies beside it (the same name with `.minisig`). Running turns may end
/// until the deadline, then they are interrupted and offer Continue. Works while Gander runs and while it does not.
///
/// With --installed there is no package: this program, which a package manager put here, takes over from an older version that
/// runs. A Gander that runs does that by itself when its windows are quiet.
#[derive(Args)]
#[command(after_help = "Examples:
  gander upgrade apply gander-0.2.0-x86_64-unknown-linux-gnu.gander
  gander upgrade apply PACKAGE --deadline 600
  gander upgrade apply --installed
  GANDER_UPGRADE_KEY=my.pub gander upgrade apply PACKAGE

Exit status 2 when it was not done: then the version that served before serves.")]
pub struct Apply {
    /// The package: a file or an https address
    #[arg(value_name = "FILE|URL", required_unless_present = "installed")]
    package: Option<String>,

    /// Take over with this program itself
    #[arg(long, conflicts_with_all = ["package", "downgrade"])]
    pub installed: bool,

    /// How long running turns may go on
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    deadline: u64,

    /// Interrupt running turns at once, to be continued later
    #[arg(long)]
    interrupt: bool,

    /// Take an older version
    #[arg(long)]
    downgrade: bool,
}

impl Apply {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let mut order = launcher::order(&context.data_dir, new_id());
        order.deadline = Duration::from_secs(self.deadline);
        order.interrupt = self.interrupt;
        order.downgrade = self.downgrade;
        let mut host = HttpHost::new(&context.data_dir);
        let mut tell = |progress: Progress| say(context, &progress);
        let applied = match self.package {
            Some(package) => {
                let keys = keys(&context.data_dir)?;
                driver::apply(&order, &package, &keys, &mut host, &mut tell).await
            }
            None => {
                let program = std::env::current_exe().map_err(|error| {
                    Failure::new("This program does not find itself.", "Call it by its whole path.").because(&error)
                })?;
                driver::adopt(&order, &program, &mut host, &mut tell).await
            }
        };
        host.let_go().await;
        applied.map_err(|error| failed(&error))?;
        let document = done(context)?;
        context.output.result(&document, || told(&document));
        Ok(Outcome::Done)
    }
}

/// Progress goes to standard error, for programs too.
pub fn say(context: &Context<'_>, progress: &Progress) {
    let phase = progress.phase.map_or("package", gander_upgrade::Phase::word);
    if context.output.is_json() {
        eprintln!("{}", serde_json::json!({"phase": phase, "text": progress.text}));
    } else {
        context.output.note(&format!("{phase:>8}  {}", progress.text));
    }
}

/// The key of the releases, and those that the user added.
fn keys(data_dir: &Path) -> Result<Keys, Failure> {
    let mut keys = Keys::built_in();
    let wrong = |error: &dyn std::error::Error| {
        Failure::new("A key for packages cannot be used.", "Name a minisign public key, or its file.").because(error)
    };
    for key in gander_api::upgrade_keys(data_dir).map_err(|error| wrong(&*error))? {
        keys.add(&key).map_err(|error| wrong(&error))?;
    }
    if let Some(path) = std::env::var_os("GANDER_UPGRADE_KEY") {
        keys.add_file(Path::new(&path)).map_err(|error| wrong(&error))?;
    }
    Ok(keys)
}
