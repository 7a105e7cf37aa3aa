//! Packages: what is taken, and everything that is not.

use std::fs;
use std::path::{Path, PathBuf};

use gander_upgrade::keys::{KeyError, Keys};
use gander_upgrade::package::{self, Manifest, NO_HASH, Package, PackageError, Wanted, signature_of};
use gander_upgrade::versions;
use gander_upgrade::{Place, TARGET};
use minisign::KeyPair;

use crate::support::{id, version};

const NOW_MS: i64 = 1_000_000_000_000;

/// A maker of packages.
struct Maker {
    home: tempfile::TempDir,
    pair: KeyPair,
}

impl Maker {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), pair: KeyPair::generate_unencrypted_keypair().unwrap() }
    }

    fn keys(&self) -> Keys {
        let mut keys = Keys::default();
        keys.add(&self.pair.pk.to_box().unwrap().into_string()).unwrap();
        keys
    }

    fn manifest(&self) -> Manifest {
        Manifest {
            v: 1,
            version: version("1.1.0"),
            target: TARGET.to_owned(),
            bytes: 0,
            blake3: NO_HASH,
            made_at_ms: NOW_MS,
            expires_at_ms: NOW_MS + 1,
            reads_format: 1,
            writes_format: 2,
        }
    }

    /// A signed package of a small program.
    fn make(&self, change: impl FnOnce(&mut Manifest)) -> PathBuf {
        let program = self.home.path().join("program");
        fs::write(&program, "#!/bin/sh\necho honk\n".repeat(400)).unwrap();
        let mut manifest = self.manifest();
        change(&mut manifest);
        let path = self.home.path().join("x.gander");
        package::write(&path, &program, manifest, 3).unwrap();
        self.sign(&path);
        path
    }

    fn sign(&self, path: &Path) {
        let signed = minisign::sign(None, &self.pair.sk, fs::File::open(path).unwrap(), Some("t"), Some("u")).unwrap();
        fs::write(signature_of(path), signed.into_string()).unwrap();
    }
}

fn wanted() -> Wanted {
    Wanted { running: version("1.0.0"), target: TARGET.to_owned(), format: 1, now_ms: NOW_MS, downgrade: false }
}

fn refusal(result: Result<(), PackageError>) -> String {
    gander_upgrade::driver::with_sources(&result.expect_err("it must be refused"))
}

#[test]
fn a_good_package_is_unpacked_into_its_versions_folder() {
    let (maker, home) = (Maker::new(), tempfile::tempdir().unwrap());
    let place = Place::new(home.path());
    let package = Package::open(&maker.make(|_| {}), &maker.keys()).unwrap();
    package.check(&wanted()).unwrap();
    let program = versions::stage(&place, id(1), package).unwrap();
    assert_eq!(program, place.program(&version("1.1.0")));
    assert_eq!(fs::read(&program).unwrap(), fs::read(maker.home.path().join("program")).unwrap());
    assert_eq!(versions::program(&place, &version("1.1.0")).unwrap(), program);
    assert_eq!(versions::kept(&place).unwrap(), [version("1.1.0")]);
    // Changed on the disk, it is not run any more.
    fs::write(&program, "#!/bin/sh\necho moo\n").unwrap();
    assert!(versions::program(&place, &version("1.1.0")).is_err());
}

#[test]
fn unsigned_and_wrongly_signed_packages_are_refused() {
    let (maker, other) = (Maker::new(), Maker::new());
    let path = maker.make(|_| {});
    assert!(matches!(Package::open(&path, &Keys::default()), Err(PackageError::Signature(KeyError::NoKeys))));
    assert!(matches!(Package::open(&path, &other.keys()), Err(PackageError::Signature(KeyError::Unknown))));
    other.sign(&path);
    assert!(matches!(Package::open(&path, &maker.keys()), Err(PackageError::Signature(KeyError::Unknown))));
    // Theirs, said to be ours: the key's id is in the signature, unsigned.
    let ours = maker.pair.pk.to_box().unwrap().into_string();
    let theirs = fs::read_to_string(signature_of(&path)).unwrap();
    assert_ne!(ours, theirs);
    fs::write(signature_of(&path), "untrusted comment: none\n").unwrap();
    assert!(matches!(Package::open(&path, &maker.keys()), Err(PackageError::Signature(KeyError::NoSignature))));
    fs::remove_file(signature_of(&path)).unwrap();
    assert!(matches!(Package::open(&path, &maker.keys()), Err(PackageError::NotSigned { .. })));
    assert!(matches!(package::copy(&path, &path.with_extension("copy")), Err(PackageError::NotSigned { .. })));
}

#[test]
fn one_flipped_bit_anywhere_is_noticed() {
    let maker = Maker::new();
    let path = maker.make(|_| {});
    let keys = maker.keys();
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        assert!(Package::open(&path, &keys).is_err(), "byte {at}");
    }
    fs::write(&path, &good).unwrap();
    // In the signature too, but for the comment of which minisign itself says that nothing vouches for it.
    let signature = fs::read(signature_of(&path)).unwrap();
    let first = signature.iter().position(|byte| *byte == b'\n').unwrap();
    for at in first..signature.len() - 1 {
        for bit in 0..8 {
            let mut bad = signature.clone();
            bad[at] ^= 1 << bit;
            fs::write(signature_of(&path), &bad).unwrap();
            let opened = Package::open(&path, &keys);
            assert!(opened.is_err(), "byte {at} bit {bit} of the signature: {:?}", String::from_utf8_lossy(&bad));
        }
    }
    fs::write(signature_of(&path), &signature).unwrap();
    assert!(Package::open(&path, &keys).is_ok());
}

#[test]
fn a_package_cut_off_at_any_length_is_refused() {
    let maker = Maker::new();
    let path = maker.make(|_| {});
    let good = fs::read(&path).unwrap();
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        assert!(Package::open(&path, &maker.keys()).is_err(), "{length} bytes");
    }
    fs::write(&path, [good.as_slice(), b"more"].concat()).unwrap();
    assert!(Package::open(&path, &maker.keys()).is_err());
}

#[test]
fn expired_foreign_older_and_equal_packages_are_refused() {
    let maker = Maker::new();
    let check = |change: fn(&mut Manifest), wanted: Wanted| {
        Package::open(&maker.make(change), &maker.keys()).unwrap().check(&wanted)
    };
    assert!(matches!(check(|m| m.expires_at_ms = NOW_MS, wanted()), Err(PackageError::Expired { days: 0 })));
    assert!(matches!(check(|m| m.target = "m68k-amiga".to_owned(), wanted()), Err(PackageError::Platform { .. })));
    assert!(matches!(check(|m| m.version = version("1.0.0"), wanted()), Err(PackageError::Same(_))));
    assert!(matches!(check(|m| m.version = version("0.9.9"), wanted()), Err(PackageError::Older { .. })));
    assert!(matches!(check(|m| m.version = version("1.0.0-rc.1"), wanted()), Err(PackageError::Older { .. })));
    check(|m| m.version = version("0.9.9"), Wanted { downgrade: true, ..wanted() }).unwrap();
    // What cannot read the journal is refused, asked for or not.
    let newer = Wanted { format: 3, downgrade: true, ..wanted() };
    assert!(matches!(check(|m| m.version = version("0.9.9"), newer), Err(PackageError::Format { found: 3, .. })));
    let older = Wanted { format: 1, ..wanted() };
    assert!(matches!(check(|m| m.reads_format = 2, older), Err(PackageError::Format { found: 1, .. })));
}

#[test]
fn a_signed_package_cannot_reach_beyond_its_folder_or_grow_beyond_its_size() {
    let (maker, home) = (Maker::new(), tempfile::tempdir().unwrap());
    let place = Place::new(home.path());
    let good = fs::read(maker.make(|_| {})).unwrap();
    let path = maker.home.path().join("x.gander");
    let end = good.iter().position(|byte| *byte == b'\n').unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&good[..end]).unwrap();
    let with = |field: &str, value: serde_json::Value| {
        let mut manifest = manifest.clone();
        manifest[field] = value;
        fs::write(&path, [manifest.to_string().as_bytes(), &good[end..]].concat()).unwrap();
        maker.sign(&path);
        Package::open(&path, &maker.keys())
    };
    // A version names a folder: it is a version, or nothing.
    for odd in ["../../x", "1.1.0/../../../x", "1.1.0-\u{2026}", "/1.1.0", "1.1.0\u{0}", "", "."] {
        assert!(with("version", odd.into()).is_err(), "{odd:?}");
    }
    assert!(with("v", 2.into()).is_err());
    // Larger than it says, smaller than it says, and absurd.
    let bytes = manifest["bytes"].as_u64().unwrap();
    for wrong in [bytes - 1, bytes + 1, 1] {
        let package = with("bytes", wrong.into()).unwrap();
        assert!(versions::stage(&place, id(1), package).is_err(), "{wrong}");
    }
    let absurd = with("bytes", (5_u64 << 40).into()).unwrap();
    assert!(refusal(absurd.check(&wanted())).contains("bytes"));
    // Another program than the one that was named, and something behind it.
    let package = with("blake3", "00".repeat(32).into()).unwrap();
    assert!(versions::stage(&place, id(1), package).is_err());
    fs::write(&path, [good.as_slice(), b"\x28\xb5\x2f\xfd and more"].concat()).unwrap();
    maker.sign(&path);
    let package = Package::open(&path, &maker.keys()).unwrap();
    assert!(versions::stage(&place, id(1), package).is_err());
    // Nothing of it was left, here or elsewhere.
    assert_eq!(versions::kept(&place).unwrap(), []);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "only `versions`");
}

#[test]
fn no_room_is_said_before_anything_is_written() {
    let home = tempfile::tempdir().unwrap();
    let place = Place::new(home.path());
    versions::check_room(&place, 1).unwrap();
    assert!(refusal(versions::check_room(&place, u64::MAX / 2)).contains("room"));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn two_versions_are_kept_and_scraps_are_removed() {
    let (maker, home) = (Maker::new(), tempfile::tempdir().unwrap());
    let place = Place::new(home.path());
    for text in ["1.1.0", "1.2.0", "1.3.0"] {
        let package = Package::open(&maker.make(|m| m.version = version(text)), &maker.keys()).unwrap();
        versions::stage(&place, id(1), package).unwrap();
    }
    fs::create_dir(place.versions().join(".new-scrap")).unwrap();
    fs::create_dir_all(place.incoming()).unwrap();
    versions::prune(&place, &[&version("1.2.0"), &version("1.3.0")]).unwrap();
    assert_eq!(versions::kept(&place).unwrap(), [version("1.2.0"), version("1.3.0")]);
    assert!(!place.incoming().exists());
    assert_eq!(fs::read_dir(place.versions()).unwrap().count(), 2);
}
