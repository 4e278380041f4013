//! The answers to reads, as they come.

use std::{collections::VecDeque, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::block::BlockRead,
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{
    super::frame::{FRAME_HEADER_BYTES, content, frame_of},
    pool::Taken,
};
use crate::request::lost;

/// What comes for each read, in the order of the reads. Dropping it ends the
/// transfer.
#[derive(Debug)]
pub struct BlockAnswers {
    reads: VecDeque<BlockRead>,
    body: Incoming,
    buffer: BytesMut,
    progress: Duration,
    /// Given back when all was read.
    taken: Option<Taken>,
    /// Why nothing more comes.
    broken: Option<Problem>,
}

impl BlockAnswers {
    pub(super) fn new(
        reads: Vec<BlockRead>,
        body: Incoming,
        taken: Taken,
        progress: Duration,
    ) -> Self {
        Self {
            reads: reads.into(),
            body,
            buffer: BytesMut::new(),
            progress,
            taken: Some(taken),
            broken: None,
        }
    }

    /// What came for the next read: header, table and chunks, which nobody has
    /// verified yet, or why they do not. `None` after the last; each read has
    /// one answer, whatever happens to the connection.
    pub async fn next(&mut self) -> Option<(BlockRead, Result<Bytes, Problem>)> {
        let Some(read) = self.reads.pop_front() else {
            self.end().await;
            return None;
        };
        if let Some(problem) = &self.broken {
            return Some((read, Err(problem.clone())));
        }
        let answer = match self.frame().await {
            Ok(answer) => answer,
            Err(problem) => {
                self.broken = Some(problem.clone());
                self.taken = None;
                Err(problem)
            }
        };
        Some((read, answer))
    }

    /// One frame; fails when there cannot be another one.
    async fn frame(&mut self) -> Result<Result<Bytes, Problem>, Problem> {
        self.fill(FRAME_HEADER_BYTES).await?;
        let mut header = [0; FRAME_HEADER_BYTES];
        self.buffer.copy_to_slice(&mut header);
        let (kind, length) = frame_of(header)?;
        self.fill(length).await?;
        Ok(content(kind, self.buffer.split_to(length).freeze()))
    }

    async fn fill(&mut self, needed: usize) -> Result<(), Problem> {
        self.buffer
            .reserve(needed.saturating_sub(self.buffer.len()));
        while self.buffer.len() < needed {
            match self.piece().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => {
                    return Err(Problem::new(
                        Code::Unavailable,
                        "The answer ended before all blocks had come.",
                    ));
                }
            }
        }
        Ok(())
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Problem> {
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

    /// Keeps the connection, if the answer is just what it should be.
    async fn end(&mut self) {
        if let Some(taken) = self.taken.take()
            && self.buffer.is_empty()
            && matches!(self.piece().await, Ok(None))
        {
            taken.give_back();
        }
    }
}
