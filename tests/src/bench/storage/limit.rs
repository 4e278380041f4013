//! What the machine itself does with the same bytes.

use std::{
    fs::File,
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gridmart_fabric::block::codec_of;
use gridmart_schemas::storage::Redundancy;

use super::{super::sample::rate, MIB, SMALL};

/// Stripes are coded so much at a time.
const STRIPE: usize = 16 * MIB;

/// What the machine does with the same bytes, in MiB a second each; and small
/// synced writes a second.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) written: f64,
    pub(super) hashed: f64,
    pub(super) coded: f64,
    /// Through a loopback connection, without TLS.
    pub(super) looped: f64,
    pub(super) synced: f64,
}

impl Limits {
    pub(super) fn measure(bytes: &Bytes) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mebibytes = |wall: Duration| rate(bytes.len() / MIB, wall);
        let began = Instant::now();
        let mut file = File::create(folder.path().join("copy"))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        let written = mebibytes(began.elapsed());
        let began = Instant::now();
        std::hint::black_box(blake3::hash(bytes));
        let hashed = mebibytes(began.elapsed());
        let began = Instant::now();
        let reed_solomon = codec_of(Redundancy::rs(4, 2)?);
        for at in (0..bytes.len()).step_by(STRIPE) {
            let stripe = bytes.slice(at..(at + STRIPE).min(bytes.len()));
            std::hint::black_box(reed_solomon.encode(&stripe)?);
        }
        let coded = mebibytes(began.elapsed());
        let began = Instant::now();
        let syncs = 200;
        for _ in 0..syncs {
            file.write_all(&bytes[..SMALL])?;
            file.sync_data()?;
        }
        Ok(Self {
            written,
            hashed,
            coded,
            looped: mebibytes(looped(bytes)?),
            synced: rate(syncs, began.elapsed()),
        })
    }
}

/// Sends the bytes to a thread of this program.
fn looped(bytes: &Bytes) -> anyhow::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::scope(|scope| {
        let reading = scope.spawn(move || -> io::Result<u64> {
            let (mut stream, _) = listener.accept()?;
            io::copy(&mut stream, &mut io::sink())
        });
        let began = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(bytes)?;
        drop(stream);
        let read = reading.join();
        read.map_err(|_| anyhow::anyhow!("a thread failed"))??;
        Ok(began.elapsed())
    })
}
