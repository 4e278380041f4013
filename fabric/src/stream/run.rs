//! The life of a stream: reading, writing and handling, until it ends.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::{
    FutureExt as _, SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::{Envelope, MAJOR},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Handler, Incoming, Peer, StreamLimits, peer::Outgoing};
use crate::{
    identity::PeerIdentity, intake::Meter, socket::Socket, telemetry::in_request, tls::Channel,
};

/// A message that waits to be handled; its bytes count until it was.
struct Work {
    /// Number of a request; none on a notice.
    id: Option<u64>,
    incoming: Incoming,
    _bytes: OwnedSemaphorePermit,
    /// The same with the door, of a program's large message.
    _intake: Option<OwnedSemaphorePermit>,
}

/// Runs a stream on a socket. The task ends after the handler's `on_closed`.
pub fn run_stream(
    socket: Socket,
    identity: PeerIdentity,
    handler: Arc<dyn Handler>,
    limits: StreamLimits,
) -> (Peer, JoinHandle<()>) {
    let (peer, outgoing) = Peer::new(identity, limits);
    let task = tokio::spawn(run(socket, peer.clone(), outgoing, handler));
    (peer, task)
}

async fn run(
    socket: Socket,
    peer: Peer,
    outgoing: mpsc::Receiver<Outgoing>,
    handler: Arc<dyn Handler>,
) {
    let limits = peer.shared.limits;
    let Socket { stream, meter } = socket;
    let (sink, source) = stream.split();
    let (inbox, work) = mpsc::channel(limits.queue_messages);
    // When one has ended, so have the others: each ends the stream.
    tokio::join!(
        ending(&peer, read(source, meter, &peer, inbox)),
        ending(&peer, write(sink, &peer, outgoing)),
        ending(&peer, handle(work, &peer, &handler)),
    );
    peer.end_asks();
    guarded("on_closed", async { handler.on_closed(&peer).await }).await;
}

/// Ends the stream when `part` does, even by a panic of this code.
async fn ending(peer: &Peer, part: impl Future<Output = ()>) {
    let _guard = peer.shared.closing.clone().drop_guard();
    part.await;
}

/// Keeps a handler's panic from taking the stream along.
async fn guarded<T>(kind: &str, handling: impl Future<Output = T>) -> Option<T> {
    let handled = AssertUnwindSafe(handling).catch_unwind().await;
    if handled.is_err() {
        tracing::error!(kind, "the handler of a message panicked");
    }
    handled.ok()
}

async fn write(
    mut sink: SplitSink<WebSocketStream<Channel>, Message>,
    peer: &Peer,
    mut outgoing: mpsc::Receiver<Outgoing>,
) {
    let _written = peer.shared.written.clone().drop_guard();
    let written = write_until_closing(&mut sink, peer, &mut outgoing).await;
    peer.close();
    outgoing.close();
    let Ok(()) = written else {
        return;
    };
    let farewell = async {
        while let Some(message) = outgoing.recv().await {
            sink.feed(Message::text(message.text)).await?;
        }
        sink.send(Message::Close(None)).await
    };
    // The other side may have gone already.
    let _ = timeout(peer.shared.limits.grace, farewell).await;
}

async fn write_until_closing(
    sink: &mut SplitSink<WebSocketStream<Channel>, Message>,
    peer: &Peer,
    outgoing: &mut mpsc::Receiver<Outgoing>,
) -> Result<(), tungstenite::Error> {
    let closing = &peer.shared.closing;
    let every = peer.shared.limits.ping;
    let mut ping = interval_at(Instant::now() + every, every);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled() => return Ok(()),
            message = outgoing.recv() => {
                let Some(message) = message else {
                    return Ok(());
                };
                let batch = async {
                    sink.feed(Message::text(message.text)).await?;
                    while let Ok(message) = outgoing.try_recv() {
                        sink.feed(Message::text(message.text)).await?;
                    }
                    sink.flush().await
                };
                batch.await?;
            }
            _ = ping.tick() => sink.send(Message::Ping(bytes::Bytes::new())).await?,
        }
    }
}

async fn read(
    mut source: SplitStream<WebSocketStream<Channel>>,
    meter: Option<Arc<Meter>>,
    peer: &Peer,
    inbox: mpsc::Sender<Work>,
) {
    let bytes = Arc::new(Semaphore::new(peer.shared.limits.queue_bytes as usize));
    let reading = async {
        loop {
            let message = match timeout(peer.shared.limits.silence, source.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, "a stream ended early");
                    return;
                }
                Ok(None) => return,
                Err(_) => {
                    tracing::warn!(peer = ?peer.identity().node, "a stream is cut: the other side is silent");
                    return;
                }
            };
            let text = match message {
                Message::Text(text) => text,
                Message::Ping(bytes) | Message::Pong(bytes) => {
                    if let Some(meter) = &meter {
                        meter.on_control(bytes.len());
                    }
                    continue;
                }
                Message::Frame(_) => continue,
                Message::Close(_) => return,
                Message::Binary(_) => {
                    tracing::warn!("a stream is cut: it carries binary messages");
                    return;
                }
            };
            let intake = meter.as_ref().and_then(|meter| meter.on_message());
            if take(&text, intake, peer, &inbox, &bytes).await.is_none() {
                return;
            }
        }
    };
    if peer
        .shared
        .closing
        .run_until_cancelled(reading)
        .await
        .is_none()
    {
        // Unread bytes would reset the connection before the farewell is read.
        let _ = timeout(peer.shared.limits.grace, async {
            while let Some(Ok(_)) = source.next().await {}
        })
        .await;
    }
}

/// Takes one message; `None` if there cannot be another.
async fn take(
    text: &str,
    intake: Option<OwnedSemaphorePermit>,
    peer: &Peer,
    inbox: &mpsc::Sender<Work>,
    bytes: &Arc<Semaphore>,
) -> Option<()> {
    let envelope: Envelope = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) => {
            tracing::warn!(%error, "a stream is cut: it carries something else than envelopes");
            return None;
        }
    };
    if envelope.v[0] != MAJOR {
        tracing::warn!(version = ?envelope.v, "a stream is cut: the other side speaks another version");
        if let Some(id) = envelope.id {
            let detail = format!(
                "Version {} of the protocol is not spoken here, but {MAJOR}.",
                envelope.v[0]
            );
            peer.answer(id, Err(Problem::new(Code::VersionUnsupported, detail)))
                .await;
        }
        return None;
    }
    if let Some(re) = envelope.re {
        let reply = envelope
            .problem
            .map_or(Ok(envelope.body), |problem| Err(*problem));
        peer.resolve(re, reply);
        return Some(());
    }
    let cost = u32::try_from(text.len())
        .unwrap_or(u32::MAX)
        .min(peer.shared.limits.queue_bytes);
    let bytes = bytes.clone().acquire_many_owned(cost).await.ok()?;
    let incoming = Incoming {
        kind: envelope.kind,
        body: envelope.body,
        request: envelope.rid,
    };
    let work = Work {
        id: envelope.id,
        incoming,
        _bytes: bytes,
        _intake: intake,
    };
    match (envelope.id, inbox.try_send(work)) {
        (_, Ok(())) => Some(()),
        // A full queue slows notices down, but must not hold up answers for
        // which the handlers that fill it may be waiting.
        (Some(id), Err(mpsc::error::TrySendError::Full(_))) => {
            peer.answer(
                id,
                Err(Problem::new(
                    Code::Busy,
                    "Too many requests wait on this stream.",
                )),
            )
            .await;
            Some(())
        }
        (None, Err(mpsc::error::TrySendError::Full(work))) => inbox.send(work).await.ok(),
        (_, Err(mpsc::error::TrySendError::Closed(_))) => None,
    }
}

async fn handle(mut inbox: mpsc::Receiver<Work>, peer: &Peer, handler: &Arc<dyn Handler>) {
    let limits = peer.shared.limits;
    let places = Arc::new(Semaphore::new(limits.requests_running));
    let tasks = TaskTracker::new();
    tasks.close();
    let abandon = CancellationToken::new();
    let _abandoned = abandon.clone().drop_guard();
    let taking = async {
        while let Some(work) = inbox.recv().await {
            let Some(id) = work.id else {
                let told = in_request(work.incoming.request, notice(work, peer, handler));
                abandon.run_until_cancelled(told).await;
                continue;
            };
            // What came in before the end is still told, but not answered.
            if peer.is_closed() {
                continue;
            }
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            tasks.spawn(request(
                id,
                work,
                place,
                peer.clone(),
                handler.clone(),
                abandon.clone(),
            ));
        }
    };
    let done = async {
        abandon.run_until_cancelled(taking).await;
        tasks.wait().await;
    };
    let late = async {
        peer.closed().await;
        tokio::time::sleep(limits.grace).await;
        abandon.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = done => {}
        () = late => {}
    }
}

async fn notice(work: Work, peer: &Peer, handler: &Arc<dyn Handler>) {
    let kind = work.incoming.kind.clone();
    guarded(&kind, async {
        handler.on_notice(peer, work.incoming).await;
    })
    .await;
}

async fn request(
    id: u64,
    work: Work,
    place: OwnedSemaphorePermit,
    peer: Peer,
    handler: Arc<dyn Handler>,
    abandon: CancellationToken,
) {
    let kind = work.incoming.kind.clone();
    let rid = work.incoming.request;
    let handling = guarded(&kind, async {
        handler.on_request(&peer, work.incoming).await
    });
    let outcome = in_request(rid, abandon.run_until_cancelled(handling)).await;
    drop(place);
    let fault = || Err(Problem::new(Code::Internal, "The request met a fault.").with_request(rid));
    if let Some(answer) = outcome {
        in_request(rid, peer.answer(id, answer.unwrap_or_else(fault))).await;
    }
}
