//! The body of a request: pieces that are there, sent one after the other.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The most bytes that are handed over at a time, so that it shows when they
/// move.
const FRAME_BYTES: usize = 64 * 1024;

/// How many bytes of a body were taken so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pieces {
    queue: VecDeque<Bytes>,
    left: u64,
    progress: Progress,
}

impl Pieces {
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        let queue: VecDeque<Bytes> = pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .collect();
        Self {
            left: queue.iter().map(|piece| piece.len() as u64).sum(),
            queue,
            progress: Progress::default(),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(piece) = self.queue.front_mut() else {
            return Poll::Ready(None);
        };
        let frame = piece.split_to(piece.len().min(FRAME_BYTES));
        if piece.is_empty() {
            self.queue.pop_front();
        }
        let bytes = frame.len() as u64;
        self.left -= bytes;
        self.progress.0.fetch_add(bytes, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.queue.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn large_pieces_move_in_small_steps() {
        let large = Bytes::from(vec![1; FRAME_BYTES + 1]);
        let mut body = Pieces::new(vec![Bytes::new(), large, Bytes::from_static(b"end")]);
        let progress = body.progress();
        let mut expected = FRAME_BYTES as u64 + 4;
        let mut taken = 0;
        for bytes in [FRAME_BYTES, 1, 3] {
            assert_eq!(body.size_hint().exact(), Some(expected));
            assert!(!body.is_end_stream());
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(frame.len(), bytes);
            expected -= bytes as u64;
            taken += bytes as u64;
            assert_eq!(progress.bytes(), taken);
        }
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }
}
