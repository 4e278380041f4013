//! An Element: welcomes its Host, serves packages, grants leases, says what
//! should be.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    authority::{Authority, DEFAULT_VALIDITY, NodeSubject},
    door::{
        Door, DoorLimits, Request, Response, Service, file_response, problem_response, upgrade,
    },
    identity::{IdentityCell, NewKey, NodeIdentity, PeerIdentity},
    package::{PackageLimits, pack},
    socket::SocketLimits,
    stream::{Handler, Incoming, Peer, StreamLimits, reply, run_stream},
    ticket::{LeaseClaims, LeaseCut, TicketApplication, Times},
    tls::{ClientTls, Revocations, ServerTls},
};
use gridmart_schemas::{
    id::{KeyHash, LeaseId, NodeId},
    problem::{Code, Problem},
    resource::{
        Document as _,
        ae::{AeInfo, AePolicy, Command, Step},
        ae_doc::AeDocument,
        enumeration::AeKind,
    },
    role::NodeKind,
    wire::{
        Done, Notice as _, Request as _,
        desired::{ApplicationWish, HostDesired, Wish},
        element_host::{
            ApplicationEnsure, HostChanged, HostDesire, HostHeartbeat, HostHello, HostWelcome,
            LeasesEnded,
        },
        enrol::Certificate,
        record::{CallRecord, CallRecords, JobProgress},
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, wait_for};

/// What the Host has told.
#[derive(Default)]
pub(crate) struct Told {
    pub hellos: Vec<HostHello>,
    pub heartbeats: Vec<HostHeartbeat>,
    pub changes: Vec<HostChanged>,
    pub records: Vec<CallRecord>,
    pub jobs: Vec<JobProgress>,
    pub ended: Vec<LeaseId>,
}

pub(crate) struct Element {
    authority: Authority,
    folder: PathBuf,
    pub identity: Arc<IdentityCell>,
    address: Mutex<Option<SocketAddr>>,
    stop: Mutex<CancellationToken>,
    peer: Mutex<Option<Peer>>,
    pub grace: AtomicU32,
    pub packages_sent: AtomicU32,
    pub desired: Mutex<HostDesired>,
    pub told: Mutex<Told>,
}

impl Element {
    pub(crate) async fn open(folder: &Path) -> Arc<Self> {
        Self::open_as(NodeKind::ComputingElement, folder).await
    }

    /// One for Hosts of other goods.
    pub(crate) async fn open_as(kind: NodeKind, folder: &Path) -> Arc<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let authority = Authority::open_or_create(&folder.join("authority")).unwrap();
        let identity = identity(&authority, kind, NodeId::generate());
        let element = Arc::new(Self {
            authority,
            folder: folder.to_owned(),
            identity: IdentityCell::new(identity),
            address: Mutex::default(),
            stop: Mutex::default(),
            peer: Mutex::default(),
            grace: AtomicU32::new(30),
            packages_sent: AtomicU32::new(0),
            desired: Mutex::default(),
            told: Mutex::default(),
        });
        element.open_door().await;
        element
    }

    /// Opens its door, where it was before.
    pub(crate) async fn open_door(self: &Arc<Self>) {
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
        tokio::spawn(door.serve(Arc::new(ElementDoor(self.clone())), stop));
    }

    /// Goes away.
    pub(crate) async fn shut(&self) {
        self.stop.lock().cancel();
        let address = self.address.lock().unwrap();
        if let Some(peer) = self.peer.lock().take() {
            peer.close();
        }
        wait_for("the Element's end", || {
            std::net::TcpListener::bind(address).map(drop)
        })
        .await;
    }

    pub(crate) fn address(&self) -> String {
        self.address.lock().unwrap().to_string()
    }

    pub(crate) fn root_pem(&self) -> String {
        self.authority.root_pem().to_owned()
    }

    pub(crate) fn host_identity(&self) -> NodeIdentity {
        let own = self.identity.current();
        identity(&self.authority, self.host_kind(), own.node())
    }

    /// What its Hosts are.
    pub(crate) fn host_kind(&self) -> NodeKind {
        self.identity.current().kind().host_kind().unwrap()
    }

    /// A node of its own grid.
    pub(crate) fn stranger(&self, kind: NodeKind) -> NodeIdentity {
        identity(&self.authority, kind, NodeId::generate())
    }

    /// Dials as this Element does.
    pub(crate) fn tls(&self) -> ClientTls {
        ClientTls::node(Arc::clone(&self.identity), Revocations::new()).unwrap()
    }

    /// The Host's stream, when it stands and has said hello.
    pub(crate) async fn host(&self) -> Peer {
        wait_for("the Host's stream", || {
            self.peer
                .lock()
                .clone()
                .filter(|peer| !peer.is_closed())
                .ok_or("none")
        })
        .await
    }

    /// Says what should be, changed so.
    pub(crate) async fn desire(
        &self,
        change: impl FnOnce(&mut HostDesired),
    ) -> Result<(), Problem> {
        let desired = {
            let mut desired = self.desired.lock();
            change(&mut desired);
            desired.clone()
        };
        let desire = HostDesire {
            desired,
            revoked: Vec::new(),
        };
        self.host().await.ask(&desire, PATIENCE).await.map(drop)
    }

    /// Makes an application that is `/bin/sh`, to be called with a script.
    pub(crate) fn package(&self, name: &str, policy: AePolicy) -> ApplicationWish {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        // Waits for something that ends when the shell waits already.
        let hello = "#!/bin/sh\nsleep 0.2 & wait\necho \"hello $*\"\n";
        std::fs::write(folder.join("bin/hello"), hello).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.join("bin/hello"), mode).unwrap();
        let info = AeInfo::new(name.parse().unwrap(), "1.0".parse().unwrap(), AeKind::Task);
        let mut command = Command::new("/bin/bash".parse().unwrap());
        command.arguments = vec!["-c".parse().unwrap()];
        command.split = Some(Step {
            executable: "bin/hello".parse().unwrap(),
            arguments: vec!["split".parse().unwrap()],
        });
        let mut document = AeDocument::new(info, command);
        document.policy = policy;
        std::fs::write(folder.join("AEDoc.xml"), document.to_xml()).unwrap();
        let mut bytes = Vec::new();
        let packed = pack(&folder, &mut bytes, &PackageLimits::default()).unwrap();
        std::fs::write(self.folder.join(packed.digest.hex()), &bytes).unwrap();
        ApplicationWish {
            digest: packed.digest,
            name: name.into(),
            version: "1.0".into(),
            size: packed.size,
            wish: Wish {
                generation: 1,
                ..Wish::default()
            },
        }
    }

    /// Makes an application and has it brought to the Host.
    pub(crate) async fn deploy(&self, name: &str, policy: AePolicy) -> ApplicationWish {
        let wish = self.package(name, policy);
        self.desire(|desired| desired.applications.push(wish.clone()))
            .await
            .unwrap();
        let ensure = ApplicationEnsure {
            digest: wish.digest.clone(),
            size: wish.size,
        };
        let deployment = self.host().await.ask(&ensure, PATIENCE).await.unwrap();
        assert_eq!(deployment.state, "installedverified");
        wish
    }

    /// What a lease would say, to be changed before it is signed.
    pub(crate) fn claims(
        &self,
        host: NodeId,
        presenter: &KeyHash,
        wish: &ApplicationWish,
        slots: u32,
    ) -> LeaseClaims {
        let times = Times::starting(OffsetDateTime::now_utc(), Duration::from_mins(5));
        let desired = self.desired.lock();
        let application = desired
            .applications
            .iter()
            .find(|known| known.digest == wish.digest);
        LeaseClaims {
            iss: self.identity.current().node(),
            sub: "ada".parse().unwrap(),
            aud: host,
            presenter: presenter.clone(),
            lease: LeaseId::generate(),
            slots,
            application: TicketApplication {
                digest: wish.digest.clone(),
                name: wish.name.clone(),
                version: wish.version.clone(),
            },
            cut: LeaseCut {
                element: desired.element_cut_epoch,
                host: desired.wish.cut_epoch,
                application: application.map_or(0, |known| known.wish.cut_epoch),
            },
            incarnation: None,
            job: None,
            nbf: times.nbf,
            iat: times.iat,
            exp: times.exp,
        }
    }

    pub(crate) fn sign(&self, claims: &LeaseClaims) -> String {
        self.identity
            .current()
            .signing_key()
            .sign_lease(claims)
            .unwrap()
    }

    fn answer(&self, peer: &Peer, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        match incoming.kind.as_str() {
            HostHello::KIND => {
                self.told.lock().hellos.push(incoming.read()?);
                *self.peer.lock() = Some(peer.clone());
                reply(&HostWelcome {
                    heartbeat_interval: 1,
                    lease_key: self.identity.current().signing_key().spki_pem().to_owned(),
                    reattach_grace: self.grace.load(Ordering::Relaxed),
                    desired: self.desired.lock().clone(),
                    ended_leases: Vec::new(),
                    revoked: Vec::new(),
                    time: None,
                })
            }
            CallRecords::KIND => {
                let records: CallRecords = incoming.read()?;
                let mut told = self.told.lock();
                told.records.extend(records.records);
                told.jobs.extend(records.jobs);
                reply(&Done {})
            }
            _ => Err(incoming.unknown()),
        }
    }

    fn on_told(&self, incoming: &Incoming) {
        let mut told = self.told.lock();
        match incoming.kind.as_str() {
            HostHeartbeat::KIND => told.heartbeats.push(incoming.read().unwrap()),
            HostChanged::KIND => told.changes.push(incoming.read().unwrap()),
            LeasesEnded::KIND => {
                let ended: LeasesEnded = incoming.read().unwrap();
                told.ended.extend(ended.leases);
            }
            kind => panic!("a Host does not say {kind}"),
        }
    }
}

fn identity(authority: &Authority, kind: NodeKind, parent: NodeId) -> NodeIdentity {
    let key = NewKey::generate().unwrap();
    let id = NodeId::generate();
    let subject = NodeSubject {
        id,
        kind,
        domain: "lab".into(),
        dns_names: Vec::new(),
        ips: Vec::new(),
    };
    let chain_pem = authority
        .sign(
            &key.csr_pem().unwrap(),
            &subject,
            OffsetDateTime::now_utc(),
            DEFAULT_VALIDITY,
        )
        .unwrap();
    key.into_identity(&Certificate {
        node: id,
        domain: "lab".into(),
        chain_pem,
        parent,
    })
    .unwrap()
}

struct ElementDoor(Arc<Element>);

impl Service for ElementDoor {
    fn handle(
        &self,
        peer: PeerIdentity,
        _remote: SocketAddr,
        mut request: Request,
    ) -> BoxFuture<'_, Response> {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            if path == "/v1/control" {
                peer.require_node(self.0.host_kind()).unwrap();
                let (response, pending) = upgrade(&mut request, SocketLimits::ENVELOPES).unwrap();
                let element = self.0.clone();
                tokio::spawn(async move {
                    let socket = pending.socket().await.unwrap();
                    run_stream(
                        socket,
                        peer,
                        Arc::new(ElementHandler(element)),
                        StreamLimits::default(),
                    );
                });
                return response;
            }
            if let Some(hex) = path.strip_prefix("/v1/packages/") {
                self.0.packages_sent.fetch_add(1, Ordering::Relaxed);
                return match file_response(&self.0.folder.join(hex)).await {
                    Ok(response) => response,
                    Err(problem) => problem_response(&problem),
                };
            }
            problem_response(&Problem::new(Code::NotFound, path))
        })
    }
}

struct ElementHandler(Arc<Element>);

impl Handler for ElementHandler {
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        let answer = self.0.answer(peer, &incoming);
        Box::pin(async move { answer })
    }

    fn on_notice<'a>(&'a self, _peer: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        self.0.on_told(&incoming);
        Box::pin(async {})
    }
}
