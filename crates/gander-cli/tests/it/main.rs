//! The built binary as people and programs use it: arguments in; output, files and exit status out.
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod alone;
mod backup;
mod bad_input;
mod bucket;
mod handover;
mod installed;
mod log;
mod read_only;
mod running;
mod storm;
mod upgrade;

use std::process::Output;

use gander_testing::gander::Gander;
use gander_testing::home::TempHome;
use serde_json::Value;

/// The binary in a home of its own.
fn gander(home: &TempHome) -> Gander<'_> {
    let folder = home.path().join("scratch");
    Gander::new(env!("CARGO_BIN_EXE_gander"), home)
        .env("GANDER_SCRATCH_HOME", folder.to_str().unwrap())
        .env("GANDER_SCRATCH_PACE_MS", "0")
}

/// A command that must be done; its output as text.
fn done(gander: &Gander<'_>, arguments: &[&str]) -> String {
    let output = gander.run(arguments).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}{}", out(&output), err(&output));
    out(&output)
}

/// A command that must be done; its one JSON document.
fn json(gander: &Gander<'_>, arguments: &[&str]) -> Value {
    let text = done(gander, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

/// A command that must not be done: exit status 2, nothing on standard output; what it said.
fn refused(gander: &Gander<'_>, arguments: &[&str]) -> String {
    let output = gander.run(arguments).unwrap();
    assert_eq!((output.status.code(), out(&output).as_str()), (Some(2), ""), "{arguments:?}: {}", err(&output));
    err(&output)
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Sends a prompt to a new session and waits for its end; the session's id.
fn new_session(gander: &Gander<'_>, text: &str) -> String {
    json(gander, &["send", "--new", "--wait", "--yes", text])["session_id"].as_str().unwrap().to_owned()
}
