//! How it was: the last hour, the last day.

use serde::{Deserialize, Serialize};

use crate::role::named;

named!(
    /// How far back.
    Span, "hour or day", {
        /// The last hour, every 15 seconds.
        Hour = "hour",
        /// The last day, every 5 minutes.
        Day = "day",
    }
);

/// `GET /api/v1/resources/{id}/history`, `GET /api/v1/overview/history`
/// (`?span=hour|day`). Values are kept to three digits; the hour since the
/// controller's last start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HistoryView {
    /// How far back.
    pub span: Span,
    /// Seconds from one value to the next.
    pub step_seconds: u64,
    /// The time that the last values are of.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub end: time::OffsetDateTime,
    /// One series for each; all are equally long.
    pub metrics: Vec<MetricHistory>,
}

/// One number over time, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MetricHistory {
    /// `used_slots`, `load`, `memory_used_bytes`, …
    pub name: String,
    /// Mean of each step; absent: not known then.
    pub mean: Vec<Option<f32>>,
    /// Largest of each step; empty for the hour, whose steps are one look each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub max: Vec<Option<f32>>,
}
