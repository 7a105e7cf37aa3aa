use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::failure::Failure;
use crate::output::{Outcome, Output};

/// Print completions for a shell
#[derive(Args)]
#[command(after_help = "Examples:
  gander completions bash > ~/.local/share/bash-completion/completions/gander
  gander completions zsh > ~/.zfunc/_gander
  gander completions fish > ~/.config/fish/completions/gander.fish")]
pub struct Completions {
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn run(self, output: &Output) -> Result<Outcome, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "gander", &mut script);
        output.print(&String::from_utf8_lossy(&script));
        Ok(Outcome::Done)
    }
}
