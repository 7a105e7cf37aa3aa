//! The commands, one file each: its arguments, what it asks of the instance, how it prints the answer.

mod agent;
mod agents;
mod backup;
mod completions;
mod doctor;
mod manual;
mod open;
mod send;
mod serve;
mod sessions;
mod start;
mod stop;
mod takeover;
mod transcript;
mod upgrade;
mod verify;
mod wait;
mod windows;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::data_dir;
use crate::desktop;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::launcher;
use crate::output::{Outcome, Output};

/// A home for AI-agent chats that cannot lose one.
///
/// Without a command: starts Gander, or finds the one that runs, and opens its windows (where `gander-desktop` is not installed, in a
/// browser). Where there is no display it prints an address that works once.
#[derive(Parser)]
#[command(
    name = "gander",
    version = gander_upgrade::VERSION,
    after_help = "Examples:
  gander                                   start, and open all windows
  gander send --new \"What is in here?\" --wait
  gander sessions list
  gander verify                            recompute every hash

Exit status: 0 done; 1 done, and there are findings; 2 not done."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command takes.
#[derive(Args)]
pub struct Global {
    /// Print one JSON document on standard output
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,

    /// The folder that holds the data [default: the platform's own]
    #[arg(
        long,
        global = true,
        help_heading = "Everywhere",
        value_name = "DIR",
        env = "GANDER_HOME",
        hide_env_values = true
    )]
    pub data_dir: Option<PathBuf>,

    /// Answer yes to every question
    #[arg(long, short = 'y', global = true, help_heading = "Everywhere")]
    pub yes: bool,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Stop(stop::Stop),
    Open(open::Open),
    Send(send::Send),
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    #[command(subcommand)]
    Windows(windows::Windows),
    Verify(verify::Verify),
    #[command(subcommand)]
    Backup(backup::Backup),
    #[command(subcommand)]
    Upgrade(upgrade::Upgrade),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Agents(agents::Agents),
    #[command(subcommand)]
    Agent(agent::Agent),
    Completions(completions::Completions),
    Manual(manual::Manual),
}

/// What a command works with.
pub struct Context<'a> {
    pub data_dir: PathBuf,
    pub yes: bool,
    pub output: &'a Output,
}

/// Runs one command line.
pub fn run(cli: Cli, output: &Output) -> Result<Outcome, Failure> {
    let Some(command) = cli.command else {
        let context = Context::new(&cli.global, output)?;
        if !cli.global.json {
            desktop::instead(&context.data_dir, None);
        }
        return in_runtime(async {
            context.right_version(true).await?;
            start::run(&context).await
        });
    };
    match command {
        // These need no data folder.
        Command::Agent(command) => in_runtime(command.run()),
        Command::Completions(command) => command.run(output),
        Command::Manual(command) => command.run(output),
        command => {
            let context = Context::new(&cli.global, output)?;
            if let Command::Open(open) = &command
                && !open.browser
                && !cli.global.json
            {
                desktop::instead(&context.data_dir, open.what.as_deref());
            }
            in_runtime(async {
                match &command {
                    // A new version is started by who drives an upgrade, to check.
                    Command::Serve(serve) if serve.upgrade.is_some() => {}
                    Command::Upgrade(upgrade) if upgrade.is_about_itself() => {}
                    // It ends by itself what was cut off, or only looks.
                    Command::Upgrade(_) => context.right_version(false).await?,
                    _ => context.right_version(true).await?,
                }
                match command {
                    Command::Serve(command) => command.run(&context).await,
                    Command::Stop(command) => command.run(&context).await,
                    Command::Open(command) => command.run(&context).await,
                    Command::Send(command) => command.run(&context).await,
                    Command::Sessions(command) => command.run(&context).await,
                    Command::Windows(command) => command.run(&context).await,
                    Command::Verify(command) => command.run(&context).await,
                    Command::Backup(command) => command.run(&context).await,
                    Command::Upgrade(command) => command.run(&context).await,
                    Command::Doctor(command) => command.run(&context).await,
                    Command::Agents(command) => command.run(&context).await,
                    Command::Agent(_) | Command::Completions(_) | Command::Manual(_) => Ok(Outcome::Done),
                }
            })
        }
    }
}

fn in_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new("Gander could not start its threads.", "Free some memory and try again.").because(&error)
    })?;
    runtime.block_on(work)
}

impl<'a> Context<'a> {
    fn new(global: &Global, output: &'a Output) -> Result<Self, Failure> {
        Ok(Self { data_dir: data_dir::choose(global.data_dir.as_deref())?, yes: global.yes, output })
    }

    /// Ends an upgrade that was cut off, and sees to it that the version runs that serves this data folder.
    async fn right_version(&self, settles: bool) -> Result<(), Failure> {
        if settles {
            launcher::settle(&self.data_dir, self.output).await?;
        }
        launcher::launch(&self.data_dir, self.output)
    }

    /// Runs `work` against the running instance, or serves for as long as it takes.
    pub async fn with_instance<T>(
        &self,
        work: impl AsyncFnOnce(&Instance) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let instance = Instance::find_or_serve(&self.data_dir).await?;
        let result = work(&instance).await;
        instance.release().await;
        result
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory, Parser};

    use super::Cli;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        fn check(command: &Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} says nothing of itself");
            let examples = command.get_after_help().is_some_and(|help| help.to_string().starts_with("Examples:\n"));
            assert!(examples || path.ends_with("agent scratch"), "{path} shows no example");
            command.get_subcommands().for_each(|inner| check(inner, &path));
        }
        check(&Cli::command(), "");
    }

    #[test]
    fn slips_are_refused_and_not_guessed_at() {
        for wrong in [
            "gander sessions",
            "gander sessions purge",
            "gander sessions list --limit 0",
            "gander sessions list --limit 501",
            "gander sessions show",
            "gander send",
            "gander send a b c",
            "gander send --cwd /tmp a b",
            "gander serve --port 70000",
            "gander agents add x",
            "gander agents add x --env NOVALUE -- cmd",
            "gander completions tcsh",
            "gander frobnicate",
        ] {
            assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }

    #[test]
    fn global_arguments_stand_anywhere() {
        for right in
            ["gander --json sessions list", "gander sessions list --json", "gander sessions --json list --status all"]
        {
            let cli = Cli::try_parse_from(right.split(' ')).unwrap_or_else(|error| panic!("{right}: {error}"));
            assert!(cli.global.json, "{right}");
        }
    }
}
