//! Bytes in and out: from a request's body to storage, and from storage to an
//! answer's body.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use gridmart_schemas::problem::Problem;
use parking_lot::Mutex;
use s3s::{
    S3Result, StdError, dto::StreamingBlob, s3_error, stream::ByteStream, stream::RemainingLength,
};

use super::{
    digest::{Algorithm, Digested},
    encryption::{Cipher, Plain},
    fault,
    hashing::Hashing,
    store::Sink,
};
use crate::storage::{metadata::Stripe, transfers::Running};

/// The most bytes that are put in one request, as S3 has it: 5 GiB.
pub(super) const PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// What came in.
pub(super) struct Taken {
    pub(super) size: u64,
    pub(super) digested: Digested,
    pub(super) stripes: Vec<Stripe>,
}

/// Takes bytes as they come, computes over them, and writes them.
pub(super) struct Intake {
    sink: Sink,
    running: Arc<Running>,
    hashing: Hashing,
    size: u64,
    /// With its nonce.
    cipher: Option<(Cipher, u64)>,
}

impl Intake {
    pub(super) fn new(
        sink: Sink,
        running: &Arc<Running>,
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Self {
        Self {
            sink,
            running: Arc::clone(running),
            hashing: Hashing::new(algorithms),
            size: 0,
            cipher: None,
        }
    }

    /// Encrypts what is written; the digests are of what came.
    pub(super) fn encrypted(mut self, cipher: Option<Cipher>, nonce: u64) -> Self {
        self.cipher = cipher.map(|cipher| (cipher, nonce));
        self
    }

    pub(super) async fn push(&mut self, bytes: Bytes) -> S3Result<()> {
        let offset = self.size;
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > PUT_BYTES_MAX {
            return Err(too_large());
        }
        self.running.count(bytes.len());
        self.hashing.update(&bytes).await?;
        let bytes = match &self.cipher {
            Some((cipher, nonce)) => Bytes::from(cipher.apply(*nonce, offset, &bytes)?),
            None => bytes,
        };
        self.sink
            .push(bytes)
            .await
            .map_err(|problem| fault::of(&problem))
    }

    /// Reads a body to its end.
    pub(super) async fn take_body(&mut self, body: Option<StreamingBlob>) -> S3Result<()> {
        let Some(mut body) = body else {
            return Ok(());
        };
        while let Some(bytes) = body.next().await {
            self.push(bytes.map_err(|error| fault::of_body(error.as_ref()))?)
                .await?;
        }
        Ok(())
    }

    /// Reads an object to its end.
    pub(super) async fn take_source(&mut self, mut source: Plain) -> S3Result<()> {
        while let Some(bytes) = source.next().await {
            self.push(bytes.map_err(|problem| fault::of(&problem))?)
                .await?;
        }
        Ok(())
    }

    /// What was computed, and the bytes: durable once [`Whole::finish`] returns.
    pub(super) async fn whole(self) -> S3Result<Whole> {
        Ok(Whole {
            sink: self.sink,
            running: self.running,
            size: self.size,
            digested: self.hashing.finish().await?,
        })
    }
}

/// All bytes are there; they are not durable yet.
pub(super) struct Whole {
    sink: Sink,
    running: Arc<Running>,
    pub(super) size: u64,
    pub(super) digested: Digested,
}

impl Whole {
    /// Where the bytes are, once they are durable; from here on the transfer
    /// cannot be killed any more.
    pub(super) async fn finish(self) -> S3Result<Taken> {
        let Self {
            sink,
            running,
            size,
            digested,
        } = self;
        let stripes = sink.finish().await.map_err(|problem| fault::of(&problem))?;
        running
            .committing()
            .map_err(|problem| fault::of(&problem))?;
        Ok(Taken {
            size,
            digested,
            stripes,
        })
    }
}

pub(super) fn too_large() -> s3s::S3Error {
    s3_error!(
        EntityTooLarge,
        "Your proposed upload exceeds the maximum allowed size"
    )
}

/// The body of an answer: an object's bytes as they are read.
pub(super) fn blob(source: Plain, length: u64, running: Arc<Running>) -> StreamingBlob {
    let moving = Arc::clone(&running);
    let stream = futures_util::stream::unfold(Some(source), move |source| {
        let running = Arc::clone(&moving);
        async move {
            let mut source = source?;
            let next = running.run(source.next()).await;
            // The connection is cut: an answer that is not whole must not look so.
            let cut = |problem: Problem| {
                running.fail(problem.code, problem.detail.clone());
                Some((Err(StdError::from(problem.to_string())), None))
            };
            match next {
                Ok(None) => None,
                Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(source))),
                Ok(Some(Err(problem))) | Err(problem) => cut(problem),
            }
        }
    });
    if length == 0 {
        running.finish();
    }
    StreamingBlob::new(Outflow {
        stream: Mutex::new(stream.boxed()),
        left: length,
        running,
    })
}

struct Outflow {
    /// Never locked: the lock makes it `Sync`, which the S3 library asks for.
    stream: Mutex<BoxStream<'static, Result<Bytes, StdError>>>,
    left: u64,
    running: Arc<Running>,
}

impl Stream for Outflow {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.stream.get_mut().poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            self.left = self.left.saturating_sub(bytes.len() as u64);
            self.running.count(bytes.len());
            if self.left == 0 {
                self.running.finish();
            }
        }
        if let Poll::Ready(None) = &polled
            && self.left > 0
        {
            self.left = 0;
            return Poll::Ready(Some(Err("the object ends too early".into())));
        }
        polled
    }
}

impl ByteStream for Outflow {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.left)
            .map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}
