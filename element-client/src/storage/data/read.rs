//! From stripes on Hosts to a stream of bytes.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use gridmart_fabric::block::{Fault, KnownStripe, StripeReader, piece_end, read_stripe};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    storage::BlockRoot,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Damage, DataPlane};
use crate::storage::metadata::{LayoutStripe, ObjectVersion, PlacedBlock, Readers, query};

/// Pieces that are fetched ahead of whoever reads.
const AHEAD_MAX: usize = 6;
/// Stripes whose places are asked for at a time.
const LAYOUT_MAX: usize = 64;

type Fetching = AbortOnDropHandle<Result<Vec<Bytes>, Problem>>;

/// Reads a range of an object version. Dropping it ends what is on its way.
pub(crate) struct DataReader {
    plane: Arc<DataPlane>,
    readers: Readers,
    version: ObjectVersion,
    /// What is not asked for yet.
    range: Range<u64>,
    /// Stripes that hold the beginning of it.
    stripes: VecDeque<Arc<LayoutStripe>>,
    fetching: VecDeque<Fetching>,
    ready: VecDeque<Bytes>,
}

impl DataReader {
    pub(crate) fn new(
        plane: Arc<DataPlane>,
        readers: Readers,
        version: ObjectVersion,
        range: Range<u64>,
    ) -> Self {
        let range = range.start..range.end.min(version.size);
        Self {
            plane,
            readers,
            version,
            range,
            stripes: VecDeque::new(),
            fetching: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next bytes; `None` after the last. After an error nothing more comes.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(Ok(piece));
            }
            if let Err(problem) = self.go_ahead().await {
                return Some(Err(self.ended(problem)));
            }
            let fetched = self.fetching.pop_front()?.await;
            match fetched {
                Ok(Ok(pieces)) => self.ready.extend(pieces),
                Ok(Err(problem)) => return Some(Err(self.ended(problem))),
                Err(error) => {
                    tracing::error!(%error, "reading a stripe has failed");
                    let problem = Problem::new(Code::Internal, "The Element failed to read data.");
                    return Some(Err(self.ended(problem)));
                }
            }
        }
    }

    fn ended(&mut self, problem: Problem) -> Problem {
        self.range.start = self.range.end;
        self.fetching.clear();
        problem
    }

    /// Begins to fetch what follows.
    async fn go_ahead(&mut self) -> Result<(), Problem> {
        while self.fetching.len() < AHEAD_MAX && self.range.start < self.range.end {
            let stripe = self.stripe().await?;
            let from = self.range.start - stripe.start;
            let to = piece_end(stripe.redundancy, stripe.data_length, from)
                .min(self.range.end - stripe.start);
            self.range.start = stripe.start + to;
            let fetching = fetch(Arc::clone(&self.plane), stripe, from..to);
            let task = tokio::spawn(fetching);
            self.fetching.push_back(AbortOnDropHandle::new(task));
        }
        Ok(())
    }

    /// The stripe in which the next byte is.
    async fn stripe(&mut self) -> Result<Arc<LayoutStripe>, Problem> {
        let at = self.range.start;
        while let Some(stripe) = self.stripes.front() {
            if at < stripe.start + stripe.data_length {
                return Ok(Arc::clone(stripe));
            }
            self.stripes.pop_front();
        }
        let (version, range) = (self.version.clone(), self.range.clone());
        let layout = self
            .readers
            .read(move |connection| query::layout(connection, &version, range, LAYOUT_MAX))
            .await?;
        self.stripes = layout.stripes.into_iter().map(Arc::new).collect();
        let first = self.stripes.front().cloned();
        first
            .filter(|stripe| (stripe.start..stripe.start + stripe.data_length).contains(&at))
            .ok_or_else(|| {
                // Between two pages the version was deleted and collected.
                Problem::new(
                    Code::NotFound,
                    "The object was deleted while it was read; read it again.",
                )
            })
    }
}

/// What the metadata say of a stripe; positions that are nowhere have no root
/// that anything could have.
pub(crate) fn known_stripe(stripe: &LayoutStripe) -> Result<KnownStripe, Problem> {
    let none = BlockRoot::new([0; 32]);
    let mut roots = vec![none; stripe.redundancy.blocks().into()];
    for block in &stripe.blocks {
        if let Some(root) = roots.get_mut(usize::from(block.position)) {
            *root = block.root;
        }
    }
    let known = KnownStripe::new(stripe.id, stripe.redundancy, stripe.data_length, roots)?;
    Ok(known)
}

async fn fetch(
    plane: Arc<DataPlane>,
    stripe: Arc<LayoutStripe>,
    range: Range<u64>,
) -> Result<Vec<Bytes>, Problem> {
    let placed: BTreeMap<u8, NodeId> = stripe
        .blocks
        .iter()
        .map(|block| (block.position, block.host))
        .collect();
    let reader = plane.reader(&stripe, range)?;
    let read = read_stripe(&*plane.hosts, &placed, reader).await?;
    plane.report(&stripe, &placed, &read.faults);
    Ok(read.pieces)
}

impl DataPlane {
    /// A reader that asks first those that can answer.
    fn reader(&self, stripe: &LayoutStripe, range: Range<u64>) -> Result<StripeReader, Problem> {
        let known = known_stripe(stripe)?;
        let (there, away): (Vec<&PlacedBlock>, Vec<&PlacedBlock>) = stripe
            .blocks
            .iter()
            .partition(|block| self.hosts.is_readable(block.host));
        // Readers of the same copy spread over its Hosts.
        let turn = rand::random_range(0..there.len().max(1));
        let mut preferred: Vec<u8> = there.iter().map(|block| block.position).collect();
        preferred.rotate_left(turn);
        let mut reader = StripeReader::new(known, range, &preferred);
        let mut without = reader.clone();
        for block in away {
            without.on_fault(block.position, Fault::Away(Code::HostDown));
        }
        if without.can_go_on() {
            reader = without;
        }
        Ok(reader)
    }

    /// Has it noted which blocks are lost.
    fn report(&self, stripe: &LayoutStripe, placed: &BTreeMap<u8, NodeId>, faults: &[(u8, Fault)]) {
        for (position, fault) in faults {
            let (Some(host), false) = (placed.get(position), matches!(fault, Fault::Away(_)))
            else {
                continue;
            };
            tracing::warn!(stripe = %stripe.id, position, %host, %fault, "a block is lost");
            self.suspect(Damage {
                stripe: stripe.id,
                position: *position,
                host: *host,
            });
        }
    }
}
