//! One TLS connection, with everything that may end it from this side.
//!
//! It is cut, whatever protocol runs on it, when its door closes, its peer is
//! revoked, the peer's certificate ends, or the peer takes no bytes for too
//! long. Reading and writing then fail, and the protocol above ends by itself.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use time::OffsetDateTime;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::{door::Place, intake::Meter, socket::SocketLimits};

/// How soon it is noticed that the machine's clock was set.
const CLOCK_LOOK: Duration = Duration::from_secs(10);

/// What carries the bytes of a TLS connection: TCP, or a tunnel through others.
pub trait Transport: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Sync + Unpin> Transport for T {}

/// A transport of any kind, so that all channels are of one type.
pub(crate) type BoxedTransport = Box<dyn Transport>;

/// See the module.
pub struct Channel {
    stream: TlsStream<BoxedTransport>,
    tokens: [Option<CancellationToken>; 2],
    cut: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    was_cut: bool,
    stall: Option<Pin<Box<Sleep>>>,
    stalled: bool,
    stall_limit: Duration,
    // Boxed: a channel is moved through many futures.
    place: Option<Box<Place>>,
    meter: Option<Arc<Meter>>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl Channel {
    pub(super) fn new(
        stream: TlsStream<BoxedTransport>,
        tokens: [Option<CancellationToken>; 2],
        end: Option<OffsetDateTime>,
        stall_limit: Duration,
    ) -> Self {
        let cut = Box::pin(until_cut(tokens.clone(), end));
        Self {
            stream,
            tokens,
            cut,
            was_cut: false,
            stall: None,
            stalled: false,
            stall_limit,
            place: None,
            meter: None,
        }
    }

    /// Counts the connection against a limit until it ends.
    pub(crate) fn hold(&mut self, place: Place) {
        self.place = Some(Box::new(place));
    }

    /// It carries messages from now on: those of programs are measured.
    pub(crate) fn measure(&mut self, limits: SocketLimits) -> Option<Arc<Meter>> {
        let intake = self.place.as_ref()?.intake()?;
        self.meter = Some(intake.meter(limits));
        self.meter.clone()
    }

    /// Fails once the connection is cut; else arranges to be woken by the cut.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.was_cut && self.cut.as_mut().poll(context).is_ready() {
            self.was_cut = true;
        }
        self.check_cut()
    }

    fn check_cut(&self) -> io::Result<()> {
        if self.was_cut
            || self
                .tokens
                .iter()
                .flatten()
                .any(CancellationToken::is_cancelled)
        {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the connection was ended from this side",
            ));
        }
        Ok(())
    }

    /// Bounds how long a write may be pending.
    fn watch_stall<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = false;
            return polled;
        }
        if let Err(error) = self.poll_cut(context) {
            return Poll::Ready(Err(error));
        }
        let limit = self.stall_limit;
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.stalled {
            self.stalled = true;
            stall.as_mut().reset(Instant::now() + limit);
        }
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the other side takes no bytes",
        )))
    }
}

async fn until_cut(tokens: [Option<CancellationToken>; 2], end: Option<OffsetDateTime>) {
    let [first, second] = tokens.map(|token| async move {
        match token {
            Some(token) => token.cancelled_owned().await,
            None => std::future::pending().await,
        }
    });
    let over = async move {
        match end {
            Some(end) => until(end).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = first => {}
        () = second => {}
        () = over => {}
    }
}

/// Waits for a moment, by a clock that may be set meanwhile.
async fn until(end: OffsetDateTime) {
    // An end that has passed is a negative time.
    while let Ok(left) = Duration::try_from(end - OffsetDateTime::now_utc())
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(CLOCK_LOOK)).await;
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                let came = buffer.filled().len() - before;
                let measured = this
                    .meter
                    .as_ref()
                    .map_or(Ok(()), |meter| meter.on_bytes(came));
                Poll::Ready(this.check_cut().and(measured).and(read))
            }
            Poll::Pending => match this.poll_cut(context) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.check_cut()?;
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.watch_stall(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_flush(context);
        this.watch_stall(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_shutdown(context);
        this.watch_stall(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.check_cut()?;
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.watch_stall(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
