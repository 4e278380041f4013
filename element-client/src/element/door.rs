//! The Element's one door: Hosts join and dial in here, and whoever comes for
//! its goods.
//!
//! | path | for | what |
//! | --- | --- | --- |
//! | `POST /v1/enrol` | who shows a join token | the first certificate |
//! | `GET /v1/control` | the Element's Hosts | control stream |
//! | `GET /healthz` | everybody | is it there |
//! | `GET /metrics` | nodes | metrics |
//! | all else | – | [`Goods::on_visit`] |

use std::{net::SocketAddr, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    door::{
        Request, Response, Service, empty_response, json_body, json_response, problem_response,
        text_response, upgrade,
    },
    identity::PeerIdentity,
    socket::SocketLimits,
    stream::{Handler, StreamLimits, run_stream},
    telemetry::METRICS_CONTENT_TYPE,
};
use gridmart_schemas::problem::{Code, Problem};
use http::{Method, StatusCode};

use super::{Element, comm::host::HostStream, goods::Goods};

/// The most bytes of an enrolment request.
const ENROL_BYTES_MAX: usize = 32 * 1024;
/// The most characters of an unknown path that are told back.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// What is behind the door.
pub(crate) struct ElementDoor<G: Goods> {
    pub(crate) element: Arc<Element<G>>,
}

impl<G: Goods> Service for ElementDoor<G> {
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

impl<G: Goods> ElementDoor<G> {
    async fn answer(
        &self,
        peer: PeerIdentity,
        remote: SocketAddr,
        request: Request,
    ) -> Result<Response, Problem> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/v1/enrol") => {
                let enrol = json_body(request, ENROL_BYTES_MAX).await?;
                let certificate = self.element.host_enrol(remote.ip().into(), enrol).await?;
                Ok(json_response(StatusCode::OK, &certificate))
            }
            (&Method::GET, "/v1/control") => {
                let node = peer.require_node(G::HOST_KIND)?.clone();
                let handler = Arc::new(HostStream::new(Arc::clone(&self.element), node));
                self.element
                    .begin_stream(request, peer, handler, StreamLimits::default())
            }
            (&Method::GET, "/healthz") => Ok(empty_response(StatusCode::OK)),
            (&Method::GET, "/metrics") => {
                peer.require_any_node()?;
                Ok(text_response(
                    StatusCode::OK,
                    METRICS_CONTENT_TYPE,
                    self.element.registry.encode(),
                ))
            }
            _ => G::on_visit(&self.element, peer, remote, request).await,
        }
    }
}

impl<G: Goods> Element<G> {
    /// Makes a control or queue stream of a request.
    pub(crate) fn begin_stream(
        &self,
        mut request: Request,
        peer: PeerIdentity,
        handler: Arc<dyn Handler>,
        limits: StreamLimits,
    ) -> Result<Response, Problem> {
        let bounds = SocketLimits::envelopes(limits.message_bytes);
        let (response, pending) = upgrade(&mut request, bounds)?;
        self.tasks.spawn(async move {
            match pending.socket().await {
                Ok(socket) => drop(run_stream(socket, peer, handler, limits)),
                Err(problem) => tracing::debug!(%problem, "a stream did not begin"),
            }
        });
        Ok(response)
    }
}

/// What is told to who asks for what is not here.
pub(crate) fn unknown_path(request: &Request) -> Problem {
    let path = request.uri().path();
    let shown: String = path.chars().take(SHOWN_CHARACTERS_MAX).collect();
    let method = request.method();
    Problem::new(
        Code::NotFound,
        format!("There is no {method} {shown} at this door."),
    )
}
