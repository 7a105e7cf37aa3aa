//! The server over the same journal: its start, its memory, search, and a stream from the agent to a window.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::generate::Seeded;
use super::http::Client;
use super::process::Serve;
use super::stats::{Figure, Samples};
use super::{Result, floor, ms};

pub const WINDOWS: usize = 32;
const SEARCHES: usize = 300;
/// An answer of 8 KB over 30 s: 750 chunks of 11 bytes.
const ANSWER_CHUNKS: u64 = 750;
const ANSWER_DELAY_MS: u64 = 40;
/// Stamps are microseconds modulo this.
const STAMP_MODULO: u64 = 1_000_000_000;

pub fn measure(binary: &Path, home: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    prepare(binary, home)?;
    starts(binary, home, figures)?;
    let serve = Serve::start(binary, home)?;
    let mut client = serve.client()?;
    searches(&mut client, figures)?;
    pages(&mut client, figures)?;
    stream(&serve, home, figures)?;
    let resident = serve.resident()? as f64 / 1e6;
    figures.push(Figure {
        name: "resident memory after all of the above",
        measured: format!("{resident:.0} MB"),
        floor: "–".into(),
        target: "80 MB".into(),
        holds: resident <= 80.0,
    });
    serve.stop()?;
    Ok(())
}

/// Opens 32 windows on 32 sessions, waits until all is indexed, and stops cleanly.
pub fn prepare(binary: &Path, home: &Path) -> Result<()> {
    let serve = Serve::start(binary, home)?;
    let mut client = serve.client()?;
    let sessions = client.get("/api/v1/sessions?limit=32")?;
    for session in sessions["sessions"].as_array().ok_or("no sessions")? {
        client.send("POST", "/api/v1/windows", &json!({ "session_id": session["id"] }))?;
    }
    let started = Instant::now();
    while client.get("/api/v1/search?q=goose&limit=1")?["complete"] != json!(true) {
        if started.elapsed() > Duration::from_secs(900) {
            return Err("the search index is not complete after 15 minutes".into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    eprintln!("  indexed in {:.0} s", started.elapsed().as_secs_f64());
    serve.stop()?;
    Ok(())
}

/// From the process's start until the state of each window, with its conversation's tail, was served.
fn starts(binary: &Path, home: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let mut samples = Samples::default();
    for _ in 0..7 {
        let serve = Serve::start(binary, home)?;
        let mut client = serve.client()?;
        let windows = client.get("/api/v1/windows")?;
        let open: Vec<&Value> = windows["windows"].as_array().ok_or("no windows")?.iter().collect();
        if open.len() < WINDOWS {
            return Err(format!("{} windows came back, not {WINDOWS}", open.len()).into());
        }
        for window in open {
            let id = window["id"].as_str().ok_or("a window without an id")?;
            client.get_raw(&format!("/api/v1/windows/{id}"))?;
            if let Some(session) = window["session_id"].as_str() {
                client.get_raw(&format!("/api/v1/sessions/{session}"))?;
            }
        }
        samples.push(serve.started.elapsed());
        serve.stop()?;
    }
    figures.push(Figure {
        name: "process start to 32 windows' states served, median of 7",
        measured: ms(samples.p50()),
        floor: "–".into(),
        target: "200 ms".into(),
        holds: samples.p50() <= 200.0,
    });
    Ok(())
}

fn searches(client: &mut Client, figures: &mut Vec<Figure>) -> Result<()> {
    let mut random = Seeded(19);
    let mut samples = Samples::default();
    for n in 0..SEARCHES {
        let query = match n % 4 {
            0 => random.text(1).trim().to_owned(),
            1 => random.text(2).trim().replace(' ', "%20"),
            2 => format!("rare{}", random.below(5_000)),
            // As typed: a prefix.
            _ => random.text(1).trim().chars().take(3).collect(),
        };
        let start = Instant::now();
        client.get_raw(&format!("/api/v1/search?q={query}&limit=20"))?;
        samples.push(start.elapsed());
    }
    figures.push(Figure {
        name: "search, first page over HTTP, p99",
        measured: ms(samples.p99()),
        floor: "–".into(),
        target: "50 ms".into(),
        holds: samples.p99() <= 50.0,
    });
    Ok(())
}

/// The same two pages as in the journal by itself, now over HTTP; the smallest answer is the floor.
fn pages(client: &mut Client, figures: &mut Vec<Figure>) -> Result<()> {
    let sessions = client.get("/api/v1/sessions?limit=200")?;
    let ids: Vec<String> = sessions["sessions"]
        .as_array()
        .ok_or("no sessions")?
        .iter()
        .filter_map(|session| Some(session["id"].as_str()?.to_owned()))
        .collect();
    let (mut health, mut list, mut open) = (Samples::default(), Samples::default(), Samples::default());
    for n in 0..600 {
        for (samples, path) in [
            (&mut health, "/api/v1/config".to_owned()),
            (&mut list, "/api/v1/sessions?limit=50".to_owned()),
            (&mut open, format!("/api/v1/sessions/{}/entries?limit=200", ids[n % ids.len()])),
        ] {
            let start = Instant::now();
            client.get_raw(&path)?;
            samples.push(start.elapsed());
        }
    }
    for (name, samples) in [("the same first page, over HTTP, p99", list), ("the same opening, over HTTP, p99", open)] {
        figures.push(Figure {
            name,
            measured: ms(samples.p99()),
            floor: format!("small answer: {}", ms(health.p99())),
            target: "5 ms".into(),
            holds: samples.p99() <= 5.0,
        });
    }
    Ok(())
}

/// One answer of 8 KB over 30 s. The agent writes the time into each chunk; the window reads it from the change.
fn stream(serve: &Serve, home: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let mut client = serve.client()?;
    let made = client.send("POST", "/api/v1/windows", &json!({ "agent": "scratch" }))?;
    let session = made["session_id"].as_str().ok_or("a window without a session")?.to_owned();
    let window = made["id"].as_str().ok_or("a window without an id")?.to_owned();
    // The agent's process is started by the first prompt and is not what is measured.
    prompt(&mut client, &session, &window, "/echo ready", 1)?;
    let mut changes = serve.client()?.changes()?;
    let before = serve.written()?;
    prompt(&mut client, &session, &window, &format!("/clock {ANSWER_CHUNKS} chunks {ANSWER_DELAY_MS} ms"), 2)?;
    let mut latency = Samples::default();
    loop {
        let change = changes.next()?;
        for change in change.as_array().unwrap_or(&vec![change.clone()]) {
            if change["session_id"].as_str() != Some(&session) {
                continue;
            }
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
            if change["type"] == "open_item"
                && let Some(text) = change["data"]["text"].as_str()
            {
                // The oldest stamp of a change is the longest wait in it.
                let stamp = text.split_whitespace().find_map(|word| word.strip_prefix('t')?.parse::<u64>().ok());
                if let Some(stamp) = stamp {
                    let now = u64::try_from(now.as_micros())? % STAMP_MODULO;
                    latency.push(Duration::from_micros((now + STAMP_MODULO - stamp) % STAMP_MODULO));
                }
            }
            if change["type"] == "session" && change["data"]["running"] == json!(false) && latency.len() > 10 {
                let written = (serve.written()? - before) as f64 / 1e6;
                return report(home, latency, written, figures);
            }
        }
    }
}

fn report(home: &Path, latency: Samples, written: f64, figures: &mut Vec<Figure>) -> Result<()> {
    let floor = floor::fdatasync(home, 2_000)?.p99();
    figures.push(Figure {
        name: "an agent's chunk reaches a window, p99",
        measured: format!("{} ({} chunks)", ms(latency.p99()), latency.len()),
        floor: format!("fsync p99: {}", ms(floor)),
        target: "60 ms + floor".into(),
        holds: latency.p99() <= 60.0 + floor,
    });
    figures.push(Figure {
        name: "disk writes of an 8 KB answer streamed over 30 s",
        measured: format!("{written:.1} MB"),
        floor: "–".into(),
        target: "12 MB".into(),
        holds: written <= 12.0,
    });
    Ok(())
}

/// Sends a prompt and waits, for the first one, until it was answered.
fn prompt(client: &mut Client, session: &str, window: &str, text: &str, n: u64) -> Result<()> {
    let head = client.get(&format!("/api/v1/sessions/{session}"))?["session"]["head"].clone();
    let turn = json!({
        "turn_id": format!("00000000-0000-7000-8000-{n:012x}"),
        "window_id": window,
        "expected_head": head,
        "content": [{ "type": "text", "text": text }],
    });
    client.send("POST", &format!("/api/v1/sessions/{session}/turns"), &turn)?;
    let started = Instant::now();
    while n == 1 && client.get(&format!("/api/v1/sessions/{session}"))?["session"]["running"] == json!(true) {
        if started.elapsed() > Duration::from_secs(30) {
            return Err("the built-in agent does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
