//! The Data Element: a pool of data Hosts, and the databases on them.
//!
//! Its databases ([`super::database`]) are no part of this description, which
//! travels with every hello.

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    common::{AccessControlBase, CommonInfo, CommonPolicy, CommonState},
    enumeration::DataEngine,
    se::AccessProtocol,
};
use crate::{
    scalar::{Seconds, Uri, UtcTime},
    xml::{document, xml_record},
};

/// Largest description of one Element, in bytes.
const ELEMENT_BYTES_MAX: usize = 256 * 1024;

/// A pool of data Hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DataElement {
    /// `urn:uuid:…`, never reused.
    pub id: Uri,
    /// What it is.
    pub info: DeInfo,
    /// How it is; absent in documents that hold no observations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<DeState>,
    /// What its owner allows.
    #[serde(default)]
    pub policy: DePolicy,
    /// Whom its owner allows.
    #[serde(default)]
    pub access: AccessControlBase,
}

xml_record!(DataElement {
    attributes { id = "ID" }
    children {
        info = "Info",
        state = "State",
        policy = "Policy" [default],
        access = "AccessControlBase" [default],
    }
});
document!(DataElement, "DataElement", ELEMENT_BYTES_MAX);

/// What a Data Element is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeInfo {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonInfo,
    /// Engines on which it keeps databases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<DataEngine>,
    /// Its doors for data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_protocols: Vec<AccessProtocol>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(DeInfo {
    base { common }
    children {
        engines = "Engine",
        access_protocols = "AccessProtocol",
    }
    open { extensions }
});

/// How a Data Element is: sums over its usable Hosts. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeState {
    /// When it was observed.
    pub creation_time: UtcTime,
    /// For how long it is a fact; three heartbeats are usual.
    pub validity: Seconds,
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonState,
    /// Statements that run.
    pub running_requests: u32,
    /// Statements that wait for others to end.
    #[serde(default)]
    pub waiting_requests: u32,
    /// Programs that are connected.
    pub active_sessions: u32,
    /// Bytes that databases can take, on all Hosts: used and free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_size: Option<u64>,
    /// Bytes that databases take, on all Hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_size: Option<u64>,
    /// Worst time from a statement to its first row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_response_time: Option<Seconds>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(DeState {
    attributes {
        creation_time = "CreationTime",
        validity = "Validity",
    }
    base { common }
    children {
        running_requests = "RunningRequests",
        waiting_requests = "WaitingRequests" [default],
        active_sessions = "ActiveSessions",
        total_size = "TotalSize",
        used_size = "UsedSize",
        worst_response_time = "WorstResponseTime",
    }
    open { extensions }
});

impl DeState {
    /// An Element without Hosts or statements.
    pub fn new(creation_time: UtcTime, validity: Seconds, common: CommonState) -> Self {
        Self {
            creation_time,
            validity,
            common,
            running_requests: 0,
            waiting_requests: 0,
            active_sessions: 0,
            total_size: None,
            used_size: None,
            worst_response_time: None,
            extensions: Extensions::default(),
        }
    }
}

/// What a Data Element's owner allows; of each limit, absent: the engines' own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DePolicy {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonPolicy,
    /// SQL sessions at a time, of both doors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u32>,
    /// Statements that run at a time, open results included. Those of a transaction
    /// that is open are not counted: they never wait for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_running_requests: Option<u32>,
    /// Statements that wait for one of those to end; more are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_waiting_requests: Option<u32>,
    /// Time that a statement may take, from its begin to its last row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_request_time: Option<Seconds>,
    /// Bytes that a result may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_result_size: Option<u64>,
    /// Rows that a result may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_result_rows: Option<u64>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(DePolicy {
    base { common }
    children {
        max_sessions = "MaxSessions",
        max_running_requests = "MaxRunningRequests",
        max_waiting_requests = "MaxWaitingRequests",
        max_request_time = "MaxRequestTime",
        max_result_size = "MaxResultSize",
        max_result_rows = "MaxResultRows",
    }
    open { extensions }
});
