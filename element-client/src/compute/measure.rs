//! Metrics of queue, leases and relays.

use std::sync::atomic::AtomicU64;

use gridmart_fabric::telemetry::Metrics;
use gridmart_schemas::resource::ce::CeState;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// Counters and gauges; gauges are set at each tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measures {
    pub(crate) grants: Counter,
    pub(crate) slots_granted: Counter,
    pub(crate) refusals: Counter,
    pub(crate) recalls: Counter,
    pub(crate) calls_ended: Counter,
    pub(crate) relays: Counter,
    pub(crate) relays_refused: Counter,
    pub(crate) relayed_bytes: Counter,
    pub(crate) relays_open: Gauge,
    pub(crate) records_waiting: Gauge,
    slots: Gauge<u64, AtomicU64>,
    slots_used: Gauge<u64, AtomicU64>,
    slots_free: Gauge<u64, AtomicU64>,
    waiting: Gauge<u64, AtomicU64>,
}

impl Measures {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let measures = Self::default();
        metrics.register(|registry: &mut Registry| {
            let counters = [
                (
                    "gridmart_ce_leases_granted",
                    "Leases granted.",
                    &measures.grants,
                ),
                (
                    "gridmart_ce_slots_granted",
                    "Slots granted.",
                    &measures.slots_granted,
                ),
                (
                    "gridmart_ce_queue_refused",
                    "Queue entries refused.",
                    &measures.refusals,
                ),
                (
                    "gridmart_ce_leases_recalled",
                    "Leases asked back because others waited.",
                    &measures.recalls,
                ),
                (
                    "gridmart_ce_calls_ended",
                    "Ended calls that Hosts have reported one by one.",
                    &measures.calls_ended,
                ),
            ];
            for (name, help, counter) in counters {
                registry.register(name, help, counter.clone());
            }
            let gauges = [
                (
                    "gridmart_ce_slots",
                    "Slots on usable Hosts.",
                    &measures.slots,
                ),
                (
                    "gridmart_ce_slots_used",
                    "Slots in leases.",
                    &measures.slots_used,
                ),
                (
                    "gridmart_ce_slots_free",
                    "Slots that a new call would get at once.",
                    &measures.slots_free,
                ),
                (
                    "gridmart_ce_queue_waiting",
                    "Queue entries that wait.",
                    &measures.waiting,
                ),
            ];
            for (name, help, gauge) in gauges {
                registry.register(name, help, gauge.clone());
            }
            measures.register_relays(registry);
            registry.register(
                "gridmart_ce_records_waiting",
                "Batches of call records that the controller has not acknowledged.",
                measures.records_waiting.clone(),
            );
        });
        measures
    }

    fn register_relays(&self, registry: &mut Registry) {
        let counters = [
            (
                "gridmart_ce_relays",
                "Programs joined to Hosts that cannot be dialled.",
                &self.relays,
            ),
            (
                "gridmart_ce_relays_refused",
                "Programs that were not joined to their Host.",
                &self.relays_refused,
            ),
            (
                "gridmart_ce_relayed_bytes",
                "Bytes between programs and Hosts that cannot be dialled, both ways.",
                &self.relayed_bytes,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "gridmart_ce_relays_open",
            "Programs that are joined to a Host now.",
            self.relays_open.clone(),
        );
    }

    pub(crate) fn observe(&self, state: &CeState) {
        self.slots.set(u64::from(state.total_slots));
        self.slots_used.set(u64::from(state.used_slots));
        self.slots_free.set(u64::from(state.free_job_slots));
        self.waiting.set(u64::from(state.waiting_jobs));
    }
}
