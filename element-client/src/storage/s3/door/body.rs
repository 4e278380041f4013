//! The body of a request, no slower than it may be.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::{S3Limits, chunks::ChunkBound};

/// Why a body is given up. The words are what `fault` knows them by.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum BodyError {
    /// The connection.
    #[error("the body breaks off")]
    Connection(#[from] hyper::Error),
    /// It comes too slowly.
    #[error("TooSlow: the body comes too slowly")]
    TooSlow,
    /// It cannot be held.
    #[error("ChunkTooLarge: a chunk of the body is larger than the door takes")]
    ChunkTooLarge,
}

/// Tells whether a body was read to its end, also when the body is gone.
#[derive(Clone, Debug)]
pub(super) struct ReadMark(Arc<AtomicBool>);

impl ReadMark {
    /// Whether nothing of the body is left on the connection.
    pub(super) fn is_read(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
pub(in super::super) struct PacedBody {
    inner: Incoming,
    read: ReadMark,
    stall: Pin<Box<Sleep>>,
    stall_limit: Duration,
    begun: Option<Instant>,
    grace: Duration,
    rate: u64,
    bytes: u64,
    chunks: Option<ChunkBound>,
}

impl PacedBody {
    /// `is_chunked`: it comes in chunks of S3's own.
    pub(super) fn new(inner: Incoming, limits: &S3Limits, is_chunked: bool) -> Self {
        let read = ReadMark(Arc::new(AtomicBool::new(inner.is_end_stream())));
        Self {
            inner,
            read,
            stall: Box::pin(sleep(limits.stall)),
            stall_limit: limits.stall,
            begun: None,
            grace: limits.body_grace,
            rate: limits.body_rate,
            bytes: 0,
            chunks: is_chunked.then(|| ChunkBound::new(limits.chunk_bytes)),
        }
    }

    pub(super) fn read_mark(&self) -> ReadMark {
        self.read.clone()
    }

    /// The next bytes; none: that was all.
    pub(in super::super) async fn next_bytes(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await?;
            match frame.map(Frame::into_data) {
                Ok(Ok(bytes)) => return Some(Ok(bytes)),
                // Trailers of a form say nothing.
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Time counts only while it is waited for: whoever reads may be slow.
    fn take(&mut self, bytes: &Bytes) -> Result<(), BodyError> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        let waited = self
            .begun
            .take()
            .map_or(Duration::ZERO, |begun| begun.elapsed());
        self.grace = match self.grace.checked_sub(waited) {
            Some(left) => left,
            None => return Err(BodyError::TooSlow),
        };
        // What came earns time for what follows.
        let earned = self.bytes.checked_div(self.rate).unwrap_or(0);
        if earned > 0 {
            self.bytes -= earned * self.rate;
            self.grace = self
                .grace
                .saturating_add(Duration::from_secs(earned))
                .min(EARNED_MAX);
        }
        match &mut self.chunks {
            Some(chunks) => chunks.take(bytes).map_err(|_| BodyError::ChunkTooLarge),
            None => Ok(()),
        }
    }
}

/// What came fast earns no more time than that.
const EARNED_MAX: Duration = Duration::from_mins(5);

impl Body for PacedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        // Who knows the length does not ask once more for the end.
        if polled.is_ready() && self.inner.is_end_stream() {
            self.read.0.store(true, Ordering::Relaxed);
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                let taken = frame.data_ref().map_or(Ok(()), |bytes| self.take(bytes));
                Poll::Ready(Some(taken.map(|()| frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                self.read.0.store(true, Ordering::Relaxed);
                Poll::Ready(None)
            }
            Poll::Pending => {
                if self.begun.is_none() {
                    self.begun = Some(Instant::now());
                    let deadline = Instant::now() + self.stall_limit.min(self.grace);
                    self.stall.as_mut().reset(deadline);
                }
                match self.stall.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::TooSlow))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
