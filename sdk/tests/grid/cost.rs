//! What a part and a call cost this process, apart from the simulated Hosts:
//! `cargo test --release -p gridmart-sdk --test grid cost -- --ignored --nocapture`.

use std::{
    fs,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gridmart_sdk::{Client, Settings};

use crate::Grid;

/// Ticks of `/proc` per second.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of the threads whose name begins so.
fn cpu(names: &[&str]) -> Duration {
    let mut ticks = 0;
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(task.path().join("stat")) else {
            continue;
        };
        let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
        if names.iter().any(|wanted| name.starts_with(wanted)) {
            let fields: Vec<_> = rest.split_whitespace().collect();
            ticks += fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
        }
    }
    TICK * ticks
}

fn simulated(
    slots: &[u32],
) -> (
    tokio::runtime::Runtime,
    Grid,
    tokio::runtime::Runtime,
    Client,
) {
    let far = tokio::runtime::Runtime::new().unwrap();
    let grid = far.block_on(Grid::start(slots));
    let near = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("near")
        .enable_all()
        .build()
        .unwrap();
    let settings = Settings {
        jobs: Some(grid.jobs.path().to_owned()),
        ..Settings::new(&grid.controller.url, "token")
    };
    let client = Client::connect(settings).unwrap();
    (far, grid, near, client)
}

#[test]
#[ignore = "a measurement"]
fn cost_of_a_part() {
    const PARTS: usize = 50_000;
    let (_far, _grid, near, client) = simulated(&[2, 2]);
    let run = async move {
        let parts = std::iter::repeat_n(Bytes::new(), PARTS);
        let began = Instant::now();
        let result = client.apps().map("app").parts(parts).run().await.unwrap();
        (result, began.elapsed())
    };
    let before = cpu(&["near", "gridmart-map"]);
    let (result, wall) = near.block_on(near.spawn(run)).unwrap();
    let used = cpu(&["near", "gridmart-map"]).saturating_sub(before);
    println!(
        "{PARTS} parts in {wall:?}: {:?} of CPU a part ({} attempts)",
        used / PARTS as u32,
        result.report.attempts
    );
}

#[test]
#[ignore = "a measurement"]
fn cost_of_a_call() {
    const CALLS: u32 = 5_000;
    let (_far, _grid, near, client) = simulated(&[1]);
    let run = async move {
        client.apps().call("app").output().await.unwrap();
        let mut walls = Vec::new();
        for _ in 0..CALLS {
            let began = Instant::now();
            client.apps().call("app").output().await.unwrap();
            walls.push(began.elapsed());
        }
        walls.sort_unstable();
        walls
    };
    let before = cpu(&["near"]);
    let walls = near.block_on(near.spawn(run)).unwrap();
    let used = cpu(&["near"]).saturating_sub(before);
    println!(
        "{CALLS} calls: {:?} of CPU a call; wall p50 {:?}, p99 {:?}",
        used / CALLS,
        walls[walls.len() / 2],
        walls[walls.len() * 99 / 100]
    );
}
