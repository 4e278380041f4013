//! Access: from "I need" to an Element and a ticket.

use serde::{Deserialize, Serialize};

use super::{bucket::BucketAccess, database::DatabaseAccess, explain::Explanation};
use crate::{
    id::{Digest, KeyHash, NodeId, RequestId},
    role::Operation,
};

/// `POST /api/v1/access/applications`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationAccessRequest {
    /// `NAME` or `NAME@VERSION`; absent: whatever has the needed capability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Needs over and above those of the application (`capability=spf/2.1`,
    /// `memory>=4GiB`, `cpus>=2`, `architecture=amd64`, `os=linux`,
    /// `domain=lab`).
    #[serde(default)]
    pub needs: Vec<String>,
    /// What is to be done.
    #[serde(default = "call_only")]
    pub operations: Vec<Operation>,
    /// Hash of the key with which the asker will open TLS.
    pub presenter: KeyHash,
    /// Elements to avoid: they failed for this asker.
    #[serde(default)]
    pub avoid: Vec<NodeId>,
}

fn call_only() -> Vec<Operation> {
    vec![Operation::Call]
}

/// `POST /api/v1/access/compute`: slots without an application in mind.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ComputeAccessRequest {
    /// Needs, as above.
    #[serde(default)]
    pub needs: Vec<String>,
    /// What is to be done.
    #[serde(default = "call_only")]
    pub operations: Vec<Operation>,
    /// Hash of the key with which the asker will open TLS.
    pub presenter: KeyHash,
}

/// Where to go, and with what.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccessDecision {
    /// The request, as all logs name it; `gridmart explain` takes it.
    pub request_id: RequestId,
    /// The application version that was meant; absent for compute access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationAccess>,
    /// The bucket that was meant; absent unless one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketAccess>,
    /// The database that was meant; absent unless one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseAccess>,
    /// Best first: the choice and up to three alternatives.
    pub elements: Vec<ElementAccess>,
    /// Seconds until the tickets expire.
    pub expires_in: u32,
    /// Why these.
    #[schema(value_type = Object)]
    pub explanation: Explanation,
}

/// What an SDK has to know of an application to call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApplicationAccess {
    /// `AppName`.
    pub name: String,
    /// `AppVersion`.
    pub version: String,
    /// Content hash of the package.
    pub digest: Digest,
    /// Whether it may run more than once for one call.
    pub retryable: bool,
    /// Attempts of one part of a map, lost Hosts included.
    pub attempts_max: u32,
    /// Whether it declares a `Split` command.
    pub has_split: bool,
    /// Whether it declares a `Merge` command.
    pub has_merge: bool,
}

/// One Element that serves it.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ElementAccess {
    /// Its id, to be expected in its certificate.
    pub element: NodeId,
    /// Its name, for people.
    pub name: String,
    /// `HOST:PORT` of its door, most preferred first.
    pub endpoints: Vec<String>,
    /// The access ticket for it.
    pub ticket: String,
}
