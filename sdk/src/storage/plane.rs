//! What all transfers of a client share: the streams to Elements, the ways to
//! Hosts, and the memory that may be held.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gridmart_fabric::{stream::Backoff, tls::ClientTls};
use gridmart_schemas::{
    api::{access::ElementAccess, bucket::BucketAccessRequest},
    id::{BucketId, KeyHash, NodeId},
    problem::{Code, Problem},
    wire::{
        Notice, Request,
        staging::BucketGrant,
        storage::{ObjectCommitted, ObjectCopy},
    },
};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::{
    access::{AccessSource, Pass, Passes, Use},
    element::ElementStream,
    hosts::HostClients,
};
use crate::error::Error;

/// Time for an answer of the Element: it waits for its Hosts to have a change.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a copy, whose bytes all go through the Element; it ends with the
/// stream.
const COPY_TIMEOUT: Duration = Duration::from_hours(12);
/// A request is sent so often, at most, while it might help.
const TRIES_MAX: u32 = 8;
/// Pauses between: nine seconds to twenty in all, in which an Element starts.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    most: Duration::from_secs(8),
};
/// Bytes that all puts of a client may have on their way to Hosts, parity
/// included. Beside them each put fills one stripe.
const STORING_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What memory is counted in.
const MEMORY_UNIT: usize = 64 * 1024;

/// Memory for what is on its way to Hosts; clones are the same.
#[derive(Clone, Debug)]
pub struct TransferMemory(Arc<Semaphore>, usize);

impl TransferMemory {
    /// So many bytes for all puts that share it; one stripe may be longer, alone.
    pub fn new(bytes: usize) -> Self {
        let units = (bytes / MEMORY_UNIT).max(1);
        Self(Arc::new(Semaphore::new(units)), units)
    }

    /// Waits until so much memory may be held.
    async fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let units = bytes.div_ceil(MEMORY_UNIT).min(self.1);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let held = Arc::clone(&self.0).acquire_many_owned(units).await;
        held.map_err(|_| Error::refused(Code::Terminated, "the client was closed"))
    }
}

impl Default for TransferMemory {
    /// What the puts of a client have.
    fn default() -> Self {
        Self::new(STORING_BYTES_MAX)
    }
}

/// See the module.
pub(crate) struct Plane {
    passes: Passes,
    tls: ClientTls,
    elements: Mutex<HashMap<NodeId, Arc<ElementStream>>>,
    pub(super) hosts: HostClients,
    storing: TransferMemory,
    /// What has last words to say when the client closes.
    pub(super) tasks: TaskTracker,
}

impl Plane {
    pub(crate) fn new(
        source: Arc<dyn AccessSource>,
        presenter: KeyHash,
        tls: &ClientTls,
        memory: TransferMemory,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            passes: Passes::new(source, presenter),
            tls: tls.clone(),
            elements: Mutex::default(),
            hosts: HostClients::new(tls.clone()),
            storing: memory,
            tasks,
        }
    }

    /// Asks for a ticket that a Host of this client's calls will show.
    pub(crate) async fn grant(&self, request: BucketAccessRequest) -> Result<BucketGrant, Error> {
        self.passes.grant(request).await
    }

    /// What the bucket is, and where.
    pub(super) async fn pass(&self, bucket: &str, usage: Use) -> Result<Arc<Pass>, Error> {
        self.passes.get(bucket, usage).await
    }

    /// Asks the bucket's Element; again, if it is away or its stream is lost.
    /// For what may be done twice.
    pub(super) async fn ask<R: Request>(
        &self,
        bucket: &str,
        usage: Use,
        request: impl Fn(BucketId) -> R,
    ) -> Result<R::Answer, Error> {
        let mut failures = 0;
        loop {
            let error = match self.ask_once(bucket, usage, &request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            if !self.pause(bucket, failures, &error).await {
                return Err(error);
            }
        }
    }

    /// Waits before a request that failed is sent again, if that might help.
    pub(super) async fn pause(&self, bucket: &str, failures: u32, error: &Error) -> bool {
        let may_help = match error {
            // The controller was there when the transfer began.
            Error::Unreachable { .. } => self.passes.was_known(bucket),
            other => other.code().is_some_and(passes_by),
        };
        if !may_help || failures >= TRIES_MAX {
            return false;
        }
        tracing::debug!(%error, failures, "asking the Element again");
        tokio::time::sleep(BACKOFF.pause(failures)).await;
        true
    }

    pub(super) async fn ask_once<R: Request>(
        &self,
        bucket: &str,
        usage: Use,
        request: impl Fn(BucketId) -> R,
    ) -> Result<R::Answer, Error> {
        self.ask_within(ANSWER_TIMEOUT, bucket, usage, request)
            .await
    }

    async fn ask_within<R: Request>(
        &self,
        patience: Duration,
        bucket: &str,
        usage: Use,
        request: impl Fn(BucketId) -> R,
    ) -> Result<R::Answer, Error> {
        let pass = self.passes.get(bucket, usage).await?;
        let element = self.element(&pass.element);
        let asked = async {
            let peer = element.opened(&pass, usage).await?;
            peer.ask(&request(pass.bucket.id), patience).await
        };
        asked.await.map_err(|problem| {
            if is_of_ticket(problem.code) {
                self.passes.forget(&pass);
                element.forget(pass.bucket.id);
            }
            problem.into()
        })
    }

    /// Has the Element of two buckets copy from one to the other.
    pub(super) async fn ask_to_copy(
        &self,
        copy: impl Fn(BucketId) -> ObjectCopy,
        from: &str,
        to: &str,
    ) -> Result<ObjectCommitted, Error> {
        let mut failures = 0;
        loop {
            let asked = async {
                let pass = self.passes.get(from, Use::Read).await?;
                self.element(&pass.element).opened(&pass, Use::Read).await?;
                self.ask_within(COPY_TIMEOUT, to, Use::Write, &copy).await
            };
            let error = match asked.await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            if !self.pause(to, failures, &error).await {
                return Err(error);
            }
        }
    }

    /// Tells the bucket's Element, if that can be done at once.
    pub(super) fn tell<N: Notice>(&self, element: NodeId, notice: &N) {
        let known = self.elements.lock().get(&element).cloned();
        if let Some(peer) = known.and_then(|element| element.present()) {
            // It is found again by the next read.
            let _ = peer.try_tell(notice);
        }
    }

    /// The same for the Element of a bucket that was used before.
    pub(super) fn tell_of<N: Notice>(&self, bucket: &str, notice: &N) {
        if let Some(pass) = self.passes.last(bucket) {
            self.tell(pass.element.element, notice);
        }
    }

    /// Waits until so much memory may be held.
    pub(super) async fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        self.storing.hold(bytes).await
    }

    fn element(&self, access: &ElementAccess) -> Arc<ElementStream> {
        let mut elements = self.elements.lock();
        let element = elements
            .entry(access.element)
            .or_insert_with(|| Arc::new(ElementStream::new(access, self.tls.clone())));
        element.update(access);
        Arc::clone(element)
    }

    pub(crate) async fn close(&self) {
        let elements: Vec<_> = {
            let mut elements = self.elements.lock();
            elements.drain().map(|(_, element)| element).collect()
        };
        for element in elements {
            element.close().await;
        }
    }
}

/// The pause before a part of a transfer is tried again.
pub(super) async fn rest(failures: u32) {
    tokio::time::sleep(BACKOFF.pause(failures)).await;
}

/// Whether what was refused so may be granted soon.
pub(super) fn passes_by(code: Code) -> bool {
    is_of_ticket(code)
        || matches!(
            code,
            Code::ElementDown
                | Code::HostDown
                | Code::NotAccepting
                | Code::Unavailable
                | Code::TimedOut
                | Code::Busy
                | Code::RateLimited
                | Code::StorageDegraded
        )
}

/// Whether a new ticket helps.
pub(super) const fn is_of_ticket(code: Code) -> bool {
    matches!(
        code,
        Code::TicketExpired | Code::TicketInvalid | Code::TicketCut | Code::TicketForeign
    )
}

/// An answer that does not fit its question.
pub(super) fn odd(what: &str) -> Problem {
    Problem::new(
        Code::VersionUnsupported,
        format!("The Element's answer cannot be used: {what}."),
    )
}
