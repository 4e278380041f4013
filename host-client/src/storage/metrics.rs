//! What a storage Host counts, for Prometheus.

use gridmart_fabric::telemetry::Metrics;
use gridmart_schemas::wire::block::BlockStored;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    work: &'static str,
    outcome: &'static str,
}

/// The Host's metrics. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct StorageMetrics {
    work: Family<Outcome, Counter>,
    received_bytes: Counter,
    sent_bytes: Counter,
    scrubbed_bytes: Counter,
    blocks: Gauge,
    damaged_blocks: Gauge,
    used_bytes: Gauge,
}

impl StorageMetrics {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register(|registry| {
            let mut counter = |name: &str, help: &str, counter: &Counter| {
                registry.register(name, help, counter.clone());
            };
            counter(
                "gridmart_host_received_bytes",
                "Bytes of blocks that have come",
                &own.received_bytes,
            );
            counter(
                "gridmart_host_sent_bytes",
                "Bytes of blocks that have gone out",
                &own.sent_bytes,
            );
            counter(
                "gridmart_host_scrubbed_bytes",
                "Bytes that were read to find damage",
                &own.scrubbed_bytes,
            );
            registry.register(
                "gridmart_host_block_operations",
                "Blocks that were written, read, deleted, by what became of it",
                own.work.clone(),
            );
            let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
                registry.register(name, help, gauge.clone());
            };
            gauge("gridmart_host_blocks", "Blocks here", &own.blocks);
            gauge(
                "gridmart_host_damaged_blocks",
                "Blocks here that are damaged",
                &own.damaged_blocks,
            );
            gauge(
                "gridmart_host_used_bytes",
                "Bytes that blocks take",
                &own.used_bytes,
            );
        });
        own
    }

    fn count(&self, work: &'static str, succeeded: bool, count: usize) {
        let outcome = if succeeded { "done" } else { "refused" };
        let label = Outcome { work, outcome };
        self.work.get_or_create(&label).inc_by(count as u64);
    }

    pub(super) fn on_put(&self, blocks: &[BlockStored]) {
        let is_stored = |stored: &&BlockStored| matches!(stored, BlockStored::Stored { .. });
        let stored = blocks.iter().filter(is_stored).count();
        self.count("put", true, stored);
        self.count("put", false, blocks.len() - stored);
    }

    pub(super) fn on_read(&self, succeeded: bool) {
        self.count("read", succeeded, 1);
    }

    pub(super) fn on_deleted(&self, succeeded: usize, refused: usize) {
        self.count("delete", true, succeeded);
        self.count("delete", false, refused);
    }

    pub(super) fn on_received(&self, bytes: usize) {
        self.received_bytes.inc_by(bytes as u64);
    }

    pub(super) fn on_sent(&self, bytes: usize) {
        self.sent_bytes.inc_by(bytes as u64);
    }

    pub(super) fn on_scrubbed(&self, bytes: u64) {
        self.scrubbed_bytes.inc_by(bytes);
    }

    /// What is on the Host now.
    pub(super) fn show(&self, blocks: u64, damaged: u64, used_bytes: u64) {
        let shown = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.blocks.set(shown(blocks));
        self.damaged_blocks.set(shown(damaged));
        self.used_bytes.set(shown(used_bytes));
    }
}
