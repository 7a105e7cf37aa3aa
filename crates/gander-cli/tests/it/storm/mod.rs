//! Several windows at once, doing what people do, while the server is killed in the middle of it, again and again:
//! afterwards everything that was acknowledged, and every text that was shown, is where it belongs.
//!
//! `GANDER_STORM_SEED` repeats a run's choices (the moments in which threads meet are the machine's own),
//! `GANDER_STORM_ROUNDS` makes it longer.

mod check;
mod client;
mod ledger;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use gander_testing::client::Client;
use gander_testing::gander::Gander;
use gander_testing::home::TempHome;

use ledger::Ledger;

const CLIENTS: usize = 5;

/// A small generator: the same seed gives the same choices.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn g01_g05_g09_what_was_acknowledged_or_shown_survives_any_kill() {
    let seed = from_environment("GANDER_STORM_SEED")
        .unwrap_or_else(|| Random::new(uuid::Uuid::now_v7().as_u128() as u64).next());
    let rounds = from_environment("GANDER_STORM_ROUNDS").unwrap_or(3);
    println!("GANDER_STORM_SEED={seed} GANDER_STORM_ROUNDS={rounds}");
    let home = TempHome::new().unwrap();
    let scratch = home.path().join("scratch");
    let gander = Gander::new(env!("CARGO_BIN_EXE_gander"), &home)
        .env("GANDER_SCRATCH_HOME", scratch.to_str().unwrap())
        .env("GANDER_SCRATCH_PACE_MS", "2");
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut random = Random::new(seed);
    for round in 0..rounds {
        let mut serving = gander.serve(&[]).unwrap();
        let server = Client::of(serving.runtime());
        check::everything_is_there(&server, &ledger.lock().unwrap(), &format!("seed {seed}, start {round}"));
        let killed = Arc::new(AtomicBool::new(false));
        let (done, progress) = mpsc::sync_channel(1024);
        let feed = {
            let (server, ledger) = (server.clone(), ledger.clone());
            let stream = server.changes(ledger.lock().unwrap().shown.cursor.as_deref()).unwrap();
            std::thread::spawn(move || stream.for_each(|change| ledger.lock().unwrap().shown.take(&change)))
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let mut client = client::User {
                    number,
                    pid: serving.pid(),
                    server: server.clone(),
                    ledger: ledger.clone(),
                    random: Random::new(random.next()),
                    killed: killed.clone(),
                    done: done.clone(),
                };
                std::thread::spawn(move || client.work())
            })
            .collect();
        drop(done);
        // The kill comes after so many answers, whatever is under way then.
        let answers = 20 + random.below(60);
        let counted = progress.iter().take(answers).count();
        killed.store(true, Ordering::SeqCst);
        serving.kill().unwrap();
        for client in clients {
            client.join().unwrap();
        }
        feed.join().unwrap();
        assert_eq!(counted, answers, "the clients stopped by themselves");
    }
    let serving = gander.serve(&[]).unwrap();
    check::everything_is_there(
        &Client::of(serving.runtime()),
        &ledger.lock().unwrap(),
        &format!("seed {seed}, the end"),
    );
    drop(serving);
    let report: serde_json::Value = serde_json::from_slice(&gander.run(&["verify", "--json"]).unwrap().stdout).unwrap();
    assert_eq!(report["ok"], true, "seed {seed}: {report}");
}
