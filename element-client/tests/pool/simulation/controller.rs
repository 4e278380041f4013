//! A controller: signs, welcomes, keeps records, serves packages, says what
//! should be.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    authority::{Authority, DEFAULT_VALIDITY, NodeSubject},
    door::{
        Door, DoorLimits, Request, Response, Service, file_response, json_body, json_response,
        problem_response, upgrade,
    },
    identity::{IdentityCell, NewKey, NodeIdentity, PeerIdentity},
    join::JoinToken,
    package::{PackageLimits, pack},
    socket::SocketLimits,
    stream::{Handler, Incoming, Peer, StreamLimits, reply, run_stream},
    ticket::{AccessClaims, AccessCut, TicketApplication, Times},
    tls::{Revocations, ServerTls},
};
use gridmart_schemas::{
    id::{KeyHash, NodeId, PersonName},
    problem::{Code, Problem},
    resource::{
        Document as _,
        ae::{AeInfo, Command},
        ae_doc::AeDocument,
        enumeration::AeKind,
    },
    role::{NodeKind, Operation, Role},
    wire::{
        Done, Notice as _, Request as _,
        control_element::{
            ElementDesire, ElementHeartbeat, ElementHello, ElementWelcome, HostsChanged,
        },
        desired::{ApplicationWish, ElementDesired, Wish},
        enrol::{Certificate, CertificateRenew, EnrolRequest, HostVouch},
        record::CallRecords,
    },
};
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, wait_for};

/// What the Element has told.
#[derive(Default)]
pub(crate) struct Told {
    pub hello: Option<ElementHello>,
    pub hellos: usize,
    pub heartbeats: Vec<ElementHeartbeat>,
    pub changes: Vec<HostsChanged>,
    pub records: Vec<CallRecords>,
    pub packages: u32,
}

pub(crate) struct Controller {
    /// Of its Element.
    kind: NodeKind,
    authority: Authority,
    folder: PathBuf,
    identity: Arc<IdentityCell>,
    address: Mutex<Option<SocketAddr>>,
    stop: Mutex<CancellationToken>,
    tokens: Mutex<Vec<String>>,
    peer: Mutex<Option<Peer>>,
    /// Nobody is welcomed while this is held for writing.
    pub welcoming: tokio::sync::RwLock<()>,
    pub desired: Mutex<ElementDesired>,
    pub told: Mutex<Told>,
}

impl Controller {
    pub(crate) fn new(folder: &Path) -> Arc<Self> {
        Self::certified(folder, DEFAULT_VALIDITY)
    }

    /// One whose Element is of storage.
    pub(crate) fn of_storage(folder: &Path) -> Arc<Self> {
        Self::made(folder, NodeKind::StorageElement, DEFAULT_VALIDITY)
    }

    /// One whose first certificate is valid for so long.
    pub(crate) fn certified(folder: &Path, validity: Duration) -> Arc<Self> {
        Self::made(folder, NodeKind::ComputingElement, validity)
    }

    fn made(folder: &Path, kind: NodeKind, validity: Duration) -> Arc<Self> {
        let authority = Authority::open_or_create(&folder.join("authority")).unwrap();
        let identity = own_identity(&authority, NodeId::generate(), validity);
        Arc::new(Self {
            kind,
            authority,
            folder: folder.to_owned(),
            identity: IdentityCell::new(identity),
            address: Mutex::default(),
            stop: Mutex::default(),
            tokens: Mutex::default(),
            peer: Mutex::default(),
            welcoming: tokio::sync::RwLock::default(),
            desired: Mutex::default(),
            told: Mutex::default(),
        })
    }

    /// Opens its door, where it was before.
    pub(crate) async fn open(self: &Arc<Self>) -> String {
        let tls = ServerTls::new(self.identity.clone(), Revocations::new()).unwrap();
        let listen = self.address.lock().unwrap_or(([127, 0, 0, 1], 0).into());
        let limits = DoorLimits {
            grace: Duration::from_millis(10),
            ..DoorLimits::default()
        };
        let door = Door::bind(listen, tls, limits).await.unwrap();
        *self.address.lock() = Some(door.local_addr());
        let stop = CancellationToken::new();
        *self.stop.lock() = stop.clone();
        let address = door.local_addr().to_string();
        tokio::spawn(door.serve(Arc::new(ControlDoor(self.clone())), stop));
        address
    }

    /// Goes away.
    pub(crate) async fn shut(&self) {
        self.stop.lock().cancel();
        let address = self.address.lock().unwrap();
        let peer = self.peer.lock().take();
        if let Some(peer) = peer {
            peer.close();
        }
        wait_for("the controller's end", || {
            std::net::TcpListener::bind(address).map(drop)
        })
        .await;
    }

    /// Has another certificate from now on, that is valid for long.
    pub(crate) fn renew(&self) {
        let identity = own_identity(&self.authority, self.id(), DEFAULT_VALIDITY);
        self.identity.replace(identity);
    }

    pub(crate) fn id(&self) -> NodeId {
        self.identity.current().node()
    }

    pub(crate) fn root_pem(&self) -> String {
        self.authority.root_pem().to_owned()
    }

    pub(crate) fn element_token(&self) -> String {
        let token = JoinToken::generate(
            self.kind,
            "lab",
            self.id(),
            &self.authority.root_fingerprint(),
        );
        self.tokens.lock().push(token.secret_hash());
        token.to_string()
    }

    /// The Element's stream, when it stands and has said hello.
    pub(crate) async fn element(&self) -> Peer {
        wait_for("the Element's stream", || {
            self.peer
                .lock()
                .clone()
                .filter(|peer| !peer.is_closed())
                .ok_or("none")
        })
        .await
    }

    /// The stream that was welcomed last.
    pub(crate) fn present(&self) -> Option<Peer> {
        self.peer.lock().clone()
    }

    /// Says what should be, changed so.
    pub(crate) async fn desire(&self, change: impl FnOnce(&mut ElementDesired)) {
        let desired = {
            let mut desired = self.desired.lock();
            change(&mut desired);
            desired.clone()
        };
        self.element()
            .await
            .ask(&ElementDesire { desired }, PATIENCE)
            .await
            .unwrap();
    }

    /// Makes a package; the wish that offers it.
    pub(crate) fn package(&self, name: &str, version: &str) -> ApplicationWish {
        let folder = self.folder.join(format!("{name}-{version}"));
        std::fs::create_dir_all(&folder).unwrap();
        let info = AeInfo::new(
            name.parse().unwrap(),
            version.parse().unwrap(),
            AeKind::Task,
        );
        let document = AeDocument::new(info, Command::new("/bin/true".parse().unwrap()));
        std::fs::write(folder.join("AEDoc.xml"), document.to_xml()).unwrap();
        let mut bytes = Vec::new();
        let packed = pack(&folder, &mut bytes, &PackageLimits::default()).unwrap();
        std::fs::write(self.folder.join(packed.digest.hex()), &bytes).unwrap();
        ApplicationWish {
            digest: packed.digest,
            name: name.into(),
            version: version.into(),
            size: packed.size,
            wish: Wish {
                generation: 1,
                ..Wish::default()
            },
        }
    }

    /// An access ticket, to be changed before it is signed.
    pub(crate) fn ticket(
        &self,
        element: NodeId,
        person: &str,
        presenter: &KeyHash,
        application: &ApplicationWish,
        change: impl FnOnce(&mut AccessClaims),
    ) -> String {
        let times = Times::starting(OffsetDateTime::now_utc(), Duration::from_mins(5));
        let mut claims = AccessClaims {
            iss: self.id(),
            sub: person.parse::<PersonName>().unwrap(),
            role: Role::User,
            domain: None,
            aud: element,
            presenter: presenter.clone(),
            application: Some(TicketApplication {
                digest: application.digest.clone(),
                name: application.name.clone(),
                version: application.version.clone(),
            }),
            bucket: None,
            database: None,
            operations: vec![Operation::Call],
            needs: Vec::new(),
            cut: AccessCut {
                element: 0,
                application: application.wish.cut_epoch,
            },
            nbf: times.nbf,
            iat: times.iat,
            exp: times.exp,
            request: None,
            jti: uuid::Uuid::now_v7(),
        };
        change(&mut claims);
        self.identity
            .current()
            .signing_key()
            .sign_access(&claims)
            .unwrap()
    }

    fn sign(&self, csr_pem: &str, id: NodeId, kind: NodeKind, parent: NodeId) -> Certificate {
        let subject = NodeSubject {
            id,
            kind,
            domain: "lab".into(),
            dns_names: Vec::new(),
            ips: Vec::new(),
        };
        let chain_pem = self
            .authority
            .sign(
                csr_pem,
                &subject,
                OffsetDateTime::now_utc(),
                DEFAULT_VALIDITY,
            )
            .unwrap();
        Certificate {
            node: id,
            domain: "lab".into(),
            chain_pem,
            parent,
        }
    }

    fn welcome(&self) -> ElementWelcome {
        let key = self.identity.current().signing_key();
        ElementWelcome {
            heartbeat_interval: 1,
            ticket_keys: BTreeMap::from([(key.kid().to_string(), key.spki_pem().to_owned())]),
            desired: self.desired.lock().clone(),
            time: None,
        }
    }
}

fn own_identity(authority: &Authority, id: NodeId, validity: Duration) -> NodeIdentity {
    let key = NewKey::generate().unwrap();
    let subject = NodeSubject {
        id,
        kind: NodeKind::Control,
        domain: "lab".into(),
        dns_names: Vec::new(),
        ips: Vec::new(),
    };
    let csr = key.csr_pem().unwrap();
    let chain_pem = authority
        .sign(&csr, &subject, OffsetDateTime::now_utc(), validity)
        .unwrap();
    key.into_identity(&Certificate {
        node: id,
        domain: "lab".into(),
        chain_pem,
        parent: id,
    })
    .unwrap()
}

struct ControlDoor(Arc<Controller>);

impl ControlDoor {
    async fn answer(&self, peer: PeerIdentity, mut request: Request) -> Result<Response, Problem> {
        let path = request.uri().path().to_owned();
        if path == "/v1/enrol" {
            let enrol: EnrolRequest = json_body(request, 64 * 1024).await?;
            let token: JoinToken = enrol.token.parse().unwrap();
            if !self
                .0
                .tokens
                .lock()
                .iter()
                .any(|hash| token.secret_matches(hash))
            {
                return Err(Problem::new(Code::JoinTokenInvalid, "unknown"));
            }
            let certificate =
                self.0
                    .sign(&enrol.csr_pem, NodeId::generate(), enrol.kind, self.0.id());
            return Ok(json_response(StatusCode::OK, &certificate));
        }
        peer.require_node(self.0.kind)?;
        if let Some(hex) = path.strip_prefix("/v1/packages/") {
            self.0.told.lock().packages += 1;
            return file_response(&self.0.folder.join(hex)).await;
        }
        let (response, pending) = upgrade(&mut request, SocketLimits::ENVELOPES)?;
        let control = self.0.clone();
        tokio::spawn(async move {
            let socket = pending.socket().await.unwrap();
            run_stream(
                socket,
                peer,
                Arc::new(ElementStream(control)),
                StreamLimits::default(),
            );
        });
        Ok(response)
    }
}

impl Service for ControlDoor {
    fn handle(
        &self,
        peer: PeerIdentity,
        _: SocketAddr,
        request: Request,
    ) -> BoxFuture<'_, Response> {
        async move {
            self.answer(peer, request)
                .await
                .unwrap_or_else(|problem| problem_response(&problem))
        }
        .boxed()
    }
}

struct ElementStream(Arc<Controller>);

impl Handler for ElementStream {
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        async move {
            let element = peer.identity().require_node(self.0.kind)?.id;
            let host_kind = self.0.kind.host_kind().unwrap();
            match incoming.kind.as_str() {
                ElementHello::KIND => {
                    {
                        let mut told = self.0.told.lock();
                        told.hello = Some(incoming.read()?);
                        told.hellos += 1;
                    }
                    let _ = self.0.welcoming.read().await;
                    *self.0.peer.lock() = Some(peer.clone());
                    reply(&self.0.welcome())
                }
                HostVouch::KIND => {
                    let vouch: HostVouch = incoming.read()?;
                    reply(
                        &self
                            .0
                            .sign(&vouch.csr_pem, NodeId::generate(), host_kind, element),
                    )
                }
                CertificateRenew::KIND => {
                    let renew: CertificateRenew = incoming.read()?;
                    reply(&self.0.sign(&renew.csr_pem, renew.node, host_kind, element))
                }
                CallRecords::KIND => {
                    self.0.told.lock().records.push(incoming.read()?);
                    reply(&Done {})
                }
                _ => Err(incoming.unknown()),
            }
        }
        .boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        let mut told = self.0.told.lock();
        match incoming.kind.as_str() {
            ElementHeartbeat::KIND => told.heartbeats.push(incoming.read().unwrap()),
            HostsChanged::KIND => told.changes.push(incoming.read().unwrap()),
            other => panic!("a notice of kind {other}"),
        }
        async {}.boxed()
    }
}
