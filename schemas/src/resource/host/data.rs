//! The data Host: one machine with copies of a Data Element's databases.

use serde::{Deserialize, Serialize};

use super::{Architecture, NetworkAdapter, OperatingSystem};
use crate::{
    resource::{
        Extensions,
        common::{AccessControlBase, CommonInfo, CommonPolicy, CommonState},
        element_doc::PoolHost,
        enumeration::{DataEngine, ReplicaRole, SyncState},
    },
    scalar::{Seconds, Text, Token, Uri, UtcTime},
    xml::{document, xml_record},
};

/// One machine with databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DataHost {
    /// `urn:uuid:…`, never reused.
    pub id: Uri,
    /// What it is.
    pub info: DataHostInfo,
    /// How it is; absent in documents that hold no observations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<DataHostState>,
    /// What its owner allows.
    #[serde(default)]
    pub policy: DataHostPolicy,
    /// Whom its owner allows.
    #[serde(default)]
    pub access: AccessControlBase,
}

xml_record!(DataHost {
    attributes { id = "ID" }
    children {
        info = "Info",
        state = "State",
        policy = "Policy" [default],
        access = "AccessControlBase" [default],
    }
});
document!(DataHost, "DataHost", super::HOST_BYTES_MAX);

impl PoolHost for DataHost {
    fn id(&self) -> &Uri {
        &self.id
    }

    fn element(&self) -> &Uri {
        &self.info.element
    }
}

/// What a data Host is: as its system reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DataHostInfo {
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
    /// Its engines; one at least.
    pub engines: Vec<EngineInfo>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(DataHostInfo {
    base { common }
    children {
        element = "Element",
        host_name = "HostName",
        architecture = "Architecture",
        operating_system = "OperatingSystem",
        network_adapters = "NetworkAdapter",
        engines = "Engine" [at_least_one],
    }
    open { extensions }
});

/// An engine of a Host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EngineInfo {
    /// Which one.
    #[schema(value_type = String)]
    pub name: DataEngine,
    /// Its version.
    pub version: Token,
}

xml_record!(EngineInfo {
    children {
        name = "Name",
        version = "Version",
    }
});

/// How a data Host is. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DataHostState {
    /// When it was observed.
    pub creation_time: UtcTime,
    /// For how long it is a fact; three heartbeats are usual.
    pub validity: Seconds,
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonState,
    /// Bytes that databases can still take.
    pub available_space: u64,
    /// Bytes that databases take.
    pub used_space: u64,
    /// Statements that run.
    pub running_requests: u32,
    /// Copies of databases on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaState>,
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

xml_record!(DataHostState {
    attributes {
        creation_time = "CreationTime",
        validity = "Validity",
    }
    base { common }
    children {
        available_space = "AvailableSpace",
        used_space = "UsedSpace",
        running_requests = "RunningRequests",
        replicas = "Replica",
        worst_response_time = "WorstResponseTime",
        last_heartbeat = "LastHeartbeat",
    }
    open { extensions }
});

/// How a copy of a database on this Host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplicaState {
    /// Which database: `urn:uuid:…`.
    pub database: Uri,
    /// What the copy is.
    pub role: ReplicaRole,
    /// How far it is.
    pub sync_state: SyncState,
    /// The last entry of the log that it has.
    pub log_position: u64,
    /// Of which epoch.
    pub epoch: u64,
    /// Bytes that it takes.
    pub used_size: u64,
    /// Of which rules it holds what they leave; absent: it holds all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_version: Option<u64>,
    /// Of a core: bytes that it may log until it drops what a shadow that is away still
    /// misses, which begins with a snapshot then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_room: Option<u64>,
    /// How its last comparison with the core came out; absent: there was none since the
    /// Host's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<ReplicaCheck>,
    /// What it alone had committed when another copy became the core.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
}

xml_record!(ReplicaState {
    children {
        database = "DataResourceAbstractName",
        role = "Role",
        sync_state = "SyncState",
        log_position = "LogPosition",
        epoch = "Epoch",
        used_size = "UsedSize",
        filter_version = "FilterVersion",
        log_room = "LogRoom",
        check = "Check",
        set_aside = "SetAside",
    }
});

/// A comparison of a shadow with its core, range of keys by range, at one position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplicaCheck {
    /// When it ended, by the Host's clock.
    pub creation_time: UtcTime,
    /// The position of the log at which both were compared.
    pub log_position: u64,
    /// Rows that the core has.
    pub row_count: u64,
    /// Ranges that differ.
    pub difference_count: u64,
    /// The first of them: table and keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Text>,
}

xml_record!(ReplicaCheck {
    attributes {
        creation_time = "CreationTime",
    }
    children {
        log_position = "LogPosition",
        row_count = "RowCount",
        difference_count = "DifferenceCount",
        differences = "Difference",
    }
});

/// A file with what a copy alone had committed: it is nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SetAside {
    /// Where it is, on the Host.
    pub file: Text,
    /// The first position that was set aside.
    pub first_position: u64,
    /// The last one.
    pub last_position: u64,
    /// Entries of the log in the file.
    pub entry_count: u64,
    /// Entries that the log did not have any more: what they did is in the whole
    /// database as it was, which is kept beside the file.
    pub missing_count: u64,
}

xml_record!(SetAside {
    children {
        file = "File",
        first_position = "FirstPosition",
        last_position = "LastPosition",
        entry_count = "EntryCount",
        missing_count = "MissingCount",
    }
});

/// What a data Host's owner allows. An absent limit is no limit; 0 allows none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DataHostPolicy {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonPolicy,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(DataHostPolicy {
    base { common }
    open { extensions }
});
