//! The storage area: a bucket, with the four groups of a resource.
//!
//! GLUE's `LocalID` has to begin with a letter, while a bucket's name, as S3
//! has it, may begin with a digit and may be given to another bucket once this
//! one is deleted. So `Name` holds the bucket's name, and `LocalID` is made of
//! the bucket's id, which stands in every one of its blocks and is never reused.

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    common::AccessControlBase,
    enumeration::{AccessLatency, ExpirationMode, RetentionPolicy},
};
use crate::{
    id::BucketId,
    scalar::{BucketName, LocalId, ScalarError, Seconds, Text, UtcTime},
    storage::Redundancy,
    xml::xml_record,
};

/// What a bucket's `LocalID` begins with; its id follows.
const LOCAL_ID_PREFIX: &str = "bucket-";

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageArea {
    /// `bucket-` and its id: stays while the name may change hands.
    pub local_id: LocalId,
    /// Its name in the S3 sense.
    pub name: BucketName,
    /// `/` and its name: where it is below each door.
    pub path: Text,
    /// What it is.
    pub info: AreaInfo,
    /// How it is; absent in documents that hold no observations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AreaState>,
    /// What its owner allows.
    #[serde(default)]
    pub policy: AreaPolicy,
    /// Whom its owner allows; the part of a rule is a prefix of keys.
    #[serde(default)]
    pub access: AccessControlBase,
}

xml_record!(StorageArea {
    children {
        local_id = "LocalID",
        name = "Name",
        path = "Path",
        info = "Info",
        state = "State",
        policy = "Policy" [default],
        access = "AccessControlBase" [default],
    }
});

impl StorageArea {
    /// A bucket without limits, for nobody but its operator. It fails for no
    /// id and name; what could fail are the scalars that are made of them.
    pub fn new(bucket: BucketId, name: BucketName, info: AreaInfo) -> Result<Self, ScalarError> {
        Ok(Self {
            local_id: LocalId::new(&format!("{LOCAL_ID_PREFIX}{bucket}"))?,
            path: Text::new(&path_of(&name))?,
            name,
            info,
            state: None,
            policy: AreaPolicy::default(),
            access: AccessControlBase::default(),
        })
    }

    /// The bucket's id; `None` if the `LocalID` is not one that [`Self::new`]
    /// makes, which a document that was read never holds.
    pub fn bucket(&self) -> Option<BucketId> {
        let id = self.local_id.as_str().strip_prefix(LOCAL_ID_PREFIX)?;
        // One bucket has one name: no upper case, no braces.
        id.parse::<BucketId>()
            .ok()
            .filter(|read| read.to_string() == id)
    }
}

/// The path of a bucket of this name.
pub(super) fn path_of(name: &BucketName) -> String {
    format!("/{name}")
}

/// What a bucket is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AreaInfo {
    /// How likely the loss of an object may be.
    pub retention_policy: RetentionPolicy,
    /// The worst time in which an object can be read.
    pub access_latency: AccessLatency,
    /// What happens to objects whose time has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_mode: Option<ExpirationMode>,
    /// How each stripe is kept.
    #[schema(value_type = String)]
    pub redundancy: Redundancy,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(AreaInfo {
    children {
        retention_policy = "RetentionPolicy",
        access_latency = "AccessLatency",
        expiration_mode = "ExpirationMode",
        redundancy = "Redundancy",
    }
    open { extensions }
});

impl AreaInfo {
    /// On disks; the copy that counts, where one can be lost without loss.
    pub fn new(redundancy: Redundancy) -> Self {
        let retention_policy = if redundancy.parity() == 0 {
            RetentionPolicy::Output
        } else {
            RetentionPolicy::Custodial
        };
        Self {
            retention_policy,
            access_latency: AccessLatency::Online,
            expiration_mode: None,
            redundancy,
            extensions: Extensions::default(),
        }
    }
}

/// How a bucket is. Sizes in bytes, after redundancy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AreaState {
    /// When it was observed.
    pub creation_time: UtcTime,
    /// For how long it is a fact.
    pub validity: Seconds,
    /// Bytes that its objects can take: used, free and reserved.
    pub total_online_size: u64,
    /// Bytes that its objects take.
    pub used_online_size: u64,
    /// Bytes that further objects can take.
    pub free_online_size: u64,
    /// Bytes kept for objects that are on their way.
    pub reserved_online_size: u64,
    /// Objects.
    pub number_of_files: u64,
    /// Of these and of older versions, those of which blocks are missing that are to
    /// be made anew; absent: none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_of_short_files: Option<u64>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(AreaState {
    attributes {
        creation_time = "CreationTime",
        validity = "Validity",
    }
    children {
        total_online_size = "TotalOnlineSize",
        used_online_size = "UsedOnlineSize",
        free_online_size = "FreeOnlineSize",
        reserved_online_size = "ReservedOnlineSize",
        number_of_files = "NumberOfFiles",
        number_of_short_files = "NumberOfShortFiles",
    }
    open { extensions }
});

/// What a bucket's owner allows. An absent limit is no limit; 0 allows none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AreaPolicy {
    /// Bytes of all its objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// Objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_num_files: Option<u64>,
    /// Seconds that an object lives which names no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_life_time: Option<u64>,
    /// Seconds that an object may live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_life_time: Option<u64>,
    /// Seconds that an object may be kept on the fast tier by request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pin_duration: Option<u64>,
    /// Blocks of a stripe that may be missing when what is put is acknowledged, and
    /// are made anew then; absent: none, unlike the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_degraded: Option<u64>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(AreaPolicy {
    children {
        quota = "Quota",
        max_num_files = "MaxNumFiles",
        default_life_time = "DefaultLifeTime",
        maximum_life_time = "MaximumLifeTime",
        max_pin_duration = "MaxPinDuration",
        allow_degraded = "AllowDegraded",
    }
    open { extensions }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_known_by_its_id_and_called_by_its_name() {
        let (bucket, name) = (BucketId::generate(), BucketName::new("0-data").unwrap());
        let info = AreaInfo::new(Redundancy::rs(4, 2).unwrap());
        let mut area = StorageArea::new(bucket, name, info).unwrap();
        assert_eq!(area.bucket(), Some(bucket));
        assert_eq!(area.path.as_str(), "/0-data");
        for other in [
            "bucket-1",
            "data",
            &format!("bucket-{bucket}").to_uppercase(),
        ] {
            area.local_id = LocalId::new(other).unwrap();
            assert_eq!(area.bucket(), None, "{other}");
        }
    }
}
