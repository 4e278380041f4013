use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::*;
use crate::wait::{SHORT, wait_for};

/// For what must not come: long enough to have come.
const NOTHING: Duration = Duration::from_millis(150);

/// A proxy before a door, and a connection through it.
struct Pair {
    proxy: Proxy,
    dialler: TcpStream,
    door: TcpStream,
}

fn pair() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::before(&listener.local_addr().unwrap().to_string());
    let dialler = TcpStream::connect(proxy.address()).unwrap();
    let (door, _) = listener.accept().unwrap();
    for socket in [&dialler, &door] {
        socket.set_read_timeout(Some(SHORT)).unwrap();
    }
    wait_for(SHORT, "it is carried", || {
        (proxy.connections().len() == 1)
            .then_some(())
            .ok_or_else(|| "no connection".to_owned())
    });
    Pair {
        proxy,
        dialler,
        door,
    }
}

fn read(socket: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

#[track_caller]
fn hears_nothing(socket: &mut TcpStream) {
    socket.set_read_timeout(Some(NOTHING)).unwrap();
    let heard = socket.read(&mut [0; 1]);
    socket.set_read_timeout(Some(SHORT)).unwrap();
    let error = heard.expect_err("there is silence");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn it_forwards_both_ways_and_ends_with_its_sides() {
    let mut pair = pair();
    pair.dialler.write_all(b"question").unwrap();
    assert_eq!(read(&mut pair.door, 8), b"question");
    pair.dialler.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(pair.door.read(&mut [0; 1]).unwrap(), 0, "an end is passed");
    pair.door.write_all(b"answer").unwrap();
    assert_eq!(
        read(&mut pair.dialler, 6),
        b"answer",
        "one side still talks"
    );
    drop(pair.door);
    assert_eq!(pair.dialler.read(&mut [0; 1]).unwrap(), 0);
    wait_for(SHORT, "the connection is over", || {
        (pair.proxy.connections().is_empty())
            .then_some(())
            .ok_or_else(|| "it stands".to_owned())
    });
    assert_eq!(pair.proxy.accepted(), 1);
}

#[test]
fn a_delay_is_kept_and_order_with_it() {
    let mut pair = pair();
    let delay = Duration::from_millis(200);
    pair.proxy.way(Direction::In, Way::good().delay(delay));
    let began = Instant::now();
    pair.dialler.write_all(b"a").unwrap();
    pair.dialler.write_all(b"b").unwrap();
    pair.door.write_all(b"back").unwrap();
    assert_eq!(read(&mut pair.dialler, 4), b"back");
    assert_eq!(read(&mut pair.door, 2), b"ab");
    assert!(began.elapsed() >= delay, "{:?}", began.elapsed());
}

#[test]
fn a_rate_is_not_passed() {
    let mut pair = pair();
    pair.proxy.ways(Way::good().rate(30_000));
    let began = Instant::now();
    pair.dialler.write_all(&[7; 12_000]).unwrap();
    assert_eq!(read(&mut pair.door, 12_000), [7; 12_000]);
    assert!(began.elapsed() >= Duration::from_millis(350));
}

#[test]
fn a_silence_holds_back_one_direction_and_loses_nothing() {
    let mut pair = pair();
    pair.proxy.way(Direction::In, Way::good().silent());
    pair.dialler.write_all(b"held").unwrap();
    pair.door.write_all(b"heard").unwrap();
    assert_eq!(read(&mut pair.dialler, 5), b"heard");
    hears_nothing(&mut pair.door);
    pair.proxy.up();
    assert_eq!(read(&mut pair.door, 4), b"held");
}

#[test]
fn a_side_that_vanishes_in_silence_is_not_missed() {
    let mut pair = pair();
    pair.proxy.ways(Way::good().silent());
    drop(pair.door);
    hears_nothing(&mut pair.dialler);
    pair.proxy.up();
    // Its end, or a reset since it has left bytes unread.
    assert!(matches!(pair.dialler.read(&mut [0; 1]), Ok(0) | Err(_)));
}

#[test]
fn who_comes_into_a_silence_is_taken_and_hears_nothing() {
    let pair = pair();
    pair.proxy.ways(Way::good().silent());
    let mut late = TcpStream::connect(pair.proxy.address()).unwrap();
    late.write_all(b"hello?").unwrap();
    hears_nothing(&mut late);
}

#[test]
fn cuts_are_felt_on_both_sides() {
    for cut in [Cut::Fin, Cut::Reset] {
        let mut pair = pair();
        pair.proxy.connections()[0].cut(cut);
        for socket in [&mut pair.dialler, &mut pair.door] {
            let felt = socket.read(&mut [0; 1]);
            match cut {
                Cut::Fin => assert_eq!(felt.unwrap(), 0),
                Cut::Reset => assert_eq!(felt.unwrap_err().kind(), ErrorKind::ConnectionReset),
            }
        }
    }
}

#[test]
fn garbage_is_put_among_the_bytes() {
    let mut pair = pair();
    pair.dialler.write_all(b"good").unwrap();
    assert_eq!(read(&mut pair.door, 4), b"good");
    pair.proxy.connections()[0].inject(Direction::In, &b"\0\xff"[..]);
    assert_eq!(read(&mut pair.door, 2), b"\0\xff");
    pair.dialler.write_all(b"more").unwrap();
    assert_eq!(read(&mut pair.door, 4), b"more");
}

#[test]
fn what_is_down_refuses_until_it_is_up_and_may_lead_elsewhere() {
    let mut pair = pair();
    pair.proxy.down();
    assert!(pair.dialler.read(&mut [0; 1]).is_err());
    let mut refused = TcpStream::connect(pair.proxy.address()).unwrap();
    assert!(refused.read(&mut [0; 1]).is_err());
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    pair.proxy.lead_to(&other.local_addr().unwrap().to_string());
    pair.proxy.up();
    let mut dialler = TcpStream::connect(pair.proxy.address()).unwrap();
    let (mut door, _) = other.accept().unwrap();
    door.write_all(b"new").unwrap();
    assert_eq!(read(&mut dialler, 3), b"new");
}
