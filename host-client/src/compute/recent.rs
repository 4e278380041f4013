//! What the last minutes of work on this Host tell about it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use gridmart_schemas::wire::record::{CallEnd, CallState};
use parking_lot::Mutex;

/// GLUE's window for recent jobs, in slices of a minute.
const SLICES: usize = 20;
const SLICE: Duration = Duration::from_mins(1);
/// Calls whose first sign of life is remembered.
const SIGNS_KEPT: usize = 1000;
/// Nobody asks whether a Host lives before this has passed.
const WORST_RESPONSE_FLOOR: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Default)]
struct Slice {
    minute: u64,
    starts: u32,
    failures: u32,
    ended: u32,
    busy_us: u64,
}

struct Counts {
    slices: [Slice; SLICES],
    /// Milliseconds from acceptance to start.
    signs: VecDeque<u32>,
}

/// Counts calls over the last 20 minutes.
pub(crate) struct Recent {
    began: Instant,
    counts: Mutex<Counts>,
}

/// What is told in the Host's State.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecentJobs {
    pub(crate) starts: u32,
    pub(crate) failures: u32,
    pub(crate) busy_avg: Option<Duration>,
}

impl Recent {
    pub(crate) fn new() -> Self {
        let counts = Counts {
            slices: [Slice::default(); SLICES],
            signs: VecDeque::new(),
        };
        Self {
            began: Instant::now(),
            counts: Mutex::new(counts),
        }
    }

    /// A call has started, so long after it was accepted.
    pub(crate) fn on_start(&self, waited: Duration) {
        let minute = self.minute(Instant::now());
        let mut counts = self.counts.lock();
        counts.slice(minute).starts += 1;
        if counts.signs.len() == SIGNS_KEPT {
            counts.signs.pop_front();
        }
        counts
            .signs
            .push_back(u32::try_from(waited.as_millis()).unwrap_or(u32::MAX));
    }

    /// A call has ended.
    pub(crate) fn on_end(&self, end: &CallEnd) {
        let minute = self.minute(Instant::now());
        let mut counts = self.counts.lock();
        let slice = counts.slice(minute);
        slice.ended += 1;
        slice.busy_us = slice.busy_us.saturating_add(end.wall_us);
        slice.failures += u32::from(end.state == CallState::Failed);
    }

    pub(crate) fn jobs(&self) -> RecentJobs {
        self.jobs_at(self.minute(Instant::now()))
    }

    /// A call older than this is worth asking after: twice what all but the
    /// slowest percent needed, or the floor.
    pub(crate) fn worst_response_time(&self) -> Duration {
        let counts = self.counts.lock();
        let mut signs: Vec<_> = counts.signs.iter().copied().collect();
        drop(counts);
        signs.sort_unstable();
        let slow = signs
            .get(signs.len().saturating_sub(1 + signs.len() / 100))
            .copied()
            .unwrap_or(0);
        Duration::from_millis(u64::from(slow))
            .saturating_mul(2)
            .max(WORST_RESPONSE_FLOOR)
    }

    fn minute(&self, now: Instant) -> u64 {
        // From one on: zero marks a slice that was never used.
        now.duration_since(self.began).as_secs() / SLICE.as_secs() + 1
    }

    fn jobs_at(&self, minute: u64) -> RecentJobs {
        let counts = self.counts.lock();
        let current = counts
            .slices
            .iter()
            .filter(|slice| slice.minute > 0 && slice.minute + SLICES as u64 > minute);
        let mut jobs = RecentJobs::default();
        let (mut ended, mut busy_us) = (0u32, 0u64);
        for slice in current {
            jobs.starts = jobs.starts.saturating_add(slice.starts);
            jobs.failures = jobs.failures.saturating_add(slice.failures);
            ended = ended.saturating_add(slice.ended);
            busy_us = busy_us.saturating_add(slice.busy_us);
        }
        jobs.busy_avg = busy_us
            .checked_div(u64::from(ended))
            .map(Duration::from_micros);
        jobs
    }
}

impl Counts {
    fn slice(&mut self, minute: u64) -> &mut Slice {
        let place = usize::try_from(minute % SLICES as u64).unwrap_or_default();
        let slice = &mut self.slices[place];
        if slice.minute != minute {
            *slice = Slice {
                minute,
                ..Slice::default()
            };
        }
        slice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(state: CallState) -> CallEnd {
        CallEnd {
            state,
            exit_code: None,
            signal: None,
            code: None,
            reason: None,
            wall_us: 2_000_000,
            cpu_us: 0,
            max_resident_bytes: 0,
            stdout_bytes: 0,
            stderr_bytes: 0,
            staged_in_bytes: 0,
            staged_out_bytes: 0,
        }
    }

    #[test]
    fn old_minutes_do_not_count() {
        let recent = Recent::new();
        recent.on_start(Duration::ZERO);
        recent.on_end(&end(CallState::Finished));
        recent.on_end(&end(CallState::Failed));
        let jobs = RecentJobs {
            starts: 1,
            failures: 1,
            busy_avg: Some(Duration::from_secs(2)),
        };
        assert_eq!(recent.jobs_at(1), jobs);
        assert_eq!(recent.jobs_at(SLICES as u64), jobs);
        assert_eq!(recent.jobs_at(SLICES as u64 + 1), RecentJobs::default());
    }

    #[test]
    fn the_worst_time_has_a_floor_and_follows_the_slow() {
        let recent = Recent::new();
        assert_eq!(recent.worst_response_time(), WORST_RESPONSE_FLOOR);
        for number in 0..200u64 {
            recent.on_start(Duration::from_secs(number / 10));
        }
        assert!(recent.worst_response_time() >= Duration::from_secs(36));
    }
}
