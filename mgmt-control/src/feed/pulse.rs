//! How many calls end, how, and how long they took: the last five minutes, in
//! memory of fixed size.

use std::time::{Duration, Instant};

use gridmart_schemas::wire::record::{CallRecord, CallState, JobProgress};
use parking_lot::Mutex;

/// One cell of the ring.
const CELL: Duration = Duration::from_secs(15);
/// Cells: five minutes.
const CELLS: usize = 20;
/// Steps of an octave that times are told apart by: within a tenth.
const STEPS: u32 = 8;
/// Steps in all: up to 2^40 microseconds, twelve days.
const CLASSES: usize = 40 * STEPS as usize;

/// The numbers of the last minutes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Beat {
    /// Time that they are of.
    pub(crate) span: Duration,
    /// Calls and parts that ended.
    pub(crate) ended: u64,
    /// Those that did not end well.
    pub(crate) failed: u64,
    /// Half of the calls took so long at most, microseconds.
    pub(crate) p50: Option<u64>,
    /// Of a hundred 95 did.
    pub(crate) p95: Option<u64>,
}

#[derive(Clone)]
struct Cell {
    /// Which cell since the start.
    number: u64,
    ended: u64,
    failed: u64,
    times: Vec<u32>,
}

/// Counts what ends.
pub(crate) struct Pulse {
    start: Instant,
    cells: Mutex<Vec<Cell>>,
}

impl Default for Pulse {
    fn default() -> Self {
        let empty = Cell {
            number: 0,
            ended: 0,
            failed: 0,
            times: vec![0; CLASSES],
        };
        Self {
            start: Instant::now(),
            cells: Mutex::new(vec![empty; CELLS]),
        }
    }
}

impl Pulse {
    /// Takes what an Element tells of ended calls and parts.
    pub(crate) fn on_records(&self, records: &[CallRecord], jobs: &[JobProgress], now: Instant) {
        let number = self.number(now);
        let mut cells = self.cells.lock();
        let Some(cell) = cell_of(&mut cells, number) else {
            return;
        };
        for CallRecord { end, .. } in records {
            cell.ended += 1;
            // Whoever ends a call knows why.
            cell.failed += u64::from(!end.succeeded() && end.state != CallState::Terminated);
            if let Some(times) = cell.times.get_mut(class(end.wall_us)) {
                *times += 1;
            }
        }
        for JobProgress {
            finished, failed, ..
        } in jobs
        {
            cell.ended = cell.ended.saturating_add(*finished).saturating_add(*failed);
            cell.failed = cell.failed.saturating_add(*failed);
        }
    }

    /// Tells the numbers of the last five minutes.
    pub(crate) fn beat(&self, now: Instant) -> Beat {
        let number = self.number(now);
        let cells = self.cells.lock();
        let lately = |cell: &&Cell| cell.number + CELLS as u64 > number;
        let mut times = vec![0_u64; CLASSES];
        let mut beat = Beat {
            span: now
                .saturating_duration_since(self.start)
                .min(CELL * u32::try_from(CELLS).unwrap_or(u32::MAX)),
            ..Beat::default()
        };
        for cell in cells.iter().filter(lately) {
            beat.ended += cell.ended;
            beat.failed += cell.failed;
            for (sum, count) in times.iter_mut().zip(&cell.times) {
                *sum += u64::from(*count);
            }
        }
        beat.p50 = quantile(&times, 50);
        beat.p95 = quantile(&times, 95);
        beat
    }

    /// Calls that ended, and those that failed, per second: of the last cell
    /// that is full.
    pub(crate) fn rates(&self, now: Instant) -> (f64, f64) {
        let number = self.number(now).saturating_sub(1);
        let cells = self.cells.lock();
        let last = cells.iter().find(|cell| cell.number == number);
        let (ended, failed) = last.map_or((0, 0), |cell| (cell.ended, cell.failed));
        #[expect(clippy::cast_precision_loss, reason = "rates for people")]
        let per_second = |count: u64| count as f64 / CELL.as_secs_f64();
        (per_second(ended), per_second(failed))
    }

    fn number(&self, now: Instant) -> u64 {
        // Cells count from one: a cell that was never used is of none.
        now.saturating_duration_since(self.start).as_secs() / CELL.as_secs() + CELLS as u64
    }
}

/// The cell of this time, emptied of what was in it five minutes ago.
fn cell_of(cells: &mut [Cell], number: u64) -> Option<&mut Cell> {
    let place = usize::try_from(number % CELLS as u64).ok()?;
    let cell = cells.get_mut(place)?;
    if cell.number != number {
        cell.number = number;
        (cell.ended, cell.failed) = (0, 0);
        cell.times.fill(0);
    }
    Some(cell)
}

/// Which step a time belongs to.
fn class(micros: u64) -> usize {
    let octave = micros.max(1).ilog2();
    let part = if octave >= 3 {
        (micros >> (octave - 3)) & 7
    } else {
        0
    };
    let class = u64::from(octave * STEPS) + part;
    usize::try_from(class).map_or(CLASSES - 1, |class| class.min(CLASSES - 1))
}

/// The longest time of a step.
fn top(class: usize) -> u64 {
    let class = class as u64;
    let (octave, part) = (class / u64::from(STEPS), class % u64::from(STEPS));
    let whole = 1_u64 << octave.min(60);
    whole + whole * (part + 1) / u64::from(STEPS)
}

fn quantile(times: &[u64], percent: u64) -> Option<u64> {
    let all: u64 = times.iter().sum();
    let rank = (all * percent).div_ceil(100);
    let mut met = 0;
    let place = times.iter().position(|count| {
        met += count;
        met >= rank && rank > 0
    })?;
    Some(top(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_within_a_quarter() {
        for micros in [1_u64, 9, 1_000, 33_333, 5_000_000, 86_400_000_000] {
            let told = top(class(micros));
            assert!(told >= micros && told <= micros * 2, "{micros}: {told}");
            if micros > 8 {
                assert!(told <= micros + micros / 4, "{micros}: {told}");
            }
        }
        assert!(class(u64::MAX) < CLASSES);
        let mut times = vec![0; CLASSES];
        assert_eq!(quantile(&times, 95), None);
        times[class(1_000)] = 94;
        times[class(1_000_000)] = 6;
        assert!(quantile(&times, 50).unwrap() < 2_000);
        assert!(quantile(&times, 95).unwrap() >= 1_000_000);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let pulse = Pulse::default();
        let job = |finished, failed| {
            let text = format!(
                r#"{{"job":"00000000-0000-0000-0000-000000000001","owner":"uma","application":"a","version":"1",
                "host":"00000000-0000-0000-0000-000000000002","finished":{finished},"failed":{failed},"wall_us":1,"cpu_us":1}}"#
            );
            serde_json::from_str::<JobProgress>(&text).unwrap()
        };
        let at = |seconds| pulse.start + Duration::from_secs(seconds);
        pulse.on_records(&[], &[job(8, 2)], at(0));
        pulse.on_records(&[], &[job(5, 0)], at(100));
        let beat = pulse.beat(at(100));
        assert_eq!((beat.ended, beat.failed, beat.span.as_secs()), (15, 2, 100));
        let beat = pulse.beat(at(320));
        assert_eq!((beat.ended, beat.failed, beat.span.as_secs()), (5, 0, 300));
        assert_eq!(pulse.beat(at(1000)).ended, 0);
    }
}
