use clap::Subcommand;

use crate::failure::Failure;
use crate::output::Outcome;

/// Be a built-in agent, speaking ACP on standard input and output
#[derive(Subcommand)]
#[command(after_help = "Examples:
  gander agent scratch         for any ACP client; Gander itself starts it like this")]
pub enum Agent {
    /// The offline agent: no model, no key, no network
    ///
    /// Lists, reads, searches, edits and runs commands in the session's folder, through the ordinary permission and tool-call
    /// path. Send it `/help` to see what it takes.
    Scratch,
}

impl Agent {
    pub async fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::Scratch => gander_acp::builtin::scratch::run()
                .await
                .map(|()| Outcome::Done)
                .map_err(|error| Failure::new("The agent ended.", "Start it from an ACP client.").because(&error)),
        }
    }
}
