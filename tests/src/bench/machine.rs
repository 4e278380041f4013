//! What the machine is, and what it can do without gridmart.

use std::{
    fmt,
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use serde::Serialize;

use super::sample::Sample;

/// The program that does nothing.
pub(super) const TRUE: &str = "/bin/true";

/// This machine.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    cpu: String,
    cpus: usize,
    memory_bytes: u64,
    kernel: String,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gibibytes = self.memory_bytes >> 30;
        write!(
            f,
            "{} × {}, {gibibytes} GiB, Linux {}.",
            self.cpus, self.cpu, self.kernel
        )
    }
}

impl Machine {
    pub(super) fn read() -> Self {
        let field = |file: &str, name: &str| -> Option<String> {
            let text = fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kilobytes = field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        Self {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".to_owned()),
            cpus: cpus(),
            memory_bytes: kilobytes.unwrap_or_default() * 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
        }
    }
}

pub(super) fn cpus() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// CPU time of this process and its children that were waited for, so far.
pub(super) fn own_and_childrens_cpu() -> Duration {
    cpu_of(UsageWho::RUSAGE_SELF) + cpu_of(UsageWho::RUSAGE_CHILDREN)
}

fn cpu_of(who: UsageWho) -> Duration {
    let seconds = |time: TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
        Duration::from_secs(seconds)
            + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or_default())
    };
    getrusage(who)
        .map(|usage| seconds(usage.user_time()) + seconds(usage.system_time()))
        .unwrap_or_default()
}

/// Starts the program that does nothing, and waits for it. (The standard
/// library uses `posix_spawn` for a command this plain.)
pub(super) fn spawn_and_wait() -> anyhow::Result<()> {
    let status = Command::new(TRUE)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("{TRUE} has ended with {status}");
    }
    Ok(())
}

/// Wall time of as many starts from two threads.
pub(super) fn spawn_from_two_threads(count: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let threads = [count / 2, count - count / 2]
        .map(|share| thread::spawn(move || (0..share).try_for_each(|_| spawn_and_wait())));
    for thread in threads {
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("a thread that starts processes has failed"))??;
    }
    Ok(began.elapsed())
}

/// Wall time of as many starts by `xargs`, two at a time.
pub(super) fn xargs(count: usize) -> anyhow::Result<Duration> {
    let mut lines = tempfile::NamedTempFile::new()?;
    lines.write_all("part\n".repeat(count).as_bytes())?;
    let mut command = Command::new("xargs");
    command
        .args(["-P2", "-n1", TRUE])
        .stdin(File::open(lines.path())?);
    let began = Instant::now();
    let status = command.status().context("xargs cannot be started")?;
    if !status.success() {
        bail!("xargs has ended with {status}");
    }
    Ok(began.elapsed())
}

/// What the sandbox alone costs: the program that does nothing, in one.
pub(super) fn sandbox_and_wait() -> anyhow::Result<()> {
    let status = Command::new("bwrap")
        .args([
            "--unshare-all",
            "--die-with-parent",
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
            TRUE,
        ])
        .stdin(Stdio::null())
        .status()
        .context("bwrap cannot be started")?;
    if !status.success() {
        bail!("bwrap has ended with {status}");
    }
    Ok(())
}

/// Wall times of as many runs.
pub(super) fn timed(
    count: usize,
    mut run: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    for _ in 0..count {
        let began = Instant::now();
        run()?;
        sample.push(began.elapsed());
    }
    Ok(sample)
}

/// Wall times of starts of a program that has nothing to do, as `--version`.
pub(super) fn bare_starts(program: &Path, count: usize) -> anyhow::Result<Sample> {
    timed(count, || {
        let status = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .status()?;
        if status.success() {
            Ok(())
        } else {
            bail!("{} --version has ended with {status}", program.display())
        }
    })
}
