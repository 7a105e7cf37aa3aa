//! The secret of a bucket: from the environment, from a file that only its owner can read, or from the operating
//! system's keyring, in this order. It is never written by us, neither to the journal nor to a log.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gander_vault::s3::Bucket;

const VARIABLE: &str = "GANDER_BACKUP_SECRET";
/// Beside config.toml, where nothing else is configured.
const FILE: &str = "backup-secret";
/// A keyring may ask its owner to unlock it.
const KEYRING_PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// Others can read the file.
    #[error("{} can be read by others; run `chmod 600` on it and change the key", path.display())]
    Shared { path: PathBuf },
    /// The file failed.
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// Nothing has one.
    #[error(
        "there is no secret for access key {key}: set {VARIABLE}, write it to {} (mode 0600), or keep it in the keyring as \
         service `gander`, account `{account}`",
        path.display()
    )]
    None { key: String, account: String, path: PathBuf },
}

/// The secret of `bucket`.
pub(crate) fn of(bucket: &Bucket, data_dir: &Path) -> Result<String, SecretError> {
    if let Ok(secret) = std::env::var(VARIABLE)
        && !secret.is_empty()
    {
        return Ok(secret);
    }
    let path = bucket.secret_file.clone().unwrap_or_else(|| data_dir.join(FILE));
    if let Some(secret) = from_file(&path)? {
        return Ok(secret);
    }
    let account = format!("{}@{}", bucket.access_key_id, bucket.bucket);
    let none = || SecretError::None { key: bucket.access_key_id.clone(), account: account.clone(), path };
    from_keyring(&account).ok_or_else(none)
}

fn from_file(path: &Path) -> Result<Option<String>, SecretError> {
    let read = |source| SecretError::Read { path: path.to_owned(), source };
    let about = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(read)?,
    };
    if about.mode() & 0o077 != 0 {
        return Err(SecretError::Shared { path: path.to_owned() });
    }
    let secret = std::fs::read_to_string(path).map_err(read)?.trim().to_owned();
    Ok((!secret.is_empty()).then_some(secret))
}

/// Asks the keyring through its own program, which every desktop that has a keyring has; a server that has none is
/// answered at once.
fn from_keyring(account: &str) -> Option<String> {
    let (program, arguments): (&str, Vec<&str>) = if cfg!(target_os = "macos") {
        ("security", vec!["find-generic-password", "-s", "gander", "-a", account, "-w"])
    } else if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some() {
        ("secret-tool", vec!["lookup", "service", "gander", "account", account])
    } else {
        return None;
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if started.elapsed() > KEYRING_PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut secret = String::new();
    child.stdout.take()?.read_to_string(&mut secret).ok()?;
    let secret = secret.trim_end_matches(['\n', '\r']).to_owned();
    (status.success() && !secret.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{SecretError, from_file};

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = std::env::temp_dir().join(format!("gander-secret-{}", std::process::id()));
        assert!(matches!(from_file(&folder), Ok(None)));
        std::fs::write(&folder, "hush\n").unwrap_or_default();
        for (mode, refused) in [(0o644, true), (0o640, true), (0o600, false)] {
            let _ = std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode));
            match from_file(&folder) {
                Err(SecretError::Shared { .. }) => assert!(refused, "{mode:o}"),
                other => {
                    assert!(!refused && matches!(other.as_ref(), Ok(Some(secret)) if secret == "hush"), "{other:?}")
                }
            }
        }
        let _ = std::fs::remove_file(&folder);
    }
}
