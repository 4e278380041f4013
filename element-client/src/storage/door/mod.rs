//! `GET /v1/storage`: what programs are told of objects, and where they commit
//! what they have written. Bytes go between them and the Hosts.
//!
//! Invariants: nothing is answered for a bucket without a ticket for it that is
//! in force, and each request is judged anew by the rules as they are now.

mod grant;
mod moving;
mod policy;
mod read;
mod upload;
mod write;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    door::{Request, Response},
    identity::PeerIdentity,
    stream::{Handler, Incoming, Peer, StreamLimits, reply},
    ticket::AccessClaims,
};
use gridmart_schemas::{
    id::{BucketId, KeyHash},
    problem::Problem,
    wire::{
        Notice as _, Request as _,
        storage::{
            BlockFault, BlockReplace, ObjectCommit, ObjectCopy, ObjectDelete, ObjectJudge,
            ObjectList, ObjectOpen, StorageOpen, StripesAllocate, UploadBegin, UploadEnd,
            UploadForget, UploadView,
        },
        transfer::TransferOver,
    },
};
use http::Method;
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::{Se, transfers::StreamNumber};
use crate::element::unknown_path;

/// Where programs come.
const PATH: &str = "/v1/storage";
/// Buckets that may be open on one stream.
const BUCKETS_MAX: usize = 1000;

impl Se {
    /// Answers whoever comes with what only a Storage Element knows.
    pub(super) fn on_visit(
        self: &Arc<Self>,
        peer: PeerIdentity,
        request: Request,
    ) -> Result<Response, Problem> {
        if request.method() != Method::GET || request.uri().path() != PATH {
            return Err(unknown_path(&request));
        }
        let handler = Arc::new(StorageStream {
            se: Arc::clone(self),
            presenter: peer.require_key()?.clone(),
            grants: Mutex::default(),
            number: self.goods.transfers.stream(),
        });
        self.begin_stream(request, peer, handler, StreamLimits::programs())
    }
}

/// One program's stream.
struct StorageStream {
    se: Arc<Se>,
    presenter: KeyHash,
    /// What it has shown tickets for.
    grants: Mutex<BTreeMap<BucketId, Arc<AccessClaims>>>,
    /// By which transfers know it.
    number: StreamNumber,
}

impl Drop for StorageStream {
    fn drop(&mut self) {
        self.se.goods.transfers.on_stream_lost(self.number);
    }
}

impl StorageStream {
    async fn answer(&self, incoming: Incoming) -> Result<Box<RawValue>, Problem> {
        match incoming.kind.as_str() {
            StorageOpen::KIND => reply(&self.on_open(incoming.read()?).await?),
            StripesAllocate::KIND => reply(&self.on_allocate(incoming.read()?).await?),
            BlockReplace::KIND => reply(&self.on_replace(incoming.read()?).await?),
            ObjectCommit::KIND => reply(&self.on_commit(incoming.read()?).await?),
            UploadBegin::KIND => reply(&self.on_upload_begin(incoming.read()?).await?),
            UploadView::KIND => reply(&self.on_upload_view(incoming.read()?).await?),
            UploadEnd::KIND => reply(&self.on_upload_end(incoming.read()?).await?),
            UploadForget::KIND => reply(&self.on_upload_forget(incoming.read()?).await?),
            ObjectOpen::KIND => reply(&self.on_object_open(incoming.read()?).await?),
            ObjectList::KIND => reply(&self.on_list(incoming.read()?).await?),
            ObjectDelete::KIND => reply(&self.on_delete(incoming.read()?).await?),
            ObjectCopy::KIND => reply(&self.on_copy(incoming.read()?).await?),
            ObjectJudge::KIND => reply(&self.on_judge(incoming.read()?).await?),
            _ => Err(incoming.unknown()),
        }
    }
}

impl Handler for StorageStream {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        self.answer(incoming).boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        async move {
            let taken = match incoming.kind.as_str() {
                BlockFault::KIND => match incoming.read() {
                    Ok(fault) => self.on_fault(&fault).await,
                    Err(problem) => Err(problem),
                },
                TransferOver::KIND => incoming.read().map(|over: TransferOver| {
                    self.se.goods.transfers.on_over(self.number, &over);
                }),
                _ => Err(incoming.unknown()),
            };
            if let Err(problem) = taken {
                tracing::debug!(%problem, "a program's notice is left out");
            }
        }
        .boxed()
    }
}
