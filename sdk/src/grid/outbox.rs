//! Frames on their way to a Host, in order. A push never waits: what does not
//! fit at once is kept and written by a task. What is kept is bounded by the
//! windows of the calls.

use std::{collections::VecDeque, sync::Arc};

use gridmart_fabric::frames::{FrameSink, TrySendError};
use gridmart_schemas::wire::frame::{HEADER_BYTES, MESSAGE_BYTES_GOAL};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The way out of one calls stream.
pub(crate) struct Outbox {
    inner: Arc<Inner>,
    writer: tokio::task::AbortHandle,
}

struct Inner {
    sink: FrameSink,
    backlog: Mutex<Backlog>,
    grew: Notify,
}

#[derive(Default)]
struct Backlog {
    messages: VecDeque<Vec<u8>>,
    /// The writer has a message in its hands: nothing may overtake it.
    writing: bool,
    closing: bool,
}

impl Outbox {
    pub(crate) fn new(sink: FrameSink) -> Self {
        let inner = Arc::new(Inner {
            sink,
            backlog: Mutex::default(),
            grew: Notify::new(),
        });
        let writer = tokio::spawn(write(Arc::clone(&inner))).abort_handle();
        Self { inner, writer }
    }

    /// Sends frames, as soon as there is room.
    pub(crate) fn push(&self, frames: Vec<u8>) {
        let mut backlog = self.inner.backlog.lock();
        if frames.len() <= MESSAGE_BYTES_GOAL {
            self.push_message(&mut backlog, frames);
        } else {
            for message in messages(&frames) {
                self.push_message(&mut backlog, message.to_vec());
            }
        }
    }

    fn push_message(&self, backlog: &mut Backlog, message: Vec<u8>) {
        if !backlog.writing && backlog.messages.is_empty() {
            match self.inner.sink.try_send(message) {
                Err(TrySendError::Full(message)) => backlog.messages.push_back(message),
                // A cut is the reader's to notice.
                Err(TrySendError::Closed) | Ok(()) => return,
            }
        } else {
            match backlog.messages.back_mut() {
                Some(last) if last.len() + message.len() <= MESSAGE_BYTES_GOAL => {
                    last.extend_from_slice(&message);
                }
                _ => backlog.messages.push_back(message),
            }
        }
        self.inner.grew.notify_one();
    }

    /// Sends what is kept, then closes the stream.
    pub(crate) fn close(self) {
        self.inner.backlog.lock().closing = true;
        self.inner.grew.notify_one();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if !self.inner.backlog.lock().closing {
            self.writer.abort();
            self.inner.sink.close();
        }
    }
}

impl Inner {
    fn next(&self) -> Next {
        let mut backlog = self.backlog.lock();
        let message = backlog.messages.pop_front();
        backlog.writing = message.is_some();
        match message {
            Some(message) => Next::Write(message),
            None if backlog.closing => Next::Close,
            None => Next::Wait,
        }
    }
}

enum Next {
    Write(Vec<u8>),
    Wait,
    Close,
}

async fn write(inner: Arc<Inner>) {
    loop {
        match inner.next() {
            Next::Wait => inner.grew.notified().await,
            Next::Close => return inner.sink.close(),
            // A cut is the reader's to notice.
            Next::Write(message) => {
                if inner.sink.send(message).await.is_err() {
                    return inner.sink.close();
                }
            }
        }
    }
}

/// Cuts frames into messages of the goal's size, between frames.
fn messages(mut frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if frames.is_empty() {
            return None;
        }
        let mut end = 0;
        while end < frames.len() {
            let next = end + frame_bytes(&frames[end..]);
            if end > 0 && next > MESSAGE_BYTES_GOAL {
                break;
            }
            end = next.min(frames.len());
        }
        let (message, rest) = frames.split_at(end);
        frames = rest;
        Some(message)
    })
}

fn frame_bytes(frame: &[u8]) -> usize {
    let length = frame
        .get(5..HEADER_BYTES)
        .and_then(|bytes| bytes.try_into().ok());
    length.map_or(frame.len(), |length| {
        HEADER_BYTES + u32::from_le_bytes(length) as usize
    })
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::wire::frame::{Frames, Kind, push};

    use super::*;

    #[test]
    fn messages_end_between_frames() {
        let mut frames = Vec::new();
        for channel in 0..200u32 {
            push(
                &mut frames,
                Kind::Stdin,
                channel,
                &vec![1; channel as usize * 97],
            );
        }
        push(
            &mut frames,
            Kind::Stdin,
            200,
            &vec![1; 3 * MESSAGE_BYTES_GOAL],
        );
        let mut channels = 0..;
        for message in messages(&frames) {
            let read: Vec<_> = Frames::of(message).collect::<Result<_, _>>().unwrap();
            assert!(message.len() <= MESSAGE_BYTES_GOAL || read.len() == 1);
            for frame in read {
                assert_eq!(Some(frame.channel), channels.next());
            }
        }
        assert_eq!(channels.next(), Some(201));
    }
}
