//! The project's own chores, in Rust so that they run the same everywhere. It knows nothing of what Gander does.
#![allow(clippy::print_stdout, reason = "a developer's tool talks on standard output")]

#[cfg(feature = "bench")]
mod bench;
mod deb;
mod icons;
mod licences;
#[cfg(feature = "package")]
mod package;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- COMMAND

  tidy        formatting, clippy, crate edges, licences, unused dependencies, words and sizes
  tidy quick  the same without clippy
  icons       make the icons for macOS and Windows from packaging/icons
  licences    write the licences of what is built in, in full
  deb         put programs into a Debian package
  package     put a program into a signed package (built with --features package)
  bench       speed and memory beside the machine's floors (built with --features bench); seed, journal, server, vault or upgrade: only that part";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        #[cfg(feature = "bench")]
        ["bench", parts @ ..] => bench::run(parts),
        #[cfg(feature = "package")]
        ["package", rest @ ..] => made(package::run(rest)),
        ["icons", rest @ ..] => made(icons::run(rest)),
        ["licences", rest @ ..] => made(licences::run(rest)),
        ["deb", rest @ ..] => made(deb::run(rest)),
        ["tidy"] => tidy::run(true),
        ["tidy", "quick"] => tidy::run(false),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Says where what was made lies.
fn made(package: Result<std::path::PathBuf, String>) -> ExitCode {
    match package {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}
