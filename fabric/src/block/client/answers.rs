//! The answers to reads, as they come.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::block::BlockRead,
};

use super::super::frame::{FRAME_HEADER_BYTES, content, frame_of};
use crate::kept::AnswerBody;

/// What comes for each read, in the order of the reads. Dropping it ends the
/// transfer.
#[derive(Debug)]
pub struct BlockAnswers {
    reads: VecDeque<BlockRead>,
    body: AnswerBody,
    buffer: BytesMut,
    /// Why nothing more comes.
    broken: Option<Problem>,
}

impl BlockAnswers {
    pub(super) fn new(reads: Vec<BlockRead>, body: AnswerBody) -> Self {
        Self {
            reads: reads.into(),
            body,
            buffer: BytesMut::new(),
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
                self.body.give_up();
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
            match self.body.piece().await? {
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

    /// Keeps the connection, if the answer is just what it should be.
    async fn end(&mut self) {
        if self.buffer.is_empty() && self.broken.is_none() {
            self.body.end().await;
        }
    }
}
