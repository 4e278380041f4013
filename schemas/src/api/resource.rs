//! Resources as people see them: description, desired state, what is.

use serde::{Deserialize, Serialize};

use crate::{
    id::NodeId,
    resource::{
        Document as _,
        any::{AnyElement, AnyHost},
        ce::ComputingElement,
        common::CommonState,
        de::DataElement,
        host::{ComputeHost, DataHost, StorageHost},
        se::StorageElement,
    },
    role::{Desired, NodeKind, named},
    wire::{control_element::Deployment, desired::Wish},
};

named!(
    /// How a resource is, in one word, for people and colours.
    Condition, "ok, warning, critical, draining, closed, away, unknown", {
        /// It serves, and is well.
        Ok = "ok",
        /// It serves, and needs a look.
        Warning = "warning",
        /// It does not work.
        Critical = "critical",
        /// It takes nothing new, and ends what runs.
        Draining = "draining",
        /// It was stopped.
        Closed = "closed",
        /// It was there, and is not heard any more.
        Away = "away",
        /// It was not heard since the controller's start, or does not say.
        Unknown = "unknown",
    }
);

named!(
    /// What resources are sorted by.
    ResourceSort, "name, kind, domain, element, condition, age_seconds, total_slots, free_slots, running_jobs, total_bytes, free_bytes", {
        /// By name, numbers in it by their value.
        Name = "name",
        /// By kind, then by name.
        Kind = "kind",
        /// By domain, then by name.
        Domain = "domain",
        /// By the Element's name, then by name.
        Element = "element",
        /// By condition: what needs a look first.
        Condition = "condition",
        /// By the time since it was heard.
        AgeSeconds = "age_seconds",
        /// By slots.
        TotalSlots = "total_slots",
        /// By free slots.
        FreeSlots = "free_slots",
        /// By running jobs.
        RunningJobs = "running_jobs",
        /// By bytes that can be kept.
        TotalBytes = "total_bytes",
        /// By free bytes.
        FreeBytes = "free_bytes",
    }
);

/// `GET /api/v1/resources`: a page, and how many rows there are.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ResourcesPage {
    /// The rows.
    pub items: Vec<ResourceRow>,
    /// Give this as `after` to read on; absent: that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Rows in all that meet search and filters.
    pub total: u64,
    /// How many of them come before the first row here.
    pub offset: u64,
}

/// A row of `GET /api/v1/resources`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ResourceRow {
    /// Its id.
    pub id: NodeId,
    /// `ce`, `chost`, `se`, `shost`, `de`, `dhost`.
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
    /// Why it is not well, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_info: Option<String>,
    /// All of it in one word.
    #[serde(default = "unknown")]
    pub condition: Condition,
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
    /// Of storage and data: bytes that can be kept, after redundancy on an Element, on
    /// the disks of a Host; absent: unknown or stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Of storage and data: how many of them are free; absent: unknown or stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
}

/// An older controller does not say.
const fn unknown() -> Condition {
    Condition::Unknown
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

/// A resource of any kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Description {
    /// A Computing Element.
    ComputingElement(ComputingElement),
    /// One of its Hosts.
    ComputeHost(ComputeHost),
    /// A Storage Element.
    StorageElement(StorageElement),
    /// One of its Hosts.
    StorageHost(StorageHost),
    /// A Data Element.
    DataElement(DataElement),
    /// One of its Hosts.
    DataHost(DataHost),
}

impl Description {
    /// Its document.
    pub fn to_xml(&self) -> String {
        match self {
            Self::ComputingElement(one) => one.to_xml(),
            Self::ComputeHost(one) => one.to_xml(),
            Self::StorageElement(one) => one.to_xml(),
            Self::StorageHost(one) => one.to_xml(),
            Self::DataElement(one) => one.to_xml(),
            Self::DataHost(one) => one.to_xml(),
        }
    }

    /// How it is, as far as every resource says it.
    pub fn common_state(&self) -> Option<&CommonState> {
        match self {
            Self::ComputingElement(one) => one.state.as_ref().map(|state| &state.common),
            Self::ComputeHost(one) => one.state.as_ref().map(|state| &state.common),
            Self::StorageElement(one) => one.state.as_ref().map(|state| &state.common),
            Self::StorageHost(one) => one.state.as_ref().map(|state| &state.common),
            Self::DataElement(one) => one.state.as_ref().map(|state| &state.common),
            Self::DataHost(one) => one.state.as_ref().map(|state| &state.common),
        }
    }
}

impl From<AnyElement> for Description {
    fn from(element: AnyElement) -> Self {
        match element {
            AnyElement::Computing(one) => Self::ComputingElement(one),
            AnyElement::Storage(one) => Self::StorageElement(one),
            AnyElement::Data(one) => Self::DataElement(one),
        }
    }
}

impl From<AnyHost> for Description {
    fn from(host: AnyHost) -> Self {
        match host {
            AnyHost::Compute(one) => Self::ComputeHost(one),
            AnyHost::Storage(one) => Self::StorageHost(one),
            AnyHost::Data(one) => Self::DataHost(one),
        }
    }
}
