//! Metrics of the room in the pool.

use std::sync::atomic::AtomicU64;

use gridmart_fabric::telemetry::Metrics;
use gridmart_schemas::resource::se::SeState;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

/// Gauges, set at each tick. Bytes after redundancy.
#[derive(Clone, Debug, Default)]
pub(super) struct Measures {
    total: Gauge<u64, AtomicU64>,
    used: Gauge<u64, AtomicU64>,
    free: Gauge<u64, AtomicU64>,
    reserved: Gauge<u64, AtomicU64>,
    lost: Gauge<u64, AtomicU64>,
}

impl Measures {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let measures = Self::default();
        metrics.register(|registry: &mut Registry| {
            let gauges = [
                (
                    "gridmart_se_bytes",
                    "Bytes that objects can take on usable Hosts.",
                    &measures.total,
                ),
                (
                    "gridmart_se_bytes_used",
                    "Bytes that objects take.",
                    &measures.used,
                ),
                (
                    "gridmart_se_bytes_free",
                    "Bytes that further objects can take.",
                    &measures.free,
                ),
                (
                    "gridmart_se_bytes_reserved",
                    "Bytes kept for objects that are on their way.",
                    &measures.reserved,
                ),
                (
                    "gridmart_se_blocks_lost",
                    "Blocks that are lost, and to be made anew.",
                    &measures.lost,
                ),
            ];
            for (name, help, gauge) in gauges {
                registry.register(name, help, gauge.clone());
            }
        });
        measures
    }

    pub(super) fn observe_repair(&self, lost: u64) {
        self.lost.set(lost);
    }

    pub(super) fn blocks_lost(&self) -> u64 {
        self.lost.get()
    }

    pub(super) fn observe(&self, state: &SeState) {
        self.total.set(state.total_online_size);
        self.used.set(state.used_online_size);
        self.free.set(state.free_online_size);
        self.reserved.set(state.reserved_online_size);
    }
}
