//! What a running Gander does when a package manager replaces its program (G10). Two real versions meet in the end-to-end tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gander_testing::client::Client;
use gander_testing::gander::{Gander, PATIENCE, Serving};
use gander_testing::home::TempHome;
use gander_upgrade::TARGET;
use serde_json::{Value, json};

use super::json as cli;

/// The program where a package manager would put it.
fn installed(home: &TempHome) -> PathBuf {
    let program = home.path().join("usr/bin/gander");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_gander"));
    if fs::hard_link(built, &program).is_err() {
        fs::copy(built, &program).unwrap();
    }
    program
}

/// As dpkg does it: written beside, then renamed over the one that runs.
fn replace(program: &Path, script: &str) {
    let beside = program.with_extension("dpkg-new");
    fs::write(&beside, script).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&beside, program).unwrap();
}

/// A program that says that it is this version, and can do nothing else.
fn says(version: &str, format: u32) -> String {
    let is = json!({"version": version, "target": TARGET, "reads_format": 1, "writes_format": format});
    format!("#!/bin/sh\nif [ \"$2\" = describe ]; then echo '{is}'; exit 0; fi\necho broken >&2\nexit 7\n")
}

fn until(client: &Client, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let late = Instant::now() + PATIENCE;
    loop {
        let now = client.ask("GET", "upgrade", None).unwrap().json()["installed"].clone();
        if is(&now) {
            return now;
        }
        assert!(Instant::now() < late, "waited in vain for {what}: {now}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn serving(gander: &Gander<'_>) -> (Serving, Client) {
    let serving = gander.serve(&[]).unwrap();
    let client = Client::of(serving.runtime());
    (serving, client)
}

fn post(client: &Client, what: &str) -> (bool, String) {
    let answer = client.ask("POST", &format!("upgrade/installed/{what}"), Some(&json!({}))).unwrap();
    (answer.is_ok(), if answer.is_ok() { String::new() } else { answer.code() })
}

#[test]
fn g10_what_is_installed_while_it_runs_is_told_and_only_a_newer_version_may_take_over() {
    let home = TempHome::new().unwrap();
    let program = installed(&home);
    let gander = Gander::new(&program, &home);
    let (serving, client) = serving(&gander);
    assert_eq!(post(&client, "now"), (false, "wrong_state".to_owned()), "there is nothing to take over");

    replace(&program, &says("0.0.1", 1));
    let older = until(&client, "the older one", |now| now["state"] == "unfit");
    assert!(older["version"] == "0.0.1" && older["why"].as_str().unwrap().contains("older"), "{older}");
    assert!(!post(&client, "now").0, "an older version takes nothing over");

    replace(&program, "half a prog");
    until(&client, "what is no program", Value::is_null);

    replace(&program, &says("99.0.0", 1));
    let newer = until(&client, "the newer one", |now| now["version"] == "99.0.0");
    assert_eq!(newer["state"], "waits", "{newer}");
    assert!(post(&client, "later").0);
    until(&client, "that it is put off", |now| now["state"] == "later");
    let status = cli(&super::gander(&home), &["upgrade", "status"]);
    assert_eq!((&status["installed"]["version"], &status["installed"]["state"]), (&json!("99.0.0"), &json!("later")));
    let told = super::done(&super::gander(&home), &["upgrade", "status"]);
    assert!(told.contains("Gander 99.0.0 is installed and takes over at the next start"), "{told}");

    // Asked to take over it does nothing but fail: this version goes on, and it is not asked again by itself.
    assert!(post(&client, "now").0);
    let failed = until(&client, "its failure", |now| now["state"] == "offered");
    assert!(failed["why"].as_str().unwrap().contains("broken"), "{failed}");
    let health = client.ask("GET", "health", None).unwrap().json();
    assert_eq!(health["version"], gander_upgrade::VERSION);

    // One that could not read the journal.
    replace(&program, &says("99.0.1", 0));
    until(&client, "the one that cannot read the journal", |now| now["state"] == "unfit");
    fs::remove_file(&program).unwrap();
    until(&client, "the program that is gone", Value::is_null);
    assert_eq!(client.ask("GET", "health", None).unwrap().json()["format"], health["format"]);
    drop(serving);
}

#[test]
fn g10_an_installed_version_does_not_take_over_while_an_answer_is_written() {
    let home = TempHome::new().unwrap();
    let program = installed(&home);
    let gander = super::gander(&home);
    let of_the_package = Gander::new(&program, &home).env("GANDER_SCRATCH_PACE_MS", "0");
    let (mut serving, client) = serving(&of_the_package);
    let session = cli(&gander, &["send", "--new", "--yes", "/stream 5 chunks 0 ms\n/hang"]);
    let id = session["session_id"].as_str().unwrap();
    let late = Instant::now() + PATIENCE;
    while client.ask("GET", &format!("sessions/{id}/entries"), None).unwrap().json()["open_items"] == json!([]) {
        assert!(Instant::now() < late, "the answer never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    replace(&program, &says("99.0.0", 1));
    let told = until(&client, "the turn that it waits for", |now| now["turns"] == 1);
    assert_eq!(told["state"], "waits");
    // The turn ends, and then it is tried: this one cannot, and what runs goes on.
    let turn = session["turn_id"].as_str().unwrap();
    let cancelled = client.ask("POST", &format!("sessions/{id}/turns/{turn}/cancel"), Some(&json!({}))).unwrap();
    assert!(cancelled.is_ok(), "{}", cancelled.text());
    let failed = until(&client, "the try", |now| now["state"] == "offered");
    assert!(failed["why"].as_str().unwrap().contains("broken"), "{failed}");
    let answer = client.ask("POST", "stop", Some(&json!({}))).unwrap();
    assert!(answer.is_ok(), "{}", answer.text());
    assert!(serving.wait().unwrap().success());
    assert_eq!(cli(&gander, &["verify"])["ok"], true);
}

#[test]
fn g10_what_runs_as_a_service_is_left_to_its_service_manager() {
    let home = TempHome::new().unwrap();
    let program = installed(&home);
    // As systemd says it: the process that it started, by its id.
    let unit = home.path().join("unit");
    replace(&unit, &format!("#!/bin/sh\nSYSTEMD_EXEC_PID=$$ exec {} \"$@\"\n", program.display()));
    let gander = Gander::new(&unit, &home);
    let (serving, client) = serving(&gander);
    replace(&program, &says("99.0.0", 1));
    let told = until(&client, "the newer one", |now| now["version"] == "99.0.0");
    assert!(told["state"] == "unfit" && told["why"].as_str().unwrap().contains("restart the service"), "{told}");
    assert!(!post(&client, "now").0);
    drop(serving);
}

#[test]
fn nobody_takes_over_where_nobody_serves() {
    let home = TempHome::new().unwrap();
    let gander = super::gander(&home);
    let told = super::refused(&gander, &["upgrade", "apply", "--installed"]);
    assert!(told.contains("nobody to take over from"), "{told}");
    let running = gander.serve(&[]).unwrap();
    let told = super::refused(&gander, &["upgrade", "apply", "--installed"]);
    assert!(told.contains("is what serves now"), "{told}");
    drop(running);
}

#[test]
fn the_program_writes_its_own_manual() {
    let home = TempHome::new().unwrap();
    let gander = super::gander(&home);
    let folder = home.path().join("man1");
    let pages = cli(&gander, &["manual", folder.to_str().unwrap()]);
    assert!(pages["pages"].as_array().unwrap().iter().any(|page| page == "gander-sessions-list.1"), "{pages}");
    let page = fs::read_to_string(folder.join("gander-serve.1")).unwrap();
    assert!(page.contains(".SH EXAMPLES\n.nf\ngander serve"), "{page}");
}
