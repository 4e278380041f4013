//! Buckets as the controller and people see them, and what the controller asks
//! for: lists of them, new ones, changes.

use std::sync::Arc;

use gridmart_fabric::{
    rule::bucket::BucketRules,
    stream::{Incoming, reply},
};
use gridmart_schemas::{
    id::BucketId,
    problem::{Code, Problem},
    resource::{
        common::AccessControlBase,
        storage_area::{AreaInfo, AreaPolicy, AreaState, StorageArea},
    },
    scalar::{Seconds, UtcTime},
    storage::Redundancy,
    wire::{
        Done, Request as _,
        bucket::{
            BUCKETS_MAX, BucketChange, BucketList, BucketMade, BucketMake, BucketRemove,
            BucketTold, BucketsTold, HEALS_MAX, HealList, HealsTold,
        },
    },
};
use rusqlite::Connection;
use serde_json::value::RawValue;

use super::{
    Se,
    care::repair::certificates,
    metadata::{
        Bucket, BucketCreate, BucketUpdate, Change, DocumentKind, Quota, StoreError, query,
    },
    service::Service,
    state::host_counts,
};

/// How long what is told of a bucket is a fact, in seconds.
const VALIDITY: u64 = 15;

/// A bucket, and whom its owner allows.
#[derive(Clone, Debug)]
pub(crate) struct RuledBucket {
    pub(crate) bucket: Bucket,
    pub(crate) rules: BucketRules,
}

impl RuledBucket {
    /// Reads a bucket of this id.
    pub(crate) fn read(connection: &Connection, id: BucketId) -> Result<Option<Self>, StoreError> {
        let Some(bucket) = query::bucket(connection, id)? else {
            return Ok(None);
        };
        Self::of(connection, bucket).map(Some)
    }

    /// With its rules; rules that cannot be read allow nobody.
    pub(crate) fn of(connection: &Connection, bucket: Bucket) -> Result<Self, StoreError> {
        let document = query::bucket_document(connection, bucket.id, DocumentKind::Access)?;
        let access = document.map_or_else(AccessControlBase::default, |document| {
            serde_json::from_str(&document).unwrap_or_else(|error| {
                tracing::error!(bucket = %bucket.name, %error, "the rules of a bucket cannot be read");
                AccessControlBase::default()
            })
        });
        let rules = BucketRules {
            owner: bucket.owner.clone(),
            access,
        };
        Ok(Self { bucket, rules })
    }

    /// `short`: versions that miss blocks.
    fn told(self, free: u64, short: u64) -> Result<BucketTold, Problem> {
        let Self { bucket, rules } = self;
        let info = AreaInfo::new(bucket.redundancy);
        let mut area = StorageArea::new(bucket.id, bucket.name.clone(), info)
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        let used = bucket.bytes.saturating_add(bucket.upload_bytes);
        let free = bucket
            .quota
            .bytes
            .map_or(free, |quota| quota.saturating_sub(used).min(free));
        area.state = Some(AreaState {
            creation_time: UtcTime::now(),
            validity: Seconds::from_secs(VALIDITY),
            total_online_size: used.saturating_add(free),
            used_online_size: used,
            free_online_size: free,
            reserved_online_size: 0,
            number_of_files: bucket.objects,
            number_of_short_files: (short > 0).then_some(short),
            extensions: gridmart_schemas::resource::Extensions::default(),
        });
        area.policy = AreaPolicy {
            quota: bucket.quota.bytes,
            max_num_files: bucket.quota.objects,
            allow_degraded: Some(bucket.losses_allowed.min(bucket.redundancy.parity()))
                .filter(|losses| *losses > 0)
                .map(u64::from),
            ..AreaPolicy::default()
        };
        area.access = rules.access;
        Ok(BucketTold {
            owner: rules.owner,
            area,
        })
    }
}

impl Se {
    /// What the controller asks of buckets; `None`: it is about something else.
    pub(super) async fn on_bucket_request(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Option<Result<Box<RawValue>, Problem>> {
        let answered = match incoming.kind.as_str() {
            BucketList::KIND => self.bucket_list(incoming).await,
            BucketMake::KIND => self.bucket_make(incoming).await,
            BucketChange::KIND => self.bucket_change(incoming).await,
            BucketRemove::KIND => self.bucket_remove(incoming).await,
            HealList::KIND => self.heal_list(incoming).await,
            _ => return None,
        };
        Some(answered)
    }

    async fn heal_list(self: &Arc<Self>, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let HealList { limit } = incoming.read()?;
        let limit = limit.clamp(1, HEALS_MAX) as usize;
        let read = self.blocking(move |se| certificates(&se.data_dir, limit));
        let heals = read.await?.map_err(|error| {
            Problem::new(
                Code::StorageFailed,
                format!("The heal certificates cannot be read: {error}."),
            )
        })?;
        reply(&HealsTold {
            blocks_lost: self.goods.metrics.blocks_lost(),
            heals,
        })
    }

    async fn bucket_list(&self, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let BucketList { name, after, limit } = incoming.read()?;
        let limit = limit.clamp(1, BUCKETS_MAX) as usize;
        let service = self.goods.service()?;
        let (found, short, more) = service
            .read(move |connection| {
                let found = match name {
                    Some(name) => query::bucket_named(connection, &name)?
                        .into_iter()
                        .collect(),
                    None => query::buckets(connection)?,
                };
                let mut found: Vec<Bucket> = found
                    .into_iter()
                    .filter(|bucket| after.as_ref().is_none_or(|after| bucket.name > *after))
                    .collect();
                let more = found.len() > limit;
                found.truncate(limit);
                let ruled = found
                    .into_iter()
                    .map(|bucket| RuledBucket::of(connection, bucket));
                let ruled = ruled.collect::<Result<Vec<_>, _>>()?;
                Ok((ruled, query::short_versions(connection)?, more))
            })
            .await?;
        let told = found.into_iter().map(|ruled| {
            let short = short.get(&ruled.bucket.id).copied().unwrap_or_default();
            self.told(ruled, short)
        });
        reply(&BucketsTold {
            buckets: told.collect::<Result<_, _>>()?,
            more,
        })
    }

    fn told(&self, bucket: RuledBucket, short: u64) -> Result<BucketTold, Problem> {
        let redundancy = bucket.bucket.redundancy;
        let raw: u64 = self
            .goods
            .pool
            .lock()
            .candidates()
            .iter()
            .map(|host| host.free)
            .fold(0, u64::saturating_add);
        let free =
            u128::from(raw) * u128::from(redundancy.data()) / u128::from(redundancy.blocks());
        bucket.told(u64::try_from(free).unwrap_or(u64::MAX), short)
    }

    async fn bucket_make(&self, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let BucketMake {
            name,
            owner,
            redundancy,
            quota_bytes,
            quota_objects,
            allow_degraded,
        } = incoming.read()?;
        let service = self.goods.service()?;
        let hosts = host_counts(&self.goods.pool.lock()).all;
        let (redundancy, why) = if let Some(redundancy) = redundancy {
            (redundancy, None)
        } else {
            let (redundancy, why) = Redundancy::default_for(hosts);
            (redundancy, Some(why))
        };
        bearable(redundancy, hosts)?;
        let losses = allow_degraded.unwrap_or(0);
        borne(redundancy, losses)?;
        let bucket = BucketId::generate();
        let create = BucketCreate {
            bucket,
            name,
            owner,
            redundancy,
            object_lock: false,
            quota: Quota {
                bytes: quota_bytes,
                objects: quota_objects,
            },
        };
        service.commit(Change::BucketCreate(create)).await?;
        if losses > 0 {
            let change = Change::BucketLosses { bucket, losses };
            service.commit(change).await?;
        }
        reply(&BucketMade {
            bucket: self.shown(&service, bucket).await?,
            why,
        })
    }

    async fn shown(&self, service: &Service, bucket: BucketId) -> Result<BucketTold, Problem> {
        let read = service.read(move |connection| {
            let found = RuledBucket::read(connection, bucket)?;
            Ok((found, query::short_versions(connection)?))
        });
        let (found, short) = read.await?;
        let found = found.ok_or_else(|| unknown(bucket))?;
        self.told(found, short.get(&bucket).copied().unwrap_or_default())
    }

    async fn bucket_change(&self, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let BucketChange {
            bucket,
            redundancy,
            quota_bytes,
            quota_objects,
            allow_degraded,
            access,
        } = incoming.read()?;
        let service = self.goods.service()?;
        let read = service.read(move |connection| query::bucket(connection, bucket));
        let present = read.await?.ok_or_else(|| unknown(bucket))?;
        let quota = Quota {
            bytes: quota_bytes.over(present.quota.bytes),
            objects: quota_objects.over(present.quota.objects),
        };
        let wanted = redundancy.unwrap_or(present.redundancy);
        if wanted != present.redundancy {
            bearable(wanted, host_counts(&self.goods.pool.lock()).all)?;
        }
        if let Some(losses) = allow_degraded {
            borne(wanted, losses)?;
        }
        if wanted != present.redundancy || quota != present.quota {
            let update = BucketUpdate {
                bucket,
                redundancy: wanted,
                quota,
            };
            service.commit(Change::BucketUpdate(update)).await?;
        }
        if let Some(losses) = allow_degraded.filter(|losses| *losses != present.losses_allowed) {
            let change = Change::BucketLosses { bucket, losses };
            service.commit(change).await?;
        }
        if let Some(access) = access {
            let document = serde_json::to_string(&access)
                .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
            let change = Change::BucketDocument {
                bucket,
                kind: DocumentKind::Access,
                document: Some(document),
            };
            service.commit(change).await?;
        }
        reply(&self.shown(&service, bucket).await?)
    }

    async fn bucket_remove(&self, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let BucketRemove { bucket } = incoming.read()?;
        let service = self.goods.service()?;
        service.commit(Change::BucketDelete { bucket }).await?;
        reply(&Done {})
    }
}

/// Refuses what the pool could never keep so.
fn bearable(redundancy: Redundancy, hosts: u32) -> Result<(), Problem> {
    if u32::from(redundancy.blocks()) <= hosts {
        return Ok(());
    }
    let (fitting, _) = Redundancy::default_for(hosts);
    Err(Problem::new(
        Code::StorageDegraded,
        format!(
            "{redundancy} needs {} Hosts, and the pool has {hosts}: add Hosts, or choose {fitting}.",
            redundancy.blocks()
        ),
    ))
}

/// Refuses to allow more losses than there may be.
fn borne(redundancy: Redundancy, losses: u8) -> Result<(), Problem> {
    let most = redundancy.parity();
    if losses <= most {
        return Ok(());
    }
    Err(Problem::new(
        Code::InvalidRequest,
        format!(
            "What is put as {redundancy} bears the loss of {most} blocks: no more than that may \
             be missing at first."
        ),
    ))
}

pub(crate) fn unknown(bucket: BucketId) -> Problem {
    Problem::new(Code::NotFound, format!("There is no bucket {bucket}."))
}
