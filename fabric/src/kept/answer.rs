//! The body of an answer, as it comes.

use std::time::Duration;

use bytes::Bytes;
use gridmart_schemas::problem::{Code, Problem};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::pool::Taken;
use crate::request::lost;

/// See the module. Dropping it ends the transfer.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    body: Incoming,
    progress: Duration,
    /// Given back when all was read.
    taken: Option<Taken>,
}

impl AnswerBody {
    pub(super) const fn new(body: Incoming, taken: Taken, progress: Duration) -> Self {
        Self {
            body,
            progress,
            taken: Some(taken),
        }
    }

    /// The next piece; `None` when the body was complete.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = timeout(self.progress, self.body.frame())
                .await
                .map_err(|_| Problem::new(Code::TimedOut, "The transfer has come to a halt."))?;
            let Some(frame) = frame.transpose().map_err(|error| lost(&error))? else {
                return Ok(None);
            };
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }

    /// Nothing more of it can be used.
    pub(crate) fn give_up(&mut self) {
        self.taken = None;
    }

    /// Keeps the connection for the next request, if nothing more comes.
    pub(crate) async fn end(&mut self) {
        if let Some(taken) = self.taken.take()
            && matches!(self.piece().await, Ok(None))
        {
            taken.give_back();
        }
    }
}
