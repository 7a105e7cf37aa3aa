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
    let page = pages.map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap().next().unwrap().unwrap().path());
    page.for_each(|page| std::fs::write(page, b"torn").unwrap());
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
