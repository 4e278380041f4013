//! A map of very many parts: its rate, and that nobody grows with it.

use std::time::Duration;

use super::{Bench, Figure, map::map, sample::rate, upload_no_op};
use crate::{Supermarket, processes::Identity};

const HOSTS: u32 = 2;
const WARM_UP: usize = 200;
/// The many go at this part of the rate of the few, or better.
const AIM: f64 = 0.9;
/// Nobody holds more for each part than this, in bytes: a few numbers.
const AIM_BYTES_PER_PART: f64 = 64.0;
/// For a million parts.
const WAIT_MAX: Duration = Duration::from_mins(20);

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let few = bench.count(10_000, 1_000);
    let many = bench.count(1_000_000, 10_000);
    let market = Supermarket::builder().hosts(HOSTS).slots(None).start();
    upload_no_op(&market);
    let client = market.client();
    bench.wait(map(&client, WARM_UP))?;
    let few_rate = rate(few, bench.wait(map(&client, few))?);
    let before = peaks(&market);
    let many_rate = rate(many, bench.wait_within(WAIT_MAX, map(&client, many))?);
    let after = peaks(&market);
    bench.runtime.block_on(client.close());
    market.stop();
    let part = many_rate / few_rate;
    let mut figures = vec![
        Figure::new(
            format!("map of {many} no-op parts, {HOSTS} Hosts"),
            many_rate,
            "parts/s",
        )
        .beside("the same with few parts", few_rate)
        .aim(format!("{AIM} of the rate of {few} parts"), part >= AIM)
        .note(format!("{part:.2} of it")),
    ];
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        let grown = after.saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "no process has 2^52 bytes")]
        let each = grown as f64 / many as f64;
        figures.push(
            Figure::new(
                format!("{name}, growth of its peak by one part of many"),
                each,
                "bytes",
            )
            .aim(
                format!("under {AIM_BYTES_PER_PART}"),
                each < AIM_BYTES_PER_PART,
            )
            .note(format!("from {} MiB to {} MiB", before >> 20, after >> 20)),
        );
    }
    Ok(figures)
}

/// The most memory that each has had: the roles, and this program, which runs
/// the map.
fn peaks(market: &Supermarket) -> Vec<(String, u64)> {
    let roles = market.role_names().into_iter().map(|role| {
        let pid = market.role_pid(&role);
        (role, pid)
    });
    let own = ("the program".to_owned(), std::process::id());
    roles
        .chain([own])
        .map(|(name, pid)| {
            let peak = Identity::of(pid).map_or(0, Identity::resident_peak);
            (name, peak)
        })
        .collect()
}
