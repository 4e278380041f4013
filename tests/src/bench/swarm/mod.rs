//! A hundred times more: thousands of simulated Hosts around a real
//! controller, and around a real Element.

mod control;
mod element;
mod limit;
mod market;
mod reads;

use std::time::{Duration, Instant};

use self::limit::Limits;
use super::{Bench, Figure};
use crate::swarm::Role;

/// Hosts of one Element: the larger half of what a pool is made for.
const HOSTS_PER_ELEMENT: usize = 1_000;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let limits = Limits::measure(folder.path())?;
    let mut figures = vec![
        Figure::new("bare fsync of 4 KiB", limits.fsyncs, "1/s"),
        Figure::new(
            "bare SQLite commit, synchronous=FULL",
            limits.commits,
            "1/s",
        ),
        Figure::new(
            "bare mutual TLS handshake, both ends",
            limits.handshakes,
            "1/s",
        ),
        Figure::new("bare ECDSA P-256 signature", limits.signatures, "1/s"),
    ];
    let hosts = bench.hosts.unwrap_or(bench.count(10_000, 200));
    figures.extend(control::measure(bench, &limits, hosts)?);
    // A pool is made for 2,000 Hosts, however many there are altogether.
    figures.extend(element::measure(bench, &limits, hosts.min(2_000))?);
    Ok(figures)
}

/// CPU time of a role from here on.
struct Watch {
    began: Instant,
    before: Duration,
}

impl Watch {
    fn start(role: &Role) -> Self {
        Self {
            began: Instant::now(),
            before: role.cpu(),
        }
    }

    /// Percent of one CPU.
    fn share(&self, role: &Role) -> f64 {
        let used = role.cpu().saturating_sub(self.before).as_secs_f64();
        100.0 * used / self.began.elapsed().as_secs_f64().max(f64::EPSILON)
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes are small")]
const fn float(count: u64) -> f64 {
    count as f64
}

/// Memory of a role, in MiB.
fn mebibytes(role: &Role) -> f64 {
    float(role.memory().resident) / MEBIBYTE
}
