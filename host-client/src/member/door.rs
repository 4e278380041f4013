//! The Host's door: health and metrics for nodes; the rest is its goods'.

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::{self, Request, Response, Service},
    identity::PeerIdentity,
    telemetry::METRICS_CONTENT_TYPE,
};
use gridmart_schemas::problem::{Code, Problem};

use super::{goods::Goods, member::Member};

/// What is behind the door.
pub(super) struct HostDoor {
    pub(super) goods: Arc<dyn Goods>,
    pub(super) member: Arc<Member>,
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
                .await
                .unwrap_or_else(|problem| door::problem_response(&problem))
        })
    }
}

impl HostDoor {
    async fn answer(&self, peer: PeerIdentity, request: Request) -> Result<Response, Problem> {
        match (request.method().as_str(), request.uri().path()) {
            ("GET", "/healthz") => {
                peer.require_any_node()?;
                Ok(door::empty_response(http::StatusCode::OK))
            }
            ("GET", "/metrics") => {
                peer.require_any_node()?;
                Ok(door::text_response(
                    http::StatusCode::OK,
                    METRICS_CONTENT_TYPE,
                    self.member.metrics.encode(),
                ))
            }
            _ => self.goods.on_visit(peer, request).await,
        }
    }
}

/// Refuses a request that nothing of the Host answers.
pub(crate) fn nothing_there(request: &Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    let path: String = path.chars().take(100).collect();
    Problem::new(
        Code::NotFound,
        format!("There is nothing to {method} at {path}."),
    )
}
