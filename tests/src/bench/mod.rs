//! The figures: what gridmart does, beside what the machine itself can do,
//! measured in the same run.
//!
//! Each group opens a supermarket of its own and closes it, so that one that
//! fails leaves the others and no process. Where figures are compared, their
//! rounds alternate, so that a noisy moment hits both.

mod call;
mod data;
mod engines;
mod figure;
mod idle;
mod judge;
mod machine;
mod many;
mod map;
mod meter;
mod million;
mod sample;
mod start;
mod storage;
mod swarm;
mod topology;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

use self::{figure::Figure, machine::Machine};
use crate::{
    Application, Supermarket,
    wait::{interrupt, is_interrupted},
};

/// Measure gridmart, beside what this machine itself can do.
#[derive(Debug, Parser)]
#[command(name = "gridmart-bench", version)]
struct Arguments {
    /// Measure only this group (may be repeated)
    #[arg(long, value_name = "NAME")]
    only: Vec<Group>,
    /// A trial: fewer rounds, shorter waits
    #[arg(long)]
    quick: bool,
    /// Simulated Hosts of the swarm [default: 10000, 200 with --quick]
    #[arg(long, value_name = "N")]
    hosts: Option<usize>,
    /// Simulated Elements of the swarm [default: one for 1000 Hosts, 10 at least]
    #[arg(long, value_name = "N")]
    elements: Option<usize>,
    /// Where the figures go as JSON [default: bench.json beside the build]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Figures that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Group {
    /// A map of no-op parts.
    Map,
    /// A map of a million parts.
    Million,
    /// A no-op call.
    Call,
    /// A real job.
    Topology,
    /// From `gridmart up` to ready.
    Start,
    /// What it costs to do nothing.
    Idle,
    /// Objects, and repair.
    Storage,
    /// Databases, and how shadows follow.
    Data,
    /// Statements judged and written anew, by themselves.
    Judge,
    /// Databases on each engine, by `pgbench`.
    Engines,
    /// Thousands of simulated Hosts.
    Swarm,
}

/// What all groups share.
struct Bench {
    quick: bool,
    /// Simulated Hosts of the swarm.
    hosts: Option<usize>,
    /// Its simulated Elements.
    elements: Option<usize>,
    /// Of the binary when it does nothing, in megabytes.
    bare_memory: f64,
    runtime: Runtime,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: Machine,
    quick: bool,
    optimized: bool,
    figures: &'a [Figure],
    failures: &'a [String],
}

/// Runs the program.
pub fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gridmart-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let json = match &arguments.json {
        Some(path) => path.clone(),
        None => default_json()?,
    };
    let optimized = !cfg!(debug_assertions);
    if !optimized {
        eprintln!("gridmart-bench: this is not a release build; its figures mean little");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.spawn(until_told());
    meter::adopt_orphans()?;
    let bench = Bench {
        quick: arguments.quick,
        hosts: arguments.hosts,
        elements: arguments.elements,
        bare_memory: idle::bare_memory(),
        runtime,
    };
    let (mut figures, mut failures) = (Vec::new(), Vec::new());
    for &group in Group::value_variants() {
        if !(arguments.only.is_empty() || arguments.only.contains(&group)) || is_interrupted() {
            continue;
        }
        eprintln!("gridmart-bench: {group:?} …");
        // Supermarkets are closed on the way out, however it is taken.
        match catch_unwind(AssertUnwindSafe(|| bench.measure(group))) {
            Ok(Ok(measured)) => figures.extend(measured),
            Ok(Err(error)) => failures.push(format!("{group:?}: {error:#}")),
            Err(_) => failures.push(format!("{group:?}: see above")),
        }
    }
    println!("{}", figure::table(&figures));
    let report = Report {
        machine: Machine::read(),
        quick: arguments.quick,
        optimized,
        figures: &figures,
        failures: &failures,
    };
    std::fs::write(&json, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("{} cannot be written", json.display()))?;
    println!("{}", report.machine);
    println!("Written to {}.", json.display());
    if !failures.is_empty() {
        bail!("not everything could be measured:\n{}", failures.join("\n"));
    }
    check_interrupted()
}

/// The first signal ends the measurement, the second the program.
async fn until_told() {
    let (Ok(mut interrupted), Ok(mut terminated)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    for last in [false, true] {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        if last {
            // What this program has started follows it.
            std::process::exit(130);
        }
        interrupt();
        eprintln!("gridmart-bench: interrupted, closing; again to end at once");
    }
}

impl Bench {
    fn measure(&self, group: Group) -> anyhow::Result<Vec<Figure>> {
        match group {
            Group::Map => map::measure(self),
            Group::Million => million::measure(self),
            Group::Call => call::measure(self),
            Group::Topology => topology::measure(self),
            Group::Start => start::measure(self),
            Group::Idle => idle::measure(self),
            Group::Storage => storage::measure(self),
            Group::Data => data::measure(self),
            Group::Judge => judge::measure(self),
            Group::Engines => engines::measure(self),
            Group::Swarm => swarm::measure(self),
        }
    }

    /// Waits for something asynchronous, unless the program is told to end.
    fn wait<T>(&self, future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.wait_within(WAIT_MAX, future)
    }

    /// The same for what may take longer, or has less time.
    fn wait_within<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        const LOOK: Duration = Duration::from_millis(100);
        let told = async {
            while !is_interrupted() {
                tokio::time::sleep(LOOK).await;
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                done = tokio::time::timeout(limit, future) => {
                    done.with_context(|| format!("no end within {} s", limit.as_secs()))?
                }
                () = told => bail!("interrupted"),
            }
        })
    }

    /// The full number, or a smaller one for a trial.
    const fn count(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// The full time, or a shorter one for a trial.
    const fn time(&self, full: Duration, quick: Duration) -> Duration {
        if self.quick { quick } else { full }
    }
}

/// Beside the release and debug folders of the build.
fn default_json() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("the path of this program is not known")?;
    let folder = this
        .parent()
        .and_then(Path::parent)
        .context("this program lies in no build folder: give --json FILE")?;
    Ok(folder.join("bench.json"))
}

fn check_interrupted() -> anyhow::Result<()> {
    if is_interrupted() {
        bail!("interrupted");
    }
    Ok(())
}

/// Lets time pass, unless the program is told to end.
fn pass(time: Duration) -> anyhow::Result<()> {
    const STEP: Duration = Duration::from_millis(100);
    let end = Instant::now() + time;
    while Instant::now() < end {
        check_interrupted()?;
        thread::sleep(STEP.min(end.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

/// Puts an application on the shelf that does nothing: `NO_OP`.
fn upload_no_op(market: &Supermarket) {
    market.upload(&Application::program(NO_OP, machine::TRUE).retryable(3));
}

/// Nothing that is waited for here takes longer.
const WAIT_MAX: Duration = Duration::from_mins(2);

/// Name of the application that does nothing.
const NO_OP: &str = "no-op";
