//! What the roles cost while nobody asks anything of them.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use super::{Bench, Figure, NO_OP, pass, upload_no_op};
use crate::{
    Supermarket, gridmart,
    processes::{Identity, Memory, tree, tree_cpu, tree_wakes},
    run::measure as run_measured,
};

const HOSTS: u32 = 2;
/// Calls after which a Host has done everything once.
const CALLS: usize = 200;
/// Aims for a Host.
const AIM_BYTES: f64 = 30e6;
const AIM_SHARE: f64 = 0.5;
const MEGABYTE: f64 = 1e6;

/// One role at rest.
struct AtRest {
    name: String,
    memory: Memory,
    /// Percent of one CPU.
    share: f64,
    /// Times per second that one of its threads was woken.
    wakes: f64,
    open_files: usize,
}

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let settle = bench.time(Duration::from_mins(1), Duration::from_secs(3));
    let watch = bench.time(Duration::from_secs(30), Duration::from_secs(3));
    let market = Supermarket::builder().hosts(HOSTS).slots(None).start();
    pass(settle)?;
    let rested = at_rest(&market, watch)?;
    upload_no_op(&market);
    work(bench, &market)?;
    pass(settle)?;
    let worked = at_rest(&market, watch)?;
    market.stop();
    let figures = rested
        .iter()
        .zip(&worked)
        .flat_map(|(rested, worked)| figures(rested, worked, bench.bare_memory));
    Ok(figures.collect())
}

fn figures(rested: &AtRest, worked: &AtRest, bare: f64) -> [Figure; 2] {
    let is_host = rested.name.starts_with("host-");
    let [resident, proportional, later] = [
        rested.memory.resident,
        rested.memory.proportional,
        worked.memory.resident,
    ]
    .map(megabytes);
    let mut memory = Figure::new(format!("{} idle, memory", rested.name), resident, "MB")
        .beside("a bare start of the binary", bare)
        .note(format!(
            "RSS; PSS {proportional:.1}; RSS {later:.1} after {CALLS} calls"
        ));
    let mut share = Figure::new(
        format!("{} idle, CPU share", rested.name),
        rested.share,
        "%",
    )
    .note(format!(
        "of one CPU; {:.2} after {CALLS} calls; woken {:.1} times a second, {:.1} after; {} open files, {} after",
        worked.share, rested.wakes, worked.wakes, rested.open_files, worked.open_files
    ));
    if is_host {
        memory = memory.aim("under 30 MB", resident * MEGABYTE < AIM_BYTES);
        share = share.aim(format!("under {AIM_SHARE} %"), rested.share < AIM_SHARE);
    }
    [memory, share]
}

fn at_rest(market: &Supermarket, watch: Duration) -> anyhow::Result<Vec<AtRest>> {
    let names = market.role_names();
    let roots: Vec<u32> = names.iter().map(|name| market.role_pid(name)).collect();
    let before: Vec<(Duration, u64)> = roots
        .iter()
        .map(|root| (tree_cpu(*root), tree_wakes(*root)))
        .collect();
    let began = Instant::now();
    pass(watch)?;
    let wall = began.elapsed().as_secs_f64();
    let each = names.into_iter().zip(roots).zip(before);
    Ok(each
        .map(|((name, root), (cpu, wakes))| {
            let used = tree_cpu(root).saturating_sub(cpu);
            let woken = tree_wakes(root).saturating_sub(wakes);
            AtRest {
                wakes: Duration::from_secs(woken).as_secs_f64() / wall,
                open_files: tree(root).into_iter().map(Identity::open_files).sum(),
                name,
                memory: memory_of(root),
                share: used.as_secs_f64() / wall * 100.0,
            }
        })
        .collect())
}

fn memory_of(root: u32) -> Memory {
    let memories = tree(root).into_iter().filter_map(Identity::memory);
    memories.fold(Memory::default(), |sum, memory| Memory {
        resident: sum.resident + memory.resident,
        proportional: sum.proportional + memory.proportional,
    })
}

fn work(bench: &Bench, market: &Supermarket) -> anyhow::Result<()> {
    let client = market.client();
    bench.wait(async {
        for _ in 0..CALLS {
            client.apps().call(NO_OP).output().await?.success()?;
        }
        Ok(())
    })?;
    bench.runtime.block_on(client.close());
    Ok(())
}

/// Memory of the binary when it does nothing, in megabytes. To be measured
/// before anything else: what Linux calls the peak of a process is that of whoever
/// forked it, if that was more.
pub(super) fn bare_memory() -> f64 {
    let mut command = Command::new(gridmart());
    command.arg("--version");
    let (run, usage) = run_measured(command);
    run.ok();
    megabytes(usage.resident_max)
}

fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no process has 2^52 bytes")]
    let bytes = bytes as f64;
    bytes / MEGABYTE
}
