//! Repair leaves room for people's transfers.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes over time, at a bounded rate.
pub(in super::super) struct Pace {
    /// Bytes per second; 0: unbounded.
    rate: u64,
    next: Instant,
}

impl Pace {
    pub(in super::super) fn new(rate: u64) -> Self {
        Self {
            rate,
            next: Instant::now(),
        }
    }

    /// So many have moved.
    pub(in super::super) fn on_bytes(&mut self, bytes: u64) {
        if let Some(micros) = bytes.saturating_mul(1_000_000).checked_div(self.rate) {
            self.next += Duration::from_micros(micros);
        }
    }

    /// Waits until they may have.
    pub(in super::super) async fn wait(&self) {
        tokio::time::sleep_until(self.next).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_the_time_that_the_rate_says() {
        let mut pace = Pace::new(1000);
        let begun = pace.next;
        pace.on_bytes(1500);
        pace.on_bytes(500);
        assert_eq!(pace.next - begun, Duration::from_secs(2));
        let mut unbounded = Pace::new(0);
        let begun = unbounded.next;
        unbounded.on_bytes(u64::MAX);
        assert_eq!(unbounded.next, begun);
    }
}
