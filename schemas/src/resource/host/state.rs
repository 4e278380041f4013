//! How a Host is: measured and counted.

use serde::{Deserialize, Serialize};

use crate::{
    resource::{Extensions, common::CommonState},
    scalar::{Decimal, Seconds, Text, UtcTime},
    xml::xml_record,
};

/// How a Host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HostState {
    /// When it was observed.
    pub creation_time: UtcTime,
    /// For how long it is a fact; three heartbeats are usual.
    pub validity: Seconds,
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonState,
    /// Slots that jobs may use, as the owner set them.
    pub total_slots: u32,
    /// Slots held by running jobs.
    pub used_slots: u32,
    /// Single-slot jobs that would start at once.
    pub free_job_slots: u32,
    /// Jobs executing.
    pub running_jobs: u32,
    /// Memory that is free now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main_memory: Option<MemoryState>,
    /// Space that is free now, per file system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_systems: Vec<FileSystemState>,
    /// The system's run queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_average: Option<LoadAverage>,
    /// A call older than this makes the Element ask whether the Host lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_response_time: Option<Seconds>,
    /// When the Element last heard it, by the Element's clock.
    pub last_heartbeat: UtcTime,
    /// Jobs begun in the last 20 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_job_starts: Option<u32>,
    /// Jobs failed in the last 20 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_job_failures: Option<u32>,
    /// Mean time that those jobs ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_job_busy_time_avg: Option<Seconds>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(HostState {
    attributes {
        creation_time = "CreationTime",
        validity = "Validity",
    }
    base { common }
    children {
        total_slots = "TotalSlots",
        used_slots = "UsedSlots",
        free_job_slots = "FreeJobSlots",
        running_jobs = "RunningJobs",
        main_memory = "MainMemory",
        file_systems = "FileSystem",
        load_average = "LoadAverage",
        worst_response_time = "WorstResponseTime",
        last_heartbeat = "LastHeartbeat",
        recent_job_starts = "RecentJobStarts",
        recent_job_failures = "RecentJobFailures",
        recent_job_busy_time_avg = "RecentJobBusyTimeAvg",
    }
    open { extensions }
});

impl HostState {
    /// A Host without work, heard just now.
    pub fn new(
        creation_time: UtcTime,
        validity: Seconds,
        common: CommonState,
        total_slots: u32,
    ) -> Self {
        Self {
            creation_time,
            validity,
            common,
            total_slots,
            used_slots: 0,
            free_job_slots: total_slots,
            running_jobs: 0,
            main_memory: None,
            file_systems: Vec::new(),
            load_average: None,
            worst_response_time: None,
            last_heartbeat: creation_time,
            recent_job_starts: None,
            recent_job_failures: None,
            recent_job_busy_time_avg: None,
            extensions: Extensions::default(),
        }
    }
}

/// Memory that is free now, in bytes, usable without swapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MemoryState {
    /// RAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_available: Option<u64>,
    /// RAM and swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_available: Option<u64>,
}

xml_record!(MemoryState {
    children {
        ram_available = "RAMAvailable",
        virtual_available = "VirtualAvailable",
    }
});

/// Space that is free now on one file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FileSystemState {
    /// Where it is mounted.
    pub root: Text,
    /// Bytes that an ordinary user can write.
    pub available_space: u64,
}

xml_record!(FileSystemState {
    children {
        root = "Root",
        available_space = "AvailableSpace",
    }
});

/// Mean length of the system's run queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LoadAverage {
    /// Over one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_1_min: Option<Decimal>,
    /// Over five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_5_min: Option<Decimal>,
    /// Over fifteen minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_15_min: Option<Decimal>,
}

xml_record!(LoadAverage {
    children {
        last_1_min = "Last1Min",
        last_5_min = "Last5Min",
        last_15_min = "Last15Min",
    }
});
