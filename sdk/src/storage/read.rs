//! From stripes on Hosts to a stream of bytes.
//!
//! Invariants: all bytes are of one version, the one that the first answer
//! named; what is given was verified; no more than [`AHEAD_MAX`] pieces are
//! held, however long the object.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};
use gridmart_fabric::block::{Fault, hosts_of, piece_end, read_stripe, reader_around};
use gridmart_schemas::{
    id::{NodeId, VersionId},
    problem::{Code, Problem},
    wire::storage::{
        BlockFault, HostDoor, ObjectOpen, ObjectOpened, ObjectView, StripeManifest, StripeView,
    },
};
use tokio::io::AsyncRead;
use tokio_util::{io::StreamReader, task::AbortOnDropHandle};

use super::{
    access::Use,
    hosts::Doors,
    moving::Moving,
    plane::{Plane, odd, passes_by, rest},
    progress::Meter,
};
use crate::error::Error;

/// Pieces that are fetched ahead of whoever reads: 16 MiB; as many times more
/// as a stripe has data blocks where lost ones are rebuilt.
const AHEAD_MAX: usize = 8;
/// Stripes whose places are asked for at a time.
const STRIPES_ASKED: u32 = 16;
/// A piece is tried so often, each time from where its blocks are then.
const TRIES_MAX: u32 = 4;

type Fetching = AbortOnDropHandle<Result<Vec<Bytes>, Error>>;

/// A stripe, and the way to its blocks.
struct Place {
    stripe: StripeView,
    doors: Arc<BTreeMap<NodeId, HostDoor>>,
}

/// What is read.
struct Origin {
    plane: Arc<Plane>,
    bucket: String,
    key: String,
    /// Where what is wanted ends.
    to: u64,
    /// As the Element knows it.
    moving: Arc<Moving>,
}

/// Reads a range of an object. Dropping it ends what is on its way.
pub struct ObjectReader {
    origin: Arc<Origin>,
    object: ObjectView,
    /// What is not asked for yet.
    range: Range<u64>,
    /// Bytes that were not given yet.
    left: u64,
    /// Stripes that hold the beginning of it.
    places: VecDeque<Arc<Place>>,
    fetching: VecDeque<Fetching>,
    ready: VecDeque<Bytes>,
    meter: Meter,
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectReader")
            .field("object", &self.object)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl ObjectReader {
    /// Opens an object; `range` is cut where the object ends.
    pub(super) async fn open(
        plane: Arc<Plane>,
        bucket: String,
        key: String,
        version: Option<VersionId>,
        range: Range<u64>,
        mut meter: Meter,
    ) -> Result<Self, Error> {
        let origin = Origin {
            moving: Moving::get(&plane, &bucket),
            plane,
            bucket,
            key,
            to: range.end,
        };
        let opened = origin.opened(version, range.start, STRIPES_ASKED).await?;
        let (object, places) = places(opened);
        let range = range.start.min(object.size)..range.end.min(object.size);
        let left = range.end.saturating_sub(range.start);
        meter.expect(Some(left));
        Ok(Self {
            origin: Arc::new(origin),
            object,
            range,
            left,
            places,
            fetching: VecDeque::new(),
            ready: VecDeque::new(),
            meter,
        })
    }

    /// What the object is.
    pub const fn object(&self) -> &ObjectView {
        &self.object
    }

    /// Bytes that are still to come.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes; `None` after the last. After an error nothing more comes.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let next = self.advance().await;
        match &next {
            Ok(Some(piece)) => {
                let bytes = piece.len() as u64;
                self.left = self.left.saturating_sub(bytes);
                self.meter.add(bytes);
                self.origin.moving.add(bytes);
                if self.left == 0 {
                    self.origin.moving.complete();
                }
            }
            Ok(None) => self.origin.moving.complete(),
            Err(error) => {
                self.origin.moving.fail(error);
                self.range.start = self.range.end;
                self.fetching.clear();
            }
        }
        next
    }

    /// As a stream of pieces.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        stream::try_unfold(self, |mut reader| async move {
            Ok(reader.next().await?.map(|piece| (piece, reader)))
        })
    }

    /// As a reader of bytes.
    pub fn into_async_read(self) -> impl AsyncRead + Send {
        StreamReader::new(Box::pin(self.into_stream().map_err(io::Error::other)))
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            self.go_ahead().await?;
            let Some(fetching) = self.fetching.pop_front() else {
                return Ok(None);
            };
            let fetched = fetching.await.map_err(|error| {
                Error::refused(Code::Internal, format!("reading a stripe failed: {error}"))
            })?;
            self.ready.extend(fetched?);
        }
    }

    /// Begins to fetch what follows.
    async fn go_ahead(&mut self) -> Result<(), Error> {
        while self.fetching.len() < AHEAD_MAX && self.range.start < self.range.end {
            let place = self.place().await?;
            let StripeView { start, manifest } = &place.stripe;
            let from = self.range.start - start;
            let to = piece_end(manifest.redundancy, manifest.data_length, from)
                .min(self.range.end - start);
            self.range.start = start + to;
            let fetching = fetch(
                Arc::clone(&self.origin),
                self.object.version,
                place,
                from..to,
            );
            self.fetching
                .push_back(AbortOnDropHandle::new(tokio::spawn(fetching)));
        }
        Ok(())
    }

    /// The stripe in which the next byte is.
    async fn place(&mut self) -> Result<Arc<Place>, Error> {
        let at = self.range.start;
        while self.places.front().is_some_and(|place| place.end() <= at) {
            self.places.pop_front();
        }
        if self.places.is_empty() {
            let opened = self
                .origin
                .opened(Some(self.object.version), at, STRIPES_ASKED);
            (_, self.places) = places(opened.await?);
        }
        let first = self.places.front().filter(|place| place.holds(at));
        first
            .cloned()
            .ok_or_else(|| odd("its stripes do not hold the byte that was asked for").into())
    }
}

impl Place {
    fn end(&self) -> u64 {
        let StripeView { start, manifest } = &self.stripe;
        start.saturating_add(manifest.data_length)
    }

    fn holds(&self, at: u64) -> bool {
        (self.stripe.start..self.end()).contains(&at)
    }
}

fn places(opened: ObjectOpened) -> (ObjectView, VecDeque<Arc<Place>>) {
    let ObjectOpened {
        object,
        stripes,
        hosts,
        transfer: _,
    } = opened;
    let doors = Arc::new(hosts);
    let place = |stripe| {
        Arc::new(Place {
            stripe,
            doors: Arc::clone(&doors),
        })
    };
    (object, stripes.into_iter().map(place).collect())
}

impl Origin {
    async fn opened(
        &self,
        version: Option<VersionId>,
        from: u64,
        stripes: u32,
    ) -> Result<ObjectOpened, Error> {
        let request = |bucket| ObjectOpen {
            bucket,
            key: self.key.clone(),
            version,
            from,
            stripes,
            to: Some(self.to),
            transfer: self.moving.mark(),
        };
        let opened = self.plane.ask(&self.bucket, Use::Read, request).await?;
        if version.is_some_and(|version| version != opened.object.version) {
            return Err(odd("it is of another version than was asked for").into());
        }
        self.moving.named(opened.transfer);
        Ok(opened)
    }
}

/// Fetches a piece; when it cannot be had, once more from where its blocks are
/// by then, with new tickets.
async fn fetch(
    origin: Arc<Origin>,
    version: VersionId,
    mut place: Arc<Place>,
    range: Range<u64>,
) -> Result<Vec<Bytes>, Error> {
    let mut failures = 0;
    loop {
        let problem = match fetch_once(&origin, &place, range.clone()).await {
            Ok(pieces) => return Ok(pieces),
            Err(problem) => problem,
        };
        failures += 1;
        if failures >= TRIES_MAX || !passes_by(problem.code) {
            return Err(problem.into());
        }
        tracing::debug!(%problem, failures, "a piece of an object is fetched anew");
        rest(failures).await;
        let at = place.stripe.start + range.start;
        let (_, others) = places(origin.opened(Some(version), at, 1).await?);
        let other = others
            .into_iter()
            .next()
            .filter(|other| other.stripe.start == place.stripe.start && other.end() == place.end());
        place = other.ok_or_else(|| odd("the stripes of a version are not what they were"))?;
    }
}

async fn fetch_once(
    origin: &Origin,
    place: &Place,
    range: Range<u64>,
) -> Result<Vec<Bytes>, Problem> {
    let clients = &origin.plane.hosts;
    let manifest = &place.stripe.manifest;
    let placed = hosts_of(manifest);
    let reader = reader_around(manifest, range, |host| clients.is_away(host))?;
    let doors = Doors::new(clients, &place.doors);
    let read = read_stripe(&doors, &placed, reader).await?;
    for (position, fault) in &read.faults {
        let Some(host) = placed.get(position).copied() else {
            continue;
        };
        match fault {
            Fault::Away(Code::TimedOut) => clients.set_away(host),
            Fault::Away(_) => {}
            Fault::Missing | Fault::Damaged(_) => {
                tracing::warn!(stripe = %manifest.stripe, position, %host, %fault, "a block is lost");
                report(origin, manifest, *position, host).await;
            }
        }
    }
    Ok(read.pieces)
}

/// Has the Element note that a block is lost.
async fn report(origin: &Origin, manifest: &StripeManifest, position: u8, host: NodeId) {
    if let Ok(pass) = origin.plane.pass(&origin.bucket, Use::Read).await {
        let fault = BlockFault {
            bucket: pass.bucket.id,
            stripe: manifest.stripe,
            position,
            host,
        };
        origin.plane.tell(pass.element.element, &fault);
    }
}
