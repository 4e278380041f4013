//! A real job, `link-failures` on a large network: what the grid gains and
//! costs.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::{Bench, Figure, check_interrupted, machine::cpus, meter::Meter, sample::Sample};
use crate::{Supermarket, run, sibling};

/// The most Hosts; each has one slot, so that a Host stands for one CPU.
const HOSTS: usize = 3;
const TOPOLOGY: &str = "Kdl";

/// Wall and CPU times of the same work.
#[derive(Clone, Debug, Default)]
struct Runs {
    wall: Sample,
    cpu: Sample,
}

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let rounds = bench.count(3, 1);
    let program = sibling("link-failures", "link-failures");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/link-failures");
    let input = example.join(format!("data/{TOPOLOGY}.gml"));
    let market = Supermarket::builder()
        .hosts(u32::try_from(HOSTS)?)
        .slots(Some(1))
        .start();
    let package = stage(&market, &example, &program)?;
    market.cli(&["upload", &package.to_string_lossy()]).ok();
    // Brings the package to every Host.
    on_grid(&market, &input, HOSTS)?;
    let (mut alone, mut grid) = (Runs::default(), vec![Runs::default(); HOSTS]);
    for _ in 0..rounds {
        check_interrupted()?;
        let mut command = Command::new(&program);
        command.arg("--json").arg(&input);
        let (expected, usage) = run::measure(command);
        let expected = expected.ok().stdout;
        alone.wall.push(usage.wall);
        alone.cpu.push(usage.cpu);
        for (index, runs) in grid.iter_mut().enumerate() {
            let (result, wall, cpu) = on_grid(&market, &input, index + 1)?;
            if result != expected {
                bail!(
                    "the result of {} Hosts is another one than that of the program alone",
                    index + 1
                );
            }
            runs.wall.push(wall);
            runs.cpu.push(cpu);
        }
    }
    market.stop();
    let (alone_wall, alone_cpu) = (
        alone.wall.median().as_secs_f64(),
        alone.cpu.median().as_secs_f64(),
    );
    let mut figures = Vec::new();
    for (index, runs) in grid.iter().enumerate() {
        let hosts = index + 1;
        let name = format!(
            "link-failures {TOPOLOGY}, {hosts} Host{}",
            if hosts == 1 { "" } else { "s" }
        );
        let (wall, cpu) = (
            runs.wall.median().as_secs_f64(),
            runs.cpu.median().as_secs_f64(),
        );
        #[expect(clippy::cast_precision_loss, reason = "there are few CPUs")]
        let ideal = alone_cpu / hosts.min(cpus()) as f64;
        figures.push(
            Figure::new(format!("{name}, wall"), wall, "s")
                .beside("alone", alone_wall)
                .beside("CPU time alone, shared evenly", ideal)
                .note(format!(
                    "{:.2} times as fast as alone; same bytes",
                    alone_wall / wall
                )),
        );
        figures.push(
            Figure::new(format!("{name}, CPU"), cpu, "s")
                .beside("alone", alone_cpu)
                .note("all roles and the client"),
        );
    }
    Ok(figures)
}

/// Puts the application's package together.
fn stage(market: &Supermarket, example: &Path, program: &Path) -> anyhow::Result<PathBuf> {
    let package = market.scratch().join("link-failures");
    std::fs::create_dir_all(package.join("bin"))?;
    for (from, to) in [
        (example.join("AEDoc.xml"), "AEDoc.xml"),
        (program.to_owned(), "bin/link-failures"),
    ] {
        std::fs::copy(&from, package.join(to))
            .with_context(|| format!("{} cannot be copied", from.display()))?;
    }
    Ok(package)
}

/// Result, wall time, and CPU time of all processes that had to do with it.
fn on_grid(
    market: &Supermarket,
    input: &Path,
    hosts: usize,
) -> anyhow::Result<(Vec<u8>, Duration, Duration)> {
    let words = [
        "map",
        "link-failures",
        "--hosts",
        &hosts.to_string(),
        "--input",
        &input.to_string_lossy(),
    ];
    let meter = Meter::start(market)?;
    let (output, usage) = market.cli_measured(&words);
    Ok((output.ok().stdout, usage.wall, meter.stop()?))
}
