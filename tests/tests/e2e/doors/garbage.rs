//! Garbage at every layer, and more of everything than may be.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::is_whole;

use super::{
    Siege,
    sink::Sink,
    stranger,
    wire::{self, BINARY, Door, TEXT, Wire, ask, last_words, status},
};

/// Bytes that each door gets in each manner.
fn volume() -> usize {
    if is_whole() { 1 << 30 } else { 16 << 20 }
}

/// Bytes of one write.
const PIECE: usize = 64 * 1024;
/// A door that neither takes nor closes for so long has not kept its bounds.
const STUCK: Duration = Duration::from_secs(90);

/// Bytes that mean nothing, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let step = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(step).take(length).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layer {
    /// Bytes of no protocol.
    Tcp,
    /// What looks like a TLS handshake.
    Handshake,
    /// A request's head that is none.
    Head,
    /// A body without end.
    Body,
    /// Frames that are none, after the upgrade.
    Frames,
    /// A message that a stream cannot take.
    Message,
}

impl Layer {
    fn is_in_tls(self, door: &Door) -> bool {
        door.has_tls() && !matches!(self, Self::Tcp | Self::Handshake)
    }

    const fn is_upgraded(self) -> bool {
        matches!(self, Self::Frames | Self::Message)
    }
}

/// Pours until the volume is reached, in as many connections as it takes.
async fn pour(door: &Door, layer: Layer, from: SocketAddr) -> usize {
    let noise = noise(PIECE);
    let (mut poured, mut connections) = (0, 0);
    while poured < volume() {
        let Ok(mut wire) = begin(door, layer, from).await else {
            continue;
        };
        connections += 1;
        let before = poured;
        let work = async {
            let prefix = prefix(door, layer);
            if wire.write_all(&prefix).await.is_err() {
                return;
            }
            while poured < volume() {
                let piece = match layer {
                    Layer::Body => chunk(&noise),
                    _ => noise.clone(),
                };
                if wire.write_all(&piece).await.is_err() {
                    break;
                }
                poured += PIECE;
            }
        };
        timeout(STUCK, work)
            .await
            .unwrap_or_else(|_| panic!("{} is stuck in {layer:?}", door.name));
        // What a door has taken before it closes is not known here: count a
        // refused connection as the least that was sent.
        poured = poured.max(before + 4096);
    }
    connections
}

async fn begin(door: &Door, layer: Layer, from: SocketAddr) -> std::io::Result<Box<dyn Wire>> {
    match layer {
        Layer::Tcp | Layer::Handshake => Ok(Box::new(door.tcp(from).await?)),
        Layer::Head | Layer::Body => door.open(from).await,
        Layer::Frames | Layer::Message => door.socket(from).await,
    }
}

fn prefix(door: &Door, layer: Layer) -> Vec<u8> {
    match layer {
        Layer::Tcp => vec![0],
        Layer::Handshake => vec![0x16, 3, 1, 0x3f, 0xff],
        Layer::Head => b"GET /".to_vec(),
        Layer::Body => format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            door.body.unwrap_or("/v1/calls")
        )
        .into_bytes(),
        Layer::Frames => Vec::new(),
        Layer::Message => {
            let kind = if door.socket == Some("/v1/queue") { TEXT } else { BINARY };
            wire::frame(kind, 1 << 20, b"")
        }
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

#[test]
fn garbage_is_survived_in_bounded_memory() {
    let siege = Siege::begin();
    for door in siege.doors() {
        let mut layers = vec![Layer::Tcp, Layer::Head, Layer::Body];
        if door.has_tls() {
            layers.push(Layer::Handshake);
        }
        if door.socket.is_some() {
            layers.extend([Layer::Frames, Layer::Message]);
        }
        for layer in layers {
            let what = format!("{} MiB of {layer:?} at the {}", volume() >> 20, door.name);
            let connections = siege.under(&what, pour(&door, layer, stranger(1)));
            eprintln!("  {connections} connections");
            let each = volume() / connections;
            let (sink, way) = Sink::open(layer.is_in_tls(&door), layer.is_upgraded(), each);
            let what = format!("  the same into a {}", way.name);
            siege.under(&what, pour(&way, layer, stranger(1)));
            drop(sink);
        }
    }
    siege.end();
}

#[test]
fn more_than_may_be_is_refused() {
    let siege = Siege::begin();
    siege.under("oversized requests", async {
        for door in siege.doors() {
            let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(300_000));
            let many = format!(
                "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
                "a: b\r\n".repeat(20_000)
            );
            let broad = format!(
                "GET / HTTP/1.1\r\nHost: x\r\na: {}\r\n\r\n",
                "b".repeat(300_000)
            );
            for head in [long, many, broad] {
                let answer = ask(&door, stranger(2), &head, b"").await;
                // Where bytes are left unread, a reset may overtake the answer.
                let code = status(&answer);
                assert!(
                    code.is_none_or(|code| (400..500).contains(&code)),
                    "{}: {answer}",
                    door.name
                );
            }
            if let Some(path) = door.body {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                     Content-Length: 10000000\r\nConnection: close\r\n\r\n"
                );
                let answer = ask(&door, stranger(2), &head, b"{\"a\":").await;
                assert_eq!(status(&answer), Some(413), "{}: {answer}", door.name);
                assert!(answer.contains("too-large"), "{}: {answer}", door.name);
            }
            if door.socket.is_some() {
                for kind in [TEXT, BINARY] {
                    let mut wire = door.socket(stranger(2)).await.unwrap();
                    let frame = wire::frame(kind, u64::MAX >> 1, b"x");
                    wire.write_all(&frame).await.unwrap();
                    last_words(&mut *wire, "a frame of 2^63 bytes").await;
                }
            }
        }
    });
    siege.end();
}

/// Streams that each leave a message of 7 MiB unfinished.
const UNFINISHED: usize = 24;
const UNFINISHED_BYTES: usize = 7 << 20;

#[test]
fn unfinished_messages_share_one_room() {
    let siege = Siege::begin();
    let doors = siege.doors();
    let element = doors
        .iter()
        .find(|door| door.socket == Some("/v1/queue"))
        .expect("the Element's door");
    let what = format!("{UNFINISHED} messages of which 7 MiB come");
    let cut = siege.under(&what, async {
        let start = wire::frame(TEXT, 8 * 1000 * 1000, &vec![b' '; UNFINISHED_BYTES]);
        let mut held = Vec::new();
        for _ in 0..UNFINISHED {
            let mut wire = element.socket(stranger(8)).await.unwrap();
            // The door has read all when it has no room, or when it is asked below.
            let _ = timeout(STUCK, wire.write_all(&start))
                .await
                .expect("taken or cut");
            held.push(wire);
        }
        let mut cut = 0;
        for wire in &mut held {
            // A stream that stands says nothing but pings.
            let heard = timeout(Duration::from_secs(1), async {
                let mut byte = [0; 64];
                loop {
                    if matches!(wire.read(&mut byte).await, Ok(0) | Err(_)) {
                        return;
                    }
                }
            });
            cut += usize::from(heard.await.is_ok());
        }
        cut
    });
    assert!(
        (1..UNFINISHED).contains(&cut),
        "{cut} of {UNFINISHED} were cut"
    );
    siege.end();
}
