//! One large object: put, read whole and in random pieces, and read around
//! Hosts that are dead.

use std::time::Instant;

use anyhow::{bail, ensure};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    super::{
        Figure,
        sample::{Sample, milliseconds, rate},
    },
    LARGE_MAX, MIB, Scene,
    cost::Cost,
    door::Door,
};

/// What nginx does with such objects on a machine of this kind, in MiB a second:
/// the aims are parts of it.
const NGINX_GET_MIB: f64 = 2_300.0;
const PUT_AIM_MIB: f64 = 500.0;

const KEY: &str = "large";

pub(super) fn measure(scene: &Scene, door: &Door, policy: &str) -> anyhow::Result<Vec<Figure>> {
    let (mebibytes, machine) = (scene.mebibytes(), scene.machine);
    let name = |what: &str| format!("{}: {what} {mebibytes} MiB, {policy}", door.name());
    let beside = |figure: Figure| {
        figure
            .beside("one file, synced", machine.written)
            .beside("loopback", machine.looped)
            .beside("BLAKE3, one thread", machine.hashed)
            .beside("Reed-Solomon rs(4,2), one thread", machine.coded)
    };
    let cost = Cost::start(scene.market);
    let began = Instant::now();
    scene
        .bench
        .wait_within(LARGE_MAX, door.put(KEY, scene.bytes.clone()))?;
    let written = rate(mebibytes, began.elapsed());
    let mut put =
        beside(Figure::new(name("put"), written, "MiB/s")).note(cost.per_gibibyte(mebibytes));
    let (read, cost) = get(scene, door)?;
    let mut get = beside(Figure::new(name("get"), read, "MiB/s")).note(cost);
    if policy.starts_with("rs") {
        put = put.aim("500 MiB/s", written >= PUT_AIM_MIB);
        let aim = 0.7 * NGINX_GET_MIB;
        get = get.aim(format!("{aim:.0} MiB/s, 0.7 of nginx"), read >= aim);
    }
    Ok(vec![put, get, ranges(scene, door, policy)?])
}

/// Reads and compares all of it: MiB a second, and what it costs.
fn get(scene: &Scene, door: &Door) -> anyhow::Result<(f64, String)> {
    let mut read = 0;
    let cost = Cost::start(scene.market);
    let began = Instant::now();
    scene.bench.wait_within(
        LARGE_MAX,
        door.get(KEY, |piece| {
            if scene.bytes.get(read..read + piece.len()) != Some(piece) {
                bail!("other bytes came back");
            }
            read += piece.len();
            Ok(())
        }),
    )?;
    ensure!(read == scene.bytes.len(), "{read} bytes came back");
    let mebibytes = scene.mebibytes();
    Ok((
        rate(mebibytes, began.elapsed()),
        cost.per_gibibyte(mebibytes),
    ))
}

/// Random pieces of 1 MiB, one after the other.
fn ranges(scene: &Scene, door: &Door, policy: &str) -> anyhow::Result<Figure> {
    let count = scene.bench.count(200, 20);
    let mut dice = StdRng::seed_from_u64(2);
    let mut sample = Sample::default();
    let began = Instant::now();
    for _ in 0..count {
        let from = dice.random_range(0..scene.bytes.len() - MIB);
        let began = Instant::now();
        let range = from as u64..(from + MIB) as u64;
        let bytes = scene.bench.wait(door.range(KEY, range))?;
        ensure!(
            bytes == scene.bytes[from..from + MIB],
            "other bytes came back"
        );
        sample.push(began.elapsed());
    }
    let value = rate(count, began.elapsed());
    let name = format!("{}: random ranges of 1 MiB, {policy}", door.name());
    Ok(Figure::new(name, value, "1/s").note(format!(
        "one at a time: p50 {:.1} ms, p99 {:.1} ms",
        milliseconds(sample.median()),
        milliseconds(sample.quantile(0.99))
    )))
}

/// Reads of `rs(4,2)` with one Host dead, and with two; the second comes back.
pub(super) fn degraded(scene: &Scene, door: &Door) -> anyhow::Result<[Figure; 2]> {
    let figure = |what: &str| -> anyhow::Result<Figure> {
        let (value, cost) = get(scene, door)?;
        let name = format!("{}: get with {what} dead, rs(4,2)", door.name());
        Ok(Figure::new(name, value, "MiB/s").note(cost))
    };
    scene.market.kill9("storage-7");
    let one = figure("one Host")?;
    scene.market.kill9("storage-6");
    let two = figure("two Hosts")?;
    scene.market.restart("storage-6");
    Ok([one, two])
}
