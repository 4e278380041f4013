//! Management commands: recorded as what should be.

use serde::{Deserialize, Serialize};

use crate::wire::desired::Wish;

/// `POST /api/v1/resources/{id}/{start|stop|kill}`,
/// `POST /api/v1/applications/{name}/{start|stop|kill}` (`?version=`, `?host=`),
/// `POST /api/v1/calls/{id}/kill`, `POST /api/v1/jobs/{id}/kill`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommandView {
    /// `start`, `stop` or `kill`.
    pub command: String,
    /// On what.
    pub target: String,
    /// What it should be now; absent for calls and jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Wish>,
    /// `applied`, or `pending` since the node is away
    /// (BES `OperationWillBeAppliedEventually`).
    pub status: String,
    /// Which nodes have not applied it yet.
    pub waiting_for: Vec<String>,
    /// Of calls and jobs: how many processes were ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
}
