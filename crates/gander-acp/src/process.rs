//! One operating-system process per agent, in its own process group, and nothing of it left behind.
//!
//! A group alone does not hold an agent's descendants: several agents start their shells in groups of their own, and a
//! child whose parent is gone belongs to nobody. So each agent's environment carries a mark of its own. Every
//! descendant inherits it, and where the system lets us read environments (Linux: `/proc`) all of them are found by it.
//! Elsewhere the group is what is ended.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use crate::{AgentError, AgentSpec, StartOptions};

/// The environment variable that holds the mark.
pub const MARK: &str = "GANDER_AGENT_MARK";

/// What identifies an agent's process, also after a restart of ours.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AgentProcess {
    /// The process id.
    pub pid: u32,
    /// When it started, in the system's own words. A process id is used again; both together are not.
    pub started: Option<String>,
    /// Its process group, equal to `pid`.
    pub group: u32,
    /// The token in its environment ([`crate::StartOptions::mark`]).
    pub mark: String,
}

/// Starts the agent's process. Its streams are pipes.
pub(crate) fn spawn(spec: &AgentSpec, options: &StartOptions) -> Result<(Child, AgentProcess), AgentError> {
    let folder = spec.cwd.clone().unwrap_or_else(|| options.folder.clone());
    std::fs::read_dir(&folder).map_err(|source| AgentError::Folder { folder: folder.clone(), source })?;
    let child = Command::new(&spec.command)
        .args(&spec.args)
        .envs(&spec.env)
        .env(MARK, &options.mark)
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => AgentError::NotFound { command: spec.command.clone() },
            _ => AgentError::Spawn { command: spec.command.clone(), source },
        })?;
    let pid = child.id().unwrap_or_default();
    let process = AgentProcess { pid, started: start_time(pid), group: pid, mark: options.mark.clone() };
    Ok((child, process))
}

/// Finds a program on `PATH` (or as a path), as it would be started.
pub fn find_program(command: &std::path::Path) -> Option<PathBuf> {
    let runnable = |path: &PathBuf| {
        use std::os::unix::fs::PermissionsExt as _;
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if command.components().count() > 1 {
        return Some(command.to_owned()).filter(runnable);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(command)).find(runnable)
}

/// When a process started, in the system's own words; `None` if there is no such process or the system does not tell.
pub fn start_time(pid: u32) -> Option<String> {
    if !cfg!(target_os = "linux") {
        let output = std::process::Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
        let started = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        return Some(started).filter(|started| !started.is_empty());
    }
    // Field 22 counts clock ticks since boot. The name in field 2 may hold spaces and parentheses, so count from its end.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{}:{ticks}", boot.trim()))
}

/// The live processes that carry a mark, ourselves excepted. Empty where environments cannot be read.
fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={mark}").into_bytes();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == wanted))
        })
        .collect()
}

fn signal_one(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may be gone by now, which is what is wanted.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Signals a process group. Only while its leader lives or has just been reaped: the id may be used again later.
pub(crate) fn signal_group(group: u32, signal: Signal) {
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw)
        && group.as_raw_nonzero().get() > 1
    {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Signals every process that carries the mark; gives how many there were.
pub(crate) fn signal_marked(mark: &str, signal: Signal) -> usize {
    let found = marked(mark);
    found.iter().for_each(|pid| signal_one(*pid, signal));
    found.len()
}

/// Signals the marked members of a group, whose leader may be long gone. Where marks cannot be read, nobody.
pub(crate) fn signal_group_marked(group: u32, mark: &str, signal: Signal) {
    for pid in marked(mark) {
        let in_group = i32::try_from(pid).ok().and_then(Pid::from_raw).is_some_and(|pid| {
            rustix::process::getpgid(Some(pid))
                .is_ok_and(|found| i64::from(found.as_raw_nonzero().get()) == i64::from(group))
        });
        if in_group {
            signal_one(pid, signal);
        }
    }
}

/// Ends what is left of a group and of a mark: asks first, then kills. Blocks for at most about a second.
pub(crate) fn end_rest(group: Option<u32>, mark: &str) -> usize {
    let signal_all = |signal| {
        if let Some(group) = group {
            signal_group(group, signal);
        }
        signal_marked(mark, signal)
    };
    let found = signal_all(Signal::TERM);
    let alive = || {
        let group = group.and_then(|group| i32::try_from(group).ok()).and_then(Pid::from_raw);
        group.is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok()) || !marked(mark).is_empty()
    };
    // Once to let them go, once to see them gone.
    for _ in 0..2 {
        let deadline = Instant::now() + Duration::from_millis(300);
        while alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        if !alive() {
            break;
        }
        signal_all(Signal::KILL);
    }
    found
}

/// Ends what an earlier run of ours left: the process and its group if it still is the same one, and (where the system
/// can tell) every process that carries its mark. Gives how many marked ones were found. Blocks for at most about a second.
pub fn end_earlier(process: &AgentProcess) -> usize {
    let same = process.started.is_some() && start_time(process.pid) == process.started;
    end_rest(same.then_some(process.group), &process.mark)
}
