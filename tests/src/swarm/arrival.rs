//! When nodes have come: each stream that stands and was welcomed.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Moments at which streams were welcomed.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<Vec<Instant>>);

impl Arrivals {
    /// Notes one, now.
    pub fn note(&self) {
        self.0.lock().push(Instant::now());
    }

    /// Tells how many there were since `start`.
    pub fn since(&self, start: Instant) -> usize {
        self.0.lock().iter().filter(|at| **at >= start).count()
    }

    /// Gives the times from `start` to each arrival after it, in order.
    pub fn after(&self, start: Instant) -> Vec<Duration> {
        let mut after: Vec<Duration> = self
            .0
            .lock()
            .iter()
            .filter_map(|at| at.checked_duration_since(start))
            .collect();
        after.sort_unstable();
        after
    }

    /// Draws the arrivals since `start` as counts per step of time.
    pub fn histogram(&self, start: Instant, step: Duration) -> String {
        let mut text = String::new();
        let mut counts: Vec<u32> = Vec::new();
        for time in self.after(start) {
            let bin = usize::try_from(time.as_millis() / step.as_millis().max(1)).unwrap_or(0);
            counts.resize(counts.len().max(bin + 1), 0);
            counts[bin] += 1;
        }
        for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let from = step.mul_f64(f64::from(u32::try_from(bin).unwrap_or(0)));
            // Writing to a String cannot fail.
            let _ = write!(text, "{:.1} s: {count}; ", from.as_secs_f64());
        }
        text.trim_end_matches("; ").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_counted_by_time() {
        let start = Instant::now();
        let arrivals = Arrivals::default();
        for millis in [10, 20, 1010] {
            arrivals
                .0
                .lock()
                .push(start + Duration::from_millis(millis));
        }
        let text = arrivals.histogram(start, Duration::from_millis(500));
        assert_eq!(text, "0.0 s: 2; 1.0 s: 1");
        assert_eq!(arrivals.since(start + Duration::from_millis(15)), 2);
    }
}
