//! `GET /api/v1/live`: what changes, as it changes (`text/event-stream`).
//!
//! Each event has an id `EPOCH-SEQUENCE`, which a reader that was cut off gives
//! back (`Last-Event-ID`, or `?last_event_id=`). `hello` begins a stream;
//! `reset` says that something was missed: read the lists anew. What is told of
//! a thing is told whole, so that telling it twice does no harm.

use serde::{Deserialize, Serialize};

use super::{application::ApplicationView, resource::ResourceRow};
use crate::{
    id::{Digest, NodeId},
    role::named,
    wire::{control_element::Activity, record::CallRecord},
};

named!(
    /// What a stream tells of.
    Topic, "overview, resources, calls, applications, events", {
        /// Event `overview`: an `OverviewView`, at most once a second.
        Overview = "overview",
        /// Event `resources`: a [`LiveResources`].
        Resources = "resources",
        /// Event `calls`: a [`LiveCalls`].
        Calls = "calls",
        /// Event `applications`: a [`LiveApplications`].
        Applications = "applications",
        /// Event `events`: a [`LiveEvents`].
        Events = "events",
    }
);

/// The events `hello` and `reset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LiveBegin {
    /// This start of the controller.
    pub epoch: String,
    /// What was told before this stream began.
    pub sequence: u64,
}

/// Elements and Hosts that are otherwise than before. The age of one that is
/// not connected counts on by itself; that of others is not told each time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LiveResources {
    /// New ones, and changed ones, whole.
    pub changed: Vec<ResourceRow>,
    /// Those that were revoked.
    pub gone: Vec<NodeId>,
}

/// Calls that are otherwise than before; looked at every two seconds while
/// anybody reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LiveCalls {
    /// `changed` is all that runs and waits; nothing else does.
    #[serde(default)]
    pub whole: bool,
    /// New ones, and changed ones, whole.
    pub changed: Vec<Activity>,
    /// Ids of those that neither run nor wait any more.
    pub gone: Vec<String>,
    /// Records of calls that ended; the first hundred of each report.
    pub ended: Vec<CallRecord>,
}

/// Application versions that are otherwise than before.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LiveApplications {
    /// `changed` is all that is on the shelf; nothing else is.
    #[serde(default)]
    pub whole: bool,
    /// New ones, and changed ones, whole.
    pub changed: Vec<ApplicationView>,
    /// Those that are not on the shelf any more.
    pub gone: Vec<Digest>,
}

/// What happened, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LiveEvents {
    /// Rows of `GET /api/v1/events`.
    pub events: Vec<super::event::EventView>,
}
