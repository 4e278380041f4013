//! Resources as people see them: description, desired state, what is.

use serde::{Deserialize, Serialize};

use crate::{
    id::NodeId,
    resource::{ce::ComputingElement, host::ComputeHost},
    role::{Desired, NodeKind},
    wire::{control_element::Deployment, desired::Wish},
};

/// A row of `GET /api/v1/resources`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ResourceRow {
    /// Its id.
    pub id: NodeId,
    /// `ce`, `chost`.
    pub kind: NodeKind,
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// Of a Host: its Element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<NodeId>,
    /// GLUE `ServingState`, as last heard.
    pub serving_state: String,
    /// GLUE `HealthState`, as last heard.
    pub health_state: String,
    /// Whether its stream stands and its State is fresh.
    pub connected: bool,
    /// Seconds since it was last heard; absent: not since this start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// What it should be.
    pub desired: Desired,
    /// A command is recorded that it has not applied yet.
    pub pending: bool,
    /// Slots on it; absent: unknown or stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_slots: Option<u32>,
    /// Free slots on it; absent: unknown or stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_slots: Option<u32>,
    /// Running jobs on it; absent: unknown or stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_jobs: Option<u32>,
}

/// `GET /api/v1/resources/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ResourceView {
    /// The row.
    pub row: ResourceRow,
    /// What it should be.
    pub wish: Wish,
    /// Generation that it has applied.
    pub applied_generation: u64,
    /// Applications on it.
    pub deployments: Vec<Deployment>,
    /// Its description.
    #[schema(value_type = Object)]
    pub description: Description,
}

/// A resource of either kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Description {
    /// An Element.
    ComputingElement(ComputingElement),
    /// A Host.
    ComputeHost(ComputeHost),
}
