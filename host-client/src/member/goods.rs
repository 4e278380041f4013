//! What a kind of goods adds to what every Host is.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::{Request, Response},
    identity::PeerIdentity,
    stream::Incoming,
};
use gridmart_schemas::{
    id::LeaseId,
    problem::Problem,
    resource::any::{AnyHost, AnyHostState},
    role::NodeKind,
    wire::{control_element::Deployment, element_host::HeldLease},
};
use serde_json::value::RawValue;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What has to be known of the goods before there are any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// What the Host is.
    pub(crate) kind: NodeKind,
    /// What its Element is.
    pub(crate) element: NodeKind,
    /// Folder of the data folder in which a disk that has refused is tried
    /// again; empty: the data folder itself.
    pub(crate) trial_folder: &'static str,
}

/// See the module. All of it may be asked at any time, from any task.
pub(crate) trait Goods: Send + Sync + 'static {
    /// The Host as a whole, its State included.
    fn host(&self) -> AnyHost;

    /// What changes of it.
    fn state(&self) -> AnyHostState;

    /// Whether nothing is being done for anybody: a stopped Host is closed then.
    fn is_idle(&self) -> bool;

    /// Leases in force.
    fn leases(&self) -> Vec<HeldLease> {
        Vec::new()
    }

    /// Applications that are here, or should be.
    fn deployments(&self) -> Vec<Deployment> {
        Vec::new()
    }

    /// Ends leases that the Element does not know any more.
    fn end_leases(&self, _leases: Vec<LeaseId>) {}

    /// Does what the wishes mean that are in force now; blocks for the disk.
    fn follow_wishes(&self);

    /// Answers what the Element asks of this kind of Host alone.
    fn on_request(&self, incoming: Incoming) -> BoxFuture<'_, Result<Box<RawValue>, Problem>> {
        Box::pin(async move { Err(incoming.unknown()) })
    }

    /// Answers who comes to the door for the goods.
    fn on_visit(
        &self,
        peer: PeerIdentity,
        request: Request,
    ) -> BoxFuture<'_, Result<Response, Problem>>;

    /// Starts the tasks of its own, which end with `telling`: the Element is
    /// told as long as that stands.
    fn spawn(self: Arc<Self>, tasks: &TaskTracker, telling: &CancellationToken);

    /// Ends what is being done, because the Host goes down, and lets it be told.
    fn end(&self) -> BoxFuture<'_, ()>;
}
