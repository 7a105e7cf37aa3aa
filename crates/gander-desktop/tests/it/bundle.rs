//! What macOS and Windows get, as far as that can be checked elsewhere: Tauri's own reader takes the configuration of each platform,
//! and what it names is there.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tauri_utils::config::{BundleTarget, BundleType, Config, parse};
use tauri_utils::platform::Target;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The configuration of a platform, with what is said when a bundle is made.
fn config(target: Target) -> Config {
    let (mut value, _) = parse::read_from(target, &folder()).unwrap();
    let with: Value = serde_json::from_slice(&fs::read(folder().join("bundle/with-gander.json")).unwrap()).unwrap();
    value["bundle"]["externalBin"] = with["bundle"]["externalBin"].clone();
    // Tauri refuses what it does not know, so a word that is misspelt fails here.
    serde_json::from_value(value).unwrap()
}

#[test]
fn both_bundles_hold_the_windows_and_the_gander_beside_them() {
    for target in [Target::MacOS, Target::Windows] {
        let config = config(target);
        assert_eq!(
            (config.identifier.as_str(), config.product_name.as_deref()),
            ("chat.gander.Gander", Some("Gander"))
        );
        assert_eq!(config.main_binary_name.as_deref(), Some("gander-desktop"));
        assert!(config.bundle.active);
        let beside = config.bundle.external_bin.unwrap();
        assert_eq!(
            beside,
            ["../../target/bundle/gander"],
            "the name before the platform's is the one that is looked for"
        );
        for icon in &config.bundle.icon {
            assert!(folder().join(icon).is_file(), "{icon}");
        }
    }
}

#[test]
fn links_are_opened_by_it_on_both() {
    let mac = config(Target::MacOS).bundle;
    assert_eq!(mac.targets, BundleTarget::List(vec![BundleType::App, BundleType::Dmg]));
    let plist = fs::read_to_string(folder().join(mac.macos.info_plist.unwrap())).unwrap();
    let words: String = plist.split_whitespace().collect();
    assert!(words.contains("<key>CFBundleURLSchemes</key><array><string>gander</string></array>"), "{plist}");
    assert!(words.contains("<key>NSAllowsLocalNetworking</key><true/>"), "{plist}");
    let windows = config(Target::Windows);
    assert_eq!(windows.bundle.targets, BundleTarget::List(vec![BundleType::Nsis]));
    assert_eq!(windows.plugins.0["deep-link"]["desktop"]["schemes"], serde_json::json!(["gander"]));
    assert!(folder().join(windows.bundle.windows.nsis.unwrap().installer_icon.unwrap()).is_file());
}

/// The side that a PNG picture says it has.
fn side(png: &[u8]) -> u32 {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!(number(16), number(20), "it is square");
    number(16)
}

#[test]
fn the_icons_have_the_sizes_that_they_say() {
    let icns = fs::read(folder().join("icons/icon.icns")).unwrap();
    let number = |at: usize| u32::from_be_bytes(icns[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((&icns[..4], number(4)), (b"icns".as_slice(), icns.len()));
    let (mut at, mut found) = (8, Vec::new());
    while at < icns.len() {
        let letters = std::str::from_utf8(&icns[at..at + 4]).unwrap();
        found.push(format!("{letters} {}", side(&icns[at + 8..at + number(at + 4)])));
        at += number(at + 4);
    }
    let wanted = "icp4 16, icp5 32, ic07 128, ic08 256, ic09 512, ic11 32, ic12 64, ic13 256, ic14 512";
    assert_eq!(found.join(", "), wanted);

    let ico = fs::read(folder().join("icons/icon.ico")).unwrap();
    let number = |at: usize| u32::from_le_bytes(ico[at..at + 4].try_into().unwrap()) as usize;
    let entries = usize::from(ico[4]);
    assert_eq!(&ico[..6], [0, 0, 1, 0, ico[4], 0]);
    let sides: Vec<u32> = (0..entries)
        .map(|entry| {
            let at = 6 + 16 * entry;
            let side = side(&ico[number(at + 12)..number(at + 12) + number(at + 8)]);
            assert_eq!(ico[at], side as u8);
            side
        })
        .collect();
    assert_eq!(sides, [32, 16, 24, 48, 64, 256]);
}
