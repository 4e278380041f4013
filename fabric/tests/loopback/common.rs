//! A small grid for tests: an authority, nodes, and doors on loopback.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    authority::{Authority, NodeSubject},
    door::{self, Door, DoorLimits, InnerDoor, Request, Response, Service, Usher},
    frames::{self, FrameLimits, FrameSink, FrameSource},
    identity::{IdentityCell, NewKey, NodeIdentity, PeerIdentity},
    join::JoinToken,
    socket::{Socket, SocketLimits},
    stream::{Handler, Peer, StreamLimits, run_stream},
    tls::{ClientTls, Expected, Revocations, ServerTls},
    tunnel::Tunnel,
};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    role::NodeKind,
    wire::enrol::{Certificate, EnrolRequest},
};
use http::StatusCode;
use time::OffsetDateTime;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// No wait of a test is longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for `work`, but not for ever.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

pub(crate) struct Grid {
    pub(crate) authority: Arc<Authority>,
    pub(crate) folder: tempfile::TempDir,
}

impl Grid {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(&folder.path().join("authority")).unwrap();
        Self {
            authority: Arc::new(authority),
            folder,
        }
    }

    pub(crate) fn certificate(
        &self,
        csr_pem: &str,
        node: NodeId,
        kind: NodeKind,
        validity: Duration,
    ) -> Certificate {
        self.certificate_at(csr_pem, node, kind, OffsetDateTime::now_utc(), validity)
    }

    pub(crate) fn certificate_at(
        &self,
        csr_pem: &str,
        node: NodeId,
        kind: NodeKind,
        now: OffsetDateTime,
        validity: Duration,
    ) -> Certificate {
        let subject = NodeSubject {
            id: node,
            kind,
            domain: "lab".to_owned(),
            dns_names: vec![],
            ips: vec![],
        };
        let chain_pem = self
            .authority
            .sign(csr_pem, &subject, now, validity)
            .unwrap();
        Certificate {
            node,
            domain: "lab".to_owned(),
            chain_pem,
            parent: node,
        }
    }

    pub(crate) fn node(&self, kind: NodeKind) -> NodeIdentity {
        self.node_for(kind, Duration::from_hours(1))
    }

    pub(crate) fn node_for(&self, kind: NodeKind, validity: Duration) -> NodeIdentity {
        let key = NewKey::generate().unwrap();
        let certificate =
            self.certificate(&key.csr_pem().unwrap(), NodeId::generate(), kind, validity);
        key.into_identity(&certificate).unwrap()
    }

    /// A node whose certificate ended long ago.
    pub(crate) fn expired_node(&self, kind: NodeKind) -> NodeIdentity {
        let key = NewKey::generate().unwrap();
        let then = OffsetDateTime::now_utc() - Duration::from_hours(2);
        let csr = key.csr_pem().unwrap();
        let certificate = self.certificate_at(
            &csr,
            NodeId::generate(),
            kind,
            then,
            Duration::from_hours(1),
        );
        key.into_identity(&certificate).unwrap()
    }

    pub(crate) fn client(&self, kind: NodeKind) -> (NodeId, ClientTls) {
        let node = self.node(kind);
        (
            node.node(),
            ClientTls::node(IdentityCell::new(node), Revocations::new()).unwrap(),
        )
    }
}

type OnStream = Arc<dyn Fn(Peer) + Send + Sync>;

/// What is behind the doors of tests.
pub(crate) struct TestService {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) stream_limits: StreamLimits,
    pub(crate) frame_limits: FrameLimits,
    pub(crate) on_stream: OnStream,
    pub(crate) peers: mpsc::UnboundedSender<PeerIdentity>,
    pub(crate) frames: mpsc::UnboundedSender<(FrameSink, FrameSource)>,
    pub(crate) tunnels: mpsc::UnboundedSender<(String, Tunnel)>,
    pub(crate) enrolment: Option<(Arc<Authority>, String)>,
    pub(crate) parent: NodeId,
    pub(crate) file: Option<std::path::PathBuf>,
}

impl TestService {
    async fn answer(&self, peer: PeerIdentity, mut request: Request) -> Result<Response, Problem> {
        match request.uri().path() {
            "/v1/who" => {
                let _ = self.peers.send(peer.clone());
                let node = peer.require_any_node()?;
                Ok(door::text_response(
                    StatusCode::OK,
                    "text/plain",
                    node.id.to_string(),
                ))
            }
            "/v1/hang" => std::future::pending().await,
            "/v1/file" => door::file_response(self.file.as_deref().unwrap()).await,
            "/v1/enrol" => {
                let request: EnrolRequest = door::json_body(request, 64 * 1024).await?;
                self.enrol(&request)
            }
            "/v1/control" => {
                let (response, pending) = door::upgrade(&mut request, SocketLimits::ENVELOPES)?;
                let (handler, limits, on_stream) = (
                    self.handler.clone(),
                    self.stream_limits,
                    self.on_stream.clone(),
                );
                tokio::spawn(async move {
                    if let Ok(socket) = pending.socket().await {
                        on_stream(run_stream(socket, peer, handler, limits).0);
                    }
                });
                Ok(response)
            }
            "/v1/calls" => {
                peer.require_key()?;
                let (response, pending) = door::upgrade(&mut request, SocketLimits::FRAMES)?;
                let (limits, frames) = (self.frame_limits, self.frames.clone());
                tokio::spawn(async move {
                    let socket: Socket = pending.socket().await.unwrap();
                    let _ = frames.send(frames::split(socket, limits));
                });
                Ok(response)
            }
            "/v1/tunnel" => {
                let ticket = door::ticket_shown(&request)?.to_owned();
                let (response, pending) = door::tunnel(&mut request)?;
                let tunnels = self.tunnels.clone();
                tokio::spawn(async move {
                    let _ = tunnels.send((ticket, pending.tunnel().await.unwrap()));
                });
                Ok(response)
            }
            _ => Err(Problem::new(Code::NotFound, "There is nothing here.")),
        }
    }

    fn enrol(&self, request: &EnrolRequest) -> Result<Response, Problem> {
        let token: JoinToken = request
            .token
            .parse()
            .map_err(|_| Problem::new(Code::JoinTokenInvalid, "That is no token."))?;
        let (authority, hash) = self.enrolment.as_ref().unwrap();
        if !token.secret_matches(hash) {
            return Err(Problem::new(
                Code::JoinTokenInvalid,
                "Nobody knows that token.",
            ));
        }
        let (node, kind, domain) = (NodeId::generate(), token.kind, token.domain);
        let subject = NodeSubject {
            id: node,
            kind,
            domain: domain.clone(),
            dns_names: vec![],
            ips: vec![],
        };
        let chain_pem = authority
            .sign(
                &request.csr_pem,
                &subject,
                OffsetDateTime::now_utc(),
                Duration::from_hours(1),
            )
            .map_err(|error| Problem::new(Code::InvalidRequest, error.to_string()))?;
        let certificate = Certificate {
            node,
            domain,
            chain_pem,
            parent: self.parent,
        };
        Ok(door::json_response(StatusCode::OK, &certificate))
    }
}

impl Service for TestService {
    fn handle(
        &self,
        peer: PeerIdentity,
        _: SocketAddr,
        request: Request,
    ) -> BoxFuture<'_, Response> {
        self.answer(peer, request)
            .map(|outcome| outcome.unwrap_or_else(|problem| door::problem_response(&problem)))
            .boxed()
    }
}

/// A handler that knows nothing.
pub(crate) struct Ignorant;

impl Handler for Ignorant {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: gridmart_fabric::stream::Incoming,
    ) -> BoxFuture<'a, Result<Box<serde_json::value::RawValue>, Problem>> {
        Box::pin(async move { Err(incoming.unknown()) })
    }

    fn on_notice<'a>(
        &'a self,
        _: &'a Peer,
        _: gridmart_fabric::stream::Incoming,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// A door that is open.
pub(crate) struct OpenDoor {
    pub(crate) address: SocketAddr,
    pub(crate) expected: Expected,
    pub(crate) identity: Arc<IdentityCell>,
    pub(crate) revocations: Revocations,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
    pub(crate) peers: mpsc::UnboundedReceiver<PeerIdentity>,
    pub(crate) frames: mpsc::UnboundedReceiver<(FrameSink, FrameSource)>,
    pub(crate) streams: mpsc::UnboundedReceiver<Peer>,
    pub(crate) tunnels: mpsc::UnboundedReceiver<(String, Tunnel)>,
    /// Brings connections, if it is an inner door.
    pub(crate) usher: Option<Usher>,
}

impl OpenDoor {
    pub(crate) async fn open(grid: &Grid, kind: NodeKind) -> Self {
        Self::open_with(grid, kind, DoorLimits::default(), |_| {}).await
    }

    pub(crate) async fn open_with(
        grid: &Grid,
        kind: NodeKind,
        limits: DoorLimits,
        change: impl FnOnce(&mut TestService),
    ) -> Self {
        let (mut open, service, tls) = Self::behind(grid, kind, change);
        let door = Door::bind((Ipv4Addr::LOCALHOST, 0).into(), tls, limits)
            .await
            .unwrap();
        open.address = door.local_addr();
        open.served = tokio::spawn(door.serve(Arc::new(service), open.stop.clone()));
        open
    }

    /// A door that nobody can dial.
    pub(crate) fn inner(grid: &Grid, kind: NodeKind, limits: DoorLimits) -> Self {
        let (mut open, service, tls) = Self::behind(grid, kind, |_| {});
        let (door, usher) = InnerDoor::new(tls, limits);
        open.served = tokio::spawn(door.serve(Arc::new(service), open.stop.clone()));
        open.usher = Some(usher);
        open
    }

    fn behind(
        grid: &Grid,
        kind: NodeKind,
        change: impl FnOnce(&mut TestService),
    ) -> (Self, TestService, ServerTls) {
        let node = grid.node(kind);
        let expected = (node.node(), kind);
        let identity = IdentityCell::new(node);
        let revocations = Revocations::new();
        let tls = ServerTls::new(identity.clone(), revocations.clone()).unwrap();
        let (peers_in, peers) = mpsc::unbounded_channel();
        let (frames_in, frames) = mpsc::unbounded_channel();
        let (streams_in, streams) = mpsc::unbounded_channel();
        let (tunnels_in, tunnels) = mpsc::unbounded_channel();
        let mut service = TestService {
            handler: Arc::new(Ignorant),
            stream_limits: StreamLimits::default(),
            frame_limits: FrameLimits::default(),
            on_stream: Arc::new(move |peer| drop(streams_in.send(peer))),
            peers: peers_in,
            frames: frames_in,
            tunnels: tunnels_in,
            enrolment: None,
            parent: expected.0,
            file: None,
        };
        change(&mut service);
        let open = Self {
            address: (Ipv4Addr::UNSPECIFIED, 0).into(),
            expected,
            identity,
            revocations,
            stop: CancellationToken::new(),
            served: tokio::spawn(async {}),
            peers,
            frames,
            streams,
            tunnels,
            usher: None,
        };
        (open, service, tls)
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        vec![self.address.to_string()]
    }
}
