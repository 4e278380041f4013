//! Bytes between a door's threads and the controller's tasks, a few pieces at a time.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::{runtime::Handle, sync::mpsc};

/// Pieces that wait at a time.
const PIECES: usize = 4;

/// What comes out of a pipe.
pub type Pieces = stream::BoxStream<'static, io::Result<Bytes>>;

/// A pipe: what is sent comes out at the other end.
pub fn pipe() -> (mpsc::Sender<io::Result<Bytes>>, Pieces) {
    let (send, receive) = mpsc::channel(PIECES);
    let pieces = stream::unfold(receive, |mut receive| async move {
        let piece = receive.recv().await?;
        Some((piece, receive))
    });
    (send, pieces.boxed())
}

/// A stream that is read among those tasks, for the answer to a request. It ends with its
/// reader.
pub fn body(
    runtime: &Handle,
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Pieces {
    let (send, receive) = pipe();
    runtime.spawn(async move {
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = pieces.next().await {
            if send.send(piece).await.is_err() {
                break;
            }
        }
    });
    receive
}
