//! Room for agent processes: how many there may be at once, which can be changed while they run.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

#[derive(Default)]
struct Taken {
    limit: usize,
    used: usize,
    waiting: usize,
}

/// The room that there is. Clones are the same room.
#[derive(Clone)]
pub(super) struct Room {
    taken: Arc<Mutex<Taken>>,
    freed: Arc<Notify>,
}

/// A place for one process; dropping it gives it back.
pub(crate) struct Place(Room);

impl Room {
    pub fn new(limit: usize) -> Self {
        let taken = Taken { limit: limit.max(1), ..Taken::default() };
        Room { taken: Arc::new(Mutex::new(taken)), freed: Arc::default() }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Taken) -> T) -> T {
        // What the lock guards is whole after each statement.
        change(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn try_take(&self) -> Option<Place> {
        let free = self.with(|taken| {
            let free = taken.used < taken.limit;
            taken.used += usize::from(free);
            free
        });
        free.then(|| Place(self.clone()))
    }

    /// Waits for a place.
    pub async fn take(&self) -> Place {
        let _waits = Waits::new(self);
        loop {
            let freed = self.freed.notified();
            let mut freed = std::pin::pin!(freed);
            // Listening begins before looking, so nothing falls between the two.
            freed.as_mut().enable();
            if let Some(place) = self.try_take() {
                return place;
            }
            freed.await;
        }
    }

    /// How many may run from now on; gives how many too many do.
    pub fn set_limit(&self, limit: usize) -> usize {
        let over = self.with(|taken| {
            taken.limit = limit.max(1);
            taken.used.saturating_sub(taken.limit)
        });
        self.freed.notify_waiters();
        over
    }

    /// Who has nothing to do should go: somebody waits, or there are too many.
    pub fn is_short(&self) -> bool {
        self.with(|taken| taken.waiting > 0 || taken.used > taken.limit)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.with(|taken| taken.used -= 1);
        self.0.freed.notify_waiters();
    }
}

/// Counts who waits, also when the waiting is given up.
struct Waits<'a>(&'a Room);

impl<'a> Waits<'a> {
    fn new(room: &'a Room) -> Self {
        room.with(|taken| taken.waiting += 1);
        Waits(room)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.with(|taken| taken.waiting -= 1);
    }
}
