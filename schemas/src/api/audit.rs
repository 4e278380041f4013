//! The audit log: who did what to what, when, with which result.

use serde::{Deserialize, Serialize};

use crate::id::RequestId;

/// A row of `GET /api/v1/audit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditRow {
    /// Counts up without a gap.
    pub sequence: u64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub time: time::OffsetDateTime,
    /// Who: a person's name, a node's id, or `gridmart` itself.
    pub actor: String,
    /// What: `application.upload`, `resource.stop`, `node.join`, …
    pub action: String,
    /// To what.
    pub target: String,
    /// `done`, or the code of the refusal.
    pub result: String,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// More, for people.
    #[serde(default)]
    pub detail: String,
}
