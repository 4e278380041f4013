//! Is everything well? The whole supermarket in one small document.

use serde::{Deserialize, Serialize};

use super::event::{EventView, Severity, Topical};
use crate::role::NodeKind;

/// `GET /api/v1/overview`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OverviewView {
    /// Elements and Hosts by kind and condition; a kind that is not there is
    /// missing.
    pub kinds: Vec<KindCounts>,
    /// The same by domain, the first hundred by name.
    pub domains: Vec<DomainCounts>,
    /// Application names on the shelf.
    pub applications: u64,
    /// Compute: what connected Elements and Hosts say.
    pub compute: ComputeSums,
    /// Storage.
    pub storage: StorageSums,
    /// Data.
    pub data: DataSums,
    /// Calls, and parts of maps.
    pub calls: CallSums,
    /// What needs a person, most urgent first; the first hundred.
    pub needs: Vec<NeedView>,
    /// How many there are.
    pub needs_total: u64,
    /// The last events, newest first.
    pub events: Vec<EventView>,
}

/// How many of one kind are how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KindCounts {
    /// `ce`, `chost`, …
    pub kind: NodeKind,
    /// How many are how.
    #[serde(flatten)]
    pub counts: ConditionCounts,
}

/// How many of one domain are how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DomainCounts {
    /// Its name.
    pub domain: String,
    /// How many are how, Elements and Hosts together.
    #[serde(flatten)]
    pub counts: ConditionCounts,
}

/// How many are how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConditionCounts {
    /// All of them.
    pub total: u64,
    /// `ok`.
    pub ok: u64,
    /// `warning`.
    pub warning: u64,
    /// `critical`.
    pub critical: u64,
    /// `draining`.
    pub draining: u64,
    /// `closed`.
    pub closed: u64,
    /// `away`.
    pub away: u64,
    /// `unknown`.
    pub unknown: u64,
}

/// What there is to compute with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ComputeSums {
    /// Slots on Hosts.
    pub total_slots: u64,
    /// Slots that are held.
    pub used_slots: u64,
    /// CPUs of Hosts.
    pub cpus: u64,
    /// Processes that ran or waited to run, on average over a minute.
    pub load: f64,
    /// Bytes of memory of Hosts that tell how much is free.
    pub memory_bytes: u64,
    /// Bytes of it that are free.
    pub memory_free_bytes: u64,
}

/// What there is to keep objects on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageSums {
    /// Bytes that objects can take, after redundancy.
    pub total_bytes: u64,
    /// Bytes that they take.
    pub used_bytes: u64,
    /// Bytes that further ones can take.
    pub free_bytes: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes on the disks, before redundancy.
    pub raw_total_bytes: u64,
    /// How many of them are free.
    pub raw_free_bytes: u64,
    /// Blocks that were found damaged and are not made good yet.
    pub damaged_blocks: u64,
    /// Elements whose objects all have their whole redundancy.
    pub elements_whole: u64,
    /// Elements where some is to be restored, or that need a look.
    pub elements_degraded: u64,
    /// Elements that do not work, or where something cannot be read.
    pub elements_critical: u64,
}

/// What there is to keep databases on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DataSums {
    /// Databases that have a core on a Host that is heard.
    pub databases: u64,
    /// Copies of them that are not the core.
    pub shadows: u64,
    /// How many of those are not level with their core.
    pub shadows_behind: u64,
    /// The one that is furthest behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_lag: Option<LagView>,
    /// Programs that are connected.
    pub sessions: u64,
    /// Statements that run.
    pub running: u64,
    /// Statements that wait.
    pub waiting: u64,
    /// Bytes that databases can take.
    pub total_bytes: u64,
    /// Bytes that they take.
    pub used_bytes: u64,
}

/// How far a shadow is behind its core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LagView {
    /// The database's id.
    pub database: String,
    /// The Host of the shadow.
    pub host: Topical,
    /// Entries of the core's log that it does not have.
    pub entries: u64,
}

/// Calls, and parts of maps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallSums {
    /// They run.
    pub running: u64,
    /// They wait for a slot.
    pub waiting: u64,
    /// Seconds that the numbers below are of: the last five minutes, or less
    /// after a start.
    pub span_seconds: u64,
    /// Calls that ended.
    pub ended: u64,
    /// How many of them did not end well; those that somebody ended are none.
    pub failed: u64,
    /// Calls that ended, per second.
    pub per_second: f64,
    /// Half of the calls took so long at most, microseconds; single calls only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<u64>,
    /// Of a hundred calls 95 took so long at most, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_us: Option<u64>,
}

/// What needs a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NeedView {
    /// `controller-disk`, `element-away`, `hosts-away`, `host-away`, `critical`,
    /// `warning`, `command-pending`, `application-broken`, `certificate-ends`,
    /// `nobody-joined`.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// About what.
    pub subject: Topical,
    /// Why, in words.
    pub reason: String,
    /// The action of the authorization table that helps, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}
