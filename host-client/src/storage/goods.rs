//! Storage as a Host's goods: what the Element is told of it, and what is behind
//! the door.

use std::{sync::Arc, time::Instant};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::{BodyPieces, Request, Response},
    identity::PeerIdentity,
    stream::{Incoming, reply},
    ticket::BlockOperation,
};
use gridmart_schemas::{
    problem::Problem,
    resource::any::{AnyHost, AnyHostState},
    role::NodeKind,
    wire::{Done, Request as _, block::BODY_BYTES_MAX, transfer::TransfersEnd},
};
use serde_json::value::RawValue;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    blocks::Blocks, care::Care, description::Description, gate::Gate, get::get, ledger::Ledger,
    ledger_door, manage, metrics::StorageMetrics, put::put, transfers::in_force,
};
use crate::member::{Goods, Member, Shape, nothing_there};

/// What a storage Host is among Hosts.
pub(super) const SHAPE: Shape = Shape {
    kind: NodeKind::StorageHost,
    element: NodeKind::StorageElement,
    trial_folder: "",
};

/// See the module.
pub(super) struct Storage {
    pub(super) member: Arc<Member>,
    pub(super) volume: Arc<Blocks>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) ledger_places: ledger_door::Places,
    pub(super) gate: Gate,
    pub(super) description: Description,
    pub(super) care: Arc<Care>,
    pub(super) metrics: StorageMetrics,
}

impl Storage {
    async fn answer(&self, peer: PeerIdentity, request: Request) -> Result<Response, Problem> {
        match (request.method().as_str(), request.uri().path()) {
            ("POST", "/v1/blocks") => {
                let entered = self.gate.enter(&peer, &request, BlockOperation::Put).await;
                match entered {
                    Ok(visit) => put(self, visit, request).await,
                    Err(problem) => {
                        refuse_body(request).await;
                        Err(problem)
                    }
                }
            }
            ("POST", "/v1/blocks/read") => {
                let visit = self
                    .gate
                    .enter(&peer, &request, BlockOperation::Get)
                    .await?;
                get(self, visit, request).await
            }
            ("POST", "/v1/blocks/delete") => {
                self.gate.require_element(&peer)?;
                manage::delete(self, request).await
            }
            ("GET", "/v1/blocks") => {
                self.gate.require_element(&peer)?;
                manage::list(self, &request)
            }
            (_, path) if path == "/v1/ledger" || path.starts_with("/v1/ledger/") => {
                self.gate.require_element(&peer)?;
                ledger_door::answer(self, request).await
            }
            _ => Err(nothing_there(&request)),
        }
    }
}

/// Lets the sender of blocks that are not wanted hear why.
async fn refuse_body(request: Request) {
    if let Ok(mut pieces) = BodyPieces::new(request, BODY_BYTES_MAX as u64) {
        pieces.drain().await;
    }
}

impl Goods for Storage {
    fn host(&self) -> AnyHost {
        self.description.host(self.is_idle()).into()
    }

    fn state(&self) -> AnyHostState {
        self.description.state(self.is_idle()).into()
    }

    fn is_idle(&self) -> bool {
        self.gate.transfers.count() == 0
    }

    fn follow_wishes(&self) {
        let desired = self.member.commands.desired();
        self.gate.transfers.end_cut(in_force(&desired));
    }

    fn on_request(&self, incoming: Incoming) -> BoxFuture<'_, Result<Box<RawValue>, Problem>> {
        Box::pin(async move {
            match incoming.kind.as_str() {
                TransfersEnd::KIND => {
                    let TransfersEnd { transfers } = incoming.read()?;
                    self.gate.transfers.end(&transfers, Instant::now());
                    reply(&Done {})
                }
                _ => Err(incoming.unknown()),
            }
        })
    }

    fn on_visit(
        &self,
        peer: PeerIdentity,
        request: Request,
    ) -> BoxFuture<'_, Result<Response, Problem>> {
        Box::pin(self.answer(peer, request))
    }

    fn spawn(self: Arc<Self>, tasks: &TaskTracker, telling: &CancellationToken) {
        tasks.spawn(Arc::clone(&self.care).run(telling.clone()));
    }

    fn end(&self) -> BoxFuture<'_, ()> {
        // The door has let requests end, or cut them; what of them waits for the
        // disk was promised to nobody.
        Box::pin(std::future::ready(()))
    }
}
