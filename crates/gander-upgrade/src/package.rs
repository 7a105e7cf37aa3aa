//! Packages: one file that holds one program, and beside it a minisign signature of every byte of it.
//!
//! The file is one line of JSON, the [`Manifest`], and after its line feed the program as one zstd stream. By hand:
//! `minisign -Vm FILE -P KEY`, `head -n1 FILE` for the manifest, `tail -n+2 FILE | zstd -d > gander` for the program.
//! There are no names, links or folders in it, so none can point elsewhere; the manifest says how large the program is,
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
use crate::versions::Description;

/// The largest package that is taken in, in bytes.
pub const PACKAGE_MAX: u64 = 1 << 30;
/// The largest program.
pub const PROGRAM_MAX: u64 = 2 << 30;
/// The longest manifest.
const MANIFEST_MAX: u64 = 64 * 1024;
/// The largest window of the compressor: what unpacking needs in memory.
const WINDOW_LOG_MAX: u32 = 27;
/// What stands for a hash that [`write`] fills in.
pub const NO_HASH: Hash = Hash::ZERO;
/// What the file's name ends with.
pub const EXTENSION: &str = "gander";
/// What its signature's name adds.
pub const SIGNATURE: &str = "minisig";

/// What a package says of itself; all of it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this form: 1.
    pub v: u32,
    /// The version.
    pub version: Version,
    /// The platform, as a target triple.
    pub target: String,
    /// The program's size.
    pub bytes: u64,
    /// The program's BLAKE3.
    pub blake3: Hash,
    /// When it was made, in milliseconds since 1970, UTC.
    pub made_at_ms: i64,
    /// Until when it may be installed: an old package with a known fault does not stay good for ever.
    pub expires_at_ms: i64,
    /// The lowest format of a journal that it reads (and migrates).
    pub reads_format: u32,
    /// The format that it writes.
    pub writes_format: u32,
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
        if value["v"] != 1 {
            return Err(PackageError::NoPackage("it is of a later form".to_owned()));
        }
        let manifest = serde_json::from_value(value).map_err(no_package)?;
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
        if manifest.bytes == 0 || manifest.bytes > PROGRAM_MAX {
            return Err(PackageError::NoPackage(format!("its program would have {} bytes", manifest.bytes)));
        }
        check(&is, wanted)
    }

    /// Unpacks the program to `path`, synced, and compares it with the manifest. What does not fit is removed again.
    pub fn unpack(self, path: &Path) -> Result<Manifest, PackageError> {
        let Package { manifest, path: from, rest } = self;
        let unpacked = unpack(&manifest, &from, rest, path);
        if unpacked.is_err() {
            let _ = file::remove(path);
        }
        unpacked.map(|()| manifest)
    }
}

fn unpack(manifest: &Manifest, from: &Path, rest: BufReader<File>, path: &Path) -> Result<(), PackageError> {
    let read = |source| PackageError::Io { path: from.to_owned(), source };
    let mut stream = zstd::stream::read::Decoder::with_buffer(rest).map_err(read)?.single_frame();
    stream.window_log_max(WINDOW_LOG_MAX).map_err(read)?;
    let _ = file::remove(path);
    let mut program =
        OpenOptions::new().write(true).create_new(true).mode(0o700).open(path).map_err(PackageError::io(path))?;
    let (mut hasher, mut bytes) = (ContentHasher::default(), 0_u64);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = stream.read(&mut buffer).map_err(read)?;
        bytes += read as u64;
        if bytes > manifest.bytes {
            return Err(PackageError::NoPackage("its program is larger than the manifest says".to_owned()));
        }
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        program.write_all(&buffer[..read]).map_err(PackageError::io(path))?;
        crate::faults::point("unpack");
    }
    if bytes != manifest.bytes || hasher.finish() != manifest.blake3 {
        return Err(PackageError::NoPackage("its program is not the one that the manifest names".to_owned()));
    }
    let mut after = [0];
    if stream.finish().read(&mut after).map_err(read)? != 0 {
        return Err(PackageError::NoPackage("something follows its program".to_owned()));
    }
    program.sync_all().map_err(PackageError::io(path))
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

/// Writes a package of `program` to `path`, unsigned. `manifest.bytes` and `manifest.blake3` are filled in.
pub fn write(path: &Path, program: &Path, mut manifest: Manifest, level: i32) -> Result<Manifest, PackageError> {
    (manifest.blake3, manifest.bytes) = hash_file(program).map_err(PackageError::io(program))?;
    let mut target = create(path).map_err(PackageError::io(path))?;
    let written = (|| {
        serde_json::to_writer(&mut target, &manifest)?;
        target.write_all(b"\n")?;
        let mut stream = zstd::stream::write::Encoder::new(&mut target, level)?;
        io::copy(&mut File::open(program)?, &mut stream)?;
        stream.finish()?;
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
