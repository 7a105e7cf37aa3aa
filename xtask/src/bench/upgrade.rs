//! How long windows are frozen in an upgrade: from the moment at which the last of 32 was told that nothing can be written until
//! each of them hears of changes from the other version and has its window's state. Real processes; no migration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::{Changes, Client};
use super::process::Serve;
use super::served::{self, WINDOWS};
use super::stats::{Figure, Samples};
use super::{Result, ms};

const PATIENCE: Duration = Duration::from_secs(600);

pub fn measure(binary: &Path, next: &Path, home: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let packages = home.with_file_name("package");
    let _ = fs::remove_dir_all(&packages);
    let package = package(next, &packages)?;
    let package = package.to_str().ok_or("the package's path is no text")?;
    served::prepare(binary, home)?;
    let serve = Serve::start(binary, home)?;
    let windows = opened(&mut serve.client()?)?;
    let mut samples = Samples::default();
    for what in [&["apply", package][..], &["rollback"], &["apply", package]] {
        let frozen = change(binary, home, &packages.join("gander.pub"), &windows, what)?;
        eprintln!("  {}: windows were frozen for {}", what[0], ms(frozen.as_secs_f64() * 1e3));
        samples.push(frozen);
    }
    serve.ended()?;
    let stopped = gander(binary, home, &["stop"]).status()?;
    if !stopped.success() {
        return Err(format!("gander stop ended with {stopped}").into());
    }
    figures.push(Figure {
        name: "upgrade, last of 32 windows frozen to all live again, no migration, longest of 3",
        measured: ms(samples.per_mille(1000)),
        floor: "–".into(),
        target: "2,000 ms".into(),
        holds: samples.per_mille(1000) <= 2000.0,
    });
    Ok(())
}

/// A signed package of the next version, and its key beside it.
fn package(next: &Path, folder: &Path) -> Result<PathBuf> {
    let (next, out) = (next.to_string_lossy(), folder.to_string_lossy());
    Ok(crate::package::run(&[&next, "--new-key", &out, "--out", &out, "--level", "3"])?)
}

/// The ids of the windows that were opened.
fn opened(client: &mut Client) -> Result<Vec<String>> {
    let windows = client.get("/api/v1/windows")?;
    let ids = windows["windows"].as_array().ok_or("no windows")?.iter();
    let ids: Vec<String> = ids.filter_map(|window| Some(window["id"].as_str()?.to_owned())).collect();
    if ids.len() == WINDOWS { Ok(ids) } else { Err(format!("there are {} windows, not {WINDOWS}", ids.len()).into()) }
}

/// One change of versions, seen from all windows.
fn change(binary: &Path, home: &Path, key: &Path, windows: &[String], what: &[&str]) -> Result<Duration> {
    let connected = Barrier::new(windows.len() + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = windows
            .iter()
            .map(|window| {
                let connected = &connected;
                scope.spawn(move || live_through(home, window, connected))
            })
            .collect();
        connected.wait();
        let arguments = [&["upgrade"], what].concat();
        let changed = gander(binary, home, &arguments).env("GANDER_UPGRADE_KEY", key).status()?;
        if !changed.success() {
            return Err(format!("gander upgrade {} ended with {changed}", what[0]).into());
        }
        let (mut frozen, mut live) = (None, None);
        for thread in threads {
            let (one_frozen, one_live) = thread.join().map_err(|_| "a window's thread ended early")??;
            (frozen, live) = (frozen.max(Some(one_frozen)), live.max(Some(one_live)));
        }
        let (frozen, live) = frozen.zip(live).ok_or("there are no windows")?;
        Ok(live.duration_since(frozen))
    })
}

fn gander(binary: &Path, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// One window: when it was told that nothing can be written, and when it was live again.
fn live_through(home: &Path, window: &str, connected: &Barrier) -> io::Result<(Instant, Instant)> {
    let runtime = runtime(home);
    let changes = runtime.as_ref().ok().map(follow);
    // All wait for all, also where one fails.
    connected.wait();
    let (before, mut changes) = (runtime?, changes.ok_or(io::ErrorKind::NotFound)??);
    let mut frozen = None;
    while let Ok(change) = changes.next() {
        if change["type"] == "handover" && change["data"]["state"] == "frozen" {
            frozen = Some(Instant::now());
        }
    }
    let frozen = frozen.ok_or_else(|| io::Error::other("the stream ended before the windows were frozen"))?;
    let live = || -> io::Result<()> {
        let now = self::runtime(home)?;
        if now["pid"] == before["pid"] {
            return Err(io::ErrorKind::NotConnected.into());
        }
        follow(&now)?.next()?;
        client(&now)?.get(&format!("/api/v1/windows/{window}")).map(drop)
    };
    while let Err(error) = live() {
        if frozen.elapsed() > PATIENCE {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok((frozen, Instant::now()))
}

fn runtime(home: &Path) -> io::Result<Value> {
    Ok(serde_json::from_slice(&fs::read(home.join("runtime.json"))?)?)
}

fn client(runtime: &Value) -> io::Result<Client> {
    let text = |name: &str| runtime[name].as_str().unwrap_or_default();
    Client::connect(text("url"), text("token"))
}

fn follow(runtime: &Value) -> io::Result<Changes> {
    client(runtime)?.changes()
}
