//! A body whose beginning was read already.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::storage::s3::door::PacedBody;

/// See the module.
pub(super) struct Resumed {
    begun: Option<Bytes>,
    rest: PacedBody,
}

impl Resumed {
    pub(super) fn new(begun: Vec<u8>, rest: PacedBody) -> Self {
        Self {
            begun: Some(Bytes::from(begun)),
            rest,
        }
    }
}

impl Body for Resumed {
    type Data = Bytes;
    type Error = <PacedBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(begun) = self.begun.take() {
            return Poll::Ready(Some(Ok(Frame::data(begun))));
        }
        Pin::new(&mut self.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_none() && self.rest.is_end_stream()
    }

    /// Unknown: the file's name may have made it longer.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
