//! The process that serves the data folder: found where one runs, else started, and told from one that somebody else started.
//!
//! It is a process of its own, in its own group: what happens to windows, to the native toolkit or to a web engine cuts no
//! answer off. The journal is its alone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::http::Server;
use crate::{native, successor};

/// A migration, an upgrade that is under way, a large journal after a power cut: all that a start may wait for.
const START_PATIENCE: Duration = Duration::from_secs(300);
/// What a server that stops may take.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(25);

/// Who serves a data folder.
pub struct Host {
    data_dir: PathBuf,
    own: PathBuf,
    child: Option<Child>,
    serving: Option<Server>,
    /// It serves for these windows, so it ends with them.
    is_ours: bool,
    /// The server that said that another version takes its place. It may be found once more before it ends.
    handing_over: Option<Server>,
}

/// Why nobody serves any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Somebody stopped the server that serves for these windows: they go with it.
    Stopped,
    /// It was killed, gave way to another version, or was not ours: whoever serves now is found or started.
    Replaced,
}

impl Host {
    pub fn new(data_dir: &Path, own: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            own: own.to_owned(),
            child: None,
            serving: None,
            is_ours: false,
            handing_over: None,
        }
    }

    /// Whether the server ends with these windows.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// The server says whether another version takes its place, as a handover's `state` puts it.
    pub fn hands_over(&mut self, state: Option<&str>) {
        let hands_over = matches!(state, Some("frozen" | "sealed"));
        self.handing_over = self.serving.clone().filter(|_| hands_over);
    }

    /// The server that runs, if one does.
    pub async fn find(data_dir: &Path) -> Option<Server> {
        let server = Server::read(&data_dir.join("runtime.json")).ok()?;
        server.answers().await.then_some(server)
    }

    /// Finds who serves, or has `gander` do it. The error is for people.
    pub async fn attach(&mut self) -> Result<Server, String> {
        let until = Instant::now() + START_PATIENCE;
        loop {
            if let Some(server) = Self::find(&self.data_dir).await {
                let marked = fs::read_to_string(self.marker()).ok().and_then(|pid| pid.trim().parse().ok());
                let inherited = self.handing_over.is_some() && self.is_ours;
                self.found(server.clone(), inherited || marked == Some(server.pid));
                return Ok(server);
            }
            match self.start().await {
                Ok(server) => {
                    self.found(server.clone(), true);
                    return Ok(server);
                }
                // Somebody else was faster, or an upgrade was under way and has ended: then there is one to find.
                Err(_) if Self::find(&self.data_dir).await.is_some() => {}
                Err(why) if Instant::now() > until || !(why.again || self.is_held()) => return Err(why.words),
                Err(_) => sleep(POLL * 8).await,
            }
        }
    }

    /// Whether somebody holds the journal, and will answer in a moment: a version that takes over.
    #[cfg(unix)]
    fn is_held(&self) -> bool {
        let Ok(lock) = File::open(self.data_dir.join("journal.lock")) else { return false };
        let shared = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared);
        matches!(shared, Err(rustix::io::Errno::WOULDBLOCK))
    }

    /// Elsewhere nobody takes over.
    #[cfg(not(unix))]
    fn is_held(&self) -> bool {
        false
    }

    fn found(&mut self, server: Server, is_ours: bool) {
        self.is_ours = is_ours;
        self.handing_over.take_if(|before| *before != server);
        if is_ours && let Err(error) = fs::write(self.marker(), server.pid.to_string()) {
            tracing::warn!(%error, "who serves for these windows was not written down");
        }
        tracing::info!(pid = server.pid, version = server.version, url = server.url, is_ours, "attached");
        self.serving = Some(server);
    }

    /// Holds the process that serves for these windows, for a start after a crash of theirs.
    fn marker(&self) -> PathBuf {
        self.own.join("serving")
    }

    /// Starts `gander serve` and waits until it says that it serves.
    async fn start(&mut self) -> Result<Server, NotStarted> {
        let program = program(&self.data_dir);
        let log = self.own.join("serve.log");
        let said = File::create(&log).map_err(|error| NotStarted::of(&program, &error))?;
        let mut command = Command::new(&program);
        command.arg("--data-dir").arg(&self.data_dir).arg("serve");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said);
        // Neither it nor its agents are driven by a test of ours, or share our engine's settings.
        let engine = native::ENGINE.into_iter().map(|(name, _)| name);
        for ours in ["TAURI_AUTOMATION", "TAURI_WEBVIEW_AUTOMATION"].into_iter().chain(engine) {
            command.env_remove(ours);
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| NotStarted::of(&program, &error))?;
        let mut line = String::new();
        let read = match child.stdout.take() {
            Some(out) => timeout(START_PATIENCE, BufReader::new(out).read_line(&mut line)).await,
            None => Ok(Ok(0)),
        };
        let first: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(path) = first["runtime_file"].as_str()
            && let Ok(server) = Server::read(Path::new(path))
        {
            self.child = Some(child);
            return Ok(server);
        }
        if read.is_err() {
            return Err(NotStarted { words: format!("{} does not start.", program.display()), again: false });
        }
        let status = timeout(STOP_PATIENCE, child.wait()).await;
        let said = fs::read_to_string(&log).unwrap_or_default();
        let words = match said.trim() {
            "" => format!("{} ended before it served ({status:?}).", program.display()),
            said => said.to_owned(),
        };
        // Killed from outside says nothing of the next try.
        let killed = matches!(&status, Ok(Ok(status)) if status.code().is_none());
        Err(NotStarted { words, again: killed })
    }

    /// Waits until the server that was attached has ended, and says how. It is over when its process is, or when another one
    /// serves.
    pub async fn ended(&mut self) -> Ended {
        let Some(served) = self.serving.take() else { return Ended::Replaced };
        let until = Instant::now() + STOP_PATIENCE;
        while Instant::now() < until && self.lives(&served) {
            // A server that lives and answers only dropped the connection.
            if served.answers().await || Self::find(&self.data_dir).await.is_some_and(|other| other != served) {
                return Ended::Replaced;
            }
            sleep(POLL).await;
        }
        self.child = None;
        // The runtime file is the last thing to go in an orderly end; a killed process leaves it.
        let orderly = Server::read(&self.data_dir.join("runtime.json")).ok().as_ref() != Some(&served);
        let handing_over = self.handing_over.as_ref() == Some(&served);
        let stopped = orderly && self.is_ours && !handing_over;
        tracing::info!(pid = served.pid, orderly, handing_over, stopped, "the server ended");
        if stopped { Ended::Stopped } else { Ended::Replaced }
    }

    fn lives(&mut self, server: &Server) -> bool {
        if let Some(child) = &mut self.child
            && child.id() == Some(server.pid)
        {
            return matches!(child.try_wait(), Ok(None));
        }
        alive(server.pid)
    }

    /// Stops the server where it serves for these windows: turns are interrupted and recorded, and everything is kept.
    pub async fn stop(&mut self, patience: Duration) {
        let Some(server) = self.serving.clone().filter(|_| self.is_ours) else { return };
        let _ = fs::remove_file(self.marker());
        if let Err(error) = server.post("stop", &json!({})).await {
            tracing::warn!(%error, "the server was not asked to stop");
        }
        let until = Instant::now() + patience;
        while self.lives(&server) && Instant::now() < until {
            sleep(POLL).await;
        }
    }
}

struct NotStarted {
    words: String,
    again: bool,
}

impl NotStarted {
    fn of(program: &Path, error: &io::Error) -> Self {
        let words = format!(
            "{} could not be started: {error}. Gander's windows need the program `gander` beside them or on the PATH.",
            program.display()
        );
        Self { words, again: false }
    }
}

/// `gander`: the installed one, which runs the version that is to serve; else the one on the PATH.
fn program(data_dir: &Path) -> PathBuf {
    let this = std::env::current_exe().ok();
    // From a version's own folder the installed one is elsewhere: who started this program said where.
    let kept = this.as_ref().is_some_and(|this| successor::is_kept(data_dir, this));
    let told = std::env::var_os(successor::INSTALLED_PROGRAM).filter(|_| kept).map(PathBuf::from);
    let installed = told.filter(|told| told.is_file()).or_else(|| installed_gander(&this?));
    installed.unwrap_or_else(|| gander().into())
}

/// The `gander` beside native windows.
pub fn installed_gander(windows: &Path) -> Option<PathBuf> {
    Some(windows.with_file_name(gander())).filter(|gander| gander.is_file())
}

fn gander() -> String {
    format!("gander{}", std::env::consts::EXE_SUFFIX)
}

/// Whether a process runs. One that has ended and was not waited for does not.
#[cfg(unix)]
pub fn alive(pid: u32) -> bool {
    let number = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let there =
        number.is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    there && !status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
}

/// Elsewhere only the child's own handle says.
#[cfg(not(unix))]
pub fn alive(_pid: u32) -> bool {
    false
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::{Ended, Host};
    use crate::http::Server;

    /// How a server's orderly end is taken, which said this of a handover and was then found once more.
    fn end(said: Option<&str>) -> Ended {
        let dir = tempfile::tempdir().unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let document: Value =
            json!({"url": "http://127.0.0.1:9", "token": "t", "pid": gone.id(), "version": "0.1.0", "epoch": 1});
        let server: Server = from_value(document).unwrap();
        let mut host = Host::new(dir.path(), dir.path());
        host.found(server.clone(), true);
        host.hands_over(said);
        host.found(server, true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(host.ended())
    }

    #[test]
    fn a_server_that_gave_way_was_not_stopped_however_often_it_was_found() {
        assert_eq!(end(Some("sealed")), Ended::Replaced);
        assert_eq!(end(Some("none")), Ended::Stopped);
        assert_eq!(end(None), Ended::Stopped);
    }
}
