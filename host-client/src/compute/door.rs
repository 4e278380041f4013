//! The Host's door: calls from programs; health and metrics for nodes.

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::{self, Request, Response, Service},
    identity::PeerIdentity,
    socket::SocketLimits,
    telemetry::{METRICS_CONTENT_TYPE, Metrics},
};
use gridmart_schemas::problem::{Code, Problem};
use tokio_util::task::TaskTracker;

use super::{calls, leases::Leases};

/// What is behind the door.
pub(crate) struct HostDoor {
    pub(crate) leases: Arc<Leases>,
    pub(crate) metrics: Metrics,
    /// Connections that were upgraded.
    pub(crate) tasks: TaskTracker,
}

impl Service for HostDoor {
    fn handle(
        &self,
        peer: PeerIdentity,
        _remote: SocketAddr,
        request: Request,
    ) -> BoxFuture<'_, Response> {
        Box::pin(async move {
            self.answer(peer, request)
                .unwrap_or_else(|problem| door::problem_response(&problem))
        })
    }
}

impl HostDoor {
    fn answer(&self, peer: PeerIdentity, mut request: Request) -> Result<Response, Problem> {
        match (request.method().as_str(), request.uri().path()) {
            ("GET", "/v1/calls") => {
                peer.require_key()?;
                let (response, pending) = door::upgrade(&mut request, SocketLimits::FRAMES)?;
                let leases = Arc::clone(&self.leases);
                self.tasks.spawn(async move {
                    match pending.socket().await {
                        Ok(socket) => calls::serve(socket, peer, leases).await,
                        Err(problem) => {
                            tracing::debug!(%problem, "a calls stream did not come about");
                        }
                    }
                });
                Ok(response)
            }
            ("GET", "/healthz") => {
                peer.require_any_node()?;
                Ok(door::empty_response(http::StatusCode::OK))
            }
            ("GET", "/metrics") => {
                peer.require_any_node()?;
                Ok(door::text_response(
                    http::StatusCode::OK,
                    METRICS_CONTENT_TYPE,
                    self.metrics.encode(),
                ))
            }
            (method, path) => {
                let path: String = path.chars().take(100).collect();
                Err(Problem::new(
                    Code::NotFound,
                    format!("There is nothing to {method} at {path}."),
                ))
            }
        }
    }
}
