//! A data folder that cannot be written, for real: a read-only mount.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use gander_testing::client::Client;
use gander_testing::gander::Gander;
use gander_testing::home::TempHome;
use serde_json::{Value, json};

use super::{done, gander, json, new_session};

/// Whether this process may mount in a namespace of its own. Root may (as in CI); others are told what is not proved.
fn may_mount() -> bool {
    let tried = std::process::Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    let may = tried.is_ok_and(|status| status.success());
    if !may {
        eprintln!("not root, or no unshare here: reading from a read-only mount is not tried");
    }
    may
}

/// `gander serve` with its data folder mounted read-only, in a namespace of its own.
fn serve_read_only(gander: &Gander<'_>, home: &Path) -> (std::process::Child, Value) {
    let script = r#"mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" serve"#;
    let mut command = gander.command(&[]);
    let program = command.get_program().to_owned();
    let environment: Vec<_> =
        command.get_envs().map(|(key, value)| (key.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = std::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(home).arg(program);
    for (key, value) in environment {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    let stderr = std::fs::File::create(home.with_extension("stderr")).unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let first = serde_json::from_str(&line).unwrap_or_else(|error| {
        panic!("{error}: {line:?}: {}", std::fs::read_to_string(home.with_extension("stderr")).unwrap());
    });
    (child, first)
}

#[test]
fn a_read_only_data_folder_is_served_for_reading() {
    if !may_mount() {
        return;
    }
    let home = TempHome::new().unwrap();
    let runtime_dir = home.path().join("run");
    std::fs::DirBuilder::new().mode(0o700).create(&runtime_dir).unwrap();
    let gander = gander(&home).env("XDG_RUNTIME_DIR", runtime_dir.to_str().unwrap());
    let session = new_session(&gander, "/echo written while it could be");
    // As a process leaves it that was killed before the disk became read-only.
    let mut serving = gander.serve(&[]).unwrap();
    serving.kill().unwrap();
    drop(serving);

    let journal = || std::fs::read(home.gander_home().join("journal.db")).unwrap();
    let before = journal();
    let (mut child, first) = serve_read_only(&gander, &home.gander_home());
    let file = PathBuf::from(first["runtime_file"].as_str().unwrap());
    assert!(file.starts_with(&runtime_dir), "{first}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let runtime: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let said = std::fs::read_to_string(home.gander_home().with_extension("stderr")).unwrap();
    assert!(said.contains("Nothing can be saved") && said.contains(file.to_str().unwrap()), "{said}");
    assert!(!said.contains(runtime["token"].as_str().unwrap()), "the token was printed");

    // Programs find it, and everything can be read.
    let listed = json(&gander, &["sessions", "list"]);
    assert_eq!(listed["sessions"][0]["id"], session.as_str());
    assert!(done(&gander, &["sessions", "show", &session]).contains("written while it could be"));
    let client = Client::of(&runtime);
    assert_eq!(client.ask("POST", "windows", Some(&json!({}))).unwrap().code(), "not_saving");
    // A browser is let in as well, though nothing can be kept of it.
    let code = client.ask("POST", "auth/codes", Some(&json!({}))).unwrap().json();
    let path = code["url"].as_str().unwrap().split_once(&client.address).unwrap().1.to_owned();
    let host = [("Host", client.address.as_str())];
    let entered = client.raw("GET", &path, &host, None).unwrap();
    assert_eq!(entered.status, 303, "{}", entered.text());
    let cookie = entered
        .head
        .lines()
        .find_map(|line| {
            line.to_lowercase()
                .starts_with("set-cookie:")
                .then(|| line[11..].trim().split(';').next().unwrap().to_owned())
        })
        .unwrap();
    let headers = [("Host", client.address.as_str()), ("Cookie", &cookie), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(client.raw("GET", "/api/v1/sessions", &headers, None).unwrap().status, 200);

    assert_eq!(json(&gander, &["stop"])["stopped"], true);
    assert!(child.wait().unwrap().success());
    assert!(!file.exists());
    assert!(journal() == before, "the journal was touched");
    // Writable again: nothing was changed, and work goes on.
    done(&gander, &["send", &session, "--wait", "--yes", "/echo and goes on"]);
    assert_eq!(json(&gander, &["verify"])["ok"], true);
}
