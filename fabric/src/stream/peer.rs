//! The other end of a stream, to be asked and told.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use gridmart_schemas::{
    id::RequestId,
    problem::{Code, Problem},
    wire::{Envelope, MAJOR, Notice, Request},
};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    StreamLimits,
    novelty::{self, Novelty},
    reply,
};
use crate::{identity::PeerIdentity, telemetry::current_request};

/// A message on its way out; its bytes count until it is written.
pub(super) struct Outgoing {
    pub(super) text: String,
    pub(super) _bytes: OwnedSemaphorePermit,
}

/// What comes back for an ask.
pub(super) type Reply = Result<Option<Box<RawValue>>, Problem>;

/// Asks that wait for their answer; `None` when the stream has ended.
type Open = Option<HashMap<u64, oneshot::Sender<Reply>>>;

pub(super) struct Shared {
    pub(super) identity: PeerIdentity,
    pub(super) limits: StreamLimits,
    outgoing: mpsc::Sender<Outgoing>,
    outgoing_bytes: Arc<Semaphore>,
    open: Mutex<Open>,
    next: AtomicU64,
    /// A request was answered, of either side: the hello is over.
    greeted: AtomicBool,
    /// Somebody wants the stream to end, or it has.
    pub(super) closing: CancellationToken,
    /// Nothing more is written.
    pub(super) written: CancellationToken,
}

/// The other end of a stream. Clones are the same stream.
#[derive(Clone)]
pub struct Peer {
    pub(super) shared: Arc<Shared>,
    request: Option<RequestId>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("identity", &self.shared.identity)
            .finish_non_exhaustive()
    }
}

impl Peer {
    pub(super) fn new(
        identity: PeerIdentity,
        limits: StreamLimits,
    ) -> (Self, mpsc::Receiver<Outgoing>) {
        let (outgoing, queue) = mpsc::channel(limits.queue_messages);
        let shared = Shared {
            identity,
            limits,
            outgoing,
            outgoing_bytes: Arc::new(Semaphore::new(limits.queue_bytes as usize)),
            open: Mutex::new(Some(HashMap::new())),
            next: AtomicU64::new(1),
            greeted: AtomicBool::new(false),
            closing: CancellationToken::new(),
            written: CancellationToken::new(),
        };
        (
            Self {
                shared: Arc::new(shared),
                request: None,
            },
            queue,
        )
    }

    /// Asks and waits for the answer, at most until the deadline.
    pub async fn ask<R: Request>(
        &self,
        request: &R,
        deadline: Duration,
    ) -> Result<R::Answer, Problem> {
        if *novelty::SPOKEN {
            self.say_what_is_new().await?;
        }
        let (id, reply) = self.open_ask()?;
        let _open = OpenAsk {
            shared: &self.shared,
            id,
        };
        let exchange = async {
            let envelope = self.envelope(Some(id), None, R::KIND, Some(request))?;
            self.send(&envelope).await?;
            reply.await.unwrap_or_else(|_| Err(self.ended()))
        };
        let late = |_| {
            Problem::new(
                Code::TimedOut,
                format!("{} was not answered within {deadline:?}.", R::KIND),
            )
        };
        let body = timeout(deadline, exchange).await.map_err(late)??;
        let text = body.as_deref().map_or("null", RawValue::get);
        serde_json::from_str(text).map_err(|error| {
            Problem::new(
                Code::Internal,
                format!("The answer to {} cannot be read: {error}.", R::KIND),
            )
        })
    }

    /// Sends a notice; waits while the queue is full.
    pub async fn tell<N: Notice>(&self, notice: &N) -> Result<(), Problem> {
        if *novelty::SPOKEN {
            self.say_what_is_new().await?;
        }
        let envelope = self.envelope(None, None, N::KIND, Some(notice))?;
        self.send(&envelope).await
    }

    /// Says something that only a newer version could; see [`novelty`].
    async fn say_what_is_new(&self) -> Result<(), Problem> {
        if !self.shared.greeted.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Nobody waits for the answer, which comes late then.
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        for id in [None, Some(id)] {
            let said = self.envelope(id, None, Novelty::KIND, Some(&Novelty {}))?;
            self.send(&said).await?;
        }
        Ok(())
    }

    /// Sends a notice, or says `busy` while the queue is full.
    pub fn try_tell<N: Notice>(&self, notice: &N) -> Result<(), Problem> {
        let text = write(
            &self.envelope(None, None, N::KIND, Some(notice))?,
            self.shared.limits.message_bytes,
        )?;
        let busy = || {
            Problem::new(
                Code::Busy,
                format!("{} cannot be sent: the stream is behind.", N::KIND),
            )
        };
        if self.is_closed() {
            return Err(self.ended());
        }
        let bytes = self.cost(&text);
        let bytes = self
            .shared
            .outgoing_bytes
            .clone()
            .try_acquire_many_owned(bytes)
            .map_err(|_| busy())?;
        self.shared
            .outgoing
            .try_send(Outgoing {
                text,
                _bytes: bytes,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => busy(),
                mpsc::error::TrySendError::Closed(_) => self.ended(),
            })
    }

    /// The same stream, on behalf of that request; else the current task's
    /// request goes along.
    #[must_use]
    pub fn with_request_id(&self, request: RequestId) -> Self {
        Self {
            shared: self.shared.clone(),
            request: Some(request),
        }
    }

    /// Waits until the stream has ended, or is about to.
    pub async fn closed(&self) {
        self.shared.closing.cancelled().await;
    }

    /// Waits until what was queued when the stream was closed is written, or
    /// cannot be any more. Who ends its process next wants this, not
    /// [`closed`](Self::closed).
    pub async fn finished(&self) {
        self.shared.written.cancelled().await;
    }

    /// Whether the stream has ended, or is about to.
    pub fn is_closed(&self) -> bool {
        self.shared.closing.is_cancelled()
    }

    /// Ends the stream after what is queued.
    pub fn close(&self) {
        self.shared.closing.cancel();
    }

    /// Who the other end is.
    pub fn identity(&self) -> &PeerIdentity {
        &self.shared.identity
    }

    /// Whether both are the same stream.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Answers a request of the peer.
    pub(super) async fn answer(&self, re: u64, answer: Result<Box<RawValue>, Problem>) {
        let mut envelope = Envelope {
            v: [MAJOR, novelty::minor()],
            id: None,
            re: Some(re),
            kind: String::new(),
            rid: None,
            body: None,
            problem: None,
        };
        match answer {
            Ok(body) => envelope.body = Some(said_newly(body)),
            Err(problem) => {
                envelope.problem = Some(Box::new(
                    problem.with_request(self.request.or_else(current_request)),
                ));
            }
        }
        if let Err(problem) = self.send(&envelope).await
            && problem.code == Code::TooLarge
        {
            envelope.body = None;
            envelope.problem = Some(Box::new(problem));
            // If this fails as well, the stream has ended, and so has the ask.
            let _ = self.send(&envelope).await;
        }
        self.shared.greeted.store(true, Ordering::Relaxed);
    }

    /// Hands an answer to who asked; answers that came too late are dropped.
    pub(super) fn resolve(&self, re: u64, reply: Reply) {
        let asker = self
            .shared
            .open
            .lock()
            .as_mut()
            .and_then(|open| open.remove(&re));
        if let Some(asker) = asker {
            self.shared.greeted.store(true, Ordering::Relaxed);
            // Who asked may have gone.
            let _ = asker.send(reply);
        }
    }

    /// Ends all asks: the stream is over.
    pub(super) fn end_asks(&self) {
        self.shared.closing.cancel();
        *self.shared.open.lock() = None;
    }

    fn open_ask(&self) -> Result<(u64, oneshot::Receiver<Reply>), Problem> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (asker, reply) = oneshot::channel();
        let mut open = self.shared.open.lock();
        let Some(asks) = open.as_mut() else {
            return Err(self.ended());
        };
        if asks.len() >= self.shared.limits.asks_open {
            return Err(Problem::new(
                Code::Busy,
                "Too many requests on this stream are unanswered.",
            ));
        }
        asks.insert(id, asker);
        Ok((id, reply))
    }

    fn envelope<T: Serialize>(
        &self,
        id: Option<u64>,
        re: Option<u64>,
        kind: &str,
        body: Option<&T>,
    ) -> Result<Envelope, Problem> {
        Ok(Envelope {
            v: [MAJOR, novelty::minor()],
            id,
            re,
            kind: kind.to_owned(),
            rid: self.request.or_else(current_request),
            body: body.map(reply).transpose()?.map(said_newly),
            problem: None,
        })
    }

    async fn send(&self, envelope: &Envelope) -> Result<(), Problem> {
        let text = write(envelope, self.shared.limits.message_bytes)?;
        let shared = &self.shared;
        let queued = async {
            let bytes = shared
                .outgoing_bytes
                .clone()
                .acquire_many_owned(self.cost(&text))
                .await
                .ok()?;
            shared
                .outgoing
                .send(Outgoing {
                    text,
                    _bytes: bytes,
                })
                .await
                .ok()
        };
        shared
            .closing
            .run_until_cancelled(queued)
            .await
            .flatten()
            .ok_or_else(|| self.ended())
    }

    /// Bytes that a message counts for; a huge one takes the whole queue.
    fn cost(&self, text: &str) -> u32 {
        u32::try_from(text.len())
            .unwrap_or(u32::MAX)
            .min(self.shared.limits.queue_bytes)
    }

    fn ended(&self) -> Problem {
        let who = self
            .shared
            .identity
            .node
            .as_ref()
            .map_or_else(|| "the program".to_owned(), |node| node.id.to_string());
        Problem::new(Code::Unavailable, format!("The stream to {who} has ended."))
    }
}

fn said_newly(body: Box<RawValue>) -> Box<RawValue> {
    if *novelty::SPOKEN {
        novelty::enlarge_body(body)
    } else {
        body
    }
}

fn write(envelope: &Envelope, most: usize) -> Result<String, Problem> {
    let mut text = serde_json::to_string(envelope).map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("A message cannot be written: {error}."),
        )
    })?;
    if *novelty::SPOKEN {
        text = novelty::enlarge(&text);
    }
    if text.len() > most {
        let detail = format!(
            "A message of {} bytes is over the limit of {most}.",
            text.len()
        );
        return Err(Problem::new(Code::TooLarge, detail));
    }
    Ok(text)
}

/// Forgets an ask that is given up.
struct OpenAsk<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for OpenAsk<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.shared.open.lock().as_mut() {
            open.remove(&self.id);
        }
    }
}
