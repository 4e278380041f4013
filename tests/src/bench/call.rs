//! A call of a program that does nothing: what a call costs.

use std::time::Instant;

use gridmart_sdk::Client;

use super::{
    Bench, Figure, NO_OP, check_interrupted,
    machine::{sandbox_and_wait, spawn_and_wait, timed},
    sample::{Sample, milliseconds},
    upload_no_op,
};
use crate::Supermarket;

const HOSTS: u32 = 2;
/// Calls after which nothing is new any more.
const WARM_UP: usize = 100;
/// Calls and bare starts alternate in blocks of this size.
const BLOCK: usize = 100;
/// Above a bare start, in milliseconds.
const AIM_MS: f64 = 0.7;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let calls = bench.count(2_000, 400);
    let firsts = bench.count(20, 5);
    let market = Supermarket::builder().hosts(HOSTS).slots(None).start();
    upload_no_op(&market);
    let client = market.client();
    let (mut bare, mut held) = (Sample::default(), Sample::default());
    bench.wait(calls_in_a_row(&client, WARM_UP, &mut Sample::default()))?;
    for _ in 0..calls / BLOCK {
        check_interrupted()?;
        for _ in 0..BLOCK {
            let began = Instant::now();
            spawn_and_wait()?;
            bare.push(began.elapsed());
        }
        bench.wait(calls_in_a_row(&client, BLOCK, &mut held))?;
    }
    bench.runtime.block_on(client.close());
    let mut first = Sample::default();
    for _ in 0..firsts {
        check_interrupted()?;
        let client = market.client();
        bench.wait(calls_in_a_row(&client, 1, &mut first))?;
        bench.runtime.block_on(client.close());
    }
    let sandbox = timed(firsts, sandbox_and_wait)?;
    market.stop();
    let [p50, bare_p50] = [&held, &bare].map(|sample| milliseconds(sample.median()));
    let [p99, bare_p99] = [&held, &bare].map(|sample| milliseconds(sample.quantile(0.99)));
    Ok(vec![
        Figure::new("no-op call, lease held, p50", p50, "ms")
            .beside("spawn and wait", bare_p50)
            .aim(
                format!("within {AIM_MS} ms of spawn and wait"),
                p50 - bare_p50 <= AIM_MS,
            )
            .note(format!(
                "{:+.2} ms; sandboxed; {calls} calls",
                p50 - bare_p50
            )),
        Figure::new("no-op call, lease held, p99", p99, "ms").beside("spawn and wait", bare_p99),
        Figure::new(
            "first call of a new program, p50",
            milliseconds(first.median()),
            "ms",
        )
        .beside("spawn and wait", bare_p50)
        .beside("bubblewrap and wait", milliseconds(sandbox.median()))
        .note(format!(
            "access, queue, lease, 2 TLS handshakes, sandbox; {firsts} programs; least {:.1}",
            milliseconds(first.least())
        )),
    ])
}

async fn calls_in_a_row(client: &Client, count: usize, walls: &mut Sample) -> anyhow::Result<()> {
    for _ in 0..count {
        let began = Instant::now();
        client.apps().call(NO_OP).output().await?.success()?;
        walls.push(began.elapsed());
    }
    Ok(())
}
