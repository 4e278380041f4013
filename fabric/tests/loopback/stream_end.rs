//! How streams end: revoked, expired, silent, or not spoken properly.

use std::{sync::Arc, time::Duration};

use crate::{
    common::{Grid, Ignorant, OpenDoor, soon},
    stream::{Echo, PATIENCE, ask, connected, door_with},
};
use futures_util::{SinkExt as _, StreamExt as _};
use gridmart_fabric::{
    door::DoorLimits,
    identity::{IdentityCell, dns_name},
    stream::{Backoff, Dialer, Peer, StreamLimits, dial},
    tls::{ClientTls, Revocations},
};
use gridmart_schemas::{
    id::NodeId, problem::Code, role::NodeKind, wire::element_host::LeasesEnded,
};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn revoking_a_node_ends_its_streams() {
    let grid = Grid::new();
    let echo = Echo::new(0, 0);
    let door = door_with(&grid, echo.clone(), StreamLimits::default()).await;
    let (node, tls) = grid.client(NodeKind::ComputeHost);
    let (_, other) = grid.client(NodeKind::ComputeHost);
    let open = async |tls: &ClientTls| {
        let limits = StreamLimits::default();
        soon(
            "dial",
            dial(
                &door.endpoints(),
                door.expected,
                tls,
                "/v1/control",
                Arc::new(Ignorant),
                limits,
            ),
        )
        .await
    };
    let (peer, kept) = (open(&tls).await.unwrap(), open(&other).await.unwrap());
    echo.gate.add_permits(3);
    peer.ask(&ask(&1), PATIENCE).await.unwrap();
    door.revocations.revoke(node);
    soon("end of the stream", peer.closed()).await;
    soon("on_closed", echo.closed.notified()).await;
    kept.ask(&ask(&1), PATIENCE).await.unwrap();
    assert!(!kept.is_closed());
}

#[tokio::test]
async fn a_stream_ends_with_the_certificate() {
    let grid = Grid::new();
    let echo = Echo::new(1, 0);
    let door = door_with(&grid, echo.clone(), StreamLimits::default()).await;
    // Times of certificates are whole seconds.
    let node = IdentityCell::new(grid.node_for(NodeKind::ComputeHost, Duration::from_secs(3)));
    let tls = ClientTls::node(node, Revocations::new()).unwrap();
    let limits = StreamLimits::default();
    let endpoints = door.endpoints();
    let dialled = dial(
        &endpoints,
        door.expected,
        &tls,
        "/v1/control",
        Arc::new(Ignorant),
        limits,
    );
    let peer = soon("dial", dialled).await.unwrap();
    peer.ask(&ask(&1), PATIENCE).await.unwrap();
    soon("on_closed", echo.closed.notified()).await;
    soon("end of the stream", peer.closed()).await;
}

#[tokio::test]
async fn a_stream_has_a_successor_before_its_certificate_ends() {
    let grid = Grid::new();
    let echo = Echo::new(100, 0);
    let mut door = door_with(&grid, echo, StreamLimits::default()).await;
    let node = IdentityCell::new(grid.node_for(NodeKind::ComputeHost, Duration::from_secs(4)));
    let dialer = Dialer {
        endpoints: door.endpoints(),
        expected: door.expected,
        tls: ClientTls::node(node.clone(), Revocations::new()).unwrap(),
        path: "/v1/control".to_owned(),
        handler: Arc::new(Ignorant),
        limits: StreamLimits::default(),
        backoff: Backoff::default(),
    };
    let stop = CancellationToken::new();
    let hello = |peer: Peer| -> futures_util::future::BoxFuture<'static, _> {
        Box::pin(async move { peer.ask(&ask(&1), PATIENCE).await.map(drop) })
    };
    let dialling = tokio::spawn(dialer.keep_connected(hello, stop.clone()));
    let first = soon("first stream", door.streams.recv()).await.unwrap();
    let certificate = {
        let present = node.current();
        let csr = present.csr_pem().unwrap();
        let certificate = grid.certificate(
            &csr,
            present.node(),
            NodeKind::ComputeHost,
            Duration::from_hours(1),
        );
        present.renewed(&certificate).unwrap()
    };
    node.replace(certificate);
    let second = soon("second stream", door.streams.recv()).await.unwrap();
    assert!(!first.is_closed(), "the old stream stands meanwhile");
    soon("end of the first stream", first.closed()).await;
    assert!(!second.is_closed());
    stop.cancel();
    soon("end of the dialer", dialling).await.unwrap();
    soon("end of the second stream", second.closed()).await;
}

type RawSocket =
    tokio_tungstenite::WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

/// A WebSocket without our code behind it.
async fn raw_socket(grid: &Grid, door: &OpenDoor) -> RawSocket {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(grid.authority.root_pem().as_bytes()).unwrap())
        .unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS13])
    .unwrap()
    .with_root_certificates(roots)
    .with_no_client_auth();
    let tcp = tokio::net::TcpStream::connect(door.address).await.unwrap();
    let name = dns_name(door.expected.0, door.expected.1)
        .try_into()
        .unwrap();
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .unwrap();
    tokio_tungstenite::client_async("ws://gridmart/v1/control", tls)
        .await
        .unwrap()
        .0
}

async fn next_text(socket: &mut RawSocket) -> Option<String> {
    soon("message", async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    })
    .await
}

#[tokio::test]
async fn another_major_version_is_refused_and_cut() {
    let grid = Grid::new();
    let echo = Echo::new(0, 0);
    let door = door_with(&grid, echo.clone(), StreamLimits::default()).await;
    let mut socket = raw_socket(&grid, &door).await;
    socket
        .send(Message::text(
            r#"{"v":[2,0],"id":9,"kind":"call-terminate","body":{}}"#,
        ))
        .await
        .unwrap();
    let answer = next_text(&mut socket).await.unwrap();
    assert!(
        answer.contains("\"re\":9") && answer.contains("version-unsupported"),
        "{answer}"
    );
    assert_eq!(next_text(&mut socket).await, None);
    soon("on_closed", echo.closed.notified()).await;
}

#[tokio::test]
async fn a_newer_minor_version_is_spoken_with() {
    let grid = Grid::new();
    let echo = Echo::new(9, 0);
    let door = door_with(&grid, echo, StreamLimits::default()).await;
    let mut socket = raw_socket(&grid, &door).await;
    let call = NodeId::generate();
    let text = format!(
        r#"{{"v":[1,99],"id":3,"kind":"call-terminate","new":[1],"body":{{"call":"{call}","by":"5","x":1}}}}"#
    );
    socket.send(Message::text(text)).await.unwrap();
    let answer = next_text(&mut socket).await.unwrap();
    assert!(
        answer.contains("\"re\":3") && answer.contains("\"ended\":5"),
        "{answer}"
    );
    socket
        .send(Message::text(
            r#"{"v":[1,0],"id":4,"kind":"call-terminate","body":{"by":5}}"#,
        ))
        .await
        .unwrap();
    let answer = next_text(&mut socket).await.unwrap();
    assert!(
        answer.contains("\"re\":4") && answer.contains("invalid-request"),
        "{answer}"
    );
    // Answers to what nobody asked are ignored.
    socket
        .send(Message::text(r#"{"v":[1,0],"re":77,"body":{}}"#))
        .await
        .unwrap();
    socket
        .send(Message::text(r#"{"v":[1,0],"id":5,"kind":"novel"}"#))
        .await
        .unwrap();
    let answer = next_text(&mut socket).await.unwrap();
    assert!(answer.contains("unknown-message"), "{answer}");
}

#[tokio::test]
async fn garbage_and_oversized_messages_end_the_stream_alone() {
    let grid = Grid::new();
    let echo = Echo::new(1, 0);
    let door = door_with(&grid, echo.clone(), StreamLimits::default()).await;
    let huge = format!(r#"{{"v":[1,0],"kind":"{}"}}"#, "x".repeat(9 * 1024 * 1024));
    for bad in [
        Message::text("nonsense"),
        Message::text("[]"),
        Message::binary(vec![0; 10]),
        Message::text(huge),
    ] {
        let mut socket = raw_socket(&grid, &door).await;
        // The door may have cut it before all is written.
        let _ = socket.send(bad).await;
        assert_eq!(next_text(&mut socket).await, None);
        soon("on_closed", echo.closed.notified()).await;
    }
    let peer = connected(&grid, &door, StreamLimits::default()).await;
    peer.ask(&ask(&1), PATIENCE).await.unwrap();
}

fn impatient() -> StreamLimits {
    StreamLimits {
        ping: Duration::from_millis(50),
        silence: Duration::from_millis(400),
        ..StreamLimits::default()
    }
}

#[tokio::test]
async fn a_silent_peer_is_cut_and_a_quiet_one_is_not() {
    let grid = Grid::new();
    let echo = Echo::new(1, 0);
    let door = door_with(&grid, echo.clone(), impatient()).await;
    let quiet = connected(&grid, &door, impatient()).await;
    // Never polled again: it answers no ping.
    let _silent = raw_socket(&grid, &door).await;
    soon("on_closed", echo.closed.notified()).await;
    quiet.ask(&ask(&1), PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_never_reads_is_cut() {
    let grid = Grid::new();
    let echo = Echo::new(0, 0);
    let limits = DoorLimits {
        write_stall: Duration::from_millis(300),
        ..DoorLimits::default()
    };
    let mut door = OpenDoor::open_with(&grid, NodeKind::ComputingElement, limits, |service| {
        service.handler = echo.clone();
    })
    .await;
    let _silent = raw_socket(&grid, &door).await;
    let peer = soon("stream", door.streams.recv()).await.unwrap();
    let notice = LeasesEnded {
        leases: (0..10_000)
            .map(|_| gridmart_schemas::id::LeaseId::generate())
            .collect(),
    };
    let refused = soon("the cut", async {
        loop {
            if let Err(problem) = peer.tell(&notice).await {
                return problem.code;
            }
        }
    })
    .await;
    assert_eq!(refused, Code::Unavailable);
    soon("on_closed", echo.closed.notified()).await;
}
