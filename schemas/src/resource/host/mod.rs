//! Hosts: one machine's share of a pool. Here the compute Host, in [`storage`]
//! the storage Host, in [`data`] the data Host.

mod data;
mod info;
mod state;
mod storage;

use serde::{Deserialize, Serialize};

pub use self::{
    data::{
        DataHost, DataHostInfo, DataHostPolicy, DataHostState, EngineInfo, ReplicaCheck,
        ReplicaState, SetAside,
    },
    info::{
        Accelerator, Architecture, Benchmark, FileSystem, HostInfo, MainMemory, NetworkAdapter,
        OperatingSystem, Processor,
    },
    state::{FileSystemState, HostState, LoadAverage, MemoryState},
    storage::{
        StorageDevice, StorageDeviceState, StorageHost, StorageHostInfo, StorageHostPolicy,
        StorageHostState,
    },
};
use super::{
    Extensions,
    common::{AccessControlBase, CommonPolicy},
    element_doc::PoolHost,
};
use crate::{
    scalar::Uri,
    xml::{document, xml_record},
};

/// Largest description of one Host, in bytes.
const HOST_BYTES_MAX: usize = 256 * 1024;

/// One compute machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ComputeHost {
    /// `urn:uuid:…`, never reused.
    pub id: Uri,
    /// What it is.
    pub info: HostInfo,
    /// How it is; absent in documents that hold no observations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<HostState>,
    /// What its owner allows.
    #[serde(default)]
    pub policy: HostPolicy,
    /// Whom its owner allows.
    #[serde(default)]
    pub access: AccessControlBase,
}

xml_record!(ComputeHost {
    attributes { id = "ID" }
    children {
        info = "Info",
        state = "State",
        policy = "Policy" [default],
        access = "AccessControlBase" [default],
    }
});
document!(ComputeHost, "ComputeHost", HOST_BYTES_MAX);

impl PoolHost for ComputeHost {
    fn id(&self) -> &Uri {
        &self.id
    }

    fn element(&self) -> &Uri {
        &self.info.element
    }
}

/// What a Host's owner allows. An absent limit is no limit; 0 allows none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HostPolicy {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonPolicy,
    /// Jobs executing at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_running_jobs: Option<u32>,
    /// Bytes of memory of one job, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_main_memory: Option<u64>,
    /// Bytes of one job's work folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_disk_space: Option<u64>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(HostPolicy {
    base { common }
    children {
        max_running_jobs = "MaxRunningJobs",
        max_main_memory = "MaxMainMemory",
        max_disk_space = "MaxDiskSpace",
    }
    open { extensions }
});
