//! Packages: what is taken, and everything that is not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gander_upgrade::keys::{KeyError, Keys};
use gander_upgrade::package::{self, Files, Manifest, Package, PackageError, Wanted, signature_of};
use gander_upgrade::versions::{self, Description};
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
        let is =
            Description { version: version("1.1.0"), target: TARGET.to_owned(), reads_format: 1, writes_format: 2 };
        Manifest::new(is, NOW_MS, NOW_MS + 1)
    }

    /// A signed package of a small program.
    fn make(&self, change: impl FnOnce(&mut Manifest)) -> PathBuf {
        self.pack(false, change)
    }

    /// The same with licences and native windows.
    fn make_whole(&self) -> PathBuf {
        self.pack(true, |_| {})
    }

    fn pack(&self, whole: bool, change: impl FnOnce(&mut Manifest)) -> PathBuf {
        let file = |name: &str, text: String| {
            let path = self.home.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let program = file("program", "#!/bin/sh\necho honk\n".repeat(400));
        let licences = file("licences", "Permission is hereby granted\n".repeat(100));
        let desktop = file("desktop", "#!/bin/sh\necho gander-desktop 1.1.0\n".repeat(300));
        let mut manifest = self.manifest();
        change(&mut manifest);
        let path = self.home.path().join("x.gander");
        let files =
            Files { program: &program, licences: whole.then_some(&licences), desktop: whole.then_some(&desktop) };
        package::write(&path, &files, manifest, 3).unwrap();
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
    let program = versions::stage(&place, id(1), package, true).unwrap();
    assert_eq!(program, place.program(&version("1.1.0")));
    assert_eq!(fs::read(&program).unwrap(), fs::read(maker.home.path().join("program")).unwrap());
    assert_eq!(versions::program(&place, &version("1.1.0")).unwrap(), program);
    assert_eq!(versions::kept(&place).unwrap(), [version("1.1.0")]);
    // Changed on the disk, it is not run any more.
    fs::write(&program, "#!/bin/sh\necho moo\n").unwrap();
    assert!(versions::program(&place, &version("1.1.0")).is_err());
}

#[test]
fn a_package_with_native_windows_is_unpacked_where_they_are_wanted() {
    let (maker, home) = (Maker::new(), tempfile::tempdir().unwrap());
    let (place, of) = (Place::new(home.path()), version("1.1.0"));
    let same = |kept: PathBuf, made: &str| fs::read(kept).unwrap() == fs::read(maker.home.path().join(made)).unwrap();
    let open = || Package::open(&maker.make_whole(), &maker.keys()).unwrap();
    let whole = open();
    whole.check(&wanted()).unwrap();
    assert_eq!(whole.manifest().v, 2, "no older version takes it for one that holds a program alone");
    // Nobody has native windows here, and nobody gets them.
    versions::stage(&place, id(1), open(), false).unwrap();
    assert!(same(place.program(&of), "program") && same(place.version(&of).join("licences.txt"), "licences"));
    assert!(!place.desktop(&of).exists());
    assert_eq!(versions::desktop(&place, &of).unwrap(), None);
    // Then somebody has: the same version comes once more, whole.
    versions::stage(&place, id(2), open(), true).unwrap();
    assert!(same(place.program(&of), "program") && same(place.desktop(&of), "desktop"));
    assert_eq!(versions::desktop(&place, &of).unwrap(), Some(place.desktop(&of)));
    // An equal one stays, and so do native windows that nobody asks for any more.
    let before = fs::metadata(place.desktop(&of)).unwrap().modified().unwrap();
    for wanted in [true, false] {
        versions::stage(&place, id(3), open(), wanted).unwrap();
        assert_eq!(fs::metadata(place.desktop(&of)).unwrap().modified().unwrap(), before);
    }
    // Changed on the disk, they are not run any more, and come again.
    fs::write(place.desktop(&of), "#!/bin/sh\necho moo\n").unwrap();
    assert!(versions::desktop(&place, &of).is_err());
    versions::stage(&place, id(4), open(), true).unwrap();
    assert!(same(place.desktop(&of), "desktop"));
    versions::leave_windows_out(&place, &of).unwrap();
    assert_eq!(versions::desktop(&place, &of).unwrap(), None);
    assert_eq!(versions::program(&place, &of).unwrap(), place.program(&of));
}

#[test]
fn native_windows_of_the_version_that_serves_are_kept_with_it() {
    let home = tempfile::tempdir().unwrap();
    let (place, of) = (Place::new(home.path().join("data")), version("1.0.0"));
    let is = Description { version: of.clone(), target: TARGET.to_owned(), reads_format: 1, writes_format: 1 };
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let script = |name: &str, says: &str| {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    };
    let program = script("gander", "gander");
    let windows_of = |program: &Path| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(versions::windows_of(&place, &of, program))
    };
    assert_eq!(windows_of(&program), None);
    script("gander-desktop", "gander-desktop 1.0.1");
    assert_eq!(windows_of(&program), None, "they are of another version");
    versions::keep(&place, id(1), &program, None, &is, NOW_MS).unwrap();
    let windows = script("gander-desktop", "gander-desktop 1.0.0");
    assert_eq!(windows_of(&program), Some(windows.clone()));
    // Kept without them, it is kept with them as soon as there are any.
    for _ in 0..2 {
        versions::keep(&place, id(2), &program, Some(&windows), &is, NOW_MS).unwrap();
        assert_eq!(versions::desktop(&place, &of).unwrap(), Some(place.desktop(&of)));
    }
    fs::remove_dir_all(&bin).unwrap();
    assert_eq!(versions::program(&place, &of).unwrap(), place.program(&of));
    assert!(versions::desktop(&place, &of).unwrap().is_some());
    assert_eq!(windows_of(&place.program(&of)), None, "there is nothing to keep of what is kept");
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
    assert!(refusal(with("v", 3.into()).map(drop)).contains("later form"));
    assert!(with("v", 0.into()).is_err());
    // A form that older versions read says nothing that they would not see, and nothing is promised that is not there.
    let part = serde_json::json!({"bytes": 1, "blake3": "00".repeat(32)});
    assert!(with("desktop", part.clone()).is_err());
    let both = |v: u32| {
        let mut manifest = manifest.clone();
        (manifest["v"], manifest["desktop"]) = (v.into(), part.clone());
        fs::write(&path, [manifest.to_string().as_bytes(), &good[end..]].concat()).unwrap();
        maker.sign(&path);
        Package::open(&path, &maker.keys())
    };
    assert!(both(1).is_err());
    for wanted in [true, false] {
        assert!(versions::stage(&place, id(1), both(2).unwrap(), wanted).is_err(), "windows wanted: {wanted}");
    }
    // Larger than it says, smaller than it says, and absurd.
    let bytes = manifest["bytes"].as_u64().unwrap();
    for wrong in [bytes - 1, bytes + 1, 1] {
        let package = with("bytes", wrong.into()).unwrap();
        assert!(versions::stage(&place, id(1), package, true).is_err(), "{wrong}");
    }
    let absurd = with("bytes", (5_u64 << 40).into()).unwrap();
    assert!(refusal(absurd.check(&wanted())).contains("bytes"));
    // Another program than the one that was named, and something behind it.
    let package = with("blake3", "00".repeat(32).into()).unwrap();
    assert!(versions::stage(&place, id(1), package, true).is_err());
    fs::write(&path, [good.as_slice(), b"\x28\xb5\x2f\xfd and more"].concat()).unwrap();
    maker.sign(&path);
    let package = Package::open(&path, &maker.keys()).unwrap();
    assert!(versions::stage(&place, id(1), package, true).is_err());
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
        versions::stage(&place, id(1), package, true).unwrap();
    }
    fs::create_dir(place.versions().join(".new-scrap")).unwrap();
    fs::create_dir_all(place.incoming()).unwrap();
    versions::prune(&place, &[&version("1.2.0"), &version("1.3.0")]).unwrap();
    assert_eq!(versions::kept(&place).unwrap(), [version("1.2.0"), version("1.3.0")]);
    assert!(!place.incoming().exists());
    assert_eq!(fs::read_dir(place.versions()).unwrap().count(), 2);
}
