//! The `gander` binary: reads arguments, asks the running instance over HTTP (or serves itself for one command), prints.
//! It refuses to know the journal and its formats: whatever it can do, a program can do over the same HTTP.
//!
//! Exit status: 0 done; 1 done, and there are findings; 2 not done.
#![allow(clippy::print_stdout, reason = "printing is what a command line is for")]

mod ask;
mod browser;
mod client;
mod commands;
mod data_dir;
mod desktop;
mod failure;
mod instance;
mod launcher;
mod output;
mod style;
mod table;
mod times;
mod upgrade_host;
mod view;

use std::process::ExitCode;

use clap::Parser;

use commands::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = output::Output::new(cli.global.json);
    match commands::run(cli, &output) {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.status)
        }
    }
}
