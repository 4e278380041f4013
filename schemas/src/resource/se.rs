//! The Storage Element: a pool of storage Hosts with one name space of buckets.
//!
//! Its buckets ([`super::storage_area`]) are no part of this description, which
//! travels with every hello: there may be thousands of them.

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    common::{AccessControlBase, CommonInfo, CommonPolicy, CommonState},
    enumeration::{AccessProtocolType, SeArchitecture},
};
use crate::{
    scalar::{LocalId, Percent, Seconds, Token, Uri, UtcTime},
    xml::{document, xml_record},
};

/// Largest description of one Element, in bytes.
const ELEMENT_BYTES_MAX: usize = 256 * 1024;

/// A pool of storage Hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageElement {
    /// `urn:uuid:…`, never reused.
    pub id: Uri,
    /// What it is.
    pub info: SeInfo,
    /// How it is; absent in documents that hold no observations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SeState>,
    /// What its owner allows.
    #[serde(default)]
    pub policy: SePolicy,
    /// Whom its owner allows.
    #[serde(default)]
    pub access: AccessControlBase,
}

xml_record!(StorageElement {
    attributes { id = "ID" }
    children {
        info = "Info",
        state = "State",
        policy = "Policy" [default],
        access = "AccessControlBase" [default],
    }
});
document!(StorageElement, "StorageElement", ELEMENT_BYTES_MAX);

/// What a Storage Element is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SeInfo {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonInfo,
    /// What it keeps its data on.
    pub architecture: SeArchitecture,
    /// Its doors for data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_protocols: Vec<AccessProtocol>,
    /// Its doors for management.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_protocols: Vec<ControlProtocol>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(SeInfo {
    base { common }
    children {
        architecture = "Architecture",
        access_protocols = "AccessProtocol",
        control_protocols = "ControlProtocol",
    }
    open { extensions }
});

impl SeInfo {
    /// The least that an Element says of itself.
    pub fn new(common: CommonInfo, architecture: SeArchitecture) -> Self {
        Self {
            common,
            architecture,
            access_protocols: Vec::new(),
            control_protocols: Vec::new(),
            extensions: Extensions::default(),
        }
    }
}

/// A door for data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccessProtocol {
    /// Its name on this Element.
    pub local_id: LocalId,
    /// What is spoken there.
    pub kind: AccessProtocolType,
    /// Version of that protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Token>,
    /// Its address.
    pub endpoint: Uri,
    /// Parallel connections of one client, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_streams: Option<u32>,
    /// What can be done there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Token>,
    /// How clients may prove who they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supported_security: Vec<Token>,
}

xml_record!(AccessProtocol {
    children {
        local_id = "LocalID",
        kind = "Type",
        version = "Version",
        endpoint = "Endpoint",
        max_streams = "MaxStreams",
        capabilities = "Capability",
        supported_security = "SupportedSecurity",
    }
});

impl AccessProtocol {
    /// A door without limits of its own.
    pub const fn new(local_id: LocalId, kind: AccessProtocolType, endpoint: Uri) -> Self {
        Self {
            local_id,
            kind,
            version: None,
            endpoint,
            max_streams: None,
            capabilities: Vec::new(),
            supported_security: Vec::new(),
        }
    }
}

/// A door for management.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ControlProtocol {
    /// Its name on this Element.
    pub local_id: LocalId,
    /// What is spoken there.
    pub kind: Token,
    /// Version of that protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Token>,
    /// Its address.
    pub endpoint: Uri,
}

xml_record!(ControlProtocol {
    children {
        local_id = "LocalID",
        kind = "Type",
        version = "Version",
        endpoint = "Endpoint",
    }
});

/// How a Storage Element is: sums over its usable Hosts. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SeState {
    /// When it was observed.
    pub creation_time: UtcTime,
    /// For how long it is a fact; three heartbeats are usual.
    pub validity: Seconds,
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonState,
    /// Bytes that objects can take, after redundancy: used, free and reserved.
    pub total_online_size: u64,
    /// Bytes that objects take.
    pub used_online_size: u64,
    /// Bytes that further objects can take.
    pub free_online_size: u64,
    /// Bytes kept for objects that are on their way.
    pub reserved_online_size: u64,
    /// Bytes of the cold tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_nearline_size: Option<u64>,
    /// Bytes that objects take on the cold tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_nearline_size: Option<u64>,
    /// Bytes on the disks, before redundancy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_total_size: Option<u64>,
    /// Free bytes on the disks, before redundancy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_free_size: Option<u64>,
    /// How busy the disks are, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u8>, maximum = 100)]
    pub current_io_load: Option<Percent>,
    /// Objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_of_files: Option<u64>,
    /// Expected time from a request to its first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_response_time: Option<Seconds>,
    /// Worst time from a request to its first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_response_time: Option<Seconds>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(SeState {
    attributes {
        creation_time = "CreationTime",
        validity = "Validity",
    }
    base { common }
    children {
        total_online_size = "TotalOnlineSize",
        used_online_size = "UsedOnlineSize",
        free_online_size = "FreeOnlineSize",
        reserved_online_size = "ReservedOnlineSize",
        total_nearline_size = "TotalNearlineSize",
        used_nearline_size = "UsedNearlineSize",
        raw_total_size = "RawTotalSize",
        raw_free_size = "RawFreeSize",
        current_io_load = "CurrentIOLoad",
        number_of_files = "NumberOfFiles",
        estimated_response_time = "EstimatedResponseTime",
        worst_response_time = "WorstResponseTime",
    }
    open { extensions }
});

impl SeState {
    /// An Element without Hosts or objects.
    pub fn new(creation_time: UtcTime, validity: Seconds, common: CommonState) -> Self {
        Self {
            creation_time,
            validity,
            common,
            total_online_size: 0,
            used_online_size: 0,
            free_online_size: 0,
            reserved_online_size: 0,
            total_nearline_size: None,
            used_nearline_size: None,
            raw_total_size: None,
            raw_free_size: None,
            current_io_load: None,
            number_of_files: None,
            estimated_response_time: None,
            worst_response_time: None,
            extensions: Extensions::default(),
        }
    }
}

/// What a Storage Element's owner allows. An absent limit is no limit; 0 allows
/// none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SePolicy {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonPolicy,
    /// Bytes of an object, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<u64>,
    /// Bytes of an object, at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_file_size: Option<u64>,
    /// Parallel connections of one client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_streams: Option<u32>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(SePolicy {
    base { common }
    children {
        max_file_size = "MaxFileSize",
        min_file_size = "MinFileSize",
        max_streams = "MaxStreams",
    }
    open { extensions }
});
