//! What a journal is opened with. Clock, randomness and faults come in here, so that a test can own them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970, UTC.
    fn now_ms(&self) -> i64;
}

/// Gives random bytes, for ids and salts.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Lets a test fail what a disk can fail. The real one never does.
pub trait Faults: Send + Sync {
    /// Called before each COMMIT; an error fails it as an I/O error would.
    fn before_commit(&self) -> std::io::Result<()> {
        Ok(())
    }

    /// Called after each COMMIT and before anything is acknowledged; an error makes its outcome unknown.
    fn after_commit(&self) -> std::io::Result<()> {
        Ok(())
    }

    /// Called in the middle of a migration, when tables were made and data is to be moved; an error fails it.
    fn during_migration(&self) -> std::io::Result<()> {
        Ok(())
    }

    /// Called before the files are opened again after a fault.
    fn before_reopen(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How a journal is opened.
#[derive(Clone)]
pub struct Options {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub random: Arc<dyn Random>,
    /// The faults.
    pub faults: Arc<dyn Faults>,
    /// The version that writes, for the lock's holder and the format record.
    pub version: String,
    /// How many changes are kept for windows that come back; older cursors get a reset.
    pub keep_changes: u64,
    /// Idle read connections that are kept open.
    pub keep_readers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            faults: Arc::new(NoFaults),
            version: gander_model::VERSION.to_owned(),
            keep_changes: 20_000,
            keep_readers: 4,
        }
    }
}

/// The computer's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The operating system's randomness.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness there are no salts and no ids: nothing could be written safely.
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the operating system gives no randomness: {error}");
        }
    }
}

/// Nothing fails on purpose.
pub struct NoFaults;

impl Faults for NoFaults {}
