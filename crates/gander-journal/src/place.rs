//! Where a journal may live. A network file system breaks the locks and the shared memory that the database's log
//! needs; a folder that a cloud client synchronises gets its files replaced under us, or sent to another computer
//! half-written. Both have lost journals elsewhere, so both are refused with the reason.

use std::path::{Component, Path, PathBuf};

use crate::error::OpenError;

/// File systems whose files live on another computer (names as the kernel's mount table has them).
const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ceph",
    "coda",
    "ncpfs",
    "9p",
    "lustre",
    "glusterfs",
    "gfs2",
    "ocfs2",
    "davfs",
    "beegfs",
    "vboxsf",
    "vmhgfs",
];

/// What makes a FUSE file system one of those.
const NETWORK_FUSE: &[&str] = &[
    "sshfs",
    "rclone",
    "s3fs",
    "gvfsd-fuse",
    "glusterfs",
    "cephfs",
    "davfs",
    "davfs2",
    "smbnetfs",
    "gcsfuse",
    "goofys",
    "onedriver",
    "google-drive-ocamlfuse",
    "mount-s3",
    "vmhgfs-fuse",
    "juicefs",
    "seadrive",
];

/// Folders that a cloud client keeps, by name; a `*` stands for any ending.
const CLOUD_NAMES: &[(&str, &str)] = &[
    ("Dropbox", "Dropbox"),
    ("Dropbox (*", "Dropbox"),
    ("OneDrive", "OneDrive"),
    ("OneDrive - *", "OneDrive"),
    ("Google Drive", "Google Drive"),
    ("GoogleDrive", "Google Drive"),
    ("GoogleDrive-*", "Google Drive"),
    ("iCloud Drive", "iCloud"),
    ("Mobile Documents", "iCloud"),
    ("CloudStorage", "a cloud drive"),
    ("Nextcloud", "Nextcloud"),
    ("ownCloud", "ownCloud"),
    ("pCloudDrive", "pCloud"),
    ("Proton Drive", "Proton Drive"),
    ("MEGAsync", "MEGA"),
    ("Box Sync", "Box"),
];

/// Files that a client leaves at the root of what it synchronises.
const CLOUD_MARKS: &[(&str, &str)] = &[
    (".dropbox.cache", "Dropbox"),
    (".stfolder", "Syncthing"),
    (".owncloudsync.log", "ownCloud"),
    (".nextcloudsync.log", "Nextcloud"),
    (".seafile-data", "Seafile"),
];

/// Refuses a folder that cannot keep a journal safely. `dir` exists.
pub fn check(dir: &Path) -> Result<(), OpenError> {
    let real = std::fs::canonicalize(dir).map_err(|source| OpenError::Io { path: dir.to_owned(), source })?;
    let refuse = |why: String| Err(OpenError::Place { dir: dir.to_owned(), why });
    if let Some(kind) = network(&real) {
        return refuse(format!(
            "it lies on a network file system ({kind}), where locks and the database's log cannot be trusted; \
             choose a folder on a local disk"
        ));
    }
    // The name as given counts too: a link inside a synchronised folder may be followed by its client.
    if let Some(client) = cloud(&real).or_else(|| cloud(dir)) {
        return refuse(format!(
            "{client} synchronises it, and would copy or replace the journal's files while they are written; \
             choose a folder that stays on this computer"
        ));
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn network(dir: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let kind = mounted(&mounts, dir)?;
    is_network(&kind).then_some(kind)
}

#[cfg(target_os = "macos")]
fn network(dir: &Path) -> Option<String> {
    const MNT_LOCAL: u32 = 0x1000;
    let about = rustix::fs::statfs(dir).ok()?;
    (about.f_flags & MNT_LOCAL == 0).then(|| "not local".to_owned())
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn network(_: &Path) -> Option<String> {
    None
}

/// Whether a file system's name stands for another computer's files.
pub fn is_network(kind: &str) -> bool {
    match kind.split_once('.') {
        Some((fuse, program)) if fuse.starts_with("fuse") => NETWORK_FUSE.contains(&program),
        _ => NETWORK.contains(&kind),
    }
}

/// The file system of `dir`, by a mount table in the format of `/proc/self/mountinfo`: the last mounted of those
/// whose mount point is the longest that leads to it.
pub fn mounted(mounts: &str, dir: &Path) -> Option<String> {
    let mut found: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let (Some(point), Some(kind)) =
            (line.split(' ').nth(4).map(unescape), line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').next()))
        else {
            continue;
        };
        let depth = point.components().count();
        if dir.starts_with(&point) && found.is_none_or(|(best, _)| depth >= best) {
            found = Some((depth, kind));
        }
    }
    found.map(|(_, kind)| kind.to_owned())
}

/// Blanks and backslashes of a mount point stand as three octal digits.
fn unescape(field: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    PathBuf::from(escapes.iter().fold(field.to_owned(), |text, (from, to)| text.replace(from, to)))
}

/// The client that synchronises `dir`, by the names on its path and the marks that clients leave.
pub fn cloud(dir: &Path) -> Option<&'static str> {
    let by_name = dir.components().find_map(|part| {
        let Component::Normal(name) = part else { return None };
        let name = name.to_str()?;
        let known = CLOUD_NAMES.iter().find(|(pattern, _)| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        });
        known.map(|(_, client)| *client)
    });
    by_name.or_else(|| {
        dir.ancestors().find_map(|folder| {
            CLOUD_MARKS.iter().find(|(mark, _)| folder.join(mark).exists()).map(|(_, client)| *client)
        })
    })
}
