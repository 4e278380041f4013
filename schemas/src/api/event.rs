//! What happened: changes of state and commands, newest first.

use serde::{Deserialize, Serialize};

use crate::role::named;

named!(
    /// How much an event matters.
    Severity, "info, warning, critical", {
        /// Good to know.
        Info = "info",
        /// Needs a look.
        Warning = "warning",
        /// Something does not work.
        Critical = "critical",
    }
);

/// What an event, or a need, is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Topical {
    /// `ce`, `chost`, `se`, `shost`, `de`, `dhost`, `application`, `bucket`,
    /// `database`, `call`, `job`, `control`, …
    pub kind: String,
    /// Its id, or its name where it has no other.
    pub id: String,
    /// For people.
    pub name: String,
}

/// A row of `GET /api/v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventView {
    /// Counts up; older events are forgotten first.
    pub sequence: u64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub time: time::OffsetDateTime,
    /// `resource.condition`, or the action of the audit log: `resource.stop`, …
    pub kind: String,
    /// How much it matters.
    pub severity: Severity,
    /// About what.
    pub subject: Topical,
    /// Who did it, where it was done by somebody. Told to operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// In words.
    pub text: String,
}

/// `GET /api/v1/events` (`?subject=`, `?after=`, `?limit=`).
pub type EventsPage = super::Page<EventView>;
