//! Buckets: where objects are kept.

use serde::{Deserialize, Serialize};

use crate::{
    id::{BucketId, KeyHash, NodeId, PersonName},
    resource::{common::AccessRule, storage_area::StorageArea},
    role::Operation,
    scalar::BucketName,
    storage::Redundancy,
    wire::bucket::Limit,
};

/// `POST /api/v1/buckets`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketCreateRequest {
    /// Its name in the S3 sense.
    #[schema(value_type = String)]
    pub name: BucketName,
    /// Id or name of the Storage Element; may be absent where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// `replica(n)` or `rs(k,m)`; absent: as fits the Element's Hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub redundancy: Option<Redundancy>,
    /// Bytes that it may hold; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// Objects that it may hold; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_objects: Option<u64>,
    /// Blocks of a stripe that may be missing when what is put is acknowledged, where
    /// not all Hosts are there; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_degraded: Option<u8>,
}

/// `PATCH /api/v1/buckets/{bucket}`: what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketChangeRequest {
    /// How stripes are kept that are written from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub redundancy: Option<Redundancy>,
    /// Bytes that it may hold.
    #[serde(default, skip_serializing_if = "Limit::is_kept")]
    pub quota_bytes: Limit,
    /// Objects that it may hold.
    #[serde(default, skip_serializing_if = "Limit::is_kept")]
    pub quota_objects: Limit,
    /// Blocks of a stripe that may be missing when what is put is acknowledged, where
    /// not all Hosts are there; more than the redundancy bears is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_degraded: Option<u8>,
    /// Who may, besides its owner, in place of the present rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<AccessRule>>,
}

/// A bucket, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BucketView {
    /// Its id.
    pub id: BucketId,
    /// The Element that keeps it.
    pub element: NodeId,
    /// That Element's name.
    pub element_name: String,
    /// Whose it is.
    pub owner: PersonName,
    /// What it is, how it is, and who may.
    pub area: StorageArea,
    /// Of a new one: why its redundancy is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// `GET /api/v1/buckets`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BucketsView {
    /// Those that the asker may use, by name.
    pub buckets: Vec<BucketView>,
    /// Storage Elements that did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
}

/// `POST /api/v1/access/buckets`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketAccessRequest {
    /// Its name, or `ELEMENT/NAME`.
    pub bucket: String,
    /// What is to be done: `read`, `write`.
    pub operations: Vec<Operation>,
    /// Hash of the key with which the asker will open TLS.
    pub presenter: KeyHash,
    /// The asker had access before, and may have transfers under way: those may
    /// end although the Element was stopped meanwhile, which judges it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub going_on: bool,
}

/// What an SDK has to know of a bucket to use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BucketAccess {
    /// Its id.
    pub id: BucketId,
    /// Its name.
    #[schema(value_type = String)]
    pub name: BucketName,
    /// How its stripes are kept.
    #[schema(value_type = String)]
    pub redundancy: Redundancy,
}
