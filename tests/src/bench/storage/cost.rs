//! What a piece of work costs on each side.

use std::time::Duration;

use super::{super::machine::own_and_childrens_cpu, HOSTS};
use crate::{Supermarket, processes::Identity};

/// CPU times from here on.
pub(super) struct Cost<'a> {
    market: &'a Supermarket,
    before: [Duration; 3],
}

impl<'a> Cost<'a> {
    pub(super) fn start(market: &'a Supermarket) -> Self {
        Self {
            market,
            before: used(market),
        }
    }

    /// Tells what each GiB has cost.
    pub(super) fn per_gibibyte(&self, mebibytes: usize) -> String {
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let gibibytes = mebibytes as f64 / 1024.0;
        let [program, element, hosts] = used(self.market);
        let each = [program, element, hosts]
            .into_iter()
            .zip(self.before)
            .map(|(now, before)| now.saturating_sub(before).as_secs_f64() / gibibytes);
        let each: Vec<String> = each.map(|seconds| format!("{seconds:.2}")).collect();
        format!(
            "CPU seconds for a GiB: program, Element, Hosts {}",
            each.join(", ")
        )
    }
}

/// Of this program, of the Element, of its Hosts together.
fn used(market: &Supermarket) -> [Duration; 3] {
    let of = |name: &str| Identity::of(market.role_pid(name)).map_or(Duration::ZERO, Identity::cpu);
    [
        own_and_childrens_cpu(),
        of("se-1"),
        storage_hosts().map(|name| of(&name)).sum(),
    ]
}

fn storage_hosts() -> impl Iterator<Item = String> {
    (1..=HOSTS).map(|number| format!("storage-{number}"))
}

/// The most memory, in MiB, that the Element and one of its Hosts ever had.
pub(super) fn peaks(market: &Supermarket) -> (u64, u64) {
    let of = |name: &str| market.role_peak(name) / (1024 * 1024);
    let hosts = storage_hosts().map(|name| of(&name)).max();
    (of("se-1"), hosts.unwrap_or_default())
}
