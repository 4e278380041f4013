//! Doors, TLS and enrolment, over loopback.

use std::{sync::Arc, time::Duration};

use crate::common::{Grid, OpenDoor, soon};
use gridmart_fabric::{
    door::{DoorLimits, fetch},
    identity::{EphemeralKey, IdentityCell},
    join::{JoinToken, enrol},
    tls::{ClientTls, Revocations},
};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    role::NodeKind,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

async fn who(door: &OpenDoor, tls: &ClientTls) -> Result<String, Problem> {
    let mut fetched = soon(
        "fetch",
        fetch(&door.endpoints(), door.expected, tls, "/v1/who"),
    )
    .await?;
    let mut text = Vec::new();
    while let Some(chunk) = soon("chunk", fetched.chunk()).await? {
        text.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(text).unwrap())
}

async fn code(door: &OpenDoor, tls: &ClientTls) -> Code {
    who(door, tls).await.unwrap_err().code
}

#[tokio::test]
async fn a_door_knows_nodes_programs_and_strangers_apart() {
    let grid = Grid::new();
    let mut door = OpenDoor::open(&grid, NodeKind::ComputingElement).await;
    let (node, tls) = grid.client(NodeKind::ComputeHost);
    assert_eq!(who(&door, &tls).await.unwrap(), node.to_string());
    let peer = door.peers.recv().await.unwrap();
    assert!(peer.require_node(NodeKind::ComputeHost).is_ok());
    assert_eq!(
        peer.require_node(NodeKind::Control).unwrap_err().code,
        Code::NotAuthorized
    );

    let key = EphemeralKey::generate().unwrap();
    let program = ClientTls::ephemeral(grid.authority.root_pem(), &key).unwrap();
    assert_eq!(code(&door, &program).await, Code::CertificateRefused);
    let peer = door.peers.recv().await.unwrap();
    assert_eq!(
        (peer.require_key().unwrap(), &peer.node),
        (key.key_hash(), &None)
    );

    let expired = IdentityCell::new(grid.expired_node(NodeKind::ComputeHost));
    let expired = ClientTls::node(expired, Revocations::new()).unwrap();
    assert_eq!(code(&door, &expired).await, Code::CertificateRefused);
    let peer = door.peers.recv().await.unwrap();
    assert!(peer.node.is_none() && peer.key_hash.is_some());
}

#[tokio::test]
async fn a_node_of_another_authority_is_refused_on_both_ends() {
    let (grid, foreign) = (Grid::new(), Grid::new());
    let door = OpenDoor::open(&grid, NodeKind::ComputingElement).await;
    // Its own root is pinned, so it does not even believe the door.
    let (_, stranger) = foreign.client(NodeKind::ComputeHost);
    assert_eq!(code(&door, &stranger).await, Code::CertificateRefused);
    // The right door, but another node than the one expected.
    let (_, tls) = grid.client(NodeKind::ComputeHost);
    for expected in [
        (NodeId::generate(), NodeKind::ComputingElement),
        (door.expected.0, NodeKind::Control),
    ] {
        let refused = soon("fetch", fetch(&door.endpoints(), expected, &tls, "/v1/who"))
            .await
            .unwrap_err();
        assert_eq!(refused.code, Code::CertificateRefused, "{expected:?}");
    }
}

#[tokio::test]
async fn a_revoked_node_is_refused_by_name() {
    let grid = Grid::new();
    let door = OpenDoor::open(&grid, NodeKind::ComputingElement).await;
    let (node, tls) = grid.client(NodeKind::ComputeHost);
    door.revocations.revoke(node);
    assert_eq!(code(&door, &tls).await, Code::NodeRevoked);
    // And the other way round: a child does not dial a revoked parent.
    let revocations = Revocations::new();
    let child = IdentityCell::new(grid.node(NodeKind::ComputeHost));
    let child = ClientTls::node(child, revocations.clone()).unwrap();
    who(&door, &child).await.unwrap();
    revocations.revoke(door.expected.0);
    assert_eq!(code(&door, &child).await, Code::NodeRevoked);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_the_next_caller() {
    let grid = Grid::new();
    let door = OpenDoor::open(&grid, NodeKind::ComputingElement).await;
    let (_, tls) = grid.client(NodeKind::ComputeHost);
    who(&door, &tls).await.unwrap();
    let old = door.identity.current();
    // A certificate that has ended already: only a new handshake can notice.
    let then = time::OffsetDateTime::now_utc() - Duration::from_hours(2);
    let csr = old.csr_pem().unwrap();
    let ended = grid.certificate_at(&csr, old.node(), old.kind(), then, Duration::from_hours(1));
    door.identity.replace(old.renewed(&ended).unwrap());
    assert_eq!(code(&door, &tls).await, Code::CertificateRefused);
    let fresh = grid.certificate(&csr, old.node(), old.kind(), Duration::from_hours(1));
    door.identity.replace(old.renewed(&fresh).unwrap());
    who(&door, &tls).await.unwrap();
}

fn raw_config(
    versions: &[&'static rustls::SupportedProtocolVersion],
    root_pem: &str,
) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

async fn raw_handshake(
    door: &OpenDoor,
    config: Arc<rustls::ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(door.address).await?;
    let name = gridmart_fabric::identity::dns_name(door.expected.0, door.expected.1);
    tokio_rustls::TlsConnector::from(config)
        .connect(name.try_into().unwrap(), tcp)
        .await
}

#[tokio::test]
async fn tls_1_2_is_refused_and_nothing_is_resumed() {
    let grid = Grid::new();
    let mut door = OpenDoor::open(&grid, NodeKind::ComputingElement).await;
    let old = raw_config(&[&rustls::version::TLS12], grid.authority.root_pem());
    assert!(soon("handshake", raw_handshake(&door, old)).await.is_err());

    let config = raw_config(&[&rustls::version::TLS13], grid.authority.root_pem());
    for _ in 0..2 {
        let mut stream = soon("handshake", raw_handshake(&door, config.clone()))
            .await
            .unwrap();
        stream
            .write_all(b"GET /v1/who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        let _ = soon("answer", stream.read_to_string(&mut answer)).await;
        assert!(
            answer.starts_with("HTTP/1.1 401") && answer.contains("unauthenticated"),
            "{answer}"
        );
        assert_eq!(
            stream.get_ref().1.handshake_kind(),
            Some(rustls::HandshakeKind::Full)
        );
        let peer = door.peers.recv().await.unwrap();
        assert!(peer.key_hash.is_none() && peer.node.is_none());
    }
}

#[tokio::test]
async fn plain_http_is_told_so_and_garbage_is_survived() {
    let grid = Grid::new();
    let door = OpenDoor::open(&grid, NodeKind::ComputingElement).await;
    let mut plain = TcpStream::connect(door.address).await.unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    soon("answer", plain.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"tls-required\""),
        "{answer}"
    );

    for garbage in [
        &[0x16][..],
        &[0x16, 3, 1, 0xff, 0xff, 0, 0, 0],
        &vec![0x16; 70_000],
        &[0; 100],
    ] {
        let mut tcp = TcpStream::connect(door.address).await.unwrap();
        // The door may have closed before all is written.
        let _ = tcp.write_all(garbage).await;
        drop(tcp);
    }
    let (_, tls) = grid.client(NodeKind::ComputeHost);
    who(&door, &tls).await.unwrap();
}

#[tokio::test]
async fn who_says_nothing_is_put_out_and_frees_the_place() {
    let grid = Grid::new();
    let short = Duration::from_millis(300);
    let limits = DoorLimits {
        connections: 1,
        handshake: short,
        header: short,
        ..DoorLimits::default()
    };
    let door = OpenDoor::open_with(&grid, NodeKind::ComputingElement, limits, |_| {}).await;
    let mut mute = TcpStream::connect(door.address).await.unwrap();
    assert_eq!(soon("end", mute.read(&mut [0; 64])).await.unwrap(), 0);

    let config = raw_config(&[&rustls::version::TLS13], grid.authority.root_pem());
    let mut slow = soon("handshake", raw_handshake(&door, config))
        .await
        .unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon("end", slow.read_to_end(&mut rest)).await;

    let (_, tls) = grid.client(NodeKind::ComputeHost);
    who(&door, &tls).await.unwrap();
}

#[tokio::test]
async fn heads_are_bounded() {
    let grid = Grid::new();
    let door = OpenDoor::open(&grid, NodeKind::ComputingElement).await;
    let config = raw_config(&[&rustls::version::TLS13], grid.authority.root_pem());
    let many = "x: 1\r\n".repeat(100);
    let long = format!("x: {}\r\n", "y".repeat(64 * 1024));
    for headers in [many, long] {
        let mut stream = soon("handshake", raw_handshake(&door, config.clone()))
            .await
            .unwrap();
        // The door may answer before all is written.
        let _ = stream
            .write_all(format!("GET /v1/who HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes())
            .await;
        let mut answer = Vec::new();
        let _ = soon("answer", stream.read_to_end(&mut answer)).await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}

#[tokio::test]
async fn files_are_streamed_whole() {
    let grid = Grid::new();
    let path = grid.folder.path().join("package");
    let content: Vec<u8> = (0..3_000_000u32)
        .map(|number| (number % 251) as u8)
        .collect();
    std::fs::write(&path, &content).unwrap();
    let door = OpenDoor::open_with(&grid, NodeKind::Control, DoorLimits::default(), |service| {
        service.file = Some(path);
    })
    .await;
    let (_, tls) = grid.client(NodeKind::ComputingElement);
    let mut fetched = soon(
        "fetch",
        fetch(&door.endpoints(), door.expected, &tls, "/v1/file"),
    )
    .await
    .unwrap();
    assert_eq!(fetched.length, Some(content.len() as u64));
    let mut read = Vec::new();
    while let Some(chunk) = soon("chunk", fetched.chunk()).await.unwrap() {
        read.extend_from_slice(&chunk);
    }
    assert!(read == content);
    let missing = soon(
        "fetch",
        fetch(&door.endpoints(), door.expected, &tls, "/v1/none"),
    )
    .await
    .unwrap_err();
    assert_eq!(missing.code, Code::NotFound);
}

#[tokio::test]
async fn a_door_that_ends_lets_nobody_hang() {
    let grid = Grid::new();
    let limits = DoorLimits {
        grace: Duration::from_millis(200),
        ..DoorLimits::default()
    };
    let door = OpenDoor::open_with(&grid, NodeKind::ComputingElement, limits, |_| {}).await;
    let (_, tls) = grid.client(NodeKind::ComputeHost);
    let (endpoints, expected) = (door.endpoints(), door.expected);
    let hanging = tokio::spawn(async move {
        fetch(&endpoints, expected, &tls, "/v1/hang")
            .await
            .map(|_| ())
    });
    let _mute = TcpStream::connect(door.address).await.unwrap();
    // Once this is answered, the one before was accepted.
    let (_, tls) = grid.client(NodeKind::ComputeHost);
    who(&door, &tls).await.unwrap();
    door.stop.cancel();
    soon("the door's end", door.served).await.unwrap();
    assert_eq!(
        soon("the caller's end", hanging)
            .await
            .unwrap()
            .unwrap_err()
            .code,
        Code::Unavailable
    );
    assert!(TcpStream::connect(door.address).await.is_err());
}

async fn door_for_joining(
    grid: &Grid,
    token: impl FnOnce(NodeId) -> JoinToken,
) -> (OpenDoor, JoinToken) {
    let mut made = None;
    let door = OpenDoor::open_with(
        grid,
        NodeKind::ComputingElement,
        DoorLimits::default(),
        |service| {
            let token = token(service.parent);
            service.enrolment = Some((grid.authority.clone(), token.secret_hash()));
            made = Some(token);
        },
    )
    .await;
    (door, made.unwrap())
}

#[tokio::test]
async fn a_host_joins_with_its_token() {
    let grid = Grid::new();
    let fingerprint = grid.authority.root_fingerprint();
    let (door, token) = door_for_joining(&grid, |parent| {
        JoinToken::generate(NodeKind::ComputeHost, "lab", parent, &fingerprint)
    })
    .await;
    let token: JoinToken = token.to_string().parse().unwrap();
    let identity = soon("enrolment", enrol(&door.endpoints(), &token, "host1"))
        .await
        .unwrap();
    assert_eq!(
        (identity.kind(), identity.domain(), identity.parent()),
        (NodeKind::ComputeHost, "lab", door.expected.0)
    );
    let node = identity.node();
    let tls = ClientTls::node(IdentityCell::new(identity), Revocations::new()).unwrap();
    assert_eq!(who(&door, &tls).await.unwrap(), node.to_string());
}

#[tokio::test]
async fn a_token_is_not_shown_to_a_door_that_is_not_its_own() {
    let (grid, foreign) = (Grid::new(), Grid::new());
    let fingerprint = grid.authority.root_fingerprint();
    let kind = NodeKind::ComputeHost;
    let (door, token) = door_for_joining(&grid, |parent| {
        JoinToken::generate(kind, "lab", parent, &fingerprint)
    })
    .await;
    let refusal = async |door: &OpenDoor, token: &JoinToken| {
        soon("refusal", enrol(&door.endpoints(), token, "host1"))
            .await
            .unwrap_err()
            .code
    };
    // Another fingerprint; another parent; another kind of parent.
    let mut wrong = token.clone();
    wrong.fingerprint = foreign.authority.root_fingerprint();
    assert_eq!(refusal(&door, &wrong).await, Code::CertificateRefused);
    let mut wrong = token.clone();
    wrong.parent = NodeId::generate();
    assert_eq!(refusal(&door, &wrong).await, Code::CertificateRefused);
    let mut wrong = token.clone();
    wrong.kind = NodeKind::ComputingElement;
    assert_eq!(refusal(&door, &wrong).await, Code::CertificateRefused);
    // A door of a foreign authority, shown the true token.
    let other = OpenDoor::open(&foreign, NodeKind::ComputingElement).await;
    assert_eq!(refusal(&other, &token).await, Code::CertificateRefused);
    // The right door, and a token that it does not know.
    let unknown = JoinToken::generate(kind, "lab", token.parent, &fingerprint);
    assert_eq!(refusal(&door, &unknown).await, Code::JoinTokenInvalid);
}
