//! The storage stream to one Element: dialled when it is used, dialled again
//! when it is lost, with the buckets that are used opened on it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    stream::{Handler, Incoming, Peer, StreamLimits, dial},
    tls::ClientTls,
};
use gridmart_schemas::{
    api::access::ElementAccess,
    id::{BucketId, NodeId},
    problem::{Code, Problem},
    role::NodeKind,
    wire::storage::StorageOpen,
};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::access::{Pass, Use};

/// The Element's door for storage.
const STORAGE_PATH: &str = "/v1/storage";
/// Time for the answer to a ticket.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// One Element's storage stream.
pub(super) struct ElementStream {
    element: NodeId,
    tls: ClientTls,
    /// Name and addresses, as the newest pass tells them.
    address: Mutex<(String, Vec<String>)>,
    peer: Mutex<Option<Arc<Opened>>>,
    dialling: tokio::sync::Mutex<()>,
}

/// A stream, and with which passes buckets were opened on it.
struct Opened {
    peer: Peer,
    buckets: Mutex<HashMap<BucketId, Arc<Pass>>>,
    opening: tokio::sync::Mutex<()>,
}

impl ElementStream {
    pub(super) fn new(access: &ElementAccess, tls: ClientTls) -> Self {
        Self {
            element: access.element,
            tls,
            address: Mutex::new((access.name.clone(), access.endpoints.clone())),
            peer: Mutex::default(),
            dialling: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn update(&self, access: &ElementAccess) {
        let mut address = self.address.lock();
        if address.1 != access.endpoints {
            *address = (access.name.clone(), access.endpoints.clone());
        }
    }

    /// A stream on which the pass's bucket is open for this.
    pub(super) async fn opened(&self, pass: &Arc<Pass>, usage: Use) -> Result<Peer, Problem> {
        let opened = self.connected().await?;
        opened.open(pass, usage).await?;
        Ok(opened.peer.with_request_id(pass.request))
    }

    /// The ticket was refused: the bucket is opened again before it is used.
    pub(super) fn forget(&self, bucket: BucketId) {
        if let Some(opened) = self.current() {
            opened.buckets.lock().remove(&bucket);
        }
    }

    /// The stream if there is one; for what is said without being waited for.
    pub(super) fn present(&self) -> Option<Peer> {
        self.current().map(|opened| opened.peer.clone())
    }

    fn current(&self) -> Option<Arc<Opened>> {
        let opened = self.peer.lock().clone();
        opened.filter(|opened| !opened.peer.is_closed())
    }

    async fn connected(&self) -> Result<Arc<Opened>, Problem> {
        if let Some(opened) = self.current() {
            return Ok(opened);
        }
        let _one_at_a_time = self.dialling.lock().await;
        if let Some(opened) = self.current() {
            return Ok(opened);
        }
        let (name, endpoints) = self.address.lock().clone();
        let dialled = dial(
            &endpoints,
            (self.element, NodeKind::StorageElement),
            &self.tls,
            STORAGE_PATH,
            Arc::new(Silence),
            StreamLimits::programs(),
        )
        .await;
        let peer = dialled.map_err(|problem| match problem.code {
            Code::CertificateRefused | Code::NodeRevoked => problem,
            _ => Problem::new(
                Code::ElementDown,
                format!("Element {name} cannot be reached: {}", problem.detail),
            ),
        })?;
        let opened = Arc::new(Opened {
            peer,
            buckets: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        });
        *self.peer.lock() = Some(Arc::clone(&opened));
        Ok(opened)
    }

    pub(super) async fn close(&self) {
        let opened = self.peer.lock().take();
        if let Some(opened) = opened {
            opened.peer.close();
            opened.peer.finished().await;
        }
    }
}

impl Drop for ElementStream {
    fn drop(&mut self) {
        if let Some(opened) = self.peer.lock().take() {
            opened.peer.close();
        }
    }
}

impl Opened {
    async fn open(&self, pass: &Arc<Pass>, usage: Use) -> Result<(), Problem> {
        let bucket = pass.bucket.id;
        let is_open = || {
            let buckets = self.buckets.lock();
            buckets.get(&bucket).is_some_and(|pass| pass.serves(usage))
        };
        if is_open() {
            return Ok(());
        }
        let _one_at_a_time = self.opening.lock().await;
        if is_open() {
            return Ok(());
        }
        let open = StorageOpen {
            ticket: pass.element.ticket.clone(),
        };
        let opened = self.peer.ask(&open, OPEN_TIMEOUT).await?;
        if opened.bucket != bucket {
            return Err(Problem::new(
                Code::TicketForeign,
                format!(
                    "The Element opened the bucket {} instead of {bucket}.",
                    opened.bucket
                ),
            ));
        }
        self.buckets.lock().insert(bucket, Arc::clone(pass));
        Ok(())
    }
}

/// An Element says nothing on its own account.
struct Silence;

impl Handler for Silence {
    fn on_request<'a>(
        &'a self,
        _peer: &'a Peer,
        request: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        Box::pin(async move { Err(request.unknown()) })
    }

    fn on_notice<'a>(&'a self, _peer: &'a Peer, notice: Incoming) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            tracing::debug!(kind = notice.kind, "a notice of a newer Element is ignored");
        })
    }
}
