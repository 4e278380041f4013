//! Objects of buckets, as browsers see them, which do not speak with Hosts themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::id::{NodeId, UploadId, VersionId};

/// An object in a listing.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObjectRow {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// Its `ETag`, without quotes.
    pub etag: String,
    /// When it was put.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub modified: OffsetDateTime,
    /// What it says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// A page of a bucket.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObjectListing {
    /// Objects, by key.
    pub objects: Vec<ObjectRow>,
    /// What keys have in common up to the delimiter: folders, as people see them.
    pub prefixes: Vec<String>,
    /// Give this as `after` to read on; absent: that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An object, and where it is.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObjectDetail {
    /// What it is.
    pub object: ObjectRow,
    /// Its version.
    #[schema(value_type = String)]
    pub version: VersionId,
    /// Headers that readers get back.
    pub headers: BTreeMap<String, String>,
    /// The user's own.
    pub metadata: BTreeMap<String, String>,
    /// Blocks that it misses and that are to be made anew.
    pub blocks_missing: u64,
    /// Its stripes, of this page.
    pub stripes: Vec<StripeRow>,
    /// Give this as `from` to read on; absent: that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A stripe of an object.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StripeRow {
    /// Its first byte in the object.
    pub start: u64,
    /// Bytes of the object in it.
    pub size: u64,
    /// `replica(n)` or `rs(k,m)`.
    pub redundancy: String,
    /// Blocks that it has when it is whole.
    pub blocks_wanted: u8,
    /// Those of them that hold the object's own bytes; the others are parity, or copies.
    pub blocks_needed: u8,
    /// Blocks that are there, by position.
    pub blocks: Vec<BlockRow>,
}

/// A block of a stripe.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BlockRow {
    /// Which one, from 0.
    pub position: u8,
    /// The Host that has it.
    #[schema(value_type = String)]
    pub host: NodeId,
    /// Its name.
    pub host_name: String,
}

/// Begins an upload in parts.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectUploadRequest {
    /// The key.
    pub key: String,
    /// What readers are told that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// An upload in parts.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObjectUploadView {
    /// Which one.
    #[schema(value_type = String)]
    pub upload: UploadId,
    /// The key.
    pub key: String,
    /// Bytes of each part but the last, as they cost least.
    pub part_bytes: u64,
    /// Those that are there.
    pub parts: Vec<ObjectPartRow>,
}

/// A part of an upload.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObjectPartRow {
    /// Its number, from 1.
    pub number: u16,
    /// Its bytes.
    pub size: u64,
    /// Its `ETag`.
    pub etag: String,
}

/// Makes an object of the parts of an upload.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectUploadEnd {
    /// Number and `ETag` of each, numbers growing.
    pub parts: Vec<(u16, String)>,
    /// Only where the key is free.
    #[serde(default)]
    pub if_absent: bool,
}

/// An object that was put.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObjectPut {
    /// Its version.
    #[schema(value_type = String)]
    pub version: VersionId,
    /// Its `ETag`, without quotes.
    pub etag: String,
}
