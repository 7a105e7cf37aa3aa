//! What the program says where no window can be shown. (Windows themselves are tested in e2e/, on a screen.)
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod bundle;

use std::process::{Command, Output};

fn desktop(home: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gander-desktop"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("GANDER_HOME", home.join("data"))
        .output()
        .expect("the built program runs")
}

#[test]
fn without_a_display_it_says_what_to_do_and_starts_nothing() {
    let home = tempfile::tempdir().unwrap();
    let output = desktop(home.path(), &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no display") && said.contains("gander serve"), "{said}");
    assert!(!home.path().join("data/runtime.json").exists());
}

#[test]
fn help_and_version_need_no_display_and_what_is_not_known_is_said() {
    let home = tempfile::tempdir().unwrap();
    let help = desktop(home.path(), &["--help"]);
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("gander://session/ID"));
    let version = String::from_utf8(desktop(home.path(), &["--version"]).stdout).unwrap();
    assert_eq!(version, format!("gander-desktop {}\n", env!("CARGO_PKG_VERSION")));
    let unknown = desktop(home.path(), &["--unknown"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("--unknown is not known"));
    assert!(!home.path().join("data").exists(), "nothing was made");
}
