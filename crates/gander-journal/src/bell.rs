//! How the threads beside the writer learn of commits: a bell that the writer rings after each, which costs it next
//! to nothing, and that tells everybody when the day is over.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Rung after every commit.
#[derive(Default)]
pub struct Bell {
    state: Mutex<State>,
    rung: Condvar,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    rings: u64,
    ended: bool,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was committed, or something else is to be done.
    pub fn ring(&self) {
        self.lock().rings += 1;
        self.rung.notify_all();
    }

    /// The threads end after what they are doing.
    pub fn end(&self) {
        self.lock().ended = true;
        self.rung.notify_all();
        self.ended.notify_all();
    }

    /// Waits until it was rung more than `heard` times, and gives the count; `None` at the end.
    pub fn wait(&self, heard: u64) -> Option<u64> {
        let mut state = self.lock();
        while !state.ended && state.rings == heard {
            state = self.rung.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.ended).then_some(state.rings)
    }

    /// Lets `time` pass, however often it is rung; false if the end came first.
    pub fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.lock();
        while !state.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            state = self.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Whether the end has come.
    pub fn has_ended(&self) -> bool {
        self.lock().ended
    }
}
