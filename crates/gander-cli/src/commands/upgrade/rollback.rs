use std::time::Duration;

use clap::Args;
use gander_upgrade::driver::{self, Progress};
use gander_upgrade::host::Host;

use super::super::Context;
use super::apply::say;
use super::{done, failed, new_id, told};
use crate::failure::Failure;
use crate::launcher;
use crate::output::Outcome;
use crate::upgrade_host::HttpHost;

/// Go back to the version before the last upgrade
///
/// The same walk as an upgrade, the other way: backup, handover, seal, check. What was written since stays, also where the upgrade
/// had migrated the journal: then it is carried back and compared. If that cannot be done, nothing is changed.
#[derive(Args)]
#[command(after_help = "Examples:
  gander upgrade rollback
  GANDER_NO_LAUNCH=1 gander upgrade rollback     when the new version does not even start")]
pub struct Rollback {
    /// How long running turns may go on
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    deadline: u64,

    /// Interrupt running turns at once, to be continued later
    #[arg(long)]
    interrupt: bool,
}

impl Rollback {
    pub async fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let mut order = launcher::order(&context.data_dir, new_id());
        order.deadline = Duration::from_secs(self.deadline);
        order.interrupt = self.interrupt;
        let mut host = HttpHost::new(&context.data_dir);
        let mut tell = |progress: Progress| say(context, &progress);
        let back = driver::back(&order, &mut host, &mut tell).await;
        host.let_go().await;
        back.map_err(|error| failed(&error))?;
        let document = done(context)?;
        context.output.result(&document, || told(&document));
        Ok(Outcome::Done)
    }
}
