//! The controller's numbers for Prometheus.

use std::sync::Arc;

use gridmart_fabric::telemetry::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

/// Upper bounds of the request histogram, seconds.
const REQUEST_SECONDS: [f64; 10] = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Answers of the people's door, by method and status.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    /// HTTP method.
    pub method: String,
    /// HTTP status.
    pub status: u16,
}

/// All of them.
#[derive(Clone)]
pub struct ControlMetrics {
    /// Encodes them.
    pub registry: Arc<Metrics>,
    /// Answers of the people's door.
    pub requests: Family<RequestLabels, Counter>,
    /// Seconds from request to answer.
    pub request_seconds: Histogram,
    /// Access granted.
    pub access_granted: Counter,
    /// Access refused.
    pub access_refused: Counter,
    /// Streams of Elements that stand.
    pub element_streams: Gauge,
    /// Records of ended calls that came in.
    pub call_records: Counter,
}

impl ControlMetrics {
    /// Registers them.
    pub fn new() -> Self {
        let registry = Arc::new(Metrics::new());
        let metrics = Self {
            registry: Arc::clone(&registry),
            requests: Family::default(),
            request_seconds: Histogram::new(REQUEST_SECONDS),
            access_granted: Counter::default(),
            access_refused: Counter::default(),
            element_streams: Gauge::default(),
            call_records: Counter::default(),
        };
        registry.register(|registry| {
            let Self {
                registry: _,
                requests,
                request_seconds,
                access_granted,
                access_refused,
                element_streams,
                call_records,
            } = metrics.clone();
            registry.register(
                "gridmart_requests",
                "Answers of the people's door",
                requests,
            );
            registry.register(
                "gridmart_request_seconds",
                "Time from request to answer",
                request_seconds,
            );
            registry.register("gridmart_access_granted", "Access granted", access_granted);
            registry.register("gridmart_access_refused", "Access refused", access_refused);
            registry.register(
                "gridmart_element_streams",
                "Streams of Elements that stand",
                element_streams,
            );
            registry.register(
                "gridmart_call_records",
                "Records of ended calls that came in",
                call_records,
            );
        });
        metrics
    }
}

impl Default for ControlMetrics {
    fn default() -> Self {
        Self::new()
    }
}
