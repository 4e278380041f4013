//! Metrics of the log.

use std::sync::atomic::AtomicU64;

use gridmart_fabric::telemetry::Metrics;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

/// How far the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogFacts {
    /// Counts the writers, and the rounds that were taken back.
    pub(crate) epoch: u64,
    /// The last record.
    pub(crate) sequence: u64,
    /// Bytes of records that the Element itself has.
    pub(crate) bytes: u64,
    /// Hosts that hold it.
    pub(crate) members: usize,
    /// Of these, how many must have a record.
    pub(crate) wanted: usize,
    /// Of these, how many do not have the last record.
    pub(crate) behind: usize,
}

/// Gauges, set at each tick; zeros until the log is assured.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogMeasures {
    ready: Gauge<u64, AtomicU64>,
    epoch: Gauge<u64, AtomicU64>,
    records: Gauge<u64, AtomicU64>,
    bytes: Gauge<u64, AtomicU64>,
    members: Gauge<u64, AtomicU64>,
    wanted: Gauge<u64, AtomicU64>,
    behind: Gauge<u64, AtomicU64>,
}

impl LogMeasures {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let measures = Self::default();
        let gauges = [
            (
                "ready",
                "Whether the metadata's log is assured.",
                &measures.ready,
            ),
            (
                "epoch",
                "Writers of the log, and rounds taken back.",
                &measures.epoch,
            ),
            ("records", "The last record of the log.", &measures.records),
            (
                "bytes",
                "Bytes of records that are not cut yet.",
                &measures.bytes,
            ),
            ("members", "Hosts that hold the log.", &measures.members),
            (
                "members_wanted",
                "Of these, how many must have a record.",
                &measures.wanted,
            ),
            (
                "members_behind",
                "Of these, how many lack the last record.",
                &measures.behind,
            ),
        ];
        metrics.register(|registry: &mut Registry| {
            for (name, help, gauge) in gauges {
                registry.register(format!("gridmart_se_log_{name}"), help, gauge.clone());
            }
        });
        measures
    }

    pub(crate) fn observe(&self, facts: Option<LogFacts>) {
        self.ready.set(u64::from(facts.is_some()));
        let facts = facts.unwrap_or_default();
        self.epoch.set(facts.epoch);
        self.records.set(facts.sequence);
        self.bytes.set(facts.bytes);
        self.members.set(facts.members as u64);
        self.wanted.set(facts.wanted as u64);
        self.behind.set(facts.behind as u64);
    }
}
