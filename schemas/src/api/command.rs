//! Management commands: recorded as what should be.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{role::Desired, wire::desired::Wish};

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

    /// Whether a wish is what the command asks for already. A `kill` counts as
    /// done while nothing could begin since: the last command was one.
    pub const fn is_done(self, wish: Wish) -> bool {
        match (self, wish.desired) {
            (Self::Start, Desired::Production) | (Self::Stop, Desired::Closed) => true,
            (Self::Kill, Desired::Closed) => wish.cut_epoch == wish.generation,
            _ => false,
        }
    }

    /// The wish that follows, at a new generation.
    #[must_use]
    pub const fn apply(self, wish: Wish, generation: u64) -> Wish {
        match self {
            Self::Start => Wish {
                desired: Desired::Production,
                generation,
                ..wish
            },
            Self::Stop => Wish {
                desired: Desired::Closed,
                generation,
                ..wish
            },
            Self::Kill => Wish {
                desired: Desired::Closed,
                generation,
                cut_epoch: generation,
            },
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
