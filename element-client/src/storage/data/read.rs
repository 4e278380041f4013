//! From stripes on Hosts to a stream of bytes.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use gridmart_fabric::block::{Fault, hosts_of, piece_end, read_stripe, reader_around};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    wire::storage::{StripeManifest, StripeView},
};
use tokio_util::task::AbortOnDropHandle;

use super::{Damage, DataPlane};
use crate::storage::metadata::{LayoutStripe, ObjectVersion, Readers, query};

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
    stripes: VecDeque<Arc<StripeView>>,
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

    /// The same, which need not ask where these stripes are: in order, the first of
    /// them holds the beginning of the range or comes before it.
    pub(crate) fn knowing(mut self, stripes: Vec<StripeView>) -> Self {
        self.stripes = stripes.into_iter().map(Arc::new).collect();
        self
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
            let StripeManifest {
                redundancy,
                data_length,
                ..
            } = stripe.manifest;
            let to = piece_end(redundancy, data_length, from).min(self.range.end - stripe.start);
            self.range.start = stripe.start + to;
            let fetching = fetch(Arc::clone(&self.plane), stripe, from..to);
            let task = tokio::spawn(fetching);
            self.fetching.push_back(AbortOnDropHandle::new(task));
        }
        Ok(())
    }

    /// The stripe in which the next byte is.
    async fn stripe(&mut self) -> Result<Arc<StripeView>, Problem> {
        let at = self.range.start;
        while let Some(stripe) = self.stripes.front() {
            if at < stripe.start + stripe.manifest.data_length {
                return Ok(Arc::clone(stripe));
            }
            self.stripes.pop_front();
        }
        let (version, range) = (self.version.clone(), self.range.clone());
        let layout = self
            .readers
            .read(move |connection| query::layout(connection, &version, range, LAYOUT_MAX))
            .await?;
        let stripes = layout.stripes.iter().map(LayoutStripe::view);
        self.stripes = stripes.map(Arc::new).collect();
        let first = self.stripes.front().cloned();
        first
            .filter(|stripe| {
                (stripe.start..stripe.start + stripe.manifest.data_length).contains(&at)
            })
            .ok_or_else(|| {
                // Between two pages the version was deleted and collected.
                Problem::new(
                    Code::NotFound,
                    "The object was deleted while it was read; read it again.",
                )
            })
    }
}

async fn fetch(
    plane: Arc<DataPlane>,
    stripe: Arc<StripeView>,
    range: Range<u64>,
) -> Result<Vec<Bytes>, Problem> {
    let manifest = &stripe.manifest;
    let placed = hosts_of(manifest);
    let reader = reader_around(manifest, range, |host| !plane.hosts.is_readable(host))?;
    let read = read_stripe(&*plane.hosts, &placed, reader).await?;
    plane.report(manifest, &placed, &read.faults);
    Ok(read.pieces)
}

impl DataPlane {
    /// Has it noted which blocks are lost.
    fn report(
        &self,
        manifest: &StripeManifest,
        placed: &BTreeMap<u8, NodeId>,
        faults: &[(u8, Fault)],
    ) {
        for (position, fault) in faults {
            let (Some(host), false) = (placed.get(position), matches!(fault, Fault::Away(_)))
            else {
                continue;
            };
            tracing::warn!(stripe = %manifest.stripe, position, %host, %fault, "a block is lost");
            self.suspect(Damage {
                stripe: manifest.stripe,
                position: *position,
                host: *host,
            });
        }
    }
}
