//! Controller → Storage Element: buckets, and how they fare. What an Element knows of its buckets
//! it is asked for, so that nothing is told twice and nothing is old.

use serde::{Deserialize, Serialize};

use super::{Done, requests};
use crate::{
    id::{BucketId, PersonName},
    resource::{common::AccessControlBase, storage_area::StorageArea},
    scalar::BucketName,
    storage::{Redundancy, heal::SignedHeal},
};

/// The most buckets of one answer.
pub const BUCKETS_MAX: u32 = 1000;

/// The most certificates of one answer.
pub const HEALS_MAX: u32 = 100;

/// A bucket as its Element tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketTold {
    /// Whose it is.
    pub owner: PersonName,
    /// What it is, how it is, and who may.
    pub area: StorageArea,
}

/// Which buckets there are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketList {
    /// Only the one of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<BucketName>,
    /// Those after this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<BucketName>,
    /// At most so many, and never more than [`BUCKETS_MAX`].
    pub limit: u32,
}

/// Answer to [`BucketList`], by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BucketsTold {
    /// The buckets.
    pub buckets: Vec<BucketTold>,
    /// There are more after these.
    #[serde(default)]
    pub more: bool,
}

/// Make a bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketMake {
    /// Its name; refused if the Element has one of it.
    pub name: BucketName,
    /// Whose it is.
    pub owner: PersonName,
    /// How its stripes are kept; absent: as fits the Element's Hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

/// Answer to [`BucketMake`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketMade {
    /// The bucket.
    pub bucket: BucketTold,
    /// Why its redundancy is what it is, where nobody has said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Change what a bucket's owner allows. What is absent stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketChange {
    /// Which one.
    pub bucket: BucketId,
    /// How stripes are kept that are written from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redundancy: Option<Redundancy>,
    /// Bytes that it may hold.
    #[serde(default, skip_serializing_if = "Limit::is_kept")]
    pub quota_bytes: Limit,
    /// Objects that it may hold.
    #[serde(default, skip_serializing_if = "Limit::is_kept")]
    pub quota_objects: Limit,
    /// Blocks of a stripe that may be missing when what is put is acknowledged, where
    /// not all Hosts are there; never more than the redundancy bears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_degraded: Option<u8>,
    /// Who may, besides its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessControlBase>,
}

/// What becomes of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// It stays.
    #[default]
    Kept,
    /// There is none any more.
    None,
    /// It is this.
    Of(u64),
}

impl Limit {
    /// Whether it stays.
    pub const fn is_kept(&self) -> bool {
        matches!(self, Self::Kept)
    }

    /// The limit after it, where it was `before`.
    pub const fn over(self, before: Option<u64>) -> Option<u64> {
        match self {
            Self::Kept => before,
            Self::None => None,
            Self::Of(limit) => Some(limit),
        }
    }
}

/// Remove a bucket; refused while there is an object in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketRemove {
    /// Which one.
    pub bucket: BucketId,
}

/// What has been repaired lately?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HealList {
    /// At most so many certificates, and never more than [`HEALS_MAX`].
    pub limit: u32,
}

/// Answer to [`HealList`]; also that of `GET /api/v1/resources/{id}/heals`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HealsTold {
    /// Blocks that are lost now.
    pub blocks_lost: u64,
    /// Certificates of what was repaired, newest first.
    pub heals: Vec<SignedHeal>,
}

requests! {
    HealList = "heal-list" => HealsTold,
    BucketList = "bucket-list" => BucketsTold,
    BucketMake = "bucket-make" => BucketMade,
    BucketChange = "bucket-change" => BucketTold,
    BucketRemove = "bucket-remove" => Done,
}
