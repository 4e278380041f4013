//! From a stream of bytes to stripes on Hosts.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use gridmart_fabric::block::{
    PREFIX_BYTES_MAX, StripeIdentity, encode_stripe, payload_bytes, store_stripe, stripe_bytes_max,
    stripe_redundancy,
};
use gridmart_schemas::{
    id::{BlockId, NodeId, StripeId},
    problem::{Code, Problem},
    wire::storage::BlockPlace,
};
use tokio::task::JoinHandle;

use super::{BUDGET_UNIT, DataPlane, DataTarget, STORING_BYTES_MAX};
use crate::storage::{
    metadata::{PlacedBlock, Stripe},
    placement::{choose_for_repair, choose_least},
};

/// Stripes of one writer that are on their way at a time.
const STORING_MAX: usize = 2;

/// Writes bytes as they come. Dropped before [`DataWriter::finish`], it has what
/// it wrote deleted again.
pub(crate) struct DataWriter {
    plane: Arc<DataPlane>,
    target: DataTarget,
    pieces: Vec<Bytes>,
    buffered: usize,
    ordinal: u64,
    storing: Vec<JoinHandle<Result<Stripe, Problem>>>,
    stored: Vec<Stripe>,
}

impl DataWriter {
    pub(crate) fn new(plane: Arc<DataPlane>, target: DataTarget) -> Self {
        Self {
            plane,
            target,
            pieces: Vec::new(),
            buffered: 0,
            ordinal: 0,
            storing: Vec::new(),
            stored: Vec::new(),
        }
    }

    /// Takes the next bytes; waits while too many are on their way.
    pub(crate) async fn push(&mut self, mut bytes: Bytes) -> Result<(), Problem> {
        let most = stripe_bytes_max(self.target.redundancy);
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(most - self.buffered));
            self.buffered += piece.len();
            self.pieces.push(piece);
            if self.buffered == most {
                self.store().await?;
            }
        }
        Ok(())
    }

    /// The stripes of all that was pushed, durable on Hosts. Whoever does not
    /// name them in a change then gives them to [`DataPlane::discard`].
    pub(crate) async fn finish(mut self) -> Result<Vec<Stripe>, Problem> {
        if self.buffered > 0 {
            self.store().await?;
        }
        while !self.storing.is_empty() {
            self.await_one().await?;
        }
        Ok(std::mem::take(&mut self.stored))
    }

    async fn store(&mut self) -> Result<(), Problem> {
        while self.storing.len() >= STORING_MAX {
            self.await_one().await?;
        }
        let stripe_bytes = self.buffered as u64;
        let identity = StripeIdentity {
            redundancy: stripe_redundancy(self.target.redundancy, stripe_bytes),
            bucket: self.target.bucket,
            version: self.target.version,
            stripe: StripeId::generate(),
            ordinal: self.ordinal,
            stripe_bytes,
            epoch: (self.plane.epoch)(),
        };
        let pieces = std::mem::take(&mut self.pieces);
        self.buffered = 0;
        self.ordinal += 1;
        let plane = Arc::clone(&self.plane);
        let least = identity.redundancy.least(self.target.losses);
        self.storing
            .push(tokio::spawn(store(plane, identity, least, pieces)));
        Ok(())
    }

    /// The oldest first: stripes come in order.
    async fn await_one(&mut self) -> Result<(), Problem> {
        let stripe = joined(self.storing.remove(0).await)?;
        self.stored.push(stripe);
        Ok(())
    }
}

impl Drop for DataWriter {
    fn drop(&mut self) {
        let (storing, mut stored) = (
            std::mem::take(&mut self.storing),
            std::mem::take(&mut self.stored),
        );
        if storing.is_empty() && stored.is_empty() {
            return;
        }
        let plane = Arc::clone(&self.plane);
        tokio::spawn(async move {
            for stripe in storing {
                stored.extend(joined(stripe.await));
            }
            plane.discard(&stored).await;
        });
    }
}

fn joined<T>(ended: Result<Result<T, Problem>, tokio::task::JoinError>) -> Result<T, Problem> {
    ended.unwrap_or_else(|error| {
        tracing::error!(%error, "writing a stripe has failed");
        Err(Problem::new(
            Code::Internal,
            "The Element failed to write a stripe.",
        ))
    })
}

impl DataPlane {
    /// Deletes the blocks of stripes that no change names, nor will.
    pub(crate) async fn discard(&self, stripes: &[Stripe]) {
        let mut blocks: BTreeMap<NodeId, Vec<BlockId>> = BTreeMap::new();
        for stripe in stripes {
            for block in &stripe.blocks {
                let id = BlockId {
                    stripe: stripe.id,
                    position: block.position,
                };
                blocks.entry(block.host).or_default().push(id);
            }
        }
        self.hosts.delete(blocks).await;
    }
}

async fn store(
    plane: Arc<DataPlane>,
    identity: StripeIdentity,
    least: u8,
    pieces: Vec<Bytes>,
) -> Result<Stripe, Problem> {
    let bytes = usize::try_from(identity.stripe_bytes).unwrap_or(STORING_BYTES_MAX);
    let units = u32::try_from(bytes.div_ceil(BUDGET_UNIT)).unwrap_or(u32::MAX);
    let acquired = plane.storing.acquire_many(units).await;
    let _place = acquired.map_err(|_| Problem::new(Code::Unavailable, "The Element is ending."))?;
    let payload = payload_bytes(identity.redundancy, identity.stripe_bytes).unwrap_or(bytes);
    let encoded = (payload + PREFIX_BYTES_MAX) as u64;
    let chosen = choose_least(
        &plane.hosts.candidates(),
        (identity.redundancy.blocks().into(), least.into()),
        encoded,
        rand::random(),
    )?;
    let blocks = encode_stripe(identity, pieces).await?;
    let replace = |_, used: Vec<NodeId>| {
        let hosts = plane.hosts.candidates();
        let other = choose_for_repair(&hosts, &used, encoded, rand::random());
        std::future::ready(other.map_err(Problem::from))
    };
    let stripe = |stored: Vec<BlockPlace>| Stripe {
        id: identity.stripe,
        data_length: identity.stripe_bytes,
        redundancy: identity.redundancy,
        payload_length: payload as u64,
        blocks: stored.into_iter().map(PlacedBlock::from).collect(),
    };
    match store_stripe(&*plane.hosts, blocks, (chosen, least.into()), replace).await {
        Ok(stored) => Ok(stripe(stored)),
        Err((stored, problem)) => {
            plane.discard(&[stripe(stored)]).await;
            Err(problem)
        }
    }
}
