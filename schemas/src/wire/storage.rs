//! SDK ⇄ Storage Element: the storage stream, `GET /v1/storage` on the Element's
//! door, upgraded to a WebSocket. It carries what is known of objects; their
//! bytes go between the SDK and the Hosts.
//!
//! To write: [`StripesAllocate`], the blocks to the Hosts with the tickets that
//! it gave, [`ObjectCommit`] with the Hosts' receipts. To read: [`ObjectOpen`],
//! then the blocks. What is allocated and never committed is collected.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Done, notices, requests, transfer::TransferMark};
use crate::{
    id::{BucketId, NodeId, StripeId, UploadId, VersionId},
    role::Operation,
    scalar::BucketName,
    storage::{BlockRoot, Redundancy},
};

/// The most stripes that one message allocates, commits or tells of.
pub const STRIPES_MAX: usize = 64;
/// The most bytes of a key, as S3 has it.
pub const KEY_BYTES_MAX: usize = 1024;
/// The most lines of a list.
pub const LINES_MAX: u32 = 1000;
/// The most receipts of one commit: one for each Host and request.
pub const RECEIPTS_MAX: usize = 4096;

/// I may use this bucket; first for each bucket, and again before the ticket
/// ends.
#[derive(Clone, Serialize, Deserialize)]
pub struct StorageOpen {
    /// The access ticket.
    pub ticket: String,
}

/// Answer to [`StorageOpen`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorageOpened {
    /// The bucket that the ticket is for.
    pub bucket: BucketId,
    /// Its name.
    pub name: BucketName,
    /// How its stripes are kept.
    pub redundancy: Redundancy,
}

/// Where to write stripes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StripesAllocate {
    /// In which bucket.
    pub bucket: BucketId,
    /// The version that this goes on with; absent: a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// Bytes of data of each stripe; at most [`STRIPES_MAX`].
    pub stripes: Vec<u64>,
    /// Of which key; an older program does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How the bucket kept its stripes when this put began: it ends so; absent:
    /// as it does now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redundancy: Option<Redundancy>,
    /// Which transfer this belongs to, once it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferMark>,
}

/// Answer to [`StripesAllocate`].
#[derive(Clone, Serialize, Deserialize)]
pub struct StripesAllocated {
    /// The version that the blocks' headers name.
    pub version: VersionId,
    /// The epoch that they name.
    pub epoch: u64,
    /// The stripes, in the order of the request.
    pub stripes: Vec<StripePlan>,
    /// The Hosts that are named.
    pub hosts: BTreeMap<NodeId, HostDoor>,
    /// Which transfer it belongs to; to be said from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferMark>,
}

/// Where the blocks of a stripe go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripePlan {
    /// Its id.
    pub stripe: StripeId,
    /// How its blocks are made.
    pub redundancy: Redundancy,
    /// By position, from the first on; where the bucket allows it and Hosts are
    /// away, those of the last ones are missing.
    pub hosts: Vec<NodeId>,
    /// How many blocks have to be there at least; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<u8>,
}

impl StripePlan {
    /// How many blocks have to be there at least.
    pub fn least(&self) -> u8 {
        self.least.unwrap_or(self.redundancy.blocks())
    }
}

/// The way to the blocks of one version on a Host.
#[derive(Clone, Serialize, Deserialize)]
pub struct HostDoor {
    /// Its name, for people.
    pub name: String,
    /// `HOST:PORT` of its door, most preferred first.
    pub endpoints: Vec<String>,
    /// The block ticket for it.
    pub ticket: String,
}

/// A Host does not take a block: which other one should?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockReplace {
    /// In which bucket.
    pub bucket: BucketId,
    /// Of which version.
    pub version: VersionId,
    /// Bytes of the stripe's data.
    pub stripe_bytes: u64,
    /// Hosts that have, or were to have, a block of the stripe.
    pub used: Vec<NodeId>,
    /// As in [`StripesAllocate`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redundancy: Option<Redundancy>,
    /// Which transfer this belongs to, once it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferMark>,
}

/// Answer to [`BlockReplace`].
#[derive(Clone, Serialize, Deserialize)]
pub struct BlockReplaced {
    /// The other Host.
    pub host: NodeId,
    /// The way to it.
    pub door: HostDoor,
}

/// A stripe whose blocks are on Hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripeManifest {
    /// Its id.
    pub stripe: StripeId,
    /// Bytes of the object in it.
    pub data_length: u64,
    /// How its blocks are made.
    pub redundancy: Redundancy,
    /// Its blocks, by position; as many as the bucket demands.
    pub blocks: Vec<BlockPlace>,
}

/// A block on a Host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockPlace {
    /// Which one of its stripe.
    pub position: u8,
    /// Where it is.
    pub host: NodeId,
    /// What it is.
    pub root: BlockRoot,
}

/// What an object says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHeaders {
    /// Headers that readers get back (`content-type`, …), lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The user's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What must hold of a key for a change to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectCondition {
    /// Its present version has this ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<String>,
    /// There is no object.
    #[serde(default)]
    pub if_absent: bool,
}

/// Show an object whose blocks are on Hosts, or a part of an upload.
#[derive(Clone, Serialize, Deserialize)]
pub struct ObjectCommit {
    /// In which bucket.
    pub bucket: BucketId,
    /// What it is.
    pub content: Committed,
    /// The version that its blocks' headers name.
    pub version: VersionId,
    /// Where its bytes are, in order; at most [`STRIPES_MAX`].
    pub stripes: Vec<StripeManifest>,
    /// What Hosts have signed: every block is in one.
    pub receipts: Vec<String>,
    /// Which transfer this belongs to, once it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferMark>,
}

/// What is committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Committed {
    /// A whole object.
    Object {
        /// Its key.
        key: String,
        /// What it says of itself.
        head: ObjectHeaders,
        /// What must hold of the key.
        condition: ObjectCondition,
    },
    /// A part of an upload.
    Part {
        /// Which upload.
        upload: UploadId,
        /// Its number, from 1 to 10,000.
        number: u16,
    },
}

/// Answer to [`ObjectCommit`] and [`UploadEnd`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectCommitted {
    /// The version.
    pub version: VersionId,
    /// Its ETag (or the part's), without quotes.
    pub etag: String,
}

/// Begin an upload in parts, for an object of many stripes; its parts outlive
/// the stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadBegin {
    /// In which bucket.
    pub bucket: BucketId,
    /// Of which key.
    pub key: String,
    /// What the object will say of itself.
    pub head: ObjectHeaders,
}

/// Answer to [`UploadBegin`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadBegun {
    /// The upload.
    pub upload: UploadId,
    /// The version that the blocks of its parts name.
    pub version: VersionId,
    /// Which transfer it belongs to; to be said from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferMark>,
}

/// What is there of an upload that was broken off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadView {
    /// In which bucket.
    pub bucket: BucketId,
    /// Which one.
    pub upload: UploadId,
}

/// Answer to [`UploadView`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadViewed {
    /// Of which key.
    pub key: String,
    /// The version that the blocks of its parts name.
    pub version: VersionId,
    /// Its parts, by number.
    pub parts: Vec<PartView>,
    /// Which transfer this goes on as; to be said from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferMark>,
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartView {
    /// Its number.
    pub number: u16,
    /// Its bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
}

/// Make an object of an upload's parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadEnd {
    /// In which bucket.
    pub bucket: BucketId,
    /// Which one.
    pub upload: UploadId,
    /// Number and ETag of each part, numbers growing.
    pub parts: Vec<(u16, String)>,
    /// What must hold of the key.
    pub condition: ObjectCondition,
    /// Which transfer this belongs to, once it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferMark>,
}

/// Forget an upload and its parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadForget {
    /// In which bucket.
    pub bucket: BucketId,
    /// Which one.
    pub upload: UploadId,
}

/// Show an object, and where the bytes of a range are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectOpen {
    /// In which bucket.
    pub bucket: BucketId,
    /// Of which key.
    pub key: String,
    /// Which version; absent: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// The first byte that is wanted.
    pub from: u64,
    /// Stripes to tell of at most; 0: only what the object is.
    pub stripes: u32,
    /// The end of what is wanted, not included; an older program does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Which transfer this belongs to, once it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferMark>,
}

/// Answer to [`ObjectOpen`].
#[derive(Clone, Serialize, Deserialize)]
pub struct ObjectOpened {
    /// What it is.
    pub object: ObjectView,
    /// The stripes from the one that holds the first byte on.
    pub stripes: Vec<StripeView>,
    /// The Hosts that are named.
    pub hosts: BTreeMap<NodeId, HostDoor>,
    /// Which transfer reads it; to be said from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferMark>,
}

/// A stripe, and where it is in its object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripeView {
    /// Its first byte in the object.
    pub start: u64,
    /// What it is; positions that are lost are missing.
    pub manifest: StripeManifest,
}

/// An object, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectView {
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: VersionId,
    /// Its bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was put.
    #[serde(with = "time::serde::rfc3339")]
    pub modified: OffsetDateTime,
    /// What it says of itself.
    #[serde(default)]
    pub head: ObjectHeaders,
    /// Blocks that it misses and that are to be made anew; told where the object
    /// alone is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_missing: Option<u64>,
}

/// Which objects there are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectList {
    /// In which bucket.
    pub bucket: BucketId,
    /// What keys begin with.
    #[serde(default)]
    pub prefix: String,
    /// What ends a common prefix; absent: all keys stand for themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// After this key, or after all keys below this common prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many lines, and never more than [`LINES_MAX`].
    pub limit: u32,
}

/// Answer to [`ObjectList`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ObjectsListed {
    /// Those that stand for themselves, by key.
    pub objects: Vec<ObjectView>,
    /// Common prefixes.
    pub prefixes: Vec<String>,
    /// Give it as `after` to read on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Delete objects, or one version for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectDelete {
    /// In which bucket.
    pub bucket: BucketId,
    /// Of which key.
    pub key: String,
    /// Which version; absent: the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
}

/// Copy an object within the Element.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectCopy {
    /// Into which bucket.
    pub bucket: BucketId,
    /// To which key.
    pub key: String,
    /// From which bucket, which is open on this stream as well.
    pub from_bucket: BucketId,
    /// Of which key.
    pub from_key: String,
}

/// May I do this with this key, as the rules are now? Asked before work is begun
/// whose result goes there; what is done then is judged again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectJudge {
    /// In which bucket.
    pub bucket: BucketId,
    /// Which key.
    pub key: String,
    /// What is to be done.
    pub operation: Operation,
}

/// A block was found missing or damaged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockFault {
    /// In which bucket.
    pub bucket: BucketId,
    /// Of which stripe.
    pub stripe: StripeId,
    /// Which position.
    pub position: u8,
    /// Where it should be.
    pub host: NodeId,
}

notices! {
    BlockFault = "block-fault",
}
requests! {
    StorageOpen = "storage-open" => StorageOpened,
    StripesAllocate = "stripes-allocate" => StripesAllocated,
    BlockReplace = "block-replace" => BlockReplaced,
    ObjectCommit = "object-commit" => ObjectCommitted,
    UploadBegin = "upload-begin" => UploadBegun,
    UploadView = "upload-view" => UploadViewed,
    UploadEnd = "upload-end" => ObjectCommitted,
    UploadForget = "upload-forget" => Done,
    ObjectOpen = "object-open" => ObjectOpened,
    ObjectList = "object-list" => ObjectsListed,
    ObjectDelete = "object-delete" => Done,
    ObjectCopy = "object-copy" => ObjectCommitted,
    ObjectJudge = "object-judge" => Done,
}
