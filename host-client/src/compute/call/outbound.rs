//! The sending side of one connection: all that is ready at one moment goes as
//! one message, and no call waits for a slow connection.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gridmart_fabric::frames::FrameSink;
use gridmart_schemas::wire::frame::{self, MESSAGE_BYTES_GOAL};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Call;

/// The sending side of one connection: calls that have something to say.
pub(crate) struct Outbound {
    pub(super) number: u64,
    pub(crate) sink: FrameSink,
    ready: Mutex<VecDeque<Arc<Call>>>,
    wake: Notify,
}

impl Outbound {
    pub(crate) fn new(sink: FrameSink) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            sink,
            ready: Mutex::default(),
            wake: Notify::new(),
        })
    }

    /// A call has something to send.
    pub(super) fn push(&self, call: Arc<Call>) {
        self.ready.lock().push_back(call);
        self.wake.notify_one();
    }

    /// Sends what calls have ready, until the connection ends. All that is
    /// ready at one moment goes as one message.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.sink.closed() => return,
            }
            loop {
                let mut message = Vec::new();
                while message.len() < MESSAGE_BYTES_GOAL {
                    let Some(call) = self.ready.lock().pop_front() else {
                        break;
                    };
                    call.collect(&self, &mut message);
                }
                if message.is_empty() {
                    break;
                }
                if self.sink.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Appends a JSON frame; what is ours always has a JSON form.
pub(crate) fn push_json<T: serde::Serialize>(
    message: &mut Vec<u8>,
    kind: frame::Kind,
    channel: u32,
    payload: &T,
) {
    if let Err(error) = frame::push_json(message, kind, channel, payload) {
        tracing::error!(%error, ?kind, "a frame cannot be written as JSON");
    }
}
