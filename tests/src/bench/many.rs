//! One thing done many times, several at a time.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Bench, Figure,
    sample::{Sample, milliseconds, rate},
};

/// How many a second, and how long each took.
pub(super) struct Many {
    pub(super) rate: f64,
    sample: Sample,
}

impl Many {
    /// Does `one` with each number below `count`, so many at a time.
    pub(super) fn run<F>(
        bench: &Bench,
        limit: Duration,
        (count, at_a_time): (usize, usize),
        one: impl Fn(usize) -> F,
    ) -> anyhow::Result<Self>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let began = Instant::now();
        let timed = |number| {
            let one = one(number);
            async move {
                let began = Instant::now();
                one.await.map(|()| began.elapsed())
            }
        };
        let all = stream::iter(0..count).map(timed);
        let sample: Vec<_> =
            bench.wait_within(limit, all.buffer_unordered(at_a_time).try_collect())?;
        Ok(Self {
            rate: rate(count, began.elapsed()),
            sample: sample.into_iter().collect(),
        })
    }

    pub(super) fn figure(&self, name: String) -> Figure {
        Figure::new(name, self.rate, "1/s").note(self.times())
    }

    /// The same, with something else to be known.
    pub(super) fn figure_with(&self, name: String, more: &str) -> Figure {
        Figure::new(name, self.rate, "1/s").note(format!("{}; {more}", self.times()))
    }

    fn times(&self) -> String {
        format!(
            "p50 {:.2} ms, p99 {:.2} ms",
            milliseconds(self.sample.median()),
            milliseconds(self.sample.quantile(0.99))
        )
    }
}
