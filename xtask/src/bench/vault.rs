//! Snapshots of the same journal beside restic's backups of its file, on the same disk, in the same run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Result;
use super::process::Serve;
use super::stats::Figure;

/// Snapshots after one changed session, and restic's after the same; the median counts.
const ROUNDS: usize = 5;
const MISSING: &str = "restic is not installed (`apt-get install restic`), so nothing was compared with it";

/// What the same step took here and there.
struct Beside {
    ours: f64,
    restics: Option<f64>,
}

pub fn measure(binary: &Path, home: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let restic = Restic::found(&home.with_file_name("restic"))?;
    if restic.is_none() {
        eprintln!("bench: {MISSING}");
    }
    // A changed session: a turn of the built-in agent in one session, and everything else as it was.
    let serve = Serve::start(binary, home)?;
    let journal = home.join("journal.db");
    let session = a_session(&serve)?;

    let before = serve.resident()?;
    let ours = timed(|| call(&serve, "backups", &json!({})))?;
    let peak = serve.peak()?;
    let first = Beside { ours, restics: restic.as_ref().map(|restic| restic.back_up(&journal)).transpose()? };

    let (mut after_ours, mut after_restics) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        turn(&serve, &session, round)?;
        after_ours.push(timed(|| call(&serve, "backups", &json!({})))?);
        if let Some(restic) = &restic {
            after_restics.push(restic.back_up(&journal)?);
        }
    }
    let changed =
        Beside { ours: median(&mut after_ours), restics: restic.is_some().then(|| median(&mut after_restics)) };

    let ours = timed(|| {
        let report = call(&serve, "backups/verify", &json!({}))?;
        if report["ok"] == true { Ok(report) } else { Err(format!("the vault does not verify: {report}").into()) }
    })?;
    let full = Beside { ours, restics: restic.as_ref().map(Restic::check).transpose()? };
    let drill = timed(|| drilled(&serve))?;
    let drill_peak = serve.peak()?;
    serve.stop()?;

    figures.push(first.figure("first snapshot of 1,000,000 entries, read back", 1.0));
    figures.push(changed.figure("snapshot after one changed session, median of 5", 20.0));
    figures.push(full.figure("full verify of the vault", 1.0));
    let bytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    figures.push(Figure {
        name: "peak memory of a first snapshot",
        measured: bytes(peak),
        floor: format!("before it: {}", bytes(before)),
        target: "256 MB".into(),
        holds: peak <= 256_000_000,
    });
    figures.push(Figure {
        name: "drill: all of it restored into a scratch store",
        measured: format!("{drill:.1} s, peak {}", bytes(drill_peak)),
        floor: "–".into(),
        target: "256 MB".into(),
        holds: drill_peak <= 256_000_000,
    });
    Ok(())
}

impl Beside {
    /// `times` as fast as restic, at least.
    fn figure(&self, name: &'static str, times: f64) -> Figure {
        let (floor, holds) = match self.restics {
            Some(restics) => (format!("restic: {restics:.2} s"), self.ours * times <= restics),
            None => ("restic: not installed".to_owned(), false),
        };
        let target =
            if times > 1.0 { format!("{times:.0} × faster than restic") } else { "no slower than restic".into() };
        Figure { name, measured: format!("{:.3} s", self.ours), floor, target, holds }
    }
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

/// A new connection each: a long answer must not meet a server that closed a quiet one.
fn call(serve: &Serve, path: &str, body: &Value) -> Result<Value> {
    Ok(serve.client()?.send("POST", &format!("/api/v1/{path}"), body)?)
}

fn a_session(serve: &Serve) -> Result<String> {
    let sessions = serve.client()?.get("/api/v1/sessions?limit=1")?;
    Ok(sessions["sessions"][0]["id"].as_str().ok_or("no session")?.to_owned())
}

/// One turn in a session, waited for.
fn turn(serve: &Serve, session: &str, round: usize) -> Result<()> {
    let mut client = serve.client()?;
    let head = client.get(&format!("/api/v1/sessions/{session}"))?["session"]["head"].clone();
    let turn = format!("0199c3a4-7a51-7c33-8f0e-{:012x}", round + 1);
    let content = json!([{"type": "text", "text": format!("/echo round {round}")}]);
    let body = json!({"turn_id": turn, "expected_head": head, "content": content, "when_busy": "refuse"});
    client.send("POST", &format!("/api/v1/sessions/{session}/turns"), &body)?;
    let started = Instant::now();
    while !client.get(&format!("/api/v1/sessions/{session}"))?["session"]["turn"].is_null() {
        if started.elapsed() > Duration::from_secs(60) {
            return Err("the turn did not end within a minute".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn drilled(serve: &Serve) -> Result<()> {
    let mut job = call(serve, "jobs/drill", &json!({}))?;
    while job["state"] == "running" {
        std::thread::sleep(Duration::from_millis(50));
        job = serve.client()?.get(&format!("/api/v1/jobs/{}", job["id"].as_str().unwrap_or_default()))?;
    }
    if job["drill"]["ok"] == true { Ok(()) } else { Err(format!("the drill failed: {job}").into()) }
}

/// restic with a repository of its own, as Debian packages it and as it is set up by default.
struct Restic {
    repository: PathBuf,
}

impl Restic {
    fn found(repository: &Path) -> Result<Option<Self>> {
        let there = Command::new("restic").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let _ = fs::remove_dir_all(repository);
        let restic = Self { repository: repository.to_owned() };
        restic.run(&["init"])?;
        Ok(Some(restic))
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let cache = self.repository.with_file_name("restic-cache");
        let done = Command::new("restic")
            .args(["--quiet", "--cache-dir"])
            .arg(cache)
            .arg("--repo")
            .arg(&self.repository)
            .args(arguments)
            .env("RESTIC_PASSWORD", "bench")
            .output()?;
        if done.status.success() {
            return Ok(());
        }
        Err(format!("restic {arguments:?}: {}", String::from_utf8_lossy(&done.stderr)).into())
    }

    fn back_up(&self, file: &Path) -> Result<f64> {
        let file = file.to_str().ok_or("a path that is not UTF-8")?;
        timed(|| self.run(&["backup", file]))
    }

    fn check(&self) -> Result<f64> {
        timed(|| self.run(&["check", "--read-data"]))
    }
}
