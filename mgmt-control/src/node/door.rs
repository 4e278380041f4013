//! What is behind the nodes' door, by path.

use std::{net::SocketAddr, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    door::{
        Request, Response, Service, empty_response, file_response, json_body, json_response,
        problem_response, text_response, upgrade,
    },
    identity::PeerIdentity,
    socket::SocketLimits,
    stream::{StreamLimits, run_stream},
    telemetry::METRICS_CONTENT_TYPE,
};
use gridmart_schemas::{
    id::Digest,
    problem::{Code, Problem},
    role::NodeKind,
    wire::enrol::EnrolRequest,
};
use http::{Method, StatusCode};

use super::control_stream::ElementStream;
use crate::{
    app::{Control, node},
    failure::Failure,
};

/// The most bytes of an enrolment.
const ENROL_BYTES_MAX: usize = 32 * 1024;

/// The nodes' door.
pub struct NodesDoor {
    control: Arc<Control>,
}

impl NodesDoor {
    /// Serves this controller.
    pub fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    async fn answer(
        &self,
        peer: PeerIdentity,
        remote: SocketAddr,
        request: Request,
    ) -> Result<Response, Problem> {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::POST, "/v1/enrol") => self.enrol(remote, request).await,
            (&Method::GET, "/v1/control") => self.control_stream(peer, request),
            (&Method::GET, "/healthz") => Ok(empty_response(StatusCode::NO_CONTENT)),
            (&Method::GET, "/metrics") => {
                peer.require_any_node()?;
                Ok(text_response(
                    StatusCode::OK,
                    METRICS_CONTENT_TYPE,
                    self.control.metrics.registry.encode(),
                ))
            }
            (&Method::GET, path) => match path.strip_prefix("/v1/packages/") {
                Some(hex) => self.package(&peer, hex).await,
                None => Err(unknown(path)),
            },
            _ => Err(unknown(&path)),
        }
    }

    async fn enrol(&self, remote: SocketAddr, request: Request) -> Result<Response, Problem> {
        let body: EnrolRequest = json_body(request, ENROL_BYTES_MAX).await?;
        let certificate = node::node_enrol(&self.control, remote.ip(), body)
            .await
            .map_err(Failure::into_problem)?;
        Ok(json_response(StatusCode::OK, &certificate))
    }

    fn control_stream(
        &self,
        peer: PeerIdentity,
        mut request: Request,
    ) -> Result<Response, Problem> {
        let element = peer.require_element()?.clone();
        let (response, pending) = upgrade(&mut request, SocketLimits::ENVELOPES)?;
        let handler = Arc::new(ElementStream::new(Arc::clone(&self.control), element));
        let shutdown = self.control.shutdown.clone();
        self.control.tracker.spawn(async move {
            let opened = shutdown.run_until_cancelled(pending.socket()).await;
            let socket = match opened {
                Some(Ok(socket)) => socket,
                Some(Err(problem)) => {
                    tracing::info!(problem = %problem, "a control stream was not opened");
                    return;
                }
                None => return,
            };
            let (stream, task) = run_stream(socket, peer, handler, StreamLimits::default());
            tokio::select! {
                () = stream.closed() => {}
                () = shutdown.cancelled() => stream.close(),
            }
            if task.await.is_err() {
                tracing::error!("a control stream's task has panicked");
            }
        });
        Ok(response)
    }

    async fn package(&self, peer: &PeerIdentity, hex: &str) -> Result<Response, Problem> {
        peer.require_node(NodeKind::ComputingElement)?;
        let digest: Digest = format!("blake3:{hex}").parse().map_err(|_| unknown(hex))?;
        if !self
            .control
            .catalogue
            .snapshot()
            .applications
            .contains_key(&digest)
        {
            return Err(unknown(hex));
        }
        file_response(&self.control.packages.path(&digest)).await
    }
}

fn unknown(what: &str) -> Problem {
    let shown: String = what.chars().take(120).collect();
    Problem::new(
        Code::NotFound,
        format!("There is nothing at {shown:?} behind this door."),
    )
}

impl Service for NodesDoor {
    fn handle(
        &self,
        peer: PeerIdentity,
        remote: SocketAddr,
        request: Request,
    ) -> BoxFuture<'_, Response> {
        async move {
            self.answer(peer, remote, request)
                .await
                .unwrap_or_else(|problem| problem_response(&problem))
        }
        .boxed()
    }
}
