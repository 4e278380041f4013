//! What the Host counts, for Prometheus.

use gridmart_fabric::telemetry::Metrics;
use gridmart_schemas::wire::record::CallState;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// The Host's metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostMetrics {
    calls: Family<StateLabel, Counter>,
    pub(crate) sandboxes: Counter,
    pub(crate) running: Gauge,
    pub(crate) leases: Gauge,
}

impl HostMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register(|registry| {
            registry.register(
                "gridmart_host_calls",
                "Ended calls by their state",
                own.calls.clone(),
            );
            registry.register(
                "gridmart_host_sandboxes",
                "Sandboxes made",
                own.sandboxes.clone(),
            );
            registry.register(
                "gridmart_host_running_calls",
                "Calls that run now",
                own.running.clone(),
            );
            registry.register(
                "gridmart_host_leases",
                "Leases in force",
                own.leases.clone(),
            );
        });
        own
    }

    pub(crate) fn on_end(&self, state: CallState) {
        let state = match state {
            CallState::Pending => "pending",
            CallState::Running => "running",
            CallState::Finished => "finished",
            CallState::Failed => "failed",
            CallState::Terminated => "terminated",
        };
        self.calls.get_or_create(&StateLabel { state }).inc();
    }
}
