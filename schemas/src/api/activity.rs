//! Calls and maps, as people see them.

use serde::{Deserialize, Serialize};

use crate::wire::{
    control_element::Activity,
    record::{CallRecord, JobProgress},
};

/// `GET /api/v1/activities` (`?application=`, `?limit=`): now.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ActivitiesView {
    /// Running and waiting, on all Elements that answered.
    pub activities: Vec<Activity>,
    /// Elements that did not answer.
    pub silent: Vec<String>,
}

/// `GET /api/v1/calls` (`?application=`, `?after=`, `?limit=`): ended ones,
/// newest first; bounded by the controller's retention.
pub type CallsPage = super::Page<CallRecord>;

/// `GET /api/v1/calls/{id}`: a call that has ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallView {
    /// Its attempts, oldest first.
    pub attempts: Vec<CallRecord>,
}

/// `GET /api/v1/jobs/{id}`: totals of a map per Host.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobView {
    /// Sums per Host.
    pub hosts: Vec<JobProgress>,
}
