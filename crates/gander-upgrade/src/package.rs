//! Packages: one file that holds `gander`, and beside it a minisign signature of every byte of it.
//!
//! The file is one line of JSON, the [`Manifest`], and after its line feed the program as one zstd frame. Where the manifest
//! says so (its form is 2 then), two more frames follow: the licences of what is built in, and `gander-desktop`. By hand:
//! `minisign -Vm FILE -P KEY`, `head -n1 FILE` for the manifest, `tail -n+2 FILE | zstd -d | head -c BYTES > gander`.
//! There are no names, links or folders in it, so none can point elsewhere; the manifest says how large each part is,
//! and not a byte more is unpacked.
//!
//! Nothing of a package is looked at before its signature was found good, over a copy that nobody else writes.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gander_model::hash::ContentHasher;
use gander_model::{Hash, UpgradeId};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::file;
use crate::keys::{KeyError, Keys};
use crate::place::{DESKTOP, LICENCES, PROGRAM};
use crate::versions::Description;

/// The largest package that is taken in, in bytes.
pub const PACKAGE_MAX: u64 = 1 << 30;
/// The largest program.
pub const PROGRAM_MAX: u64 = 2 << 30;
/// The longest text of licences.
const LICENCES_MAX: u64 = 64 << 20;
/// The newest form that is read.
const NEWEST_FORM: u64 = 2;
/// The longest manifest.
const MANIFEST_MAX: u64 = 64 * 1024;
/// The largest window of the compressor: what unpacking needs in memory.
const WINDOW_LOG_MAX: u32 = 27;
/// What the file's name ends with.
pub const EXTENSION: &str = "gander";
/// What its signature's name adds.
pub const SIGNATURE: &str = "minisig";

/// What a package says of itself; all of it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its form: 1 with the program alone, which every version reads; else 2.
    pub v: u32,
    /// The version.
    pub version: Version,
    /// The platform, as a target triple.
    pub target: String,
    /// The program's size.
    pub bytes: u64,
    /// The program's BLAKE3.
    pub blake3: Hash,
    /// The licences of what is built in, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licences: Option<Part>,
    /// The native windows of the same version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desktop: Option<Part>,
    /// When it was made, in milliseconds since 1970, UTC.
    pub made_at_ms: i64,
    /// Until when it may be installed: an old package with a known fault does not stay good for ever.
    pub expires_at_ms: i64,
    /// The lowest format of a journal that it reads (and migrates).
    pub reads_format: u32,
    /// The format that it writes.
    pub writes_format: u32,
}

/// Something that comes along with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its size.
    pub bytes: u64,
    /// Its BLAKE3.
    pub blake3: Hash,
}

impl Part {
    /// A file as it is.
    pub fn of(path: &Path) -> io::Result<Part> {
        hash_file(path).map(|(blake3, bytes)| Part { bytes, blake3 })
    }
}

/// What kind of file a part becomes.
struct Kind {
    name: &'static str,
    mode: u32,
    max_bytes: u64,
}

const KINDS: [Kind; 3] = [
    Kind { name: PROGRAM, mode: 0o700, max_bytes: PROGRAM_MAX },
    Kind { name: LICENCES, mode: 0o600, max_bytes: LICENCES_MAX },
    Kind { name: DESKTOP, mode: 0o700, max_bytes: PROGRAM_MAX },
];

impl Manifest {
    /// What a program says of itself, with times; [`write`] fills in what the package holds.
    pub fn new(is: Description, made_at_ms: i64, expires_at_ms: i64) -> Manifest {
        let Description { version, target, reads_format, writes_format } = is;
        let (bytes, blake3) = (0, Hash::ZERO);
        let (licences, desktop) = (None, None);
        Manifest {
            v: 1,
            version,
            target,
            bytes,
            blake3,
            licences,
            desktop,
            made_at_ms,
            expires_at_ms,
            reads_format,
            writes_format,
        }
    }

    /// Everything in the package, in its order.
    fn parts(&self) -> impl Iterator<Item = (&'static Kind, Part)> + use<> {
        let program = Part { bytes: self.bytes, blake3: self.blake3 };
        KINDS.iter().zip([Some(program), self.licences, self.desktop]).filter_map(|(kind, part)| Some((kind, part?)))
    }

    /// The oldest form that can say this.
    pub(crate) fn form(&self) -> u32 {
        if self.parts().count() == 1 { 1 } else { 2 }
    }

    /// The bytes of everything in it, unpacked.
    pub fn unpacked_bytes(&self) -> u64 {
        self.parts().fold(0, |all, (_, part)| all.saturating_add(part.bytes))
    }
}

/// What a package must fit.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The version that serves.
    pub running: Version,
    /// This platform.
    pub target: String,
    /// The journal's format.
    pub format: u32,
    /// Now, in milliseconds since 1970, UTC.
    pub now_ms: i64,
    /// Whether an older version is what is asked for.
    pub downgrade: bool,
}

/// Whether a program may serve here in the place of the version that does.
pub fn check(is: &Description, wanted: &Wanted) -> Result<(), PackageError> {
    if is.target != wanted.target {
        return Err(PackageError::Platform { found: is.target.clone(), wanted: wanted.target.clone() });
    }
    match is.version.cmp_precedence(&wanted.running) {
        std::cmp::Ordering::Greater => {}
        std::cmp::Ordering::Equal => return Err(PackageError::Same(is.version.clone())),
        std::cmp::Ordering::Less if wanted.downgrade => {}
        std::cmp::Ordering::Less => {
            return Err(PackageError::Older { found: is.version.clone(), running: wanted.running.clone() });
        }
    }
    if wanted.format < is.reads_format || wanted.format > is.writes_format {
        return Err(PackageError::Format {
            version: is.version.clone(),
            reads: is.reads_format,
            writes: is.writes_format,
            found: wanted.format,
        });
    }
    Ok(())
}

/// Why a package is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file failed.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No signature lies beside it.
    #[error("the package is not signed: there is no {}", path.display())]
    NotSigned {
        /// Where it would be.
        path: PathBuf,
    },
    /// The signature is none, is by somebody unknown, or does not fit.
    #[error("the package's signature is not good")]
    Signature(#[from] KeyError),
    /// It is larger than any package.
    #[error("the package is larger than {PACKAGE_MAX} bytes")]
    TooLarge,
    /// It is signed, and yet no package.
    #[error("the package is not one that this version can read: {0}")]
    NoPackage(String),
    /// It was made for another kind of machine.
    #[error("the package is for {found}, and this is {wanted}")]
    Platform {
        /// The package's.
        found: String,
        /// This one.
        wanted: String,
    },
    /// It is too old to be installed.
    #[error("the package expired {days} days ago")]
    Expired {
        /// How long ago.
        days: i64,
    },
    /// It is older than what runs.
    #[error("the package is {found}, older than {running}, which serves now")]
    Older {
        /// The package's.
        found: Version,
        /// What serves.
        running: Version,
    },
    /// It is what runs.
    #[error("gander {0} is what serves now")]
    Same(Version),
    /// It cannot read the journal.
    #[error("gander {version} reads journals of format {reads} to {writes}, and this one has format {found}")]
    Format {
        /// The package's version.
        version: Version,
        /// The lowest that it reads.
        reads: u32,
        /// What it writes.
        writes: u32,
        /// The journal's.
        found: u32,
    },
    /// There is no room.
    #[error("there is not enough room: {needed} bytes are needed beside {}, {free} are free", path.display())]
    NoRoom {
        /// What is needed.
        needed: u64,
        /// What there is.
        free: u64,
        /// Where.
        path: PathBuf,
    },
    /// The program does not start here.
    #[error("the program in the package does not run here: {0}")]
    DoesNotRun(String),
}

impl PackageError {
    /// A function that blames a file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> PackageError + use<> {
        let path = path.to_owned();
        move |source| PackageError::Io { path, source }
    }
}

/// A package whose signature is good, open at its program.
pub struct Package {
    manifest: Manifest,
    path: PathBuf,
    rest: BufReader<File>,
}

/// The path of a package's signature.
pub fn signature_of(package: &Path) -> PathBuf {
    let mut name = package.as_os_str().to_owned();
    name.push(".");
    name.push(SIGNATURE);
    name.into()
}

/// Copies a package and its signature to `path` in a folder of ours, where nobody changes them between a look and a use.
pub fn copy(from: &Path, path: &Path) -> Result<(), PackageError> {
    let signature = signature_of(from);
    if !signature.is_file() {
        return Err(PackageError::NotSigned { path: signature });
    }
    for (from, to) in [(from.to_owned(), path.to_owned()), (signature, signature_of(path))] {
        let mut source = File::open(&from).map_err(PackageError::io(&from))?.take(PACKAGE_MAX + 1);
        let mut target = create(&to).map_err(PackageError::io(&to))?;
        if io::copy(&mut source, &mut target).map_err(PackageError::io(&to))? > PACKAGE_MAX {
            return Err(PackageError::TooLarge);
        }
    }
    Ok(())
}

/// A new file for its owner alone; one that is there is replaced.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

impl Package {
    /// Verifies the signature of every byte, then reads the manifest.
    pub fn open(path: &Path, keys: &Keys) -> Result<Package, PackageError> {
        let signature = signature_of(path);
        let signed = file::read(&signature, MANIFEST_MAX).map_err(PackageError::io(&signature))?;
        let signed = signed.ok_or(PackageError::NotSigned { path: signature })?;
        let mut package = File::open(path).map_err(PackageError::io(path))?;
        let bytes = package.metadata().map_err(PackageError::io(path))?.len();
        if bytes > PACKAGE_MAX {
            return Err(PackageError::TooLarge);
        }
        keys.verify(&mut package, &signed)?;
        io::Seek::rewind(&mut package).map_err(PackageError::io(path))?;
        let mut rest = BufReader::with_capacity(128 * 1024, package);
        let mut line = Vec::new();
        (&mut rest).take(MANIFEST_MAX).read_until(b'\n', &mut line).map_err(PackageError::io(path))?;
        if line.last() != Some(&b'\n') {
            return Err(PackageError::NoPackage("it has no manifest".to_owned()));
        }
        let no_package = |error: serde_json::Error| PackageError::NoPackage(format!("its manifest: {error}"));
        let value: serde_json::Value = serde_json::from_slice(&line).map_err(no_package)?;
        if !value["v"].as_u64().is_some_and(|form| (1..=NEWEST_FORM).contains(&form)) {
            let why = "it is of a later form; upgrade to a version in between first".to_owned();
            return Err(PackageError::NoPackage(why));
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(no_package)?;
        if manifest.v < manifest.form() {
            return Err(PackageError::NoPackage("it says more than its form can hold".to_owned()));
        }
        Ok(Package { manifest, path: path.to_owned(), rest })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether it is what is wanted here.
    pub fn check(&self, wanted: &Wanted) -> Result<(), PackageError> {
        let manifest = &self.manifest;
        let is = Description {
            version: manifest.version.clone(),
            target: manifest.target.clone(),
            reads_format: manifest.reads_format,
            writes_format: manifest.writes_format,
        };
        if manifest.expires_at_ms <= wanted.now_ms {
            let days = wanted.now_ms.saturating_sub(manifest.expires_at_ms) / 86_400_000;
            return Err(PackageError::Expired { days });
        }
        if let Some((kind, part)) = manifest.parts().find(|(kind, part)| part.bytes == 0 || part.bytes > kind.max_bytes)
        {
            return Err(PackageError::NoPackage(format!("its {} would have {} bytes", kind.name, part.bytes)));
        }
        check(&is, wanted)
    }

    /// Unpacks into a folder, synced, and compares everything with the manifest. What does not fit is removed again. The native
    /// windows come last, and stay where they are unless they are wanted; the manifest that is given back says what came.
    pub fn unpack(self, folder: &Path, desktop: bool) -> Result<Manifest, PackageError> {
        let Package { mut manifest, path: from, mut rest } = self;
        let left = if desktop { None } else { manifest.desktop.take() };
        manifest.v = manifest.form();
        let unpacked = unpack(&manifest, left, &from, &mut rest, folder);
        if unpacked.is_err() {
            for kind in &KINDS {
                let _ = file::remove(&folder.join(kind.name));
            }
        }
        unpacked.map(|()| manifest)
    }
}

fn unpack(
    manifest: &Manifest,
    left: Option<Part>,
    from: &Path,
    rest: &mut BufReader<File>,
    folder: &Path,
) -> Result<(), PackageError> {
    for (kind, part) in manifest.parts() {
        unpack_part(kind, part, from, rest, &folder.join(kind.name))?;
    }
    let mut after = [0];
    let read = rest.read(&mut after).map_err(|source| PackageError::Io { path: from.to_owned(), source })?;
    // What is left is there, and nothing where nothing is.
    if (read == 0) != left.is_none() {
        return Err(PackageError::NoPackage("there is more or less in it than its manifest says".to_owned()));
    }
    Ok(())
}

fn unpack_part(
    kind: &Kind,
    part: Part,
    from: &Path,
    rest: &mut BufReader<File>,
    path: &Path,
) -> Result<(), PackageError> {
    let read = |source| PackageError::Io { path: from.to_owned(), source };
    let mut stream = zstd::stream::read::Decoder::with_buffer(rest).map_err(read)?.single_frame();
    stream.window_log_max(WINDOW_LOG_MAX).map_err(read)?;
    let _ = file::remove(path);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(kind.mode).open(path).map_err(PackageError::io(path))?;
    let (mut hasher, mut bytes) = (ContentHasher::default(), 0_u64);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = stream.read(&mut buffer).map_err(read)?;
        bytes += read as u64;
        if bytes > part.bytes {
            return Err(PackageError::NoPackage(format!("its {} is larger than the manifest says", kind.name)));
        }
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        file.write_all(&buffer[..read]).map_err(PackageError::io(path))?;
        crate::faults::point("unpack");
    }
    if (Part { bytes, blake3: hasher.finish() }) != part {
        return Err(PackageError::NoPackage(format!("its {} is not the one that the manifest names", kind.name)));
    }
    file.sync_all().map_err(PackageError::io(path))
}

/// The BLAKE3 and the size of a file.
pub fn hash_file(path: &Path) -> io::Result<(Hash, u64)> {
    let (mut file, mut hasher, mut bytes) = (File::open(path)?, ContentHasher::default(), 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hasher.finish(), bytes));
        }
        bytes += read as u64;
        hasher.update(&buffer[..read]);
    }
}

/// What a package is made of.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// `gander`.
    pub program: &'a Path,
    /// The licences of what is built in.
    pub licences: Option<&'a Path>,
    /// `gander-desktop`.
    pub desktop: Option<&'a Path>,
}

/// Writes a package to `path`, unsigned. What the manifest says of form, sizes and hashes is filled in.
pub fn write(path: &Path, files: &Files<'_>, mut manifest: Manifest, level: i32) -> Result<Manifest, PackageError> {
    let part = |file: &Path| Part::of(file).map_err(PackageError::io(file));
    let program = part(files.program)?;
    (manifest.blake3, manifest.bytes) = (program.blake3, program.bytes);
    manifest.licences = files.licences.map(part).transpose()?;
    manifest.desktop = files.desktop.map(part).transpose()?;
    manifest.v = manifest.form();
    let mut target = create(path).map_err(PackageError::io(path))?;
    let written = (|| {
        serde_json::to_writer(&mut target, &manifest)?;
        target.write_all(b"\n")?;
        for file in [Some(files.program), files.licences, files.desktop].into_iter().flatten() {
            let mut stream = zstd::stream::write::Encoder::new(&mut target, level)?;
            io::copy(&mut File::open(file)?, &mut stream)?;
            stream.finish()?;
        }
        target.sync_all()
    })();
    written.map_err(PackageError::io(path))?;
    Ok(manifest)
}

/// The file name of a package.
pub fn name(manifest: &Manifest) -> String {
    format!("gander-{}-{}.{EXTENSION}", manifest.version, manifest.target)
}

/// The name of a package on its way in.
pub fn incoming_name(id: UpgradeId) -> String {
    format!("{id}.{EXTENSION}")
}
