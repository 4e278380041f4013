//! The pipes of a running call.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use gridmart_schemas::problem::Problem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{core::Stream, state::CallShared};
use crate::error::Error;

/// Stdout or stderr of a running call, as it comes. Dropping it lets the rest
/// be thrown away.
pub struct OutputStream {
    call: Option<Arc<CallShared>>,
    stream: Stream,
}

impl OutputStream {
    pub(super) const fn new(call: Arc<CallShared>, stream: Stream) -> Self {
        Self {
            call: Some(call),
            stream,
        }
    }

    pub(super) const fn empty() -> Self {
        Self {
            call: None,
            stream: Stream::Stdout,
        }
    }

    /// Gives the next bytes; none at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(poll_fn(|context| self.poll_chunk(usize::MAX, context)).await?)
    }

    fn poll_chunk(
        &self,
        max: usize,
        context: &Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Problem>> {
        let Some(call) = &self.call else {
            return Poll::Ready(Ok(None));
        };
        call.poll_output(self.stream, max, context.waker())
            .map_or(Poll::Pending, Poll::Ready)
    }
}

impl AsyncRead for OutputStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match self.poll_chunk(buffer.remaining(), context) {
            Poll::Ready(Ok(data)) => {
                buffer.put_slice(data.as_deref().unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(problem)) => Poll::Ready(Err(io::Error::other(problem))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            call.output_discard(self.stream);
        }
    }
}

impl fmt::Debug for OutputStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputStream")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// The pipe into a running call's stdin. Shutting it down, or dropping it,
/// ends the input.
pub struct StdinSink {
    call: Arc<CallShared>,
    finished: bool,
}

impl StdinSink {
    pub(super) const fn new(call: Arc<CallShared>) -> Self {
        Self {
            call,
            finished: false,
        }
    }

    /// Waits for room, and writes all of it. Fails when the call has ended.
    pub async fn send(&mut self, mut data: Bytes) -> Result<(), Error> {
        while !data.is_empty() {
            let room = poll_fn(|context| self.poll_room(context)).await?;
            self.call.input_push(data.split_to(room.min(data.len())));
        }
        Ok(())
    }

    fn poll_room(&self, context: &Context<'_>) -> Poll<Result<usize, Problem>> {
        match self.call.poll_input_room(context.waker()) {
            Ok(Some(room)) => Poll::Ready(Ok(room)),
            Ok(None) => Poll::Pending,
            Err(problem) => Poll::Ready(Err(problem)),
        }
    }

    /// Ends the input.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.call.input_end();
        }
    }

    /// Cancels the call: its input is not what it should be.
    pub(crate) fn abort(mut self) {
        self.finished = true;
        self.call.cancel();
    }
}

impl AsyncWrite for StdinSink {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match self.poll_room(context) {
            Poll::Ready(Ok(room)) => {
                let count = room.min(data.len());
                self.call.input_push(Bytes::copy_from_slice(&data[..count]));
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(problem)) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, problem)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for StdinSink {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for StdinSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdinSink").finish_non_exhaustive()
    }
}
