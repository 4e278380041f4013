//! What is told of a call that the console has made, a line of JSON each.

use serde::{Deserialize, Serialize};

use crate::{id::CallId, problem::Problem, wire::record::CallEnd};

/// What happens to a call, as it happens.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallEvent {
    /// It has a slot, and runs.
    Started {
        /// Which call.
        #[schema(value_type = String)]
        call: CallId,
    },
    /// It printed this, as base64.
    Stdout(String),
    /// The same on stderr.
    Stderr(String),
    /// It has ended: the last line.
    Ended(CallEnd),
    /// It failed by the system's fault, or was refused: the last line.
    #[schema(value_type = Object)]
    Failed(Problem),
}
