//! The measured process: started, asked of its memory and its disk writes, and stopped.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::http::Client;

/// A running `gander serve`.
pub struct Serve {
    child: Child,
    /// When it was started.
    pub started: Instant,
    url: String,
    token: String,
}

impl Serve {
    /// Starts `binary serve` on `home` and waits for its first line.
    pub fn start(binary: &Path, home: &Path) -> io::Result<Self> {
        let started = Instant::now();
        let mut child = Command::new(binary)
            .args(["serve", "--port", "0", "--data-dir"])
            .arg(home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        BufReader::new(stdout).read_line(&mut line)?;
        let first: Value = serde_json::from_str(&line)?;
        let runtime: Value = serde_json::from_slice(&fs::read(text(&first, "runtime_file"))?)?;
        Ok(Self { child, started, url: text(&runtime, "url"), token: text(&runtime, "token") })
    }

    /// A connection to it.
    pub fn client(&self) -> io::Result<Client> {
        Client::connect(&self.url, &self.token)
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> io::Result<u64> {
        self.kernel_figure("status", "VmRSS:").map(|kib| kib * 1024)
    }

    /// The most memory that was resident at once so far, in bytes.
    pub fn peak(&self) -> io::Result<u64> {
        self.kernel_figure("status", "VmHWM:").map(|kib| kib * 1024)
    }

    /// Bytes that it had the kernel write to storage since it was started.
    pub fn written(&self) -> io::Result<u64> {
        self.kernel_figure("io", "write_bytes:")
    }

    fn kernel_figure(&self, file: &str, name: &str) -> io::Result<u64> {
        kernel_figure(self.child.id(), file, name)
    }

    /// Waits until it has ended by itself, and well.
    pub fn ended(mut self) -> io::Result<()> {
        let ended = self.child.wait()?;
        if ended.success() { Ok(()) } else { Err(io::Error::other(format!("ended with {ended}"))) }
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    pub fn stop(mut self) -> io::Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let ended = self.child.wait()?;
        if status.success() && ended.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("stopped with {ended}")))
        }
    }
}

/// What the kernel says of a process.
pub fn kernel_figure(pid: u32, file: &str, name: &str) -> io::Result<u64> {
    let all = fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    all.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|figure| figure.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no {name} in /proc/PID/{file}")))
}

fn text(document: &Value, key: &str) -> String {
    document[key].as_str().unwrap_or_default().to_owned()
}
