//! Samples of one quantity.

use std::time::Duration;

/// Durations, sorted when they are asked about.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample(Vec<Duration>);

impl Sample {
    pub(super) fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// The value below which this fraction lies; zero of an empty sample.
    pub(super) fn quantile(&self, fraction: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "samples are small"
        )]
        let place = (sorted.len() as f64 * fraction).ceil() as usize;
        sorted
            .get(place.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    pub(super) fn least(&self) -> Duration {
        self.0.iter().min().copied().unwrap_or_default()
    }
}

impl FromIterator<Duration> for Sample {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        Self(durations.into_iter().collect())
    }
}

/// How often `part` fits into `whole`, round by round: the median, which a
/// round that was disturbed does not move.
pub(super) fn ratio(whole: &Sample, part: &Sample) -> f64 {
    let pairs = whole.0.iter().zip(&part.0);
    let mut ratios: Vec<f64> = pairs
        .map(|(whole, part)| whole.as_secs_f64() / part.as_secs_f64().max(f64::EPSILON))
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or_default()
}

/// How many per second.
pub(super) fn rate(count: usize, wall: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let count = count as f64;
    count / wall.as_secs_f64().max(f64::EPSILON)
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let sample: Sample = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(sample.median(), Duration::from_millis(50));
        assert_eq!(sample.quantile(0.99), Duration::from_millis(99));
        assert_eq!(sample.least(), Duration::from_millis(1));
        assert_eq!(Sample::default().median(), Duration::ZERO);
    }

    #[test]
    fn a_disturbed_round_does_not_move_the_ratio() {
        let [whole, part] =
            [[4, 8, 100], [2, 4, 4]].map(|seconds| seconds.map(Duration::from_secs));
        let ratio = ratio(&whole.into_iter().collect(), &part.into_iter().collect());
        assert!((ratio - 2.0).abs() < 1e-9, "{ratio}");
    }
}
