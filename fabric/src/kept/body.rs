//! The body of a request: pieces that are there, or come while it is sent, one
//! after the other.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

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
    /// Where more of them come from.
    source: Option<mpsc::Receiver<Bytes>>,
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
            source: None,
            progress: Progress::default(),
        }
    }

    /// A body of so many bytes, which come while it is sent. It breaks off if
    /// others come.
    pub(super) fn streamed(bytes: u64, source: mpsc::Receiver<Bytes>) -> Self {
        Self {
            queue: VecDeque::new(),
            source: Some(source),
            left: bytes,
            progress: Progress::default(),
        }
    }

    /// Waits for the next piece, if none is there.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.queue.is_empty()
            && let Some(source) = &mut self.source
        {
            match ready!(source.poll_recv(context)) {
                Some(piece) if piece.len() as u64 > self.left => {
                    return Poll::Ready(Err(io::Error::other("more came than was announced")));
                }
                Some(piece) if piece.is_empty() => {}
                Some(piece) => self.queue.push_back(piece),
                None if self.left > 0 => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                None => self.source = None,
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Err(error) = ready!(self.poll_fill(context)) {
            return Poll::Ready(Some(Err(error)));
        }
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
        self.left == 0 && self.queue.is_empty()
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

    #[tokio::test]
    async fn a_body_that_comes_while_it_is_sent_has_the_bytes_that_were_announced() {
        for (sent, good) in [(&[3, 0, 4][..], true), (&[3, 3], false), (&[3, 5], false)] {
            let (sender, receiver) = mpsc::channel(4);
            for &bytes in sent {
                sender.send(Bytes::from(vec![7; bytes])).await.unwrap();
            }
            drop(sender);
            let body = Pieces::streamed(7, receiver);
            assert_eq!(body.size_hint().exact(), Some(7));
            let whole = body.collect().await.map(|whole| whole.to_bytes().len());
            assert_eq!(whole.ok(), good.then_some(7), "{sent:?}");
        }
    }
}
