//! The Computing Element: a pool of compute Hosts with one queue.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    common::{AccessControlBase, CommonInfo, CommonPolicy, CommonState},
    enumeration::{LrmsType, SchedulingPolicy},
};
use crate::{
    scalar::{Port, Seconds, Token, Uri, UtcTime},
    xml::{document, xml_record},
};

/// Largest description of one Element, in bytes.
const ELEMENT_BYTES_MAX: usize = 256 * 1024;

/// A pool of compute Hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ComputingElement {
    /// `urn:uuid:…`, never reused.
    pub id: Uri,
    /// What it is.
    pub info: CeInfo,
    /// How it is; absent in documents that hold no observations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<CeState>,
    /// What its owner allows.
    #[serde(default)]
    pub policy: CePolicy,
    /// Whom its owner allows.
    #[serde(default)]
    pub access: AccessControlBase,
}

xml_record!(ComputingElement {
    attributes { id = "ID" }
    children {
        info = "Info",
        state = "State",
        policy = "Policy" [default],
        access = "AccessControlBase" [default],
    }
});
document!(ComputingElement, "ComputingElement", ELEMENT_BYTES_MAX);

/// What an Element is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CeInfo {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonInfo,
    /// The engine.
    pub lrms_type: LrmsType,
    /// The engine's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lrms_version: Option<Token>,
    /// Machine of the Element: name or address.
    pub host_name: Token,
    /// Its door for calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u16>)]
    pub gatekeeper_port: Option<Port>,
    /// Queue or partition in the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_manager: Option<Token>,
    /// Accepted job languages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub job_descriptions: Vec<Token>,
    /// Storage Element for outputs when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_se: Option<Uri>,
    /// All Hosts alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homogeneous: Option<bool>,
    /// Takes maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk_submission: Option<bool>,
    /// Takes advance reservations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<bool>,
    /// Installed sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_physical_cpus: Option<u32>,
    /// Installed CPUs that the systems show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_logical_cpus: Option<u32>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(CeInfo {
    base { common }
    children {
        lrms_type = "LRMSType",
        lrms_version = "LRMSVersion",
        host_name = "HostName",
        gatekeeper_port = "GatekeeperPort",
        job_manager = "JobManager",
        job_descriptions = "JobDescription",
        default_se = "DefaultSE",
        homogeneous = "Homogeneous",
        bulk_submission = "BulkSubmission",
        reservation = "Reservation",
        total_physical_cpus = "TotalPhysicalCPUs",
        total_logical_cpus = "TotalLogicalCPUs",
    }
    open { extensions }
});

impl CeInfo {
    /// The least that an Element says of itself.
    pub fn new(common: CommonInfo, lrms_type: LrmsType, host_name: Token) -> Self {
        Self {
            common,
            lrms_type,
            lrms_version: None,
            host_name,
            gatekeeper_port: None,
            job_manager: None,
            job_descriptions: Vec::new(),
            default_se: None,
            homogeneous: None,
            bulk_submission: None,
            reservation: None,
            total_physical_cpus: None,
            total_logical_cpus: None,
            extensions: Extensions::default(),
        }
    }
}

/// How an Element is. Apart from the instance counts, numbers are sums over
/// its usable Hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CeState {
    /// When it was observed.
    pub creation_time: UtcTime,
    /// For how long it is a fact; three heartbeats are usual.
    pub validity: Seconds,
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonState,
    /// Hosts installed.
    pub total_instances: u32,
    /// Hosts that can take no more.
    pub used_instances: u32,
    /// Hosts not usable now.
    pub unavailable_instances: u32,
    /// Slots on usable Hosts; a slot is one single-CPU job.
    pub total_slots: u32,
    /// Slots held by running jobs.
    pub used_slots: u32,
    /// Single-slot jobs that would start at once; 0 while anybody waits.
    pub free_job_slots: u32,
    /// Slots that waiting and staging jobs need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_slots: Option<u32>,
    /// Slots held by work that did not come through gridmart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_used_by_local_jobs: Option<u32>,
    /// Jobs executing.
    pub running_jobs: u32,
    /// Jobs accepted and not started, held ones included.
    pub waiting_jobs: u32,
    /// Jobs moving files in or out.
    pub staging_jobs: u32,
    /// Jobs started, now stopped.
    pub suspended_jobs: u32,
    /// Foreign engine only: in our queue, not yet handed to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_lrms_waiting_jobs: Option<u32>,
    /// Sum of the five above.
    pub total_jobs: u32,
    /// Expected time from submission to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_response_time: Option<Seconds>,
    /// Worst time from submission to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_response_time: Option<Seconds>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(CeState {
    attributes {
        creation_time = "CreationTime",
        validity = "Validity",
    }
    base { common }
    children {
        total_instances = "TotalInstances",
        used_instances = "UsedInstances",
        unavailable_instances = "UnavailableInstances",
        total_slots = "TotalSlots",
        used_slots = "UsedSlots",
        free_job_slots = "FreeJobSlots",
        requested_slots = "RequestedSlots",
        slots_used_by_local_jobs = "SlotsUsedByLocalJobs",
        running_jobs = "RunningJobs",
        waiting_jobs = "WaitingJobs",
        staging_jobs = "StagingJobs",
        suspended_jobs = "SuspendedJobs",
        pre_lrms_waiting_jobs = "PreLRMSWaitingJobs",
        total_jobs = "TotalJobs",
        estimated_response_time = "EstimatedResponseTime",
        worst_response_time = "WorstResponseTime",
    }
    open { extensions }
});

impl CeState {
    /// An Element without Hosts or work.
    pub fn new(creation_time: UtcTime, validity: Seconds, common: CommonState) -> Self {
        Self {
            creation_time,
            validity,
            common,
            total_instances: 0,
            used_instances: 0,
            unavailable_instances: 0,
            total_slots: 0,
            used_slots: 0,
            free_job_slots: 0,
            requested_slots: None,
            slots_used_by_local_jobs: None,
            running_jobs: 0,
            waiting_jobs: 0,
            staging_jobs: 0,
            suspended_jobs: 0,
            pre_lrms_waiting_jobs: None,
            total_jobs: 0,
            estimated_response_time: None,
            worst_response_time: None,
            extensions: Extensions::default(),
        }
    }
}

/// What an Element's owner allows. An absent limit is no limit; 0 allows none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CePolicy {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonPolicy,
    /// Jobs executing at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_running_jobs: Option<u32>,
    /// Jobs waiting at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_waiting_jobs: Option<u32>,
    /// Jobs of every state at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_total_jobs: Option<u32>,
    /// Jobs of one person executing at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_user_running_jobs: Option<u32>,
    /// Slots of one job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub max_slots_per_job: Option<NonZeroU32>,
    /// Single-slot jobs that may run at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_job_slots: Option<u32>,
    /// Seconds that a job may run; it is ended there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wall_clock_time: Option<u64>,
    /// Seconds below which a job is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_wall_time: Option<u64>,
    /// Seconds for a job that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_wall_time: Option<u64>,
    /// CPU seconds per slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cpu_time: Option<u64>,
    /// CPU seconds per slot for a job that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_cpu_time: Option<u64>,
    /// CPU seconds over all slots of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_total_cpu_time: Option<u64>,
    /// Bytes of memory of one job, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_main_memory: Option<u64>,
    /// Bytes of memory that a job is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guaranteed_main_memory: Option<u64>,
    /// Bytes of address space of one job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_virtual_memory: Option<u64>,
    /// Bytes of one job's work folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_disk_space: Option<u64>,
    /// Higher goes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// A running job may be pushed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preemption: Option<bool>,
    /// In which order slots are given out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<SchedulingPolicy>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(CePolicy {
    base { common }
    children {
        max_running_jobs = "MaxRunningJobs",
        max_waiting_jobs = "MaxWaitingJobs",
        max_total_jobs = "MaxTotalJobs",
        max_user_running_jobs = "MaxUserRunningJobs",
        max_slots_per_job = "MaxSlotsPerJob",
        assigned_job_slots = "AssignedJobSlots",
        max_wall_clock_time = "MaxWallClockTime",
        min_wall_time = "MinWallTime",
        default_wall_time = "DefaultWallTime",
        max_cpu_time = "MaxCPUTime",
        default_cpu_time = "DefaultCPUTime",
        max_total_cpu_time = "MaxTotalCPUTime",
        max_main_memory = "MaxMainMemory",
        guaranteed_main_memory = "GuaranteedMainMemory",
        max_virtual_memory = "MaxVirtualMemory",
        max_disk_space = "MaxDiskSpace",
        priority = "Priority",
        preemption = "Preemption",
        scheduling_policy = "SchedulingPolicy",
    }
    open { extensions }
});
