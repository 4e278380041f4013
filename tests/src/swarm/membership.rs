//! How a simulated node joins its parent and keeps its stream to it: by the
//! fabric's own code, as real nodes do.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    identity::IdentityCell,
    join::enrol,
    stream::{Backoff, Dialer, Handler, Peer, StreamLimits},
    tls::{ClientTls, Revocations},
};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    role::NodeKind,
};
use tokio_util::sync::CancellationToken;

/// Of a node that has joined.
pub(super) struct Membership {
    pub(super) id: NodeId,
    pub(super) parent: NodeId,
    pub(super) domain: String,
    door: String,
    tls: ClientTls,
}

impl Membership {
    /// Joins the parent whose door is at `door`.
    pub(super) async fn join(door: &str, token: &str, name: &str) -> Result<Self, Problem> {
        let token = token
            .parse()
            .map_err(|_| Problem::new(Code::JoinTokenInvalid, "This is no join token."))?;
        let identity = enrol(&[door.to_owned()], &token, name).await?;
        let (id, parent) = (identity.node(), identity.parent());
        let domain = identity.domain().to_owned();
        let tls = ClientTls::node(IdentityCell::new(identity), Revocations::new())
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        Ok(Self {
            id,
            parent,
            domain,
            door: door.to_owned(),
            tls,
        })
    }

    /// Keeps a stream to the parent, which is greeted each time it stands,
    /// until the token that is given is cancelled.
    pub(super) fn keep_stream<H>(
        self,
        kind: NodeKind,
        handler: Arc<dyn Handler>,
        greet: H,
    ) -> CancellationToken
    where
        H: Fn(Peer) -> BoxFuture<'static, Result<(), Problem>> + Send + Sync + 'static,
    {
        let dialer = Dialer {
            endpoints: vec![self.door],
            expected: (self.parent, kind),
            tls: self.tls,
            path: "/v1/control".to_owned(),
            handler,
            limits: StreamLimits::default(),
            backoff: Backoff::default(),
        };
        let stop = CancellationToken::new();
        tokio::spawn(dialer.keep_connected(greet, stop.clone()));
        stop
    }
}
