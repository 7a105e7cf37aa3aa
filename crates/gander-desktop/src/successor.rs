//! Which program shows the windows: the one that belongs to the version that serves. After an upgrade, or the way back, this process
//! becomes that program, with the same windows at the same places; nothing is lost by it, since nothing is kept here alone.
//!
//! The server says which program that is (`GET upgrade/windows`). It is run only if it says itself that it starts on this
//! machine and is of the server's version; else the windows stay as they are, and talk to the newer server all the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::host::{Host, installed_gander};
use crate::http::Server;
use crate::{VERSION, native};

/// `gander` knows it too: this program itself runs, whatever serves.
const NO_LAUNCH: &str = "GANDER_NO_LAUNCH";
/// What a program in the versions folder is told: which `gander` is the installed one.
pub const INSTALLED_PROGRAM: &str = "GANDER_INSTALLED_PROGRAM";
/// And of which version that is; whoever is installed knows it itself.
const INSTALLED: &str = "GANDER_INSTALLED";
/// How long another program may take to say which it is.
const SAYS: Duration = Duration::from_secs(20);

/// The program that is to show the windows of this server, if it is another one than this, and runs here.
pub async fn of(this: &ProgramFile, server: &Server) -> Option<PathBuf> {
    if server.version == VERSION || std::env::var_os(NO_LAUNCH).is_some() {
        return None;
    }
    // A version from before says nothing of windows.
    let told = server.get("upgrade/windows").await.ok()?;
    let program = PathBuf::from(told["program"].as_str()?);
    if this.is(&program) {
        return None;
    }
    let says = Command::new(&program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    match timeout(SAYS, says).await {
        Ok(Ok(said)) if said.stdout == format!("gander-desktop {}\n", server.version).into_bytes() => Some(program),
        said => {
            tracing::warn!(program = %program.display(), version = server.version, ?said, "the windows stay of version {VERSION}");
            None
        }
    }
}

/// The same before there is a window. Where nobody serves yet, somebody is started, if another version than this one will serve.
pub async fn before_any_window(this: &ProgramFile, data_dir: &Path, own: &Path) -> Option<PathBuf> {
    let server = match Host::find(data_dir).await {
        Some(server) => server,
        None => {
            let pointer = fs::read(data_dir.join("versions/current")).ok()?;
            let pointer: serde_json::Value = serde_json::from_slice(&pointer).ok()?;
            if pointer["version"] == VERSION {
                return None;
            }
            // What goes wrong is said once there is a window to say it in.
            Host::new(data_dir, own).attach().await.ok()?
        }
    };
    of(this, &server).await
}

/// Runs the program in this one's place; returns only where that failed, and then this one goes on.
pub fn become_it(this: &ProgramFile, program: &Path, data_dir: &Path, what: Option<&str>) {
    tracing::info!(program = %program.display(), "the windows go on in another version");
    let mut command = std::process::Command::new(program);
    command.arg("--data-dir").arg(data_dir).args(what);
    if !is_kept(data_dir, program) {
        command.env_remove(INSTALLED_PROGRAM).env_remove(INSTALLED);
    } else if !is_kept(data_dir, this.path())
        && let Some(gander) = installed_gander(this.path())
    {
        command.env(INSTALLED_PROGRAM, gander);
    }
    let error = native::replace_this_process(&mut command);
    tracing::warn!(%error, "the other version could not be started; this one goes on");
}

/// Whether a program lies in the versions folder.
pub fn is_kept(data_dir: &Path, program: &Path) -> bool {
    let versions = data_dir.join("versions");
    program.starts_with(&versions) || versions.canonicalize().is_ok_and(|versions| program.starts_with(versions))
}

/// Where this program's own file is, and which it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramFile {
    path: PathBuf,
    id: Option<(u64, u64)>,
}

impl ProgramFile {
    /// As it is now. Called before anything could have replaced it.
    pub fn this() -> Option<Self> {
        std::env::current_exe().ok().map(|path| Self { id: id_of(&path), path })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a file is the one that this program was started from.
    fn is(&self, path: &Path) -> bool {
        self.id.is_some() && id_of(path) == self.id
    }
}

#[cfg(unix)]
fn id_of(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn id_of(path: &Path) -> Option<(u64, u64)> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((since.as_secs(), u64::from(since.subsec_nanos())))
}
