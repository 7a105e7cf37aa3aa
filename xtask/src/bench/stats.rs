//! Samples and their percentiles. Times are kept in nanoseconds and shown in milliseconds.

use std::time::Duration;

/// Every sample of one figure.
#[derive(Default, Clone)]
pub struct Samples(Vec<u64>);

impl Samples {
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample.as_nanos() as u64);
    }

    pub fn extend(&mut self, other: Samples) {
        self.0.extend(other.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that at least `per_mille` of a thousand samples do not exceed, in milliseconds.
    pub fn per_mille(&self, per_mille: u64) -> f64 {
        assert!(!self.0.is_empty(), "a percentile of nothing");
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as u64 * per_mille).div_ceil(1000).max(1) as usize;
        sorted[rank - 1] as f64 / 1e6
    }

    pub fn p50(&self) -> f64 {
        self.per_mille(500)
    }

    pub fn p99(&self) -> f64 {
        self.per_mille(990)
    }

    pub fn p999(&self) -> f64 {
        self.per_mille(999)
    }
}

/// One line of the report: what was measured, what was asked for, and whether it holds.
pub struct Figure {
    pub name: &'static str,
    pub measured: String,
    pub floor: String,
    pub target: String,
    pub holds: bool,
}

/// Prints the figures as the Markdown table that docs/BENCHMARKS.md keeps.
pub fn table(figures: &[Figure]) -> String {
    let mut out =
        String::from("| figure | measured | floor in the same run | target | holds |\n|---|---:|---:|---:|---|\n");
    for f in figures {
        let holds = if f.holds { "yes" } else { "**no**" };
        out.push_str(&format!("| {} | {} | {} | {} | {} |\n", f.name, f.measured, f.floor, f.target, holds));
    }
    out
}
