//! The binary `gander-desktop`: all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    gander_desktop::main()
}
