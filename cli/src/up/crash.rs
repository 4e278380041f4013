//! When a dead role is started again. Pure: time comes in as an argument.

use std::time::Duration;

/// Pause after a first death.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A life this long is a healthy one.
const HEALTHY: Duration = Duration::from_secs(30);
/// Deaths in a row that are called a loop.
const LOOP: u32 = 4;

/// Deaths of one role that came soon after its start, in a row.
#[derive(Debug, Default)]
pub(crate) struct Crashes {
    in_a_row: u32,
}

/// What to do after a death.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Start it again after this pause.
    pub(crate) pause: Duration,
    /// How many deaths in a row, if that is to be called a loop now.
    pub(crate) looping: Option<u32>,
}

impl Crashes {
    /// Judges the death of a process that lived so long.
    pub(crate) fn judge(&mut self, lived: Duration) -> Verdict {
        self.in_a_row = if lived >= HEALTHY {
            1
        } else {
            self.in_a_row.saturating_add(1)
        };
        let doublings = self.in_a_row.saturating_sub(1).min(16);
        Verdict {
            pause: PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX),
            // Told at 4, 8, 16, …: often enough, and the log stays readable.
            looping: (self.in_a_row >= LOOP && self.in_a_row.is_power_of_two())
                .then_some(self.in_a_row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_a_loop_is_called_one() {
        let mut crashes = Crashes::default();
        let verdicts: Vec<_> = (0..40).map(|_| crashes.judge(Duration::ZERO)).collect();
        assert_eq!(
            verdicts[0],
            Verdict {
                pause: PAUSE_MIN,
                looping: None
            }
        );
        assert_eq!(verdicts[1].pause, PAUSE_MIN * 2);
        assert_eq!((verdicts[3].looping, verdicts[4].looping), (Some(4), None));
        assert_eq!(verdicts[39].pause, PAUSE_MAX);
    }

    #[test]
    fn a_healthy_life_is_a_new_start() {
        let mut crashes = Crashes::default();
        for _ in 0..10 {
            crashes.judge(Duration::ZERO);
        }
        assert_eq!(
            crashes.judge(HEALTHY),
            Verdict {
                pause: PAUSE_MIN,
                looping: None
            }
        );
    }
}
