//! The controller's background tasks, as operators see them.

use serde::{Deserialize, Serialize};

/// A row of `GET /api/v1/tasks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskRow {
    /// Which task.
    pub name: String,
    /// How often it has run since the start.
    pub runs: u64,
    /// When it last ran.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub last_run: time::OffsetDateTime,
    /// What it last did.
    pub last_result: String,
    /// Its last error, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub last_error_time: Option<time::OffsetDateTime>,
}
