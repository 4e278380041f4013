//! Databases as a Host's goods: what the Element is told of them, and what is behind
//! the door.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::{Request, Response},
    identity::PeerIdentity,
    node_lock::NodeLock,
};
use gridmart_schemas::{
    problem::Problem,
    resource::any::{AnyHost, AnyHostState},
    role::NodeKind,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{description::Description, door::Databases};
use crate::member::{Goods, Shape};

/// What a data Host is among Hosts.
pub(super) const SHAPE: Shape = Shape {
    kind: NodeKind::DataHost,
    element: NodeKind::DataElement,
    trial_folder: "",
};

/// See the module.
pub(super) struct Data {
    /// Keeps a folder of databases elsewhere from other Hosts.
    pub(super) _lock: Option<NodeLock>,
    pub(super) databases: Arc<Databases>,
    pub(super) description: Description,
}

impl Goods for Data {
    fn host(&self) -> AnyHost {
        self.description.host().into()
    }

    fn state(&self) -> AnyHostState {
        self.description.state().into()
    }

    fn is_idle(&self) -> bool {
        self.description.is_idle()
    }

    fn follow_wishes(&self) {
        let desired = self.databases.member.commands.desired();
        self.databases.cut.on_desired(&desired);
    }

    fn on_visit(
        &self,
        peer: PeerIdentity,
        request: Request,
    ) -> BoxFuture<'_, Result<Response, Problem>> {
        Box::pin(std::future::ready(self.databases.visit(peer, request)))
    }

    fn spawn(self: Arc<Self>, _: &TaskTracker, _: &CancellationToken) {}

    fn end(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.databases.cut.end();
            let copies = Arc::clone(&self.databases.copies);
            // Engines end their threads, which block for the disk.
            if tokio::task::spawn_blocking(move || copies.close())
                .await
                .is_err()
            {
                tracing::error!("the databases could not be closed");
            }
        })
    }
}
