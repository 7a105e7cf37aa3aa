//! `gander upgrade` with one built program: everything that is refused, and what a start does with what it finds. Upgrades between
//! two programs are in the end-to-end tests.

use std::fs;

use gander_testing::home::TempHome;
use gander_upgrade::package::{self, Files, Manifest, signature_of};
use gander_upgrade::{Place, Pointer, TARGET, VERSION};
use serde_json::json;

use crate::{gander, json, refused};

/// A signed package of a program that says that it is another version; its path, and the key's file.
fn package(home: &TempHome, version: &str, format: u32) -> (String, String) {
    let says = json!({"version": version, "target": TARGET, "reads_format": 1, "writes_format": format});
    let program = home.path().join("program");
    fs::write(
        &program,
        format!("#!/bin/sh\nif [ \"$1\" = upgrade ]; then echo '{says}'; exit 0; fi\necho broken >&2\nexit 7\n"),
    )
    .unwrap();
    let manifest = Manifest::new(serde_json::from_value(says).unwrap(), 0, i64::MAX);
    let path = home.path().join(package::name(&manifest));
    package::write(&path, &Files { program: &program, licences: None, desktop: None }, manifest, 1).unwrap();
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let signed = minisign::sign(None, &pair.sk, fs::File::open(&path).unwrap(), None, None).unwrap();
    fs::write(signature_of(&path), signed.into_string()).unwrap();
    let key = home.path().join("gander.pub");
    fs::write(&key, pair.pk.to_box().unwrap().into_string()).unwrap();
    (path.to_str().unwrap().to_owned(), key.to_str().unwrap().to_owned())
}

#[test]
fn g10_a_package_that_is_not_good_changes_nothing() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    let (path, key) = package(&home, "99.0.0", 1);
    assert!(refused(&gander, &["upgrade", "apply", &path]).contains("knows no key"));
    let gander = gander.env("GANDER_UPGRADE_KEY", &key);
    let (older, _) = {
        let other = TempHome::new().unwrap();
        let (path, _) = package(&other, "0.0.1", 1);
        (fs::read(&path).unwrap(), ())
    };
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(refused(&gander, &["upgrade", "apply", &path]).contains("changed or cut off"));
    fs::write(&path, older).unwrap();
    assert!(refused(&gander, &["upgrade", "apply", &path]).contains("changed or cut off"));
    fs::remove_file(format!("{path}.minisig")).unwrap();
    assert!(refused(&gander, &["upgrade", "apply", &path]).contains("not signed"));
    assert!(refused(&gander, &["upgrade", "apply", "http://example.org/x.gander"]).contains("no https address"));
    assert!(refused(&gander, &["upgrade", "rollback"]).contains("no way back"));
    let status = json(&gander, &["upgrade", "status"]);
    assert_eq!(
        (&status["version"], &status["current"], &status["last"]),
        (&json!(VERSION), &json!(null), &json!(null))
    );
    assert_eq!(status["versions"], json!([]));
}

#[test]
fn g10_older_versions_are_refused_unless_asked_for_and_those_that_cannot_write_the_journal_always() {
    let home = TempHome::new().unwrap();
    let (path, key) = package(&home, "0.0.1", 1);
    let gander = gander(&home).env("GANDER_UPGRADE_KEY", &key);
    let told = refused(&gander, &["upgrade", "apply", &path]);
    assert!(told.contains("older") && told.contains("--downgrade"), "{told}");
    let (path, key) = package(&home, VERSION, 1);
    let gander = gander.env("GANDER_UPGRADE_KEY", &key);
    assert!(refused(&gander, &["upgrade", "apply", &path]).contains("serves now"));
    let (path, key) = package(&home, "0.0.1", 0);
    let gander = gander.env("GANDER_UPGRADE_KEY", &key);
    assert!(refused(&gander, &["upgrade", "apply", &path, "--downgrade"]).contains("format"));
}

#[test]
fn g10_a_new_version_that_does_not_even_start_is_rolled_back() {
    let home = TempHome::new().unwrap();
    let (path, key) = package(&home, "99.0.0", 1);
    let gander = gander(&home).env("GANDER_UPGRADE_KEY", &key);
    json(&gander, &["send", "--new", "hello", "--wait"]);
    let before = json(&gander, &["verify"]);
    let told = refused(&gander, &["upgrade", "apply", &path]);
    assert!(told.contains("rolled back") && told.contains("broken"), "{told}");
    let status = json(&gander, &["upgrade", "status"]);
    assert_eq!(status["last"]["result"], "rolled_back", "{status}");
    assert!(status["last"]["backup"]["verified"] == true, "{status}");
    assert!(
        status["last"]["exports"]["folder"].as_str().is_some_and(|folder| fs::read_dir(folder).is_ok()),
        "{status}"
    );
    let after = json(&gander, &["verify"]);
    assert_eq!((&before["root"], &before["ok"]), (&after["root"], &after["ok"]));
    assert_eq!(status["version"], VERSION);
}

#[test]
fn a_pointer_to_what_is_not_there_is_said_and_not_followed() {
    let home = TempHome::new().unwrap();
    let gander = gander(&home);
    json(&gander, &["sessions", "list"]);
    let place = Place::new(home.gander_home());
    let pointer = Pointer { version: "99.0.0".parse().unwrap(), set_over: VERSION.parse().unwrap(), at_ms: 0 };
    Pointer::set(&place, Some(&pointer)).unwrap();
    let output = gander.run(&["sessions", "list"]).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("99.0.0"), "{output:?}");
    fs::write(place.pointer(), "{").unwrap();
    let output = gander.run(&["sessions", "list"]).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be read"), "{output:?}");
}
