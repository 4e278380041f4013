//! Logs, metrics and the request id that ties the logs of all tiers together.

use std::{
    fmt,
    future::Future,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use gridmart_schemas::id::RequestId;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tracing::Instrument as _;
use tracing_subscriber::EnvFilter;

/// The `Content-Type` of [`Metrics::encode`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The variable that overrides the filter of the configuration.
const FILTER_VARIABLE: &str = "GRIDMART_LOG";

/// The target of log lines that are left out unless a filter names it.
const S3_LIBRARY: &str = "s3s";

/// Lines that a [`LineGate`] lets through in one [`GATE_PERIOD`]: enough to
/// see what happens, too few for strangers to fill a disk with.
const GATE_LINES_MAX: u32 = 100;
const GATE_PERIOD: Duration = Duration::from_secs(1);

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("the log filter {filter:?} cannot be read: write it as `info,gridmart_fabric=debug`")]
    Filter {
        /// The text.
        filter: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody was first.
    #[error("logging was started twice in one process")]
    Twice,
}

/// Starts logging to stderr. `default_filter` holds unless `GRIDMART_LOG` is set.
pub fn init(format: Format, default_filter: &str) -> Result<(), TelemetryError> {
    let filter = std::env::var(FILTER_VARIABLE)
        .ok()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| default_filter.to_owned());
    // The S3 library calls everything that it refuses an error: strangers could
    // fill a disk with it. What matters of it, its door logs itself.
    let whole = if filter.contains(S3_LIBRARY) {
        filter.clone()
    } else {
        format!("{filter},{S3_LIBRARY}=off")
    };
    let filter =
        EnvFilter::try_new(whole).map_err(|source| TelemetryError::Filter { filter, source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Told on stderr, which is what has just failed: that would be a panic.
        // A full disk costs lines, never the role.
        .log_internal_errors(false);
    let started = match format {
        Format::Text => builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| TelemetryError::Twice)
}

/// Bounds the rate of log lines that strangers can cause.
#[derive(Debug)]
pub struct LineGate {
    state: Mutex<GateState>,
}

#[derive(Debug)]
struct GateState {
    /// When the present period began.
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl LineGate {
    /// An open gate.
    pub const fn new() -> Self {
        let state = GateState {
            since: None,
            lines: 0,
            left_out: 0,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Whether a line may be written now; and how many were left out since the
    /// last one, to be told with it.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        let is_over = |since: Instant| now.saturating_duration_since(since) >= GATE_PERIOD;
        if state.since.is_none_or(is_over) {
            state.since = Some(now);
            state.lines = 0;
        }
        if state.lines >= GATE_LINES_MAX {
            state.left_out += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

impl Default for LineGate {
    fn default() -> Self {
        Self::new()
    }
}

/// The metrics of one process. Names start with `gridmart_`.
#[derive(Default)]
pub struct Metrics {
    registry: Mutex<Registry>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Makes an empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers metrics, usually once at start.
    pub fn register<T>(&self, fill: impl FnOnce(&mut Registry) -> T) -> T {
        fill(&mut self.registry.lock())
    }

    /// Gives all metrics in the text format of `OpenMetrics`.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String fails only if a collector does; it is left out then.
        if prometheus_client::encoding::text::encode(&mut text, &self.registry.lock()).is_err() {
            tracing::error!("a metric could not be encoded");
        }
        text
    }
}

tokio::task_local! {
    static REQUEST: RequestId;
}

/// Runs `work` on behalf of a request: its log lines and what it asks other
/// nodes carry the id.
pub async fn in_request<F: Future>(request: Option<RequestId>, work: F) -> F::Output {
    match request {
        Some(request) => {
            let span = tracing::info_span!("request", request.id = %request);
            REQUEST.scope(request, work.instrument(span)).await
        }
        None => work.await,
    }
}

/// The request on whose behalf the current task works.
pub fn current_request() -> Option<RequestId> {
    REQUEST.try_with(|request| *request).ok()
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn metrics_are_shown_by_name() {
        let metrics = Metrics::new();
        let calls = metrics.register(|registry| {
            let counter = Counter::<u64>::default();
            registry.register("gridmart_calls", "Calls ended.", counter.clone());
            counter
        });
        calls.inc_by(3);
        assert!(
            metrics.encode().contains("gridmart_calls_total 3"),
            "{}",
            metrics.encode()
        );
    }

    #[tokio::test]
    async fn the_request_is_known_inside_alone() {
        let request = RequestId::generate();
        assert_eq!(
            in_request(Some(request), async { current_request() }).await,
            Some(request)
        );
        assert_eq!(in_request(None, async { current_request() }).await, None);
        assert_eq!(current_request(), None);
    }

    #[test]
    fn a_flood_of_lines_is_bounded_and_counted() {
        let gate = LineGate::new();
        let now = Instant::now();
        let flood = u64::from(GATE_LINES_MAX) + 7;
        let written: Vec<u64> = (0..flood).filter_map(|_| gate.admit_at(now)).collect();
        assert_eq!(written, vec![0; GATE_LINES_MAX as usize]);
        assert_eq!(gate.admit_at(now + GATE_PERIOD), Some(7));
        assert_eq!(gate.admit_at(now + GATE_PERIOD), Some(0));
    }

    #[test]
    fn a_bad_filter_is_named() {
        let refusal = init(Format::Text, "a=b=c").unwrap_err();
        assert!(
            matches!(refusal, TelemetryError::Filter { ref filter, .. } if filter == "a=b=c"),
            "{refusal}"
        );
    }
}
