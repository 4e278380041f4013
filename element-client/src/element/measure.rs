//! Metrics that every Element has, under the name of its kind.

use std::sync::atomic::AtomicU64;

use gridmart_fabric::telemetry::Metrics;
use gridmart_schemas::role::NodeKind;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// Counters of probes, and gauges of Hosts, which are set at each tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measures {
    pub(crate) probes: Counter,
    pub(crate) hosts_down: Counter,
    hosts: Gauge<u64, AtomicU64>,
    hosts_unavailable: Gauge<u64, AtomicU64>,
}

impl Measures {
    pub(crate) fn register(metrics: &Metrics, kind: NodeKind) -> Self {
        let measures = Self::default();
        metrics.register(|registry: &mut Registry| {
            let named = |name: &str| format!("gridmart_{kind}_{name}");
            registry.register(named("probes"), "Timeout probes.", measures.probes.clone());
            registry.register(
                named("hosts_down"),
                "Hosts found dead by a probe.",
                measures.hosts_down.clone(),
            );
            registry.register(named("hosts"), "Hosts of the pool.", measures.hosts.clone());
            registry.register(
                named("hosts_unavailable"),
                "Hosts that are not usable now.",
                measures.hosts_unavailable.clone(),
            );
        });
        measures
    }

    pub(crate) fn observe_hosts(&self, all: u32, unavailable: u32) {
        self.hosts.set(u64::from(all));
        self.hosts_unavailable.set(u64::from(unavailable));
    }
}
