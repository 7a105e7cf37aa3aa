//! Windows that come back at a start: the one that was looked at last first and alone, then a few at a time. All at once they would
//! take the web process from each other, and the one that somebody waits for would be there no sooner than the last.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// As many pages load at once, once the first is there.
const AT_ONCE: usize = 4;
/// A page that is not there by then no longer holds up the others.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Default)]
pub struct Returning {
    waiting: VecDeque<String>,
    /// Pages that load, and since when.
    loading: HashMap<String, Instant>,
    /// The first one is there, or took too long.
    begun: bool,
}

impl Returning {
    /// These windows, in this order.
    pub fn of(windows: impl IntoIterator<Item = String>) -> Self {
        Self { waiting: windows.into_iter().collect(), ..Self::default() }
    }

    /// The window to show next, if one may be shown by now.
    pub fn next(&mut self, now: Instant) -> Option<String> {
        let before = self.loading.len();
        self.loading.retain(|_, since| now < *since + PATIENCE);
        self.begun |= self.loading.len() < before;
        let most = if self.begun { AT_ONCE } else { 1 };
        if self.loading.len() >= most { None } else { self.waiting.pop_front() }
    }

    /// A window's page began to load.
    pub fn loads(&mut self, window: &str, now: Instant) {
        self.loading.insert(window.to_owned(), now);
    }

    /// A window's page is there, or nobody wants it any more.
    pub fn settled(&mut self, window: &str) {
        self.begun |= self.loading.remove(window).is_some();
        self.waiting.retain(|waits| waits != window);
    }

    /// When one is shown at the latest, whatever becomes of those that load.
    pub fn due(&self) -> Option<Instant> {
        let oldest = self.loading.values().min().filter(|_| !self.waiting.is_empty())?;
        Some(*oldest + PATIENCE)
    }

    pub fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(count: usize) -> Vec<String> {
        (0..count).map(|n| n.to_string()).collect()
    }

    /// Shows all that may be shown now.
    fn shown(returning: &mut Returning, now: Instant) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(window) = returning.next(now) {
            returning.loads(&window, now);
            all.push(window);
        }
        all
    }

    #[test]
    fn the_first_comes_alone_and_the_others_few_at_a_time() {
        let now = Instant::now();
        let mut returning = Returning::of(named(8));
        assert_eq!(shown(&mut returning, now), ["0"]);
        returning.settled("0");
        assert_eq!(shown(&mut returning, now), ["1", "2", "3", "4"]);
        returning.settled("3");
        returning.settled("6");
        assert_eq!(shown(&mut returning, now), ["5"]);
        returning.settled("1");
        assert_eq!(shown(&mut returning, now), ["7"]);
        assert!(returning.is_over());
    }

    #[test]
    fn a_page_that_does_not_come_holds_up_nobody_for_long() {
        let now = Instant::now();
        let mut returning = Returning::of(named(3));
        assert_eq!(shown(&mut returning, now), ["0"]);
        let due = returning.due().unwrap();
        assert!(shown(&mut returning, due - Duration::from_millis(1)).is_empty());
        assert_eq!(shown(&mut returning, due), ["1", "2"]);
        assert_eq!(returning.due(), None);
    }

    #[test]
    fn windows_that_were_there_already_need_no_page() {
        let mut returning = Returning::of(named(6));
        let now = Instant::now();
        assert_eq!(std::iter::from_fn(|| returning.next(now)).count(), 6);
    }
}
