//! Commands beside an instance that runs, and what becomes of it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;

use gander_testing::home::TempHome;
use serde_json::Value;

use super::{done, gander, json, new_session, refused};

#[test]
fn serve_says_where_it_is_and_stop_ends_it() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let mut child = gander.command(&["serve"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let first: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(first["pid"], child.id());
    assert_eq!(first["data_dir"], home.gander_home().to_str().unwrap());
    assert!(first["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    let file = std::path::PathBuf::from(first["runtime_file"].as_str().unwrap());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let runtime: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(runtime["url"], first["url"]);
    // 128 bits are 22 letters of base64 at least.
    assert!(runtime["token"].as_str().unwrap().len() >= 22);
    assert!(!line.contains(runtime["token"].as_str().unwrap()), "the token was printed");

    assert_eq!(json(&gander, &["stop"])["stopped"], true);
    assert!(child.wait().unwrap().success());
    assert!(!file.exists());
}

#[test]
fn commands_use_the_instance_that_runs() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let serving = gander.serve(&[]).unwrap();
    let id = new_session(&gander, "/echo through the running one");
    let doctor = json(&gander, &["doctor"]);
    assert_eq!((doctor["running"].as_bool(), &doctor["url"]), (Some(true), &serving.runtime()["url"]));

    let window = json(&gander, &["windows", "open", &id]);
    let window_id = window["id"].as_str().unwrap();
    assert_eq!(window["session_id"], id.as_str());
    assert!(done(&gander, &["windows", "list"]).contains(window_id));
    done(&gander, &["windows", "close", window_id]);
    assert_eq!(json(&gander, &["windows", "list", "--open"])["windows"].as_array().unwrap().len(), 0);
    done(&gander, &["windows", "reopen"]);
    assert_eq!(json(&gander, &["windows", "list", "--open"])["windows"][0]["id"], window_id);

    let opened = json(&gander, &["open", &id]);
    assert!(opened["url"].as_str().unwrap().contains("/auth?code="), "{opened}");
    assert!(opened["url"].as_str().unwrap().contains(window_id), "the session's own window is shown: {opened}");
    assert!(!opened.to_string().contains(serving.runtime()["token"].as_str().unwrap()), "the token is in the address");
}

#[test]
fn a_display_without_a_browser_still_gets_an_address() {
    let home = TempHome::new().unwrap();
    let _serving = gander(&home).serve(&[]).unwrap();
    let with = |browser| json(&gander(&home).env("DISPLAY", ":0").env("BROWSER", browser), &["open"])["opened"].clone();
    assert_eq!(with("true"), true);
    assert_eq!(with("false"), false, "an opener that failed was taken for a browser");
    assert_eq!(with("no-such-browser"), false);
    let shown = done(&gander(&home).env("DISPLAY", ":0").env("BROWSER", "false"), &["open", "--browser"]);
    assert!(shown.contains("/auth?code="), "{shown}");
}

#[test]
fn g08_a_second_server_is_refused_and_told_who_serves() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let mut serving = gander.serve(&[]).unwrap();
    let said = refused(&gander, &["serve"]);
    assert!(said.contains(&serving.pid().to_string()), "{said}");
    assert!(said.contains(serving.runtime()["url"].as_str().unwrap()), "{said}");
    // Even where the runtime file is gone, the lock names its holder.
    std::fs::remove_file(home.gander_home().join("runtime.json")).unwrap();
    let said = refused(&gander, &["serve"]);
    assert!(said.contains(&serving.pid().to_string()), "{said}");
    let said = refused(&gander, &["sessions", "list"]);
    assert!(said.contains(&serving.pid().to_string()), "{said}");
    serving.kill().unwrap();
    assert_eq!(json(&gander, &["sessions", "list"])["hidden"], 0);
}

#[test]
fn a_killed_instance_leaves_nothing_in_the_way() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let mut serving = gander.serve(&[]).unwrap();
    let id = new_session(&gander, "/echo before the end");
    let port = serving.runtime()["url"].clone();
    serving.kill().unwrap();
    assert!(home.gander_home().join("runtime.json").exists());
    assert_eq!(json(&gander, &["sessions", "list"])["sessions"][0]["id"], id.as_str());
    let again = gander.serve(&[]).unwrap();
    assert_eq!(again.runtime()["url"], port, "the port is kept");
    assert_eq!(json(&gander, &["verify"])["ok"], true);
}

#[test]
fn a_prompt_to_a_busy_session_waits_in_its_queue() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let _serving = gander.serve(&[]).unwrap();
    let first = json(&gander, &["send", "--new", "/delay 600000"]);
    let id = first["session_id"].as_str().unwrap();
    assert_eq!(first["state"], "running");
    assert_eq!(json(&gander, &["send", id, "/echo later"])["state"], "queued");
    let session = &json(&gander, &["sessions", "show", id])["session"];
    assert_eq!((session["running"].as_bool(), session["queue"]["count"].as_u64()), (Some(true), Some(1)));
    assert!(done(&gander, &["sessions", "list"]).contains("running"));
}
