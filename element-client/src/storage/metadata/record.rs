//! The records of the log: every change of what a Storage Element knows.
//!
//! Records outlive programs: they lie on Hosts, and are applied by a later
//! version that rebuilds its store. So the form of what is here never changes:
//! a [`Change`] or an enumeration is only ever added to, at its end; a change
//! that needs other fields is a new one. A test holds the bytes.
//!
//! They are written as one byte of version and postcard: a small object's put
//! takes 280 bytes, as JSON it would take 890; the manifest of 20 GiB at
//! `rs(4,2)` 430 KB instead of 1.2 MB.

use std::collections::BTreeMap;

use gridmart_schemas::{
    id::{BlockId, BucketId, NodeId, PersonName, StripeId, UploadId, VersionId},
    scalar::BucketName,
    storage::{BlockRoot, Redundancy},
};
use serde::{Deserialize, Serialize};

use super::{
    key::ObjectKey,
    manifest::{ObjectHead, Stripe, root_bytes},
    moment::Moment,
};

/// The most bytes of an encoded record, as Hosts keep it: the manifest of 190 GiB
/// at `rs(4,2)`. Larger objects are made of parts.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

const FORMAT: u8 = 1;

/// A change, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, by the writer's clock.
    pub time: Moment,
    /// What.
    pub change: Change,
}

/// Bytes that are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another format.
    #[error("a record of format {0}, this program knows 1: update it")]
    Format(u8),
    /// Not one of its format.
    #[error("a record that cannot be read")]
    Unreadable(#[source] postcard::Error),
    /// Larger than any may be.
    #[error("a record of {0} bytes; 4 MiB are the most: put the object in parts")]
    TooLarge(usize),
}

impl Record {
    /// Writes the record.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let bytes = postcard::to_extend(self, vec![FORMAT]).map_err(RecordError::Unreadable)?;
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads a record; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        match bytes.split_first() {
            _ if bytes.len() > RECORD_BYTES_MAX => Err(RecordError::TooLarge(bytes.len())),
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(RecordError::Unreadable),
            other => Err(RecordError::Format(other.map_or(0, |(format, _)| *format))),
        }
    }
}

/// What may change. Only ever added to at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A bucket is made.
    BucketCreate(BucketCreate),
    /// A bucket gets another redundancy (for what is put from now on) or quota.
    BucketUpdate(BucketUpdate),
    /// A bucket without object versions is removed, its uploads with it.
    BucketDelete {
        /// Which one.
        bucket: BucketId,
    },
    /// A bucket begins or ceases to keep old versions.
    BucketVersioning {
        /// Which one.
        bucket: BucketId,
        /// Never `Off`: once begun, it can only be suspended.
        versioning: Versioning,
    },
    /// A bucket's setting that the log carries as it is.
    BucketDocument {
        /// Which one.
        bucket: BucketId,
        /// Of what kind.
        kind: DocumentKind,
        /// The validated document; none: it is taken away.
        document: Option<String>,
    },
    /// An object version is there.
    ObjectPut(ObjectPut),
    /// An object gets a delete marker, or a version is gone for good.
    ObjectDelete(ObjectDelete),
    /// A version's tags are replaced.
    ObjectTags {
        /// In which bucket.
        bucket: BucketId,
        /// Of which key.
        key: ObjectKey,
        /// Which version.
        version: VersionChoice,
        /// All of its tags from now on.
        tags: BTreeMap<String, String>,
    },
    /// A version's protection against deletion is replaced.
    ObjectLock {
        /// In which bucket.
        bucket: BucketId,
        /// Of which key.
        key: ObjectKey,
        /// Which version.
        version: VersionChoice,
        /// Until when it is kept; none: no longer.
        retention: Option<Retention>,
        /// Kept until this is taken away.
        legal_hold: bool,
        /// Whoever asks may shorten `Governance`.
        bypass: bool,
    },
    /// An upload in parts begins.
    UploadCreate(UploadCreate),
    /// A part is there; one of the same number is replaced.
    PartPut(PartPut),
    /// An upload becomes an object version.
    UploadComplete(UploadComplete),
    /// An upload and its parts are gone.
    UploadAbort {
        /// Which one.
        upload: UploadId,
    },
    /// A key with which S3 requests are signed.
    AccessKeyCreate {
        /// Its public part.
        id: String,
        /// Whose it is.
        person: PersonName,
        /// Its secret, encrypted under a key that is not in the log.
        sealed_secret: Vec<u8>,
        /// What it is for, in the person's words.
        label: String,
    },
    /// A key for S3 requests is gone.
    AccessKeyDelete {
        /// Its public part.
        id: String,
    },
    /// A block is damaged or gone.
    BlockLost {
        /// Which one.
        block: BlockId,
        /// Where it should be; refused if it is not there any more.
        host: NodeId,
    },
    /// A block was moved, or made anew.
    BlockMoved {
        /// Which one.
        block: BlockId,
        /// Where it was; none: nowhere.
        from: Option<NodeId>,
        /// Where it is.
        to: NodeId,
        /// What it must be.
        #[serde(with = "root_bytes")]
        root: BlockRoot,
    },
    /// The blocks of these stripes, which nothing names any more, are off the
    /// Hosts.
    StripesCollected {
        /// Which ones.
        stripes: Vec<StripeId>,
    },
    /// A Host may hold blocks.
    HostKnown {
        /// Which one.
        host: NodeId,
    },
    /// A Host is not to come back; what is on it is lost.
    HostRemoved {
        /// Which one.
        host: NodeId,
    },
    /// A setting of the Element.
    Setting {
        /// Its name.
        name: String,
        /// Its value; none: it is taken away.
        value: Option<String>,
    },
    /// Nothing but the first record of an epoch: where it is, nothing of an
    /// older epoch that was not committed comes back.
    EpochBegun,
    /// One of a version's headers is replaced.
    ObjectHeader {
        /// In which bucket.
        bucket: BucketId,
        /// Of which key.
        key: ObjectKey,
        /// Which version.
        version: VersionChoice,
        /// Its name, lower case.
        name: String,
        /// Its value; none: it is taken away.
        value: Option<String>,
    },
    /// A bucket allows that blocks of what is put are missing at first.
    BucketLosses {
        /// Which one.
        bucket: BucketId,
        /// How many of a stripe, at most; what its redundancy does not bear is never
        /// allowed.
        losses: u8,
    },
}

impl Change {
    /// Whether it changes what is known of buckets and keys themselves, not what is
    /// in a bucket.
    pub(super) const fn is_setting(&self) -> bool {
        match self {
            Self::BucketCreate(_)
            | Self::BucketUpdate(_)
            | Self::BucketDelete { .. }
            | Self::BucketVersioning { .. }
            | Self::BucketDocument { .. }
            | Self::BucketLosses { .. }
            | Self::AccessKeyCreate { .. }
            | Self::AccessKeyDelete { .. }
            | Self::Setting { .. } => true,
            Self::ObjectPut(_)
            | Self::ObjectDelete(_)
            | Self::ObjectTags { .. }
            | Self::ObjectLock { .. }
            | Self::ObjectHeader { .. }
            | Self::UploadCreate(_)
            | Self::PartPut(_)
            | Self::UploadComplete(_)
            | Self::UploadAbort { .. }
            | Self::BlockLost { .. }
            | Self::BlockMoved { .. }
            | Self::StripesCollected { .. }
            | Self::HostKnown { .. }
            | Self::HostRemoved { .. }
            | Self::EpochBegun => false,
        }
    }
}

/// A new bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketCreate {
    /// Its id.
    pub bucket: BucketId,
    /// Its name; refused if there is one.
    pub name: BucketName,
    /// Whose it is.
    pub owner: PersonName,
    /// How its stripes are kept.
    pub redundancy: Redundancy,
    /// Its versions can be protected; versioning is on then, and stays so.
    pub object_lock: bool,
    /// How much it may hold.
    pub quota: Quota,
}

/// What of a bucket may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketUpdate {
    /// Which one.
    pub bucket: BucketId,
    /// How its stripes are kept from now on.
    pub redundancy: Redundancy,
    /// How much it may hold.
    pub quota: Quota,
}

/// How much a bucket may hold. An absent limit is no limit; 0 allows none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes of all versions and of the parts of uploads.
    pub bytes: Option<u64>,
    /// Objects, not counting older versions.
    pub objects: Option<u64>,
}

/// Whether a bucket keeps old versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// It never did.
    Off,
    /// It does.
    Enabled,
    /// It keeps those that it has.
    Suspended,
}

/// A setting of a bucket that is kept as a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DocumentKind {
    /// What becomes of objects when they are old.
    Lifecycle,
    /// Which web pages may ask.
    Cors,
    /// Who may, in the words of S3.
    Policy,
    /// The bucket's own tags.
    Tagging,
    /// Who owns what others put.
    Ownership,
    /// That nothing is open to all.
    PublicAccessBlock,
    /// How long new versions are kept.
    ObjectLock,
    /// Whom its owner allows, in the words of gridmart; JSON.
    Access,
    /// Whom its owner allows, in the oldest words of S3; JSON.
    Acl,
    /// How new objects are encrypted that do not say it themselves.
    Encryption,
}

/// A new object version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPut {
    /// In which bucket.
    pub bucket: BucketId,
    /// Of which key.
    pub key: ObjectKey,
    /// Its id, which stands in all of its blocks. Whether it is the `null`
    /// version follows from the bucket's versioning.
    pub version: VersionId,
    /// Its bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// What it says of itself.
    pub head: ObjectHead,
    /// Until when it is kept.
    pub retention: Option<Retention>,
    /// Kept until this is taken away.
    pub legal_hold: bool,
    /// Where its bytes are; ordinals count from 0.
    pub stripes: Vec<Stripe>,
    /// What must hold of the key.
    pub condition: Condition,
}

/// An object or a version that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectDelete {
    /// In which bucket.
    pub bucket: BucketId,
    /// Of which key.
    pub key: ObjectKey,
    /// What goes.
    pub target: DeleteTarget,
    /// What must hold of the key.
    pub condition: Condition,
    /// Whoever asks may delete what `Governance` keeps.
    pub bypass: bool,
}

/// What a deletion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeleteTarget {
    /// The object: a marker hides it where versions are kept; else it is gone.
    Object {
        /// The id of the marker, if one is made.
        marker: VersionId,
    },
    /// A version, or a marker, for good.
    Version(VersionId),
    /// The `null` version, for good.
    Null,
}

/// A version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersionChoice {
    /// The newest, which must not be a marker.
    Current,
    /// This one.
    Id(VersionId),
    /// The one without an id of its own.
    Null,
}

/// What must hold of a key's current version; it is checked where the change is
/// made, so that nothing comes between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// It is one of these.
    pub if_match: Option<EtagMatch>,
    /// It is none of these.
    pub if_none_match: Option<EtagMatch>,
    /// It is this version.
    pub if_version: Option<VersionId>,
}

/// ETags, without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EtagMatch {
    /// `*`: any object at all.
    Any,
    /// One of these.
    OneOf(Vec<String>),
}

/// Until when a version is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// How strictly.
    pub mode: RetentionMode,
    /// Until when.
    pub until: Moment,
}

/// How strictly a version is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionMode {
    /// Who may bypass it can delete it.
    Governance,
    /// Nobody can.
    Compliance,
}

/// A new upload in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadCreate {
    /// Its id.
    pub upload: UploadId,
    /// The id of the version that it becomes: it stands in the blocks of all
    /// its parts.
    pub version: VersionId,
    /// In which bucket.
    pub bucket: BucketId,
    /// Of which key.
    pub key: ObjectKey,
    /// Who began it.
    pub owner: PersonName,
    /// What the object says of itself.
    pub head: ObjectHead,
    /// Until when the object is kept.
    pub retention: Option<Retention>,
    /// Kept until this is taken away.
    pub legal_hold: bool,
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartPut {
    /// Of which upload.
    pub upload: UploadId,
    /// Its number, 1 to 10,000.
    pub number: u16,
    /// Its bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// By algorithm, as S3 writes them.
    pub checksums: BTreeMap<String, String>,
    /// Where its bytes are; ordinals count from 0 in each part.
    pub stripes: Vec<Stripe>,
}

/// The end of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadComplete {
    /// Which one.
    pub upload: UploadId,
    /// The parts that make the object, numbers growing; others are gone.
    pub parts: Vec<PartChoice>,
    /// The ETag of the whole, without quotes.
    pub etag: String,
    /// Checksums of the whole.
    pub checksums: BTreeMap<String, String>,
    /// What must hold of the key.
    pub condition: Condition,
}

/// A part that belongs to the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartChoice {
    /// Its number.
    pub number: u16,
    /// The ETag that it must have.
    pub etag: String,
}
