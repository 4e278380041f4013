//! The transport of calls streams: binary messages of frames, with low latency.
//!
//! What is queued when the writer comes round leaves as one message and one
//! write. Invariants: the queue is bounded in messages and in bytes; a peer
//! that is silent, or that does not read, is cut; dropping the source, or all
//! sinks, ends the stream after what is queued.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::frame::MESSAGE_BYTES_GOAL,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, MissedTickBehavior, Sleep, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    intake::Meter,
    request::{dial_socket, open_socket},
    socket::{Socket, SocketLimits},
    tls::{Channel, ClientTls, Expected, connect_over},
    tunnel::Tunnel,
};

/// The bounds of a calls stream.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// Messages that wait to be sent.
    pub queue_messages: usize,
    /// Their bytes. One message may be larger, alone.
    pub queue_bytes: u32,
    /// Time between two pings.
    pub ping: Duration,
    /// A peer that is silent for this long, while it is listened to, is cut.
    pub silence: Duration,
    /// How long what is queued may take to leave when the stream ends.
    pub grace: Duration,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            queue_messages: 256,
            queue_bytes: 2 * 1024 * 1024,
            ping: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            grace: Duration::from_secs(2),
        }
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TrySendError {
    /// The queue has no room; the message comes back.
    #[error("the stream is behind: wait for room with `send`")]
    Full(Vec<u8>),
    /// The stream has ended.
    #[error("the stream has ended")]
    Closed,
}

struct Queued {
    message: Vec<u8>,
    _bytes: OwnedSemaphorePermit,
}

/// The sending half. Clones share the queue.
#[derive(Clone)]
pub struct FrameSink {
    queue: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
    bytes_max: u32,
    closing: CancellationToken,
}

impl std::fmt::Debug for FrameSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrameSink")
    }
}

impl FrameSink {
    /// Queues a message of one or more frames; waits while there is no room.
    pub async fn send(&self, message: Vec<u8>) -> Result<(), Problem> {
        let queued = async {
            let bytes = self
                .bytes
                .clone()
                .acquire_many_owned(self.cost(&message))
                .await
                .ok()?;
            self.queue
                .send(Queued {
                    message,
                    _bytes: bytes,
                })
                .await
                .ok()
        };
        self.closing
            .run_until_cancelled(queued)
            .await
            .flatten()
            .ok_or_else(|| Problem::new(Code::Unavailable, "The calls stream has ended."))
    }

    /// Queues a message if there is room.
    pub fn try_send(&self, message: Vec<u8>) -> Result<(), TrySendError> {
        if self.closing.is_cancelled() {
            return Err(TrySendError::Closed);
        }
        let Ok(bytes) = self
            .bytes
            .clone()
            .try_acquire_many_owned(self.cost(&message))
        else {
            return Err(TrySendError::Full(message));
        };
        self.queue
            .try_send(Queued {
                message,
                _bytes: bytes,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(queued) => TrySendError::Full(queued.message),
                mpsc::error::TrySendError::Closed(_) => TrySendError::Closed,
            })
    }

    /// Ends the stream after what is queued.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Waits until the stream has ended, or is about to.
    pub async fn closed(&self) {
        self.closing.cancelled().await;
    }

    /// Whether the stream has ended, or is about to.
    pub fn is_closed(&self) -> bool {
        self.closing.is_cancelled()
    }

    fn cost(&self, message: &[u8]) -> u32 {
        u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .min(self.bytes_max)
    }
}

/// The receiving half.
pub struct FrameSource {
    stream: SplitStream<WebSocketStream<Channel>>,
    meter: Option<Arc<Meter>>,
    silence: Pin<Box<Sleep>>,
    silence_limit: Duration,
    /// Nothing was heard since `silence` was set.
    waiting: bool,
    closing: CancellationToken,
    ended: bool,
    /// What the message that is being handled holds of the door's intake.
    handling: Option<OwnedSemaphorePermit>,
    _guard: DropGuard,
}

impl std::fmt::Debug for FrameSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrameSource")
    }
}

impl FrameSource {
    /// The next message; `None` after the stream has ended. May be dropped and
    /// called again without loss.
    pub async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        if self.ended {
            return None;
        }
        let next = self.message().await;
        if !matches!(next, Some(Ok(_))) {
            self.ended = true;
            self.closing.cancel();
        }
        next
    }

    async fn message(&mut self) -> Option<Result<Bytes, Problem>> {
        let mut timed = false;
        loop {
            // Only who really waits pays for the clock, and who is dropped and
            // called again goes on waiting where it was.
            let message = tokio::select! {
                biased;
                message = self.stream.next() => message?,
                () = std::future::ready(()), if !timed => {
                    let now = Instant::now();
                    // A time that has passed while nobody listened says nothing.
                    if !self.waiting || self.silence.deadline() <= now {
                        self.silence.as_mut().reset(now + self.silence_limit);
                        self.waiting = true;
                    }
                    timed = true;
                    continue;
                }
                () = self.closing.cancelled() => return None,
                () = &mut self.silence => {
                    return Some(Err(Problem::new(Code::TimedOut, "The other side of the calls stream is silent.")));
                }
            };
            self.waiting = false;
            match message {
                Ok(Message::Binary(bytes)) => {
                    // Its frames are handled before the next one is asked for.
                    self.handling = self.meter.as_ref().and_then(|meter| meter.on_message());
                    return Some(Ok(bytes));
                }
                Ok(Message::Ping(bytes) | Message::Pong(bytes)) => {
                    if let Some(meter) = &self.meter {
                        meter.on_control(bytes.len());
                    }
                    timed = false;
                }
                Ok(Message::Frame(_)) => timed = false,
                Ok(Message::Text(_)) => {
                    return Some(Err(Problem::new(
                        Code::InvalidRequest,
                        "A calls stream carries binary messages only.",
                    )));
                }
                Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return None,
                Err(tungstenite::Error::Capacity(fault)) => {
                    return Some(Err(Problem::new(
                        Code::TooLarge,
                        format!("A message is too large: {fault}."),
                    )));
                }
                Err(error) => {
                    return Some(Err(Problem::new(
                        Code::Unavailable,
                        format!("The calls stream was lost: {error}."),
                    )));
                }
            }
        }
    }
}

/// Makes a calls stream of a socket.
pub fn split(socket: Socket, limits: FrameLimits) -> (FrameSink, FrameSource) {
    let Socket { stream, meter } = socket;
    let (sink, stream) = stream.split();
    let (queue, queued) = mpsc::channel(limits.queue_messages);
    let closing = CancellationToken::new();
    tokio::spawn(write(sink, queued, closing.clone(), limits));
    let bytes = Arc::new(Semaphore::new(limits.queue_bytes as usize));
    let sink = FrameSink {
        queue,
        bytes,
        bytes_max: limits.queue_bytes,
        closing: closing.clone(),
    };
    let source = FrameSource {
        stream,
        meter,
        silence: Box::pin(tokio::time::sleep(limits.silence)),
        silence_limit: limits.silence,
        waiting: false,
        closing: closing.clone(),
        ended: false,
        handling: None,
        _guard: closing.drop_guard(),
    };
    (sink, source)
}

/// Opens a calls stream at `path` of the expected Host's door.
pub async fn dial_frames(
    endpoints: &[String],
    expected: Expected,
    tls: &ClientTls,
    path: &str,
) -> Result<(FrameSink, FrameSource), Problem> {
    let (socket, _) = dial_socket(endpoints, expected, tls, path, SocketLimits::FRAMES).await?;
    Ok(split(socket, FrameLimits::default()))
}

/// The same over a tunnel that leads to the expected Host.
pub async fn dial_frames_over(
    tunnel: Tunnel,
    expected: Expected,
    tls: &ClientTls,
    path: &str,
) -> Result<(FrameSink, FrameSource), Problem> {
    let way = format!("the tunnel to {}", expected.0);
    let (channel, _) = connect_over(Box::new(tunnel), &way, expected, tls).await?;
    let socket = open_socket(channel, path, SocketLimits::FRAMES).await?;
    Ok(split(socket, FrameLimits::default()))
}

async fn write(
    mut sink: SplitSink<WebSocketStream<Channel>, Message>,
    mut queued: mpsc::Receiver<Queued>,
    closing: CancellationToken,
    limits: FrameLimits,
) {
    let _ended = closing.clone().drop_guard();
    let mut ping = interval_at(Instant::now() + limits.ping, limits.ping);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let written = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            first = queued.recv() => match first {
                Some(first) => write_batch(&mut sink, first, &mut queued).await,
                None => break,
            },
            _ = ping.tick() => sink.send(Message::Ping(Bytes::new())).await,
        };
        if let Err(error) = written {
            tracing::debug!(%error, "a calls stream ended early");
            return;
        }
    }
    closing.cancel();
    queued.close();
    let farewell = async {
        if let Some(first) = queued.recv().await {
            write_batch(&mut sink, first, &mut queued).await?;
        }
        sink.send(Message::Close(None)).await
    };
    // The other side may have gone already.
    let _ = timeout(limits.grace, farewell).await;
}

/// Writes `first` and all that is queued behind it, with one flush.
async fn write_batch(
    sink: &mut SplitSink<WebSocketStream<Channel>, Message>,
    first: Queued,
    queued: &mut mpsc::Receiver<Queued>,
) -> Result<(), tungstenite::Error> {
    let mut batch = first;
    while let Ok(next) = queued.try_recv() {
        if batch.message.len() + next.message.len() > MESSAGE_BYTES_GOAL {
            sink.feed(Message::binary(std::mem::take(&mut batch.message)))
                .await?;
            batch = next;
        } else {
            batch.message.extend_from_slice(&next.message);
        }
    }
    sink.send(Message::binary(batch.message)).await
}
