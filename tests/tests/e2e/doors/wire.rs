//! Connections by hand: as far as TLS, or as far as a WebSocket, and no
//! library that would keep one from doing wrong.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use gridmart_fabric::identity::dns_name;
use gridmart_schemas::role::NodeKind;
use gridmart_tests::Supermarket;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// No answer takes longer, unless a test says so.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A connection, with or without TLS.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// One of the four doors.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// Address of a WebSocket there that programs may open.
    pub(super) socket: Option<&'static str>,
    /// Address that takes a JSON body of whoever comes.
    pub(super) body: Option<&'static str>,
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    root: Arc<RootCertStore>,
}

impl Door {
    pub(super) fn all(market: &Supermarket) -> Vec<Self> {
        let pem = std::fs::read(market.ca()).unwrap();
        let mut root = RootCertStore::empty();
        root.add(CertificateDer::from_pem_slice(&pem).unwrap())
            .unwrap();
        let root = Arc::new(root);
        let node = |name, role: &str, door, kind, socket, body| {
            let id = market.role_node(role).parse().unwrap();
            Self {
                name,
                address: market.role_address(role, door).parse().unwrap(),
                socket,
                body,
                tls: Some((
                    dns_name(id, kind).try_into().unwrap(),
                    program_config(&root),
                )),
                root: Arc::clone(&root),
            }
        };
        vec![
            Self {
                name: "people's door",
                address: market.role_address("control", "people").parse().unwrap(),
                socket: None,
                body: Some("/api/v1/login"),
                tls: None,
                root: Arc::clone(&root),
            },
            node(
                "nodes' door",
                "control",
                "nodes",
                NodeKind::Control,
                None,
                Some("/v1/enrol"),
            ),
            node(
                "Element's door",
                "ce-1",
                "door",
                NodeKind::ComputingElement,
                Some("/v1/queue"),
                Some("/v1/enrol"),
            ),
            node(
                "Host's door",
                "host-1",
                "door",
                NodeKind::ComputeHost,
                Some("/v1/calls"),
                None,
            ),
        ]
    }

    /// A way to something that is no door; `name` is that in its certificate.
    pub(super) fn bare(
        address: SocketAddr,
        socket: Option<&'static str>,
        name: Option<&'static str>,
        root: RootCertStore,
    ) -> Self {
        let root = Arc::new(root);
        let tls = name.map(|name| (name.try_into().unwrap(), program_config(&root)));
        Self {
            name: "bare sink",
            address,
            socket,
            body: None,
            tls,
            root,
        }
    }

    pub(super) const fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// TCP alone, from an address of this machine.
    pub(super) async fn tcp(&self, from: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(from)?;
        socket.connect(self.address).await
    }

    /// As far as HTTP: with a self-made TLS key where there is TLS.
    pub(super) async fn open(&self, from: SocketAddr) -> io::Result<Box<dyn Wire>> {
        let tcp = self.tcp(from).await?;
        Ok(match &self.tls {
            None => Box::new(tcp),
            Some((_, config)) => Box::new(self.shake(tcp, config).await?),
        })
    }

    /// Shakes hands as `config` says.
    pub(super) async fn shake(
        &self,
        tcp: TcpStream,
        config: &Arc<ClientConfig>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let (name, _) = self.tls.as_ref().expect("a door with TLS");
        TlsConnector::from(Arc::clone(config))
            .connect(name.clone(), tcp)
            .await
    }

    /// A WebSocket where this door has one for programs.
    pub(super) async fn socket(&self, from: SocketAddr) -> io::Result<Box<dyn Wire>> {
        let path = self.socket.expect("a door with a WebSocket");
        let mut wire = self.open(from).await?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        wire.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(wire.read_u8().await?);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", self.name);
        Ok(wire)
    }

    /// TLS without a key of one's own, of one version.
    pub(super) fn keyless(
        &self,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(Arc::clone(&self.root))
            .with_no_client_auth();
        Arc::new(config)
    }

    /// TLS with a self-made key.
    pub(super) fn program(&self) -> Arc<ClientConfig> {
        program_config(&self.root)
    }
}

pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn program_config(root: &Arc<RootCertStore>) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["program".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(Arc::clone(root))
        .with_client_auth_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

/// Reads until the door closes; gives what it said, at most some kilobytes.
pub(super) async fn last_words(wire: &mut dyn Wire, what: &str) -> String {
    let mut said = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        // A reset is an end as well.
        while let Ok(read @ 1..) = wire.read(&mut buffer).await {
            if said.len() < 64 * 1024 {
                said.extend_from_slice(&buffer[..read]);
            }
        }
    };
    timeout(PATIENCE + PATIENCE, reading)
        .await
        .unwrap_or_else(|_| panic!("{what}: the door does not close"));
    String::from_utf8_lossy(&said).into_owned()
}

/// Asks once and reads the answer to its end.
pub(super) async fn ask(door: &Door, from: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut wire = door.open(from).await.unwrap();
    // The door may answer before all is written.
    let _ = wire.write_all(head.as_bytes()).await;
    let _ = wire.write_all(body).await;
    last_words(&mut *wire, door.name).await
}

/// Status of an answer; none where there was no answer.
pub(super) fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// One masked WebSocket frame, as programs send them; mask of zeros.
pub(super) fn frame(opcode: u8, claimed: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode, 0x80 | 127];
    bytes.extend_from_slice(&claimed.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
