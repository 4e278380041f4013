//! From pieces of data to stripes on Hosts.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use gridmart_fabric::block::{
    PREFIX_BYTES_MAX, StripeIdentity, encode_stripe, payload_bytes, store_stripe, stripe_bytes_max,
};
use gridmart_schemas::{
    id::{BucketId, NodeId, VersionId},
    problem::{Code, Problem},
    storage::Redundancy,
    wire::storage::{
        BlockReplace, HostDoor, StripeManifest, StripePlan, StripesAllocate, StripesAllocated,
    },
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    access::Use,
    hosts::Doors,
    moving::Moving,
    plane::{Plane, odd, passes_by, rest},
    progress::Meter,
};
use crate::error::Error;

/// Bytes of one content that are on their way to Hosts at a time, parity
/// included, if they are of more than one stripe.
const STORING_BYTES_MAX: usize = 96 * 1024 * 1024;
/// Stripes of one content that are on their way at a time.
const STORING_MAX: usize = 8;
/// Stripes for which places are asked at a time.
const PLANNED_MAX: usize = 16;
/// A stripe is tried so often, each time on Hosts that are named anew.
const TRIES_MAX: u32 = 4;

/// What was written: on Hosts, and not shown yet.
pub(super) struct Written {
    pub(super) version: VersionId,
    pub(super) stripes: Vec<StripeManifest>,
    pub(super) receipts: Vec<String>,
}

/// Where a stripe of so many bytes is to go.
struct Planned {
    bytes: u64,
    version: VersionId,
    epoch: u64,
    plan: StripePlan,
    doors: Arc<BTreeMap<NodeId, HostDoor>>,
}

struct Stored {
    manifest: StripeManifest,
    receipts: Vec<String>,
}

/// Whose stripes they are.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) plane: Arc<Plane>,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) redundancy: Redundancy,
    pub(super) meter: Meter,
    /// As the Element knows it.
    pub(super) moving: Arc<Moving>,
}

impl Target {
    /// Finds out how the bucket keeps its stripes.
    pub(super) async fn of(
        plane: Arc<Plane>,
        bucket: String,
        key: String,
        meter: Meter,
    ) -> Result<Self, Error> {
        let pass = plane.pass(&bucket, Use::Write).await?;
        Ok(Self {
            redundancy: pass.bucket.redundancy,
            moving: Moving::put(&plane, &bucket),
            plane,
            bucket,
            key,
            meter,
        })
    }
}

/// Writes the stripes of one content, an object or a part of an upload. What
/// was written is collected by the Element if nobody commits it.
pub(super) struct StripeWriter {
    target: Target,
    version: Option<VersionId>,
    planned: VecDeque<Planned>,
    ordinal: u64,
    storing: VecDeque<AbortOnDropHandle<Result<Stored, Error>>>,
    stored: Vec<Stored>,
}

impl StripeWriter {
    /// `version`: what the blocks are of; absent: of a new one.
    pub(super) fn new(target: Target, version: Option<VersionId>) -> Self {
        Self {
            target,
            version,
            planned: VecDeque::new(),
            ordinal: 0,
            storing: VecDeque::new(),
            stored: Vec::new(),
        }
    }

    /// Takes the data of the next stripe, which is full unless it is the last;
    /// `following`: how much of the content comes after it, as far as that is
    /// known. Waits while too much is on its way.
    pub(super) async fn push(&mut self, data: Bytes, following: u64) -> Result<(), Error> {
        let planned = self.plan(data.len() as u64, following).await?;
        let bytes = encoded_bytes(planned.plan.redundancy, planned.bytes);
        let most = (STORING_BYTES_MAX / bytes.max(1)).clamp(1, STORING_MAX);
        while self.storing.len() >= most {
            self.await_one().await?;
        }
        let held = self.target.plane.hold(bytes).await?;
        let target = self.target.clone();
        let ordinal = self.ordinal;
        self.ordinal += 1;
        let storing = tokio::spawn(async move {
            let stored = store(&target, planned, ordinal, data).await?;
            target.meter.add(stored.manifest.data_length);
            drop(held);
            Ok(stored)
        });
        self.storing.push_back(AbortOnDropHandle::new(storing));
        Ok(())
    }

    /// Waits until all is durable.
    pub(super) async fn finish(mut self) -> Result<Written, Error> {
        while !self.storing.is_empty() {
            self.await_one().await?;
        }
        let mut written = Written {
            // What is empty has no blocks that name one.
            version: self.version.unwrap_or_else(VersionId::generate),
            stripes: Vec::with_capacity(self.stored.len()),
            receipts: Vec::new(),
        };
        for stored in self.stored {
            written.stripes.push(stored.manifest);
            written.receipts.extend(stored.receipts);
        }
        Ok(written)
    }

    /// The oldest first: stripes come in order.
    async fn await_one(&mut self) -> Result<(), Error> {
        let Some(storing) = self.storing.pop_front() else {
            return Ok(());
        };
        let stored = storing.await.map_err(|error| {
            Error::refused(Code::Internal, format!("writing a stripe failed: {error}"))
        })??;
        self.stored.push(stored);
        Ok(())
    }

    /// Where the next stripe goes, and those after it, as far as they are known.
    async fn plan(&mut self, bytes: u64, following: u64) -> Result<Planned, Error> {
        if let Some(planned) = self.planned.pop_front() {
            if planned.bytes == bytes {
                return Ok(planned);
            }
            // The content has ended sooner: the others are nobody's.
            self.planned.clear();
        }
        let most = stripe_bytes_max(self.target.redundancy) as u64;
        let mut stripes = vec![bytes];
        let mut left = following;
        while left > 0 && stripes.len() < PLANNED_MAX {
            stripes.push(left.min(most));
            left -= left.min(most);
        }
        let allocated = allocate(&self.target, self.version, stripes.clone()).await?;
        self.version = Some(allocated.version);
        self.planned = planned(allocated, &stripes).into();
        let first = self.planned.pop_front();
        first.ok_or_else(|| odd("it has planned no stripe").into())
    }
}

fn encoded_bytes(redundancy: Redundancy, bytes: u64) -> usize {
    let payload = payload_bytes(redundancy, bytes).unwrap_or_default();
    // The copies of a replica share its bytes.
    let blocks = match redundancy.data() {
        1 => 1,
        _ => usize::from(redundancy.blocks()),
    };
    blocks * (payload + PREFIX_BYTES_MAX)
}

async fn allocate(
    target: &Target,
    version: Option<VersionId>,
    stripes: Vec<u64>,
) -> Result<StripesAllocated, Error> {
    let request = |bucket| StripesAllocate {
        bucket,
        version,
        stripes: stripes.clone(),
        key: Some(target.key.clone()),
        redundancy: Some(target.redundancy),
        transfer: target.moving.mark(),
    };
    let allocated = target
        .plane
        .ask(&target.bucket, Use::Write, request)
        .await?;
    if allocated.stripes.len() != stripes.len()
        || version.is_some_and(|version| version != allocated.version)
    {
        return Err(odd("it has planned other stripes than were asked for").into());
    }
    target.moving.named(allocated.transfer);
    Ok(allocated)
}

fn planned(allocated: StripesAllocated, stripes: &[u64]) -> Vec<Planned> {
    let StripesAllocated {
        version,
        epoch,
        stripes: plans,
        hosts,
        transfer: _,
    } = allocated;
    let doors = Arc::new(hosts);
    let one = |(plan, bytes): (StripePlan, &u64)| Planned {
        bytes: *bytes,
        version,
        epoch,
        plan,
        doors: Arc::clone(&doors),
    };
    plans.into_iter().zip(stripes).map(one).collect()
}

/// Writes a stripe; anew and elsewhere, if it cannot be written where it was to go.
async fn store(
    target: &Target,
    mut planned: Planned,
    ordinal: u64,
    data: Bytes,
) -> Result<Stored, Error> {
    let pass = target.plane.pass(&target.bucket, Use::Write).await?;
    let mut failures = 0;
    loop {
        let bucket = pass.bucket.id;
        let error = match store_once(target, &planned, bucket, ordinal, &data).await {
            Ok(stored) => return Ok(stored),
            Err(problem) => problem,
        };
        failures += 1;
        let may_help = passes_by(error.code) || error.code == Code::LimitExceeded;
        if failures >= TRIES_MAX || !may_help {
            return Err(error.into());
        }
        tracing::debug!(%error, failures, "a stripe is written anew");
        rest(failures).await;
        let bytes = vec![planned.bytes];
        let allocated = allocate(target, Some(planned.version), bytes.clone()).await?;
        if let Some(other) = self::planned(allocated, &bytes).pop() {
            planned = other;
        }
    }
}

async fn store_once(
    target: &Target,
    planned: &Planned,
    bucket: BucketId,
    ordinal: u64,
    data: &Bytes,
) -> Result<Stored, Problem> {
    let least = usize::from(planned.plan.least());
    let StripePlan {
        stripe,
        redundancy,
        hosts: chosen,
        least: _,
    } = planned.plan.clone();
    if !(least..=redundancy.blocks().into()).contains(&chosen.len()) {
        return Err(odd("a stripe has more or fewer Hosts than blocks"));
    }
    let identity = StripeIdentity {
        redundancy,
        bucket,
        version: planned.version,
        stripe,
        ordinal,
        stripe_bytes: planned.bytes,
        epoch: planned.epoch,
    };
    let blocks = encode_stripe(identity, vec![data.clone()]).await?;
    let doors = Doors::new(&target.plane.hosts, &planned.doors);
    let replace = |_, used| replacement(target, planned, &doors, used);
    let stored = store_stripe(&doors, blocks, (chosen, least), replace).await;
    let blocks = stored.map_err(|(_, problem)| problem)?;
    Ok(Stored {
        manifest: StripeManifest {
            stripe,
            data_length: planned.bytes,
            redundancy,
            blocks,
        },
        receipts: doors.into_receipts(),
    })
}

/// Another Host for a block that one does not take.
async fn replacement(
    target: &Target,
    planned: &Planned,
    doors: &Doors<'_>,
    used: Vec<NodeId>,
) -> Result<NodeId, Problem> {
    if doors.is_ticket_refused() {
        return Err(Problem::new(
            Code::TicketExpired,
            "A Host does not take the ticket for a block any more.",
        ));
    }
    let request = |bucket| BlockReplace {
        bucket,
        version: planned.version,
        stripe_bytes: planned.bytes,
        used: used.clone(),
        redundancy: Some(target.redundancy),
        transfer: target.moving.mark(),
    };
    // Once: if it fails, the whole stripe is planned anew.
    let asked = target
        .plane
        .ask_once(&target.bucket, Use::Write, request)
        .await;
    let replaced = asked.map_err(|error| error.to_problem())?;
    doors.add(replaced.host, replaced.door);
    Ok(replaced.host)
}
