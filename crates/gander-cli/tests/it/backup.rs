//! Snapshots from the command line: the instance served for the one command, or a running one.

use gander_testing::home::TempHome;

use crate::{done, gander, json, new_session, refused};

#[test]
fn g10_g11_a_lost_store_comes_back_from_its_vault() {
    let home = TempHome::new().unwrap();
    let first = gander(&home);
    let session = new_session(&first, "/echo what was said");
    let made = json(&first, &["backup", "create"]);
    assert_eq!(made["verified"], true);
    assert_eq!(made["root"], json(&first, &["verify"])["root"]);
    assert_eq!(json(&first, &["backup", "create"])["new_bytes"], 0);
    assert_eq!(json(&first, &["backup", "verify"])["ok"], true);
    let snapshot = made["snapshot"].as_str().unwrap();
    assert!(done(&first, &["backup", "list"]).contains(snapshot));
    let shown = done(&first, &["sessions", "show", &session]);

    // The journal is gone; the vault is not. What is on disk is found where it lies.
    let data = home.gander_home();
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name != "vault") && path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    refused(&first, &["sessions", "show", &session]);
    let preview = json(&first, &["backup", "restore", snapshot, "--dry-run"]);
    assert_eq!((&preview["added"], &preview["copied"]), (&1.into(), &0.into()), "{preview}");
    let restored = json(&first, &["backup", "restore", snapshot, "--windows"]);
    assert_eq!(restored["added"], 1, "{restored}");
    assert_eq!(done(&first, &["sessions", "show", &session]), shown);
    let verified = json(&first, &["verify"]);
    assert_eq!((&verified["ok"], &verified["root"]), (&true.into(), &made["root"]));
    let again = json(&first, &["backup", "restore", snapshot, "--session", &session]);
    assert_eq!((&again["added"], &again["unchanged"]), (&0.into(), &1.into()));
}

#[test]
fn damage_in_the_vault_is_exit_status_one_and_names_the_object() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    new_session(&gander, "/echo hello");
    done(&gander, &["backup", "create"]);
    let pages = std::fs::read_dir(home.gander_home().join("vault/pages")).unwrap();
    let page = pages.flat_map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap());
    page.for_each(|page| std::fs::write(page.unwrap().path(), b"torn").unwrap());
    let output = gander.run(&["backup", "verify", "--json"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["findings"].as_array().unwrap().iter().any(|finding| finding["kind"] == "damaged_object"));
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_do() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    assert!(refused(&gander, &["backup", "restore", "latest"]).contains("backup create"));
    new_session(&gander, "/echo hello");
    done(&gander, &["backup", "create"]);
    refused(&gander, &["backup", "restore", "nonsense"]);
    refused(&gander, &["backup", "prune", "--last", "0"]);
    done(&gander, &["backup", "create"]);
    assert!(refused(&gander, &["backup", "prune", "--last", "1"]).contains("--yes"));
    done(&gander, &["backup", "prune", "--last", "1", "--yes"]);
    assert_eq!(json(&gander, &["backup", "list"])["backups"].as_array().unwrap().len(), 1);
}

#[test]
fn an_exported_session_is_read_and_imported_in_another_home() {
    let (home, other) = (TempHome::new().unwrap(), TempHome::new().unwrap());
    let (here, there) = (gander(&home), gander(&other));
    let session = new_session(&here, "/echo what was said");
    let markdown = done(&here, &["sessions", "export", &session]);
    assert!(markdown.starts_with("# ") && markdown.contains("what was said"), "{markdown}");
    let file = home.path().join("session.jsonl");
    let name = file.to_str().unwrap();
    done(&here, &["sessions", "export", &session, "--format", "jsonl", "--out", name]);
    assert!(refused(&here, &["sessions", "export", &session, "--out", name]).contains("--out"));
    let report = json(&there, &["sessions", "import", name]);
    assert_eq!(report["added"], 1, "{report}");
    assert_eq!(done(&there, &["sessions", "show", &session]), done(&here, &["sessions", "show", &session]));
    assert_eq!(json(&there, &["sessions", "import", name])["unchanged"], 1);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("what was said", "what was sung")).unwrap();
    assert!(refused(&there, &["sessions", "import", name]).contains("altered"));
    assert_eq!(json(&there, &["verify"])["ok"], true);
}

fn objects(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { objects(&entry.path()) } else { 1 }).sum()
}

/// Starts a command, kills the server once `ready` says so (or the command has ended), and waits for both.
fn killed_during(gander: &gander_testing::gander::Gander<'_>, arguments: &[&str], mut ready: impl FnMut() -> bool) {
    let mut serving = gander.serve(&[]).unwrap();
    let mut command = gander.command(arguments);
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    while !ready() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    serving.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn g10_g11_a_kill_in_the_middle_of_a_snapshot_or_a_restore_leaves_what_was_there() {
    let (home, other) = (TempHome::new().unwrap(), TempHome::new().unwrap());
    let here = gander(&home);
    let vault = home.gander_home().join("vault");
    let mut last = String::new();
    for round in 0..5 {
        last = new_session(&here, &format!("/echo round {round}"));
        let before = objects(&vault);
        killed_during(&here, &["backup", "create"], || objects(&vault) > before + round);
        assert_eq!(json(&here, &["backup", "verify"])["ok"], true, "round {round}");
        assert_eq!(json(&here, &["verify"])["ok"], true, "round {round}");
    }
    let made = json(&here, &["backup", "create"]);
    let snapshot = made["snapshot"].as_str().unwrap();
    let there = gander(&other);
    std::fs::create_dir_all(other.gander_home()).unwrap();
    std::fs::write(other.gander_home().join("config.toml"), format!("[backup]\nfolder = {vault:?}\n")).unwrap();
    let journal = other.gander_home().join("journal.db-wal");
    for round in 1..=3 {
        let written = || std::fs::metadata(&journal).map_or(0, |file| file.len());
        let before = written();
        killed_during(&there, &["backup", "restore", snapshot], || written() > before + round * 20_000);
        assert_eq!(json(&there, &["verify"])["ok"], true, "round {round}");
    }
    let restored = json(&there, &["backup", "restore", snapshot]);
    assert_eq!(restored["copied"], 0, "{restored}");
    assert_eq!(json(&there, &["verify"])["root"], made["root"]);
    assert_eq!(done(&there, &["sessions", "show", &last]), done(&here, &["sessions", "show", &last]));
}

/// Alters what somebody said wherever it stands in the database, as a failing disk would.
fn alter(home: &TempHome, said: &[u8]) -> usize {
    let path = home.gander_home().join("journal.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let places: Vec<usize> =
        bytes.windows(said.len()).enumerate().filter(|(_, window)| *window == said).map(|(at, _)| at).collect();
    places.iter().for_each(|at| bytes[*at] ^= 1);
    std::fs::write(&path, bytes).unwrap();
    places.len()
}

#[test]
fn g04_a_damaged_session_is_healed_from_the_newest_snapshot_that_holds_it() {
    let home = TempHome::new().unwrap();
    let here = gander(&home);
    let session = new_session(&here, "/echo rhododendron");
    let other = new_session(&here, "/echo marigold");
    json(&here, &["backup", "create"]);
    assert_eq!(json(&here, &["backup", "drill"])["ok"], true);
    let shown = done(&here, &["sessions", "show", &session]);
    // Said after the snapshot: it is only here.
    done(&here, &["send", &other, "/echo tulip", "--wait"]);
    let kept = done(&here, &["sessions", "show", &other]);
    assert!(alter(&home, b"rhododendron") > 0);

    let found = here.run(&["verify", "--json"]).unwrap();
    assert!(!found.status.success());
    let repaired = json(&here, &["doctor", "--repair"]);
    let healed = &repaired["repaired"]["healed"];
    assert_eq!(healed[0]["session_id"], session, "{repaired}");
    assert_eq!(healed.as_array().unwrap().len(), 1, "{repaired}");
    assert!(healed[0]["bodies"].as_u64().unwrap() > 0, "{repaired}");
    assert_eq!(done(&here, &["sessions", "show", &session]), shown);
    assert_eq!(done(&here, &["sessions", "show", &other]), kept);
    assert_eq!(json(&here, &["verify"])["ok"], true);

    // What no snapshot holds stays as it is, and is told.
    std::fs::remove_dir_all(home.gander_home().join("vault")).unwrap();
    assert!(alter(&home, b"tulip") > 0);
    let left = here.run(&["doctor", "--repair", "--json"]).unwrap();
    assert_eq!(left.status.code(), Some(1));
    let left: serde_json::Value = serde_json::from_slice(&left.stdout).unwrap();
    assert_eq!(left["repaired"]["not_healed"][0]["session_id"], other, "{left}");
    assert_eq!(done(&here, &["sessions", "show", &session]), shown);
}
