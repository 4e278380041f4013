//! Numbers of one thing over time: a ring of the last hour and one of the last
//! day, two bytes for a value.

use gridmart_schemas::api::history::{HistoryView, MetricHistory, Span};
use time::OffsetDateTime;

/// Seconds from one look to the next.
const LOOK_SECONDS: u64 = 15;
/// Looks that are kept: an hour.
const LOOKS: u64 = 240;
/// Looks that make one step of the day.
pub(super) const STEP_LOOKS: u64 = 20;
/// Steps that are kept: a day.
pub(super) const STEPS: u64 = 288;
/// Which look this is, since 1970.
pub(crate) fn look_of(now: OffsetDateTime) -> u64 {
    u64::try_from(now.unix_timestamp()).unwrap_or(0) / LOOK_SECONDS
}

/// The upper half of an `f32`, rounded; all ones: not known.
const UNKNOWN: u16 = u16::MAX;

fn packed(value: Option<f32>) -> u16 {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return UNKNOWN;
    };
    let bits = value.to_bits().saturating_add(0x8000) >> 16;
    u16::try_from(bits).unwrap_or(UNKNOWN)
}

fn unpacked(kept: u16) -> Option<f32> {
    let value = f32::from_bits(u32::from(kept) << 16);
    (kept != UNKNOWN && value.is_finite()).then_some(value)
}

/// Numbers of `N` kinds over time.
pub(super) struct Series<const N: usize> {
    hour: Cells<N>,
    day_mean: Cells<N>,
    day_max: Cells<N>,
    step: Step<N>,
}

/// The step of the day that is being made.
#[derive(Clone, Copy)]
struct Step<const N: usize> {
    number: u64,
    sums: [f32; N],
    counts: [u8; N],
    largest: [Option<f32>; N],
}

/// A ring of cells, one for each number of a look or step.
struct Cells<const N: usize> {
    cells: Vec<[u16; N]>,
    /// The newest that is in; 0: none.
    newest: u64,
}

impl<const N: usize> Default for Series<N> {
    fn default() -> Self {
        let cells = || Cells {
            cells: Vec::new(),
            newest: 0,
        };
        Self {
            hour: cells(),
            day_mean: cells(),
            day_max: cells(),
            step: Step::begin(0),
        }
    }
}

impl<const N: usize> Step<N> {
    const fn begin(number: u64) -> Self {
        Self {
            number,
            sums: [0.0; N],
            counts: [0; N],
            largest: [None; N],
        }
    }
}

impl<const N: usize> Cells<N> {
    fn put(&mut self, number: u64, values: [u16; N], size: u64) {
        if number <= self.newest {
            // The clock was set back: what is in stands.
            return;
        }
        if self.cells.is_empty() {
            let size = usize::try_from(size).unwrap_or(0);
            self.cells = vec![[UNKNOWN; N]; size];
        }
        // Nothing was looked at in between.
        let first = (self.newest + 1).max(number.saturating_sub(size));
        for missed in first..number {
            self.set(missed, [UNKNOWN; N]);
        }
        self.set(number, values);
        self.newest = number;
    }

    fn set(&mut self, number: u64, values: [u16; N]) {
        let size = self.cells.len() as u64;
        let place = number
            .checked_rem(size)
            .and_then(|at| usize::try_from(at).ok());
        if let Some(cell) = place.and_then(|place| self.cells.get_mut(place)) {
            *cell = values;
        }
    }

    /// The newest cell, if it is this one.
    fn get(&self, number: u64) -> Option<&[u16; N]> {
        let place = number.checked_rem(self.cells.len() as u64)?;
        let cell = self.cells.get(usize::try_from(place).ok()?);
        cell.filter(|_| number == self.newest)
    }

    /// The values of `size` cells up to `newest`, oldest first.
    fn read(&self, which: usize, newest: u64, size: u64) -> Vec<Option<f32>> {
        let kept = self.newest.saturating_sub(size)..=self.newest;
        ((newest + 1).saturating_sub(size)..=newest)
            .map(|number| {
                let all = self.cells.len() as u64;
                let place = usize::try_from(number.checked_rem(all)?).ok()?;
                let is_kept = kept.contains(&number) && number + size > self.newest;
                unpacked(*self.cells.get(place).filter(|_| is_kept)?.get(which)?)
            })
            .collect()
    }
}

impl<const N: usize> Series<N> {
    /// The step of the day that is being made; 0: none.
    pub(super) const fn step(&self) -> u64 {
        self.step.number
    }

    /// Takes the numbers of a look.
    pub(super) fn push(&mut self, look: u64, values: [Option<f32>; N]) {
        self.hour.put(look, values.map(packed), LOOKS);
        let number = look / STEP_LOOKS;
        if number > self.step.number {
            self.close_step();
            self.step = Step::begin(number);
        }
        for (place, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            self.step.sums[place] += value;
            self.step.counts[place] = self.step.counts[place].saturating_add(1);
            let largest = self.step.largest[place].map_or(*value, |largest| largest.max(*value));
            self.step.largest[place] = Some(largest);
        }
    }

    fn close_step(&mut self) {
        let Step {
            number,
            sums,
            counts,
            largest,
        } = self.step;
        if number == 0 {
            return;
        }
        let mut means = [UNKNOWN; N];
        for (place, mean) in means.iter_mut().enumerate() {
            let count = counts[place];
            *mean = packed((count > 0).then(|| sums[place] / f32::from(count)));
        }
        self.day_mean.put(number, means, STEPS);
        self.day_max.put(number, largest.map(packed), STEPS);
    }

    /// Means and largest of a step, packed; nothing if it is not in.
    pub(super) fn stored(&self, step: u64) -> Option<Vec<u8>> {
        let (mean, max) = (self.day_mean.get(step)?, self.day_max.get(step)?);
        let values = mean.iter().chain(max);
        Some(values.flat_map(|value| value.to_le_bytes()).collect())
    }

    pub(super) fn restore(&mut self, step: u64, stored: &[u8]) {
        let mut values = stored
            .chunks_exact(2)
            .filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
        let mut next = || [(); N].map(|()| values.next().unwrap_or(UNKNOWN));
        let (mean, max) = (next(), next());
        self.day_mean.put(step, mean, STEPS);
        self.day_max.put(step, max, STEPS);
    }

    pub(super) fn view(&self, names: &[&str; N], span: Span, now: OffsetDateTime) -> HistoryView {
        let (newest, size, seconds) = match span {
            Span::Hour => (look_of(now), LOOKS, LOOK_SECONDS),
            // The step that is being made is not told yet.
            Span::Day => (
                (look_of(now) / STEP_LOOKS).saturating_sub(1),
                STEPS,
                LOOK_SECONDS * STEP_LOOKS,
            ),
        };
        let metric = |(which, name): (usize, &&str)| MetricHistory {
            name: (*name).to_owned(),
            mean: match span {
                Span::Hour => self.hour.read(which, newest, size),
                Span::Day => self.day_mean.read(which, newest, size),
            },
            max: match span {
                Span::Hour => Vec::new(),
                Span::Day => self.day_max.read(which, newest, size),
            },
        };
        let end = i64::try_from(newest * seconds).unwrap_or(0);
        HistoryView {
            span,
            step_seconds: seconds,
            end: OffsetDateTime::from_unix_timestamp(end).unwrap_or(now),
            metrics: names.iter().enumerate().map(metric).collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let cells = [&self.hour, &self.day_mean, &self.day_max];
        let kept: usize = cells.iter().map(|cells| cells.cells.capacity()).sum();
        kept * size_of::<[u16; N]>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn three_digits_are_kept() {
        for value in [0.0_f32, 1.0, 0.37, 99.6, 12_345.0, 8.0e12] {
            let kept = unpacked(packed(Some(value))).unwrap();
            assert!((kept - value).abs() <= value * 0.005, "{value}: {kept}");
        }
        assert_eq!(unpacked(packed(None)), None);
        assert_eq!(unpacked(packed(Some(f32::INFINITY))), None);
        assert_eq!(
            unpacked(packed(Some(f32::MAX))),
            None,
            "it would round up to no number"
        );
    }

    #[test]
    fn an_hour_and_a_day_are_kept_and_gaps_are_gaps() {
        let mut series = Series::<1>::default();
        let (step, looks) = (300, 4000_i64);
        for look in 0..looks {
            // A gap of ten minutes in the last hour.
            let in_gap = (looks - 100..looks - 60).contains(&look);
            if !in_gap {
                let value = if look % 20 == 0 { 40.0 } else { 0.0 };
                series.push(look_of(at(look * 15)), [Some(value)]);
            }
        }
        let now = at((looks - 1) * 15);
        let hour = series.view(&["x"], Span::Hour, now);
        let values = &hour.metrics[0].mean;
        assert_eq!((values.len(), hour.step_seconds, hour.end), (240, 15, now));
        assert_eq!(values.iter().filter(|value| value.is_none()).count(), 40);
        let day = series.view(&["x"], Span::Day, now);
        let (mean, max) = (&day.metrics[0].mean, &day.metrics[0].max);
        assert_eq!((mean.len(), max.len(), day.step_seconds), (288, 288, step));
        // 4000 looks are 200 steps; of them the gap has two.
        let known = mean.iter().flatten().count();
        assert!((195..=200).contains(&known), "{known}");
        assert_eq!((mean[200], max[200]), (Some(2.0), Some(40.0)));
        // Much later nothing of it is told; and a clock that is set back is borne.
        let later = series.view(&["x"], Span::Hour, at(1_000_000));
        assert!(later.metrics[0].mean.iter().all(Option::is_none));
        series.push(5, [Some(1.0)]);
        assert_eq!(series.view(&["x"], Span::Hour, now), hour);
    }
}
