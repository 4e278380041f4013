//! One connection: two directions, each read and written by tasks of its own.

use std::{
    io::{ErrorKind, Result},
    os::fd::AsRawFd as _,
    time::Duration,
};

use bytes::Bytes;
use nix::sys::socket::{Shutdown, shutdown};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{Cut, Direction, Way};

/// Read at a time.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks on their way in one direction; more are left to the system.
const CHUNKS_MAX: usize = 64;
/// A rate is kept in pieces: so many in a second.
const PIECES_PER_SECOND: u32 = 50;

/// What is on its way in one direction.
#[derive(Debug)]
enum Item {
    Bytes(Bytes, Instant),
    /// The side that sends has ended.
    End,
}

/// One connection that the proxy carries. Clones are the same connection.
#[derive(Clone, Debug)]
pub struct Connection {
    number: u64,
    ways: [watch::Sender<Way>; 2],
    lines: [mpsc::UnboundedSender<Bytes>; 2],
    cut: watch::Sender<Option<Cut>>,
    ended: CancellationToken,
}

impl Connection {
    /// Which it is of those that came, from 1.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Sets how a direction is.
    pub fn way(&self, direction: Direction, way: Way) {
        self.ways[direction.index()].send_replace(way);
    }

    /// Sets how both directions are.
    pub fn ways(&self, way: Way) {
        for direction in Direction::BOTH {
            self.way(direction, way);
        }
    }

    /// Ends it, towards both sides.
    pub fn cut(&self, cut: Cut) {
        self.cut.send_replace(Some(cut));
    }

    /// Puts bytes between those that were forwarded and those that come.
    pub fn inject(&self, direction: Direction, bytes: impl Into<Bytes>) {
        // Nobody takes them only when it has ended.
        let _ = self.lines[direction.index()].send(bytes.into());
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }
}

/// The tasks' side of a connection.
pub(super) struct Ends {
    ways: [watch::Receiver<Way>; 2],
    lines: [mpsc::UnboundedReceiver<Bytes>; 2],
    cut: watch::Receiver<Option<Cut>>,
    ended: CancellationToken,
}

impl Ends {
    pub(super) fn new(number: u64, ways: [Way; 2]) -> (Connection, Self) {
        let ways = ways.map(watch::Sender::new);
        let cut = watch::Sender::new(None);
        let ended = CancellationToken::new();
        let (inward, inward_line) = mpsc::unbounded_channel();
        let (outward, outward_line) = mpsc::unbounded_channel();
        let ends = Self {
            ways: ways.each_ref().map(watch::Sender::subscribe),
            lines: [inward_line, outward_line],
            cut: cut.subscribe(),
            ended: ended.clone(),
        };
        let connection = Connection {
            number,
            ways,
            lines: [inward, outward],
            cut,
            ended,
        };
        (connection, ends)
    }

    /// Forwards until both sides have ended, or it is cut.
    pub(super) async fn carry(
        mut self,
        dialler: TcpStream,
        door: TcpStream,
        stop: &CancellationToken,
    ) {
        let _ended = self.ended.drop_guard();
        let [way_in, way_out] = self.ways;
        let [line_in, line_out] = self.lines;
        let forwarded = async {
            tokio::join!(
                forward(&dialler, &door, way_in, line_in),
                forward(&door, &dialler, way_out, line_out),
            );
        };
        let cut = tokio::select! {
            () = forwarded => None,
            cut = self.cut.wait_for(Option::is_some) => cut.map_or(None, |cut| *cut),
            () = stop.cancelled() => Some(Cut::Reset),
        };
        if cut == Some(Cut::Reset) {
            for socket in [&dialler, &door] {
                super::reset(socket);
            }
        }
    }
}

/// Forwards one direction until its sender has ended, or its receiver takes no
/// more.
async fn forward(
    source: &TcpStream,
    sink: &TcpStream,
    way: watch::Receiver<Way>,
    line: mpsc::UnboundedReceiver<Bytes>,
) {
    let (items, queue) = mpsc::channel(CHUNKS_MAX);
    tokio::join!(
        read(source, items, way.clone(), line),
        write(sink, queue, way)
    );
}

async fn read(
    source: &TcpStream,
    items: mpsc::Sender<Item>,
    way: watch::Receiver<Way>,
    mut line: mpsc::UnboundedReceiver<Bytes>,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let bytes = tokio::select! {
            Some(injected) = line.recv() => injected,
            read = read_some(source, &mut buffer) => match read {
                Ok(count) if count > 0 => Bytes::copy_from_slice(&buffer[..count]),
                // A reset is passed on as an end.
                _ => break,
            },
        };
        let due = Instant::now() + way.borrow().delay;
        if items.send(Item::Bytes(bytes, due)).await.is_err() {
            return;
        }
    }
    // The receiver may have ended before.
    let _ = items.send(Item::End).await;
}

async fn read_some(source: &TcpStream, buffer: &mut [u8]) -> Result<usize> {
    loop {
        source.readable().await?;
        match source.try_read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

async fn write(sink: &TcpStream, mut queue: mpsc::Receiver<Item>, mut way: watch::Receiver<Way>) {
    while let Some(item) = queue.recv().await {
        match item {
            Item::Bytes(bytes, due) => {
                sleep_until(due).await;
                if write_paced(sink, bytes, &mut way).await.is_err() {
                    return;
                }
            }
            Item::End => {
                audible(&mut way).await;
                // It may be gone.
                let _ = shutdown(sink.as_raw_fd(), Shutdown::Write);
                return;
            }
        }
    }
}

/// Writes at the present rate, while there is no silence.
async fn write_paced(
    sink: &TcpStream,
    mut bytes: Bytes,
    way: &mut watch::Receiver<Way>,
) -> Result<()> {
    while !bytes.is_empty() {
        let Way { rate, .. } = audible(way).await;
        let piece = rate.map_or(bytes.len(), |rate| {
            ((rate / PIECES_PER_SECOND).max(1) as usize).min(bytes.len())
        });
        write_all(sink, bytes.split_to(piece)).await?;
        if let Some(rate) = rate {
            let pieces = u32::try_from(piece).unwrap_or(u32::MAX);
            sleep(Duration::from_secs(1) * pieces / rate.max(1)).await;
        }
    }
    Ok(())
}

async fn write_all(sink: &TcpStream, mut bytes: Bytes) -> Result<()> {
    while !bytes.is_empty() {
        sink.writable().await?;
        match sink.try_write(&bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(written) => drop(bytes.split_to(written)),
        }
    }
    Ok(())
}

/// Waits until there is no silence; gives how the way is then.
async fn audible(way: &mut watch::Receiver<Way>) -> Way {
    let heard = way.wait_for(|way| !way.silent).await.map(|way| *way);
    match heard {
        Ok(way) => way,
        // The proxy goes away with its silence.
        Err(_) => std::future::pending().await,
    }
}
