//! Management commands: recorded as what should be.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wire::desired::Wish;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take work.
    Start,
    /// Take no new work; what runs may end.
    Stop,
    /// End what runs now, take none.
    Kill,
}

impl Command {
    /// Gives the name as it travels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

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
