//! Why a change does not fit what is there.

use gridmart_schemas::{
    id::{BlockId, BucketId, NodeId, UploadId},
    scalar::BucketName,
};

use super::{key::ObjectKey, moment::Moment};

/// A change that does not fit: nothing was changed. Doors branch on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No bucket of that id.
    #[error("there is no bucket {0}")]
    BucketUnknown(BucketId),
    /// A bucket of that name is there.
    #[error("there is a bucket {0}")]
    BucketExists(BucketName),
    /// Versions are in it.
    #[error("the bucket {name} holds {versions} versions of objects, delete markers included")]
    BucketNotEmpty {
        /// Its name.
        name: String,
        /// How many.
        versions: u64,
    },
    /// Versioning cannot be switched so.
    #[error(
        "the bucket {0} keeps versions from now on; that can be suspended, unless it locks objects"
    )]
    VersioningFixed(String),
    /// Locks need a bucket that was made for them.
    #[error("the bucket {0} was not made for locked objects")]
    NotLockable(String),
    /// A limit of the bucket.
    #[error("the bucket {name} would hold {wanted} {what}; its quota is {limit}")]
    QuotaReached {
        /// The bucket's name.
        name: String,
        /// `bytes` or `objects`.
        what: &'static str,
        /// With this change.
        wanted: u64,
        /// At most.
        limit: u64,
    },
    /// No object of that key is seen.
    #[error("there is no object {0}")]
    KeyUnknown(ObjectKey),
    /// No such version of that key.
    #[error("there is no such version of {0}")]
    VersionUnknown(ObjectKey),
    /// That id is taken: the same change came before.
    #[error("that version of {0} is there already")]
    VersionExists(ObjectKey),
    /// The version is a delete marker.
    #[error("that version of {0} is a delete marker")]
    IsMarker(ObjectKey),
    /// What the condition expects is not so.
    #[error("the object {0} is not what the request expects")]
    ConditionNotMet(ObjectKey),
    /// The version is kept.
    #[error("that version of {key} is kept until {}", until_words(*.until))]
    Retained {
        /// Of which key.
        key: ObjectKey,
        /// Until when; none: under a legal hold.
        until: Option<Moment>,
    },
    /// No such upload; it was completed or aborted.
    #[error("there is no upload {0}")]
    UploadUnknown(UploadId),
    /// That id is taken.
    #[error("there is an upload {0}")]
    UploadExists(UploadId),
    /// A part is not there, or not the one that is meant.
    #[error("part {number} of the upload is not there, or has another ETag")]
    PartUnknown {
        /// Its number.
        number: u16,
    },
    /// Parts are not in order.
    #[error("the parts of the upload are not named in growing order, each once")]
    PartsOutOfOrder,
    /// No key of that name.
    #[error("there is no access key {0:?}")]
    AccessKeyUnknown(String),
    /// That name is taken.
    #[error("there is an access key {0:?}")]
    AccessKeyExists(String),
    /// No such Host, or one that was removed.
    #[error("{0} is not a Host of this pool")]
    HostUnknown(NodeId),
    /// The block is not known, or not where it was thought.
    #[error("the block {0} is not where it was thought to be")]
    BlockElsewhere(BlockId),
    /// Another block of the stripe is on that Host.
    #[error("the Host {host} has a block of the stripe of {block}")]
    HostTwice {
        /// Which block.
        block: BlockId,
        /// Which Host.
        host: NodeId,
    },
    /// The stripe is in use.
    #[error("the stripe {0} is in use")]
    StripeInUse(gridmart_schemas::id::StripeId),
    /// The change contradicts itself.
    #[error("the change is not whole: {0}")]
    Malformed(String),
}

fn until_words(until: Option<Moment>) -> String {
    match until {
        Some(until) => until.to_offset_date_time().to_string(),
        None => "its legal hold is taken away".to_owned(),
    }
}
