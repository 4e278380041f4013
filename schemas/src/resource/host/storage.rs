//! The storage Host: one machine's share of a Storage Element.

use serde::{Deserialize, Serialize};

use super::{Architecture, NetworkAdapter, OperatingSystem};
use crate::{
    resource::{
        Extensions,
        common::{AccessControlBase, CommonInfo, CommonPolicy, CommonState},
        element_doc::PoolHost,
        enumeration::StorageDeviceType,
    },
    scalar::{FailureLabel, LocalId, Percent, Seconds, Text, Token, Uri, UtcTime},
    xml::{document, xml_record},
};

/// One storage machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageHost {
    /// `urn:uuid:…`, never reused.
    pub id: Uri,
    /// What it is.
    pub info: StorageHostInfo,
    /// How it is; absent in documents that hold no observations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StorageHostState>,
    /// What its owner allows.
    #[serde(default)]
    pub policy: StorageHostPolicy,
    /// Whom its owner allows.
    #[serde(default)]
    pub access: AccessControlBase,
}

xml_record!(StorageHost {
    attributes { id = "ID" }
    children {
        info = "Info",
        state = "State",
        policy = "Policy" [default],
        access = "AccessControlBase" [default],
    }
});
document!(StorageHost, "StorageHost", super::HOST_BYTES_MAX);

impl PoolHost for StorageHost {
    fn id(&self) -> &Uri {
        &self.id
    }

    fn element(&self) -> &Uri {
        &self.info.element
    }
}

/// What a storage Host is: as its system reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageHostInfo {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonInfo,
    /// The Element it belongs to.
    pub element: Uri,
    /// Name or address of the machine.
    pub host_name: Token,
    /// Processor architecture.
    pub architecture: Architecture,
    /// The operating system.
    pub operating_system: OperatingSystem,
    /// Network adapters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_adapters: Vec<NetworkAdapter>,
    /// Its data folders; one at least.
    pub storage_devices: Vec<StorageDevice>,
    /// What it shares with others when it fails; each key once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_labels: Vec<FailureLabel>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(StorageHostInfo {
    base { common }
    children {
        element = "Element",
        host_name = "HostName",
        architecture = "Architecture",
        operating_system = "OperatingSystem",
        network_adapters = "NetworkAdapter",
        storage_devices = "StorageDevice" [at_least_one],
        failure_labels = "FailureLabel",
    }
    open { extensions }
});

impl StorageHostInfo {
    /// The least that a storage Host says of itself.
    pub fn new(
        common: CommonInfo,
        element: Uri,
        host_name: Token,
        architecture: Architecture,
        operating_system: OperatingSystem,
        storage_device: StorageDevice,
    ) -> Self {
        Self {
            common,
            element,
            host_name,
            architecture,
            operating_system,
            network_adapters: Vec::new(),
            storage_devices: vec![storage_device],
            failure_labels: Vec::new(),
            extensions: Extensions::default(),
        }
    }
}

/// A data folder, and what it lies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageDevice {
    /// Its name on this Host.
    pub name: LocalId,
    /// What it lies on.
    pub kind: StorageDeviceType,
    /// The folder.
    pub root: Text,
    /// Bytes that the file system has.
    pub size: u64,
    /// Bytes that it reads or writes in a second, nominally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_rate: Option<u64>,
}

xml_record!(StorageDevice {
    children {
        name = "Name",
        kind = "Type",
        root = "Root",
        size = "Size",
        transfer_rate = "TransferRate",
    }
});

/// How a storage Host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageHostState {
    /// When it was observed.
    pub creation_time: UtcTime,
    /// For how long it is a fact; three heartbeats are usual.
    pub validity: Seconds,
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonState,
    /// Its data folders; one at least.
    pub storage_devices: Vec<StorageDeviceState>,
    /// How busy its disks are, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u8>, maximum = 100)]
    pub current_io_load: Option<Percent>,
    /// Blocks on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_count: Option<u64>,
    /// Blocks on it that were found damaged and not made good yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged_block_count: Option<u64>,
    /// When every block had been read and compared last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scrub_time: Option<UtcTime>,
    /// A request older than this makes the Element ask whether the Host lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_response_time: Option<Seconds>,
    /// When the Element last heard it, by the Element's clock.
    pub last_heartbeat: UtcTime,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(StorageHostState {
    attributes {
        creation_time = "CreationTime",
        validity = "Validity",
    }
    base { common }
    children {
        storage_devices = "StorageDevice" [at_least_one],
        current_io_load = "CurrentIOLoad",
        block_count = "BlockCount",
        damaged_block_count = "DamagedBlockCount",
        last_scrub_time = "LastScrubTime",
        worst_response_time = "WorstResponseTime",
        last_heartbeat = "LastHeartbeat",
    }
    open { extensions }
});

impl StorageHostState {
    /// A Host heard just now.
    pub fn new(
        creation_time: UtcTime,
        validity: Seconds,
        common: CommonState,
        storage_devices: Vec<StorageDeviceState>,
    ) -> Self {
        Self {
            creation_time,
            validity,
            common,
            storage_devices,
            current_io_load: None,
            block_count: None,
            damaged_block_count: None,
            last_scrub_time: None,
            worst_response_time: None,
            last_heartbeat: creation_time,
            extensions: Extensions::default(),
        }
    }

    /// Bytes that further blocks can take, on all data folders.
    pub fn available_space(&self) -> u64 {
        self.total(|device| device.available_space)
    }

    /// Bytes that blocks take, on all data folders.
    pub fn used_space(&self) -> u64 {
        self.total(|device| device.used_space)
    }

    fn total(&self, part: impl Fn(&StorageDeviceState) -> u64) -> u64 {
        let parts = self.storage_devices.iter().map(part);
        parts.fold(0, u64::saturating_add)
    }
}

/// How a data folder is. Bytes on the disk, before redundancy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageDeviceState {
    /// Its name on this Host.
    pub name: LocalId,
    /// Bytes that further blocks can take; 0 where it is read-only.
    pub available_space: u64,
    /// Bytes that blocks take.
    pub used_space: u64,
    /// Bytes kept for blocks that are on their way.
    pub reserved_space: u64,
    /// Takes no further blocks.
    pub read_only: bool,
}

xml_record!(StorageDeviceState {
    children {
        name = "Name",
        available_space = "AvailableSpace",
        used_space = "UsedSpace",
        reserved_space = "ReservedSpace",
        read_only = "ReadOnly",
    }
});

/// What a storage Host's owner allows. An absent limit is no limit; 0 allows
/// none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageHostPolicy {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonPolicy,
    /// Bytes that blocks may take, on all data folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_used_space: Option<u64>,
    /// Parallel connections of one client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_streams: Option<u32>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(StorageHostPolicy {
    base { common }
    children {
        max_used_space = "MaxUsedSpace",
        max_streams = "MaxStreams",
    }
    open { extensions }
});
