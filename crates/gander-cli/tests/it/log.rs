//! The log in the data folder: there for a maintainer, and nothing in it that is nobody else's business.

use std::os::unix::fs::PermissionsExt;

use gander_testing::gander::Gander;
use gander_testing::home::TempHome;

use super::{done, gander, json, new_session};

/// A turn that does not end well.
fn refused_turn(gander: &Gander<'_>, session: &str, prompt: &str) {
    let output = gander.run(&["send", session, "--wait", "--yes", prompt]).unwrap();
    assert_eq!(output.status.code(), Some(2), "{prompt}");
}

#[test]
fn the_log_says_what_went_on_and_nothing_that_was_said() {
    let home = TempHome::new().unwrap();
    // Whatever is wanted on standard error.
    let gander = gander(&home).env("GANDER_LOG", "trace");
    let mut serving = gander.serve(&[]).unwrap();
    let token = serving.runtime()["token"].as_str().unwrap().to_owned();
    let session = new_session(&gander, "/echo PLAINTEXT-OF-A-PROMPT");
    for prompt in ["/title PLAINTEXT-OF-A-TITLE\n/error -32000 PLAINTEXT-OF-AN-ERROR", "/garbage 2\n/crash"] {
        refused_turn(&gander, &session, prompt);
    }
    done(&gander, &["send", &session, "--wait", "--yes", "/echo PLAINTEXT-AFTER-A-CRASH"]);
    let url = json(&gander, &["open", &session])["url"].as_str().unwrap().to_owned();
    let code = url.split_once("code=").unwrap().1.split('&').next().unwrap().to_owned();
    serving.kill().unwrap();
    let again = gander.serve(&[]).unwrap();

    let doctor = json(&gander, &["doctor"]);
    let path = std::path::PathBuf::from(doctor["log"].as_str().unwrap());
    assert_eq!(path, home.gander_home().join("logs/gander.log"));
    assert!(done(&gander, &["doctor"]).contains(path.to_str().unwrap()));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let log = std::fs::read_to_string(&path).unwrap();
    assert_eq!(log.matches("serving").count(), 2, "both launches: {log}");
    assert!(log.contains("the agent is gone") && log.contains(&session), "{log}");
    assert!(log.contains(&format!("pid={}", again.pid())), "{log}");
    let second = again.runtime()["token"].as_str().unwrap();
    for secret in [&token, second, &code, "PLAINTEXT"] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}
