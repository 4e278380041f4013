//! A map of parts that do nothing: what a part costs.

use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;
use gridmart_sdk::Client;

use super::{
    Bench, Figure, NO_OP, check_interrupted,
    machine::{own_and_childrens_cpu, spawn_from_two_threads, xargs},
    meter::Meter,
    sample::{Sample, milliseconds, rate, ratio},
    upload_no_op,
};
use crate::Supermarket;

const HOSTS: u32 = 2;
/// Parts that bring the application to the Hosts before anything is measured.
const WARM_UP: usize = 200;
/// Of what `posix_spawn` does.
const AIM: f64 = 0.8;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let parts = bench.count(10_000, 2_000);
    let rounds = bench.count(5, 2);
    let market = Supermarket::builder().hosts(HOSTS).slots(None).start();
    upload_no_op(&market);
    let client = market.client();
    bench.wait(map(&client, WARM_UP))?;
    let (mut spawn, mut shell, mut grid) =
        (Sample::default(), Sample::default(), Sample::default());
    let (mut spawn_cpu, mut grid_cpu) = (Sample::default(), Sample::default());
    for _ in 0..rounds {
        check_interrupted()?;
        let before = own_and_childrens_cpu();
        spawn.push(spawn_from_two_threads(parts)?);
        spawn_cpu.push(own_and_childrens_cpu().saturating_sub(before));
        shell.push(xargs(parts)?);
        let meter = Meter::start(&market)?;
        grid.push(bench.wait(map(&client, parts))?);
        grid_cpu.push(meter.stop()?);
    }
    bench.runtime.block_on(client.close());
    market.stop();
    let (of_spawn, of_shell) = (ratio(&spawn, &grid), ratio(&shell, &grid));
    let [grid, spawn, shell] = [grid, spawn, shell].map(|walls| rate(parts, walls.median()));
    let each =
        |sample: &Sample| milliseconds(sample.median()) / rate(parts, Duration::from_secs(1));
    Ok(vec![
        Figure::new(
            format!("map of {parts} no-op parts, {HOSTS} Hosts"),
            grid,
            "parts/s",
        )
        .beside("posix_spawn, 2 threads", spawn)
        .beside("xargs -P2", shell)
        .aim(
            format!("{AIM} of posix_spawn, more than xargs"),
            of_spawn >= AIM && of_shell > 1.0,
        )
        .note(format!(
            "{of_spawn:.2} of posix_spawn, {of_shell:.2} of xargs; sandboxed; medians of {rounds} rounds"
        )),
        Figure::new("CPU time of one no-op part", each(&grid_cpu), "ms")
            .beside("posix_spawn", each(&spawn_cpu))
            .note("all roles and the client"),
    ])
}

/// Wall time of a map of so many parts.
pub(super) async fn map(client: &Client, parts: usize) -> anyhow::Result<Duration> {
    let map = client
        .apps()
        .map(NO_OP)
        .parts((0..parts).map(|_| Bytes::new()));
    let began = Instant::now();
    let result = map.run().await?;
    let wall = began.elapsed();
    if result.report.done != parts as u64 {
        bail!("{} of {parts} parts were done", result.report.done);
    }
    Ok(wall)
}
