//! Commands where no instance runs: the command serves itself, for as long as it takes.

use gander_testing::home::TempHome;

use super::{done, err, gander, json, new_session, out, refused};

#[test]
fn a_slip_of_the_keyboard_is_refused() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    for arguments in
        [&["frobnicate"][..], &["sessions", "list", "--limit", "0"], &["send", "--new", "  "], &["send", "x"]]
    {
        refused(&gander, arguments);
    }
    assert!(!home.gander_home().exists(), "a slip made a data folder");
}

#[test]
fn completions_are_for_every_shell() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(done(&gander, &["completions", shell]).contains("sessions"), "{shell}");
    }
}

#[test]
fn a_fresh_folder_lists_nothing_and_hides_nothing() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let list = json(&gander, &["sessions", "list"]);
    assert_eq!((list["sessions"].as_array().unwrap().len(), list["hidden"].as_u64()), (0, Some(0)));
    assert_eq!(json(&gander, &["windows", "list"])["windows"].as_array().unwrap().len(), 0);
    assert_eq!(json(&gander, &["verify"])["ok"], true);
    assert_eq!(json(&gander, &["doctor"])["data_dir"], home.gander_home().to_str().unwrap());
    assert_eq!(json(&gander, &["stop"])["stopped"], false);
    assert!(!home.gander_home().join("runtime.json").exists(), "a command left its runtime file behind");
}

#[test]
fn a_prompt_is_answered_and_can_be_read_afterwards() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    assert!(done(&gander, &["send", "--new", "--wait", "/echo seven geese"]).contains("seven geese"));
    let list = json(&gander, &["sessions", "list"]);
    let id = list["sessions"][0]["id"].as_str().unwrap().to_owned();
    let shown = done(&gander, &["sessions", "show", &id]);
    assert!(shown.contains("❯ /echo seven geese"), "{shown}");
    let entries = json(&gander, &["sessions", "show", &id, "--after", "0"]);
    assert_eq!(entries["entries"][0]["seq"], 1);
    assert_eq!(entries["session"]["id"], id.as_str());
    assert!(done(&gander, &["sessions", "search", "geese"]).contains(&id));
    assert!(done(&gander, &["sessions", "list"]).contains(&id));
    // Windows come from people, not from commands.
    assert_eq!(json(&gander, &["windows", "list"])["windows"].as_array().unwrap().len(), 0);
}

#[test]
fn sessions_are_renamed_archived_trashed_and_brought_back() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let id = new_session(&gander, "/echo hello");
    assert!(refused(&gander, &["sessions", "rename", &id, "Geese\u{1b}[31m"]).contains("U+001B"));
    assert_eq!(json(&gander, &["sessions", "rename", &id, "Geese & <b>co</b>"])["session"]["named_by"], "user");
    done(&gander, &["sessions", "rename", &id, "Geese"]);

    done(&gander, &["sessions", "archive", "Geese"]);
    let list = json(&gander, &["sessions", "list"]);
    assert_eq!((list["sessions"].as_array().unwrap().len(), list["hidden"].as_u64()), (0, Some(1)));
    assert!(done(&gander, &["sessions", "list"]).contains("1 hidden"));
    done(&gander, &["sessions", "unarchive", &id]);
    done(&gander, &["sessions", "trash", "Geese"]);
    assert_eq!(json(&gander, &["sessions", "list", "--status", "trashed"])["sessions"][0]["id"], id.as_str());
    done(&gander, &["sessions", "untrash", "Geese"]);
    assert_eq!(json(&gander, &["sessions", "list"])["sessions"][0]["status"], "active");
    assert_eq!(json(&gander, &["verify"])["ok"], true);
}

#[test]
fn purging_wants_the_trash_the_whole_id_and_a_yes() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let id = new_session(&gander, "/echo secret geese");
    assert!(refused(&gander, &["sessions", "purge", &id[..13], "--yes"]).contains("no session id"));
    assert!(refused(&gander, &["sessions", "purge", &id, "--yes"]).contains("not in the trash"));
    done(&gander, &["sessions", "trash", &id]);
    assert!(refused(&gander, &["sessions", "purge", &id]).contains("--yes"));
    assert!(done(&gander, &["sessions", "show", &id]).contains("secret geese"));
    done(&gander, &["sessions", "purge", &id, "--yes"]);
    assert!(!done(&gander, &["sessions", "show", &id, "--json"]).contains("secret geese"));
    assert_eq!(json(&gander, &["verify"])["ok"], true);
}

#[test]
fn a_fork_goes_on_by_itself() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let id = new_session(&gander, "/echo first");
    let fork = json(&gander, &["sessions", "fork", &id])["session"]["id"].as_str().unwrap().to_owned();
    assert_ne!(fork, id);
    done(&gander, &["send", &fork, "/echo only in the fork", "--wait"]);
    assert!(done(&gander, &["sessions", "show", &fork]).contains("only in the fork"));
    assert!(!done(&gander, &["sessions", "show", &id]).contains("only in the fork"));
}

#[test]
fn what_a_window_shows_is_moved_to_another_one() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let id = new_session(&gander, "/echo hello");
    let window = |value: &serde_json::Value| value["id"].as_str().unwrap().to_owned();
    let (one, two) = (window(&json(&gander, &["windows", "open", &id])), window(&json(&gander, &["windows", "open"])));
    let moved = json(&gander, &["windows", "move", &one, "--to", &two]);
    assert_eq!(moved["window"]["session_id"], id.as_str());
    assert_eq!(moved["from"]["id"], one.as_str());
    assert_ne!(moved["from"]["session_id"], id.as_str());
    let new = window(&json(&gander, &["windows", "move", &two])["window"]);
    assert!(![&one, &two].contains(&&new));
    assert!(refused(&gander, &["windows", "move", &new, "--to", &new]).contains("shows that session already"));
    assert!(refused(&gander, &["windows", "move", "somewhere"]).contains("no window id"));
    let shows = json(&gander, &["windows", "list"]);
    let shown: Vec<_> =
        shows["windows"].as_array().unwrap().iter().filter(|w| w["session_id"] == id.as_str()).collect();
    assert_eq!(shown.len(), 1, "{shows}");
}

#[test]
fn agents_are_added_checked_and_removed() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let binary = env!("CARGO_BIN_EXE_gander");
    done(&gander, &["agents", "add", "second", "--env", "A=b=c", "--", binary, "agent", "scratch"]);
    let listed = done(&gander, &["agents", "list"]);
    assert!(listed.contains("scratch") && listed.contains("second"), "{listed}");
    assert_eq!(json(&gander, &["agents", "check", "second"])["ok"], true);
    done(&gander, &["agents", "add", "broken", "--", "/nowhere/at/all"]);
    assert!(refused(&gander, &["agents", "check", "broken"]).contains("/nowhere/at/all"));
    assert!(refused(&gander, &["agents", "remove", "second"]).contains("--yes"));
    done(&gander, &["agents", "remove", "second", "--yes"]);
    assert!(!done(&gander, &["agents", "list"]).contains("second"));
}

#[test]
fn an_unknown_session_is_told_from_an_ambiguous_one() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    assert!(refused(&gander, &["sessions", "show", "Geese"]).contains("No session"));
    assert!(refused(&gander, &["sessions", "show", "0199c3a4-7a51-7c33-9f0e-0d6e4a1b2c3d"]).contains("0199c3a4"));
    for _ in 0..2 {
        let id = new_session(&gander, "/echo twin");
        done(&gander, &["sessions", "rename", &id, "Twin"]);
    }
    let output = gander.run(&["sessions", "trash", "Twin"]).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("Several sessions"), "{}", err(&output));
    assert_eq!(json(&gander, &["sessions", "list"])["sessions"].as_array().unwrap().len(), 2);
}

#[test]
fn doctor_works_where_nothing_can_be_opened() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    std::fs::create_dir(home.gander_home()).unwrap();
    std::fs::write(home.gander_home().join("journal.db"), "this is no database, and must not be saved over").unwrap();
    let output = gander.run(&["doctor", "--json"]).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let report: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(report["ok"], false);
    refused(&gander, &["sessions", "list"]);
    let kept = std::fs::read_to_string(home.gander_home().join("journal.db")).unwrap();
    assert_eq!(kept, "this is no database, and must not be saved over");
}

#[test]
fn doctor_makes_again_what_is_derived() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let id = new_session(&gander, "/echo derived geese");
    let before = json(&gander, &["sessions", "list"])["sessions"].clone();
    // The index is disposable: damage in it must cost nothing but its making.
    std::fs::write(home.gander_home().join("index.db"), "no index at all").unwrap();
    let report = json(&gander, &["doctor", "--rebuild"]);
    assert_eq!(report["ok"], true, "{report}");
    assert!(report["sqlite"].as_str().unwrap().starts_with("3."), "{report}");
    assert_eq!(json(&gander, &["sessions", "list"])["sessions"], before);
    assert!(done(&gander, &["sessions", "search", "geese"]).contains(&id));
}
