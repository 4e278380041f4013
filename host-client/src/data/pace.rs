//! How much a shadow asks of its core at a time: an answer has to arrive before a stream
//! that carries nothing else is taken for dead, also over a slow way.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use gridmart_schemas::wire::replica::ENTRIES_BYTES;

/// Less is not asked for: some seconds of the slowest way.
pub(super) const BYTES_MIN: u64 = 16 * 1024;
/// An answer that took longer was too much.
const SLOW: Duration = Duration::from_secs(8);
/// After one that came sooner, more may be asked for.
const QUICK: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(super) struct Pace(AtomicU64);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicU64::new(ENTRIES_BYTES))
    }
}

impl Pace {
    /// Bytes to ask for.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// An answer came after that time, or none.
    pub(super) fn answered(&self, took: Option<Duration>) {
        let bytes = self.bytes();
        let now = match took {
            None => bytes / 4,
            Some(took) if took > SLOW => bytes / 2,
            Some(took) if took < QUICK => bytes * 2,
            Some(_) => bytes,
        };
        self.0
            .store(now.clamp(BYTES_MIN, ENTRIES_BYTES), Ordering::Relaxed);
    }
}

/// What a core answers at most, of what a shadow asks for.
pub(super) fn granted(bytes_max: Option<u64>) -> u64 {
    bytes_max.map_or(ENTRIES_BYTES, |bytes| bytes.clamp(BYTES_MIN, ENTRIES_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_asked_for_while_it_is_slow_and_more_again_when_it_is_not() {
        let pace = Pace::default();
        assert_eq!(pace.bytes(), ENTRIES_BYTES);
        pace.answered(Some(Duration::from_secs(9)));
        assert_eq!(pace.bytes(), ENTRIES_BYTES / 2);
        pace.answered(Some(Duration::from_secs(4)));
        assert_eq!(pace.bytes(), ENTRIES_BYTES / 2);
        for _ in 0..20 {
            pace.answered(None);
        }
        assert_eq!(pace.bytes(), BYTES_MIN);
        for _ in 0..20 {
            pace.answered(Some(Duration::ZERO));
        }
        assert_eq!(pace.bytes(), ENTRIES_BYTES);
        assert_eq!(granted(Some(0)), BYTES_MIN);
        assert_eq!(granted(Some(u64::MAX)), ENTRIES_BYTES);
        assert_eq!(granted(None), ENTRIES_BYTES);
    }
}
