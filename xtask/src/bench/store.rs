//! The journal by itself: appends beside the disk's own sync, and reads.

use std::path::Path;
use std::time::{Duration, Instant};

use gander_journal::{Bounds, Filter, Journal, NewSession, Options};
use gander_model::SessionId;

use super::floor;
use super::generate::{Seeded, append};
use super::process::kernel_figure;
use super::stats::{Figure, Samples};
use super::{Result, ms};

const APPENDS: usize = 5_000;
const READS: u64 = 2_000;
const GROWTH_ROUNDS: usize = 7;

pub fn measure(dir: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let journal = Journal::open(dir, Options::default())?;
    journal.recover()?;
    appends(&journal, dir, figures)?;
    rates(&journal, figures)?;
    reads(&journal, figures)?;
    growth(&journal, figures)
}

/// What an append has the kernel write, in the longest session and in a short one that is as old: both are in the middle
/// of the index of entries, where an append costs a little more than at its end, to which a new session comes.
fn growth(journal: &Journal, figures: &mut Vec<Figure>) -> Result<()> {
    let heads = journal.read(|r| r.heads())?;
    let (long, head) = *heads.iter().max_by_key(|(_, head)| head.seq).ok_or("no session")?;
    let old = heads.iter().find(|(session, head)| *session > long && head.seq.0 < 1_000);
    let (short, short_head) = *old.ok_or("no short session")?;
    let new = new_session(journal)?;
    let (mut in_new, mut in_short, mut in_long) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..GROWTH_ROUNDS {
        in_new.push(written(journal, new)?);
        in_short.push(written(journal, short)?);
        in_long.push(written(journal, long)?);
    }
    let (in_new, in_short, in_long) = (median(in_new), median(in_short), median(in_long));
    let kb = |bytes: f64| bytes / 1e3;
    figures.push(Figure {
        name: "disk writes an append in the longest session, median of 7",
        measured: format!("{:.1} KB ({} entries)", kb(in_long), head.seq),
        floor: format!("as old, {} entries: {:.1} KB; new session: {:.1} KB", short_head.seq, kb(in_short), kb(in_new)),
        target: "no more (1.2 ×)".into(),
        holds: in_long <= 1.2 * in_short,
    });
    Ok(())
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Bytes that this process had the kernel write for an append, checkpoints and index among them.
fn written(journal: &Journal, session: SessionId) -> Result<f64> {
    const APPENDS: usize = 400;
    let pid = std::process::id();
    let before = kernel_figure(pid, "io", "write_bytes:")?;
    let mut random = Seeded(23);
    for place in 0..APPENDS {
        let text = random.text(40);
        journal.write_blocking(move |tx| append(tx, session, place, &text))?;
    }
    Ok((kernel_figure(pid, "io", "write_bytes:")? - before) as f64 / APPENDS as f64)
}

fn new_session(journal: &Journal) -> Result<SessionId> {
    let new = NewSession { window: None, agent: "scratch".into(), cwd: "/tmp".into() };
    Ok(journal.write_blocking(move |tx| tx.create_session(new))?)
}

/// Appends and bare syncs in alternating rounds, so that a disk that drifts drifts for both.
fn appends(journal: &Journal, dir: &Path, figures: &mut Vec<Figure>) -> Result<()> {
    let session = new_session(journal)?;
    let mut random = Seeded(11);
    let (mut ours, mut floor) = (Samples::default(), Samples::default());
    for _ in 0..10 {
        floor.extend(floor::fdatasync(dir, APPENDS / 10)?);
        for place in 0..APPENDS / 10 {
            let text = random.text(40);
            let start = Instant::now();
            journal.write_blocking(move |tx| append(tx, session, place, &text))?;
            ours.push(start.elapsed());
        }
    }
    figures.push(Figure {
        name: "durable append, p50",
        measured: ms(ours.p50()),
        floor: ms(floor.p50()),
        target: "floor + 0.2 ms".into(),
        holds: ours.p50() <= floor.p50() + 0.2,
    });
    figures.push(Figure {
        name: "durable append, p99.9",
        measured: ms(ours.p999()),
        floor: ms(floor.p999()),
        target: "3 × floor".into(),
        holds: ours.p999() <= 3.0 * floor.p999(),
    });
    Ok(())
}

/// How many appends a second `threads` callers get, each waiting for its own.
fn rate(journal: &Journal, threads: usize, time: Duration) -> Result<f64> {
    let sessions: Vec<SessionId> = (0..threads).map(|_| new_session(journal)).collect::<Result<_>>()?;
    let start = Instant::now();
    let counts: Vec<std::result::Result<u64, String>> = std::thread::scope(|scope| {
        let callers: Vec<_> = sessions
            .into_iter()
            .map(|session| {
                scope.spawn(move || {
                    let mut random = Seeded(13);
                    let mut count = 0;
                    while start.elapsed() < time {
                        let text = random.text(40);
                        let place = count as usize;
                        journal
                            .write_blocking(move |tx| append(tx, session, place, &text))
                            .map_err(|error| error.to_string())?;
                        count += 1;
                    }
                    Ok(count)
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap_or_else(|_| Err("panicked".into()))).collect()
    });
    let total: u64 = counts.into_iter().sum::<std::result::Result<u64, String>>()?;
    Ok(total as f64 / start.elapsed().as_secs_f64())
}

fn rates(journal: &Journal, figures: &mut Vec<Figure>) -> Result<()> {
    let one = rate(journal, 1, Duration::from_secs(3))?;
    let many = rate(journal, 64, Duration::from_secs(5))?;
    figures.push(Figure {
        name: "64 appenders at once",
        measured: format!("{many:.0}/s"),
        floor: format!("one: {one:.0}/s"),
        target: "6 × one".into(),
        holds: many >= 6.0 * one,
    });
    Ok(())
}

fn reads(journal: &Journal, figures: &mut Vec<Figure>) -> Result<()> {
    let mut list = Samples::default();
    for _ in 0..READS {
        let start = Instant::now();
        journal.read(|r| r.sessions(&Filter::default(), None, 50))?;
        list.push(start.elapsed());
    }
    let all: Vec<SessionId> = journal.read(|r| r.heads())?.into_iter().map(|(session, _)| session).collect();
    let mut random = Seeded(17);
    let mut open = Samples::default();
    for n in 0..READS {
        // Every tenth time the long session, which is the first.
        let session = if n % 10 == 0 { all[0] } else { all[random.below(all.len() as u64) as usize] };
        let start = Instant::now();
        let page = journal.read(|r| r.entries(session, Bounds { limit: 200, ..Bounds::default() }))?;
        open.push(start.elapsed());
        if page.damage.is_some() {
            return Err("a generated session does not verify".into());
        }
    }
    for (name, samples) in [
        ("first page of the session list, p99", list),
        ("opening a session at its last 200 entries, verified, p99", open),
    ] {
        figures.push(Figure {
            name,
            measured: ms(samples.p99()),
            floor: "–".into(),
            target: "5 ms".into(),
            holds: samples.p99() <= 5.0,
        });
    }
    Ok(())
}
