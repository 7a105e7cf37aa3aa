//! Windows that come back at a start: the one that was looked at last alone in its web process, beside it the first of each other
//! process, and once these are there all the others. Together they would take the processes from each other, and the one that somebody
//! waits for would be there no sooner than the last. A few at a time would take longer in all: with each page that comes the engine
//! looks through the memory of those that are there.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A first page that is not there by then no longer holds up the others.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Default)]
pub struct Returning {
    waiting: VecDeque<String>,
    /// How many may still come before the others.
    ahead: usize,
    /// Those of them whose pages load, and since when.
    loading: Vec<(String, Instant)>,
}

impl Returning {
    /// These windows, in this order, with so many ahead of the others.
    pub fn of(windows: impl IntoIterator<Item = String>, ahead: usize) -> Self {
        Self { waiting: windows.into_iter().collect(), ahead, loading: Vec::new() }
    }

    /// The window to show next, if one may be shown by now.
    pub fn next(&mut self, now: Instant) -> Option<String> {
        self.loading.retain(|(_, since)| now < *since + PATIENCE);
        if self.ahead == 0 && !self.loading.is_empty() { None } else { self.waiting.pop_front() }
    }

    /// A window's page began to load.
    pub fn loads(&mut self, window: String, now: Instant) {
        if self.ahead > 0 {
            self.ahead -= 1;
            self.loading.push((window, now));
        }
    }

    /// A window's page is there, or nobody wants it any more.
    pub fn settled(&mut self, window: &str) {
        self.loading.retain(|(loads, _)| loads != window);
        self.waiting.retain(|waits| waits != window);
    }

    /// When the others are shown at the latest, whatever becomes of the first ones.
    pub fn due(&self) -> Option<Instant> {
        let last = self.loading.iter().map(|(_, since)| *since).max().filter(|_| !self.is_over())?;
        Some(last + PATIENCE)
    }

    pub fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(windows: &[&str], ahead: usize) -> Returning {
        Returning::of(windows.iter().map(ToString::to_string), ahead)
    }

    /// Shows all that may be shown now.
    fn shown(returning: &mut Returning, now: Instant) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(window) = returning.next(now) {
            returning.loads(window.clone(), now);
            all.push(window);
        }
        all
    }

    #[test]
    fn the_first_comes_alone_and_the_others_when_it_is_there() {
        let now = Instant::now();
        let mut returning = of(&["a", "b", "c", "d"], 1);
        assert_eq!(shown(&mut returning, now), ["a"]);
        returning.settled("c");
        assert!(shown(&mut returning, now).is_empty());
        returning.settled("a");
        assert_eq!(shown(&mut returning, now), ["b", "d"]);
        assert!(returning.is_over());
    }

    #[test]
    fn each_web_process_has_a_first_one() {
        let now = Instant::now();
        let mut returning = of(&["a", "b", "c", "d"], 2);
        assert_eq!(shown(&mut returning, now), ["a", "b"]);
        returning.settled("a");
        assert!(shown(&mut returning, now).is_empty());
        returning.settled("b");
        assert_eq!(shown(&mut returning, now), ["c", "d"]);
    }

    #[test]
    fn a_first_page_that_does_not_come_holds_up_nobody_for_long() {
        let now = Instant::now();
        let mut returning = of(&["a", "b", "c"], 1);
        assert_eq!(shown(&mut returning, now), ["a"]);
        let due = returning.due().unwrap();
        assert!(shown(&mut returning, due - Duration::from_millis(1)).is_empty());
        assert_eq!(shown(&mut returning, due), ["b", "c"]);
        assert_eq!(returning.due(), None);
    }

    #[test]
    fn windows_that_are_there_already_wait_for_nobody() {
        let mut returning = of(&["a", "b", "c"], 1);
        let now = Instant::now();
        assert_eq!(std::iter::from_fn(|| returning.next(now)).count(), 3);
    }
}
