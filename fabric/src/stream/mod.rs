//! Envelope RPC over one WebSocket, alike on both ends.
//!
//! Either side asks and tells. Invariants: messages of one stream are started
//! in the order they came in; notices are handled one after the other, requests
//! concurrently up to a bound; queues are bounded in messages and in bytes, and
//! a full one slows the sender down; a peer that is silent, or that does not
//! read, is cut; each ask ends, with its answer, its deadline, or the stream.

mod dialer;
mod incoming;
mod novelty;
mod peer;
mod run;
mod succession;

use std::time::Duration;

use futures_util::future::BoxFuture;
use gridmart_schemas::{
    problem::Problem,
    wire::{MESSAGE_BYTES_MAX, ROW_MESSAGE_BYTES_MAX},
};
use serde_json::value::RawValue;

pub use self::{
    dialer::{Backoff, Dialer, dial},
    incoming::{Incoming, reply},
    peer::Peer,
    run::run_stream,
};

/// The bounds of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Messages that wait to be sent, and as many that wait to be handled.
    pub queue_messages: usize,
    /// Their bytes, each way. One message may be larger, alone.
    pub queue_bytes: u32,
    /// The most bytes of one message, each way.
    pub message_bytes: usize,
    /// Requests of the peer that are handled at a time; more wait their turn,
    /// and are refused with `busy` when the queue is full.
    pub requests_running: usize,
    /// Own requests that are unanswered at a time.
    pub asks_open: usize,
    /// Time between two pings.
    pub ping: Duration,
    /// A peer that is silent for this long is cut.
    pub silence: Duration,
    /// How long handlers may go on when their stream has ended.
    pub grace: Duration,
}

impl StreamLimits {
    /// For the streams of programs, of which there may be many, and whose
    /// messages are small.
    pub fn programs() -> Self {
        Self {
            queue_bytes: 512 * 1024,
            ..Self::default()
        }
    }
}

impl StreamLimits {
    /// The same, for streams on which rows of databases travel.
    #[must_use]
    pub const fn with_rows(self) -> Self {
        Self {
            message_bytes: ROW_MESSAGE_BYTES_MAX,
            ..self
        }
    }
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            queue_messages: 256,
            queue_bytes: 16 * 1024 * 1024,
            message_bytes: MESSAGE_BYTES_MAX,
            requests_running: 64,
            asks_open: 4096,
            ping: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            grace: Duration::from_secs(2),
        }
    }
}

/// What is behind a stream.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request (see [`reply`] and [`Incoming::unknown`]).
    fn on_request<'a>(
        &'a self,
        peer: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>>;

    /// Takes a notice. The next message waits until it returns, so what takes
    /// long, or asks the same peer, belongs into a task of its own.
    fn on_notice<'a>(&'a self, peer: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()>;

    /// The stream has ended, and with it all handlers of its messages. Called
    /// once.
    fn on_closed<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, ()> {
        let _ = peer;
        Box::pin(async {})
    }
}
