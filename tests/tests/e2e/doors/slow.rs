//! Those who take their time: heads, bodies and handshakes that never end,
//! streams that are never read, streams that fall silent.

use std::{
    io,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{io::AsyncWriteExt as _, time::timeout};

use crate::is_whole;

use super::{
    Siege, stranger,
    wire::{self, BINARY, Door, TEXT, Wire, last_words},
};

/// Connections of each manner at each door.
const EACH: usize = 8;
/// Between two bytes of who trickles.
const TRICKLE: Duration = Duration::from_millis(300);
/// Every such connection is closed by its door within this, whose longest
/// deadline is a minute.
const CLOSED_MAX: Duration = Duration::from_secs(150);

/// Writes a byte now and then until the door closes.
async fn trickle(mut wire: Box<dyn Wire>, start: Vec<u8>, byte: u8, what: String) {
    let trickling = async {
        let mut next = start;
        loop {
            if wire.write_all(&next).await.is_err() || wire.flush().await.is_err() {
                return;
            }
            next = vec![byte];
            // Trickling is what is tested here, nothing is waited for.
            tokio::time::sleep(TRICKLE).await;
        }
    };
    timeout(CLOSED_MAX, trickling)
        .await
        .unwrap_or_else(|_| panic!("{what} is not put out"));
}

/// Comes in one of the manners, and returns when it was put out; on a busy
/// machine that may happen before its handshake is done.
async fn loris(door: Door, manner: &'static str) -> io::Result<()> {
    let what = format!("{manner} at the {}", door.name);
    let head = |line: &str| format!("{line} HTTP/1.1\r\nHost: x\r\nx: ").into_bytes();
    match manner {
        "a handshake that never ends" => {
            let tcp = door.tcp(stranger(3)).await?;
            // A record of 16 KiB is announced.
            trickle(Box::new(tcp), vec![0x16, 3, 1, 0x3f, 0xff, 1], 0, what).await;
        }
        "a head that never ends" => {
            let wire = door.open(stranger(3)).await?;
            trickle(wire, head("GET /healthz"), b'a', what).await;
        }
        "a body that never ends" => {
            let wire = door.open(stranger(3)).await?;
            let path = door.body.expect("a door that takes bodies");
            let start = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20000\r\n\r\n{{"
            );
            trickle(wire, start.into_bytes(), b' ', what).await;
        }
        "a message that never ends" => {
            let wire = door.socket(stranger(3)).await?;
            let kind = if door.socket == Some("/v1/queue") {
                TEXT
            } else {
                BINARY
            };
            trickle(wire, wire::frame(kind, 60_000, b"{"), b' ', what).await;
        }
        "silence" => {
            let mut wire = door.open(stranger(3)).await?;
            let said = last_words(&mut *wire, &what).await;
            assert!(
                said.is_empty() || said.starts_with("HTTP/1.1 408"),
                "{what}: {said}"
            );
        }
        "silence after an answer" => {
            let mut wire = door.open(stranger(3)).await?;
            let head = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
            wire.write_all(head).await?;
            let said = last_words(&mut *wire, &what).await;
            if said.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            assert!(said.starts_with("HTTP/1.1 "), "{what}: {said}");
        }
        _ => {
            let mut wire = door.socket(stranger(3)).await?;
            // Pings come, and are not answered.
            last_words(&mut *wire, &what).await;
        }
    }
    Ok(())
}

#[test]
fn who_takes_for_ever_is_put_out() {
    let siege = Siege::begin();
    let mut all = Vec::new();
    for door in siege.doors() {
        let mut manners = vec![
            "a head that never ends",
            "silence",
            "silence after an answer",
        ];
        if door.has_tls() {
            manners.push("a handshake that never ends");
        }
        if door.body.is_some() {
            manners.push("a body that never ends");
        }
        if door.socket.is_some() {
            manners.extend(["a message that never ends", "a silent stream"]);
        }
        for manner in manners {
            all.extend((0..EACH).map(|_| loris(door.clone(), manner)));
        }
    }
    let count = all.len();
    siege.under(&format!("{count} that take for ever"), async {
        // Each panics by itself if it is not put out.
        let ended = join_all(all.into_iter().map(tokio::spawn)).await;
        let early = ended
            .into_iter()
            .filter(|end| end.as_ref().unwrap().is_err());
        let early = early.count();
        eprintln!("  {early} were put out before they got in");
        assert!(early < count / 2, "{early} of {count} did not get in");
    });
    siege.end();
}

/// Asks and asks and reads no answer, until the door has had enough.
async fn deaf(mut wire: Box<dyn Wire>, question: &[u8], what: &str) -> usize {
    let mut asked = 0;
    let asking = async {
        while wire.write_all(question).await.is_ok() {
            asked += question.len();
        }
    };
    timeout(CLOSED_MAX, asking)
        .await
        .unwrap_or_else(|_| panic!("{what}: who never reads is not cut"));
    asked
}

#[test]
fn a_stream_that_is_never_read_is_cut() {
    let siege = Siege::begin();
    let each = if is_whole() { 64 } else { EACH };
    let began = Instant::now();
    let [element] = siege
        .doors()
        .into_iter()
        .filter(|door| door.socket == Some("/v1/queue"))
        .collect::<Vec<_>>()
        .try_into()
        .ok()
        .expect("one door with a queue");
    // Answered with a problem each.
    let envelope = format!(
        "{{\"v\":[1,0],\"id\":7,\"kind\":\"{}\",\"body\":{{\"a\":\"{}\"}}}}",
        "x".repeat(60),
        "y".repeat(2000)
    );
    let question = wire::frame(TEXT, envelope.len() as u64, envelope.as_bytes()).repeat(16);
    let asked = siege.under(&format!("{each} streams that are never read"), async {
        let mut wires = Vec::new();
        for _ in 0..each {
            // One by one: who arrives in a crowd may be put out for the next.
            wires.push(element.socket(stranger(4)).await.unwrap());
        }
        let deaf = |wire| deaf(wire, &question, element.name);
        join_all(wires.into_iter().map(deaf)).await
    });
    eprintln!(
        "  cut after {:.0} s, {} KiB asked in all",
        began.elapsed().as_secs_f64(),
        asked.iter().sum::<usize>() >> 10
    );
    siege.end();
}
