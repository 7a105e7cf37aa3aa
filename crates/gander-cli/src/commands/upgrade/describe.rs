use clap::Args;
use gander_upgrade::TARGET;
use gander_upgrade::driver::this_version;
use gander_upgrade::versions::Description;

use super::super::Context;
use crate::failure::Failure;
use crate::output::Outcome;

/// The lowest format of a journal that this version reads.
const READS_FORMAT: u32 = 1;

/// Say what this program is: what its package's manifest says of it
#[derive(Args)]
#[command(
    hide = true,
    after_help = "Examples:
  gander upgrade describe --json"
)]
pub struct Describe {}

impl Describe {
    pub fn run(self, context: &Context<'_>) -> Result<Outcome, Failure> {
        let this = Description {
            version: this_version(),
            target: TARGET.to_owned(),
            reads_format: READS_FORMAT,
            writes_format: gander_api::FORMAT,
        };
        let document = serde_json::to_value(&this)
            .map_err(|error| Failure::new("This program cannot say what it is.", "").because(&error))?;
        context.output.result(&document, || {
            format!("gander {} for {}, journal format {}\n", this.version, this.target, this.writes_format)
        });
        Ok(Outcome::Done)
    }
}
