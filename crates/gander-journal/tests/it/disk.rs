//! A disk that can be watched, failed and unplugged, put under SQLite's own file calls.
//!
//! It knows of each file what was synced and what was only written since. Unplugging it leaves what was synced, and
//! of the rest any choice of 512-byte sectors. A sync that fails loses what it should have saved, although reading
//! still shows it: that is what operating systems do.

use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi;

const SECTOR: usize = 512;

enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Default)]
struct Image {
    synced: Vec<u8>,
    since: Vec<Change>,
    written_bytes: usize,
}

/// How the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    No,
    /// Writes fail: no space is left.
    Full,
    /// Writes fail: the device does.
    Write,
    /// Syncs fail, and lose what they should have saved.
    Sync,
    /// Syncs of the database file do, and those of its log succeed.
    DatabaseSync,
}

struct Disk {
    dir: PathBuf,
    images: HashMap<PathBuf, Image>,
    /// By the address of SQLite's file: its path, and the real calls (a database's and a log's differ).
    open: HashMap<usize, (PathBuf, ffi::sqlite3_io_methods)>,
    failing: Failing,
}

static DISK: Mutex<Option<Disk>> = Mutex::new(None);

fn disk() -> MutexGuard<'static, Option<Disk>> {
    DISK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts the disk under every database that is opened below `dir` from now on. There is one in a process: who wants it
/// next waits until what this gives is dropped.
pub fn plug_in(dir: &Path) -> MutexGuard<'static, ()> {
    static ONCE: Once = Once::new();
    static PLUG: Mutex<()> = Mutex::new(());
    let plugged = PLUG.lock().unwrap_or_else(PoisonError::into_inner);
    ONCE.call_once(register);
    let mut disk = disk();
    // Files of the disk before may still be closing.
    let open = disk.take().map(|before| before.open).unwrap_or_default();
    *disk = Some(Disk { dir: dir.to_owned(), images: HashMap::new(), open, failing: Failing::No });
    plugged
}

/// From now on the disk fails, or no longer does.
pub fn set_failing(failing: Failing) {
    disk().as_mut().unwrap().failing = failing;
}

/// How many bytes were written so far to the file of this name.
pub fn written_bytes(name: &str) -> usize {
    let disk = disk();
    let images = &disk.as_ref().unwrap().images;
    images.iter().filter(|(path, _)| path.ends_with(name)).map(|(_, image)| image.written_bytes).sum()
}

/// What is left if the power goes now, put into `to`. `survives` says of each unsynced sector whether it made it.
pub fn unplug_into(to: &Path, mut survives: impl FnMut() -> bool) {
    for (path, image) in &disk().as_ref().unwrap().images {
        let mut left = image.synced.clone();
        for change in &image.since {
            match change {
                Change::Truncate(length) => {
                    if survives() {
                        left.resize(*length, 0);
                    }
                }
                Change::Write(at, bytes) => {
                    let mut start = 0;
                    while start < bytes.len() {
                        let end = bytes.len().min(start + SECTOR - (at + start) % SECTOR);
                        if survives() {
                            apply(&mut left, at + start, &bytes[start..end]);
                        }
                        start = end;
                    }
                }
            }
        }
        std::fs::write(to.join(path.file_name().unwrap()), left).unwrap();
    }
}

fn apply(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Runs on the image of an open file.
fn with_image<T>(file: *mut ffi::sqlite3_file, run: impl FnOnce(&mut Image, Failing) -> T) -> Option<T> {
    let mut disk = disk();
    let disk = disk.as_mut()?;
    let path = disk.open.get(&(file as usize))?.0.clone();
    Some(run(disk.images.entry(path).or_default(), disk.failing))
}

fn is_database(file: *mut ffi::sqlite3_file) -> bool {
    let disk = disk();
    let path = disk.as_ref().and_then(|disk| Some(&disk.open.get(&(file as usize))?.0));
    path.is_some_and(|path| path.extension().is_some_and(|extension| extension == "db"))
}

/// The real calls of an open file. A file outlives a disk that was put in another's place only in a bug of a test.
fn real(file: *mut ffi::sqlite3_file) -> ffi::sqlite3_io_methods {
    disk().as_ref().unwrap().open[&(file as usize)].1
}

fn register() {
    // SAFETY: the default VFS lives as long as the process; the copy is leaked, so it does too. Methods that are not
    // replaced do not look at the VFS they are called on.
    unsafe {
        assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
        let real = ffi::sqlite3_vfs_find(std::ptr::null());
        let mut ours = Box::new(*real);
        ours.zName = c"watched".as_ptr();
        ours.pAppData = real.cast();
        ours.pNext = std::ptr::null_mut();
        ours.xOpen = Some(x_open);
        assert_eq!(ffi::sqlite3_vfs_register(Box::leak(ours), 1), ffi::SQLITE_OK);
    }
}

unsafe extern "C" fn x_open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: `pAppData` is the real VFS (see `register`); the arguments are SQLite's own.
    unsafe {
        let real = (*vfs).pAppData.cast::<ffi::sqlite3_vfs>();
        let code = (*real).xOpen.unwrap()(real, name, file, flags, out);
        let kinds = ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_WAL;
        if code != ffi::SQLITE_OK || name.is_null() || flags & kinds == 0 {
            return code;
        }
        let path = PathBuf::from(CStr::from_ptr(name).to_string_lossy().into_owned());
        if let Some(disk) = disk().as_mut()
            && path.starts_with(&disk.dir)
        {
            let methods = *(*file).pMethods;
            let ours = ffi::sqlite3_io_methods {
                xClose: Some(x_close),
                xWrite: Some(x_write),
                xTruncate: Some(x_truncate),
                xSync: Some(x_sync),
                ..methods
            };
            (*file).pMethods = Box::leak(Box::new(ours));
            disk.images.entry(path.clone()).or_default();
            disk.open.insert(file as usize, (path, methods));
        }
        code
    }
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    let methods = real(file);
    disk().as_mut().unwrap().open.remove(&(file as usize));
    // SAFETY: this file was opened by the real VFS.
    unsafe { methods.xClose.unwrap()(file) }
}

unsafe extern "C" fn x_write(file: *mut ffi::sqlite3_file, bytes: *const c_void, count: c_int, at: i64) -> c_int {
    let failed = with_image(file, |image, failing| match failing {
        Failing::Full => Some(ffi::SQLITE_FULL),
        Failing::Write => Some(ffi::SQLITE_IOERR_WRITE),
        Failing::No | Failing::Sync | Failing::DatabaseSync => {
            // SAFETY: SQLite gives `count` bytes.
            let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count as usize) };
            image.written_bytes += bytes.len();
            image.since.push(Change::Write(at as usize, bytes.to_vec()));
            None
        }
    });
    if let Some(Some(code)) = failed {
        return code;
    }
    // SAFETY: this file was opened by the real VFS.
    unsafe { real(file).xWrite.unwrap()(file, bytes, count, at) }
}

unsafe extern "C" fn x_truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    with_image(file, |image, _| image.since.push(Change::Truncate(length as usize)));
    // SAFETY: this file was opened by the real VFS.
    unsafe { real(file).xTruncate.unwrap()(file, length) }
}

unsafe extern "C" fn x_sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let of_database = is_database(file);
    let failed = with_image(file, |image, failing| {
        let changes = std::mem::take(&mut image.since);
        if failing == Failing::Sync || (failing == Failing::DatabaseSync && of_database) {
            return true;
        }
        for change in changes {
            match change {
                Change::Write(at, bytes) => apply(&mut image.synced, at, &bytes),
                Change::Truncate(length) => image.synced.resize(length, 0),
            }
        }
        false
    });
    if failed == Some(true) {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // SAFETY: this file was opened by the real VFS.
    unsafe { real(file).xSync.unwrap()(file, flags) }
}
