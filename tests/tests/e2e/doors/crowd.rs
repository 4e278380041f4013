//! More connections than anybody needs, and TLS that is not what it should be.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::is_whole;

use super::{
    Siege, stranger,
    wire::{self, Door, PATIENCE, last_words, status},
};

/// Open files that this test needs for itself.
const OWN_FILES: u64 = 500;

/// Connections to each door: what was asked for, as far as this process may.
fn crowd_size() -> usize {
    let wanted = if is_whole() { 10_000 } else { 600 };
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
        .expect("a limit can be read");
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard)
        .expect("a soft limit can be raised");
    wanted.min(usize::try_from(hard.saturating_sub(OWN_FILES)).unwrap_or(usize::MAX))
}

/// Opens so many connections that say nothing, from some addresses.
async fn crowd(door: &Door, size: usize) -> Vec<TcpStream> {
    let mut crowd = Vec::with_capacity(size);
    for number in 0..size {
        let from = stranger(10 + u8::try_from(number % 4).expect("small"));
        let came = timeout(PATIENCE, door.tcp(from)).await;
        // A door that is full may refuse, but not let anybody hang.
        crowd.extend(
            came.unwrap_or_else(|_| panic!("{}: {number} hangs", door.name))
                .ok(),
        );
    }
    crowd
}

#[test]
fn a_crowd_keeps_nobody_out() {
    let size = crowd_size();
    let siege = Siege::begin();
    for door in siege.doors() {
        let what = format!("{size} connections that say nothing at the {}", door.name);
        siege.under(&what, async {
            let crowd = crowd(&door, size).await;
            // Somebody else comes in meanwhile.
            let head = "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let answer = timeout(PATIENCE, wire::ask(&door, stranger(200), head, b"")).await;
            let answer = answer.unwrap_or_else(|_| panic!("the crowd keeps others out"));
            assert_eq!(status(&answer), Some(404), "{}: {answer}", door.name);
            eprintln!("  {} of {size} connections stood", crowd.len());
        });
        let run = siege.market.cli_with(&["call", "echo"], "x").ok();
        assert_eq!(run.text(), "x");
    }
    siege.end();
}

#[test]
fn one_address_does_not_get_every_place() {
    let siege = Siege::begin();
    let doors = siege.doors();
    let element = doors
        .iter()
        .find(|door| door.socket == Some("/v1/queue"))
        .expect("the Element's door");
    let size = if is_whole() { 1200 } else { 40 };
    siege.under(&format!("{size} streams of one address"), async {
        let mut streams = Vec::new();
        for _ in 0..size {
            let config = element.program();
            let tcp = element.tcp(stranger(20)).await.unwrap();
            if let Ok(tls) = element.shake(tcp, &config).await {
                streams.push(tls);
            }
        }
        let head = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = wire::ask(element, stranger(201), head, b"").await;
        assert_eq!(status(&answer), Some(200), "{answer}");
    });
    siege.end();
}

#[test]
fn tls_tricks_lead_nowhere() {
    let siege = Siege::begin();
    siege.under("TLS tricks", async {
        for door in siege.doors().iter().filter(|door| door.has_tls()) {
            // Only TLS 1.3 is spoken.
            let tcp = door.tcp(stranger(5)).await.unwrap();
            let old = door.keyless(&rustls::version::TLS12);
            assert!(door.shake(tcp, &old).await.is_err(), "{}", door.name);
            renegotiation(door).await;
            keyless(door).await;
            // A greeting that stops in the middle, and one with its lengths wrong.
            for greeting in [
                &[0x16, 3, 1, 0, 5, 1, 0, 0, 1][..],
                &[0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
                &[0x16, 0xff, 0xff, 0xff, 0xff],
            ] {
                let mut tcp = door.tcp(stranger(5)).await.unwrap();
                tcp.write_all(greeting).await.unwrap();
                tcp.shutdown().await.unwrap();
                last_words(&mut tcp, "a broken greeting").await;
            }
        }
    });
    siege.end();
}

/// A second greeting on a connection that stands is an end, not a beginning.
async fn renegotiation(door: &Door) {
    let tcp = door.tcp(stranger(5)).await.unwrap();
    let mut tls = door.shake(tcp, &door.program()).await.unwrap();
    let (tcp, _) = tls.get_mut();
    let greeting = [0x16, 3, 3, 0, 4, 1, 0, 0, 0];
    tcp.write_all(&greeting).await.unwrap();
    let mut said = Vec::new();
    let read = timeout(Duration::from_secs(20), tcp.read_to_end(&mut said)).await;
    assert!(read.is_ok(), "{}: a second greeting is taken", door.name);
}

/// Without a key, nothing that needs one.
async fn keyless(door: &Door) {
    let paths = [
        ("/v1/control", &["unauthenticated", "not-found"][..]),
        ("/v1/queue", &["unauthenticated", "not-found"]),
        ("/v1/calls", &["unauthenticated", "not-found"]),
        ("/metrics", &["unauthenticated"]),
    ];
    for (path, codes) in paths {
        let config = Arc::clone(&door.keyless(&rustls::version::TLS13));
        let tcp = door.tcp(stranger(5)).await.unwrap();
        let mut tls = door.shake(tcp, &config).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        tls.write_all(head.as_bytes()).await.unwrap();
        let answer = last_words(&mut tls, path).await;
        assert!(
            codes.iter().any(|code| answer.contains(code)),
            "{path} at the {}: {answer}",
            door.name
        );
    }
}
