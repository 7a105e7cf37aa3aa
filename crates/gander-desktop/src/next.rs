//! The binary `gander-desktop-next`: the same, built with the feature `next`, for tests of an upgrade.

use std::process::ExitCode;

fn main() -> ExitCode {
    gander_desktop::main()
}
