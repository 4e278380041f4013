//! Two connections made one.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

/// The bounds of a joint.
#[derive(Clone, Copy, Debug)]
pub struct JointLimits {
    /// Bytes that are on their way, each way.
    pub buffer_bytes: usize,
    /// A joint over which nothing has moved for so long is ended. Both ends of
    /// what runs inside ping far more often.
    pub idle: Duration,
}

impl Default for JointLimits {
    fn default() -> Self {
        Self {
            buffer_bytes: 64 * 1024,
            idle: Duration::from_mins(1),
        }
    }
}

/// Bytes that a joint has carried, readable while it carries on.
#[derive(Debug, Default)]
pub struct Carried(AtomicU64);

impl Carried {
    /// Both ways together.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Carries bytes both ways until both sides have ended, one fails, or nothing
/// moves any more. The end of what one side says is passed on to the other,
/// which may still answer; dropping the future ends both.
pub async fn join(
    left: impl AsyncRead + AsyncWrite + Unpin,
    right: impl AsyncRead + AsyncWrite + Unpin,
    limits: JointLimits,
    carried: &Carried,
) -> io::Result<()> {
    let mut left = Counted {
        stream: left,
        carried,
    };
    let mut right = Counted {
        stream: right,
        carried,
    };
    let bytes = limits.buffer_bytes;
    tokio::select! {
        copied = copy_bidirectional_with_sizes(&mut left, &mut right, bytes, bytes) => copied.map(drop),
        () = idle(carried, limits.idle) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "nothing moves over the joint any more",
        )),
    }
}

/// Waits until nothing was carried for at least `limit`.
async fn idle(carried: &Carried, limit: Duration) {
    let mut seen = carried.bytes();
    loop {
        tokio::time::sleep(limit).await;
        let now = carried.bytes();
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// Counts what is read.
struct Counted<'a, S> {
    stream: S,
    carried: &'a Carried,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        // No machine has memory for 2^64 bytes.
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        self.carried.0.fetch_add(read, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const BYTES: usize = 3 * 1024 * 1024 + 17;

    fn pattern() -> Vec<u8> {
        (0..=250u8).cycle().take(BYTES).collect()
    }

    #[tokio::test]
    async fn bytes_and_ends_pass_both_ways() {
        let (mut one, left) = duplex(1000);
        let (right, mut other) = duplex(3000);
        let carried = Carried::default();
        let joint = join(left, right, JointLimits::default(), &carried);
        let here = async {
            let sent = pattern();
            let (mut reader, mut writer) = tokio::io::split(&mut one);
            let write = async {
                writer.write_all(&sent).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let mut answer = Vec::new();
            let (read, ()) = tokio::join!(reader.read_to_end(&mut answer), write);
            read.unwrap();
            answer
        };
        let there = async {
            let mut heard = Vec::new();
            // Ends only if the end of the other side is passed on.
            other.read_to_end(&mut heard).await.unwrap();
            other.write_all(b"all heard").await.unwrap();
            other.shutdown().await.unwrap();
            heard
        };
        let (joined, answer, heard) = tokio::join!(joint, here, there);
        joined.unwrap();
        assert!(heard == pattern());
        assert_eq!(answer, b"all heard");
        assert_eq!(carried.bytes(), (BYTES + answer.len()) as u64);
    }

    #[tokio::test]
    async fn a_joint_ends_when_nothing_moves() {
        let (one, left) = duplex(1000);
        let (right, other) = duplex(1000);
        let limits = JointLimits {
            idle: Duration::from_millis(20),
            ..JointLimits::default()
        };
        let joined = join(left, right, limits, &Carried::default()).await;
        assert_eq!(joined.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop((one, other));
    }

    #[tokio::test]
    async fn a_dropped_joint_ends_both_sides() {
        let (mut one, left) = duplex(1000);
        let (right, mut other) = duplex(1000);
        let carried = Carried::default();
        drop(Box::pin(join(
            left,
            right,
            JointLimits::default(),
            &carried,
        )));
        let mut rest = Vec::new();
        assert_eq!(one.read_to_end(&mut rest).await.unwrap(), 0);
        assert_eq!(other.read_to_end(&mut rest).await.unwrap(), 0);
    }
}
