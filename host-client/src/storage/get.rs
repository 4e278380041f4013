//! `POST /v1/blocks/read`: each block is read and verified when the one before
//! it is being sent.

use std::{collections::VecDeque, io, sync::Arc, vec};

use bytes::Bytes;
use futures_util::{Stream, stream};
use gridmart_fabric::{
    block::{CHUNK_BYTES, FrameKind, frame_header},
    door::{Request, Response, json_body, stream_response},
    ticket::BlockOperation,
};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::block::{BLOCKS_MAX, BODY_BYTES_MAX, BlockRead, JSON_BYTES_MAX},
};
use tokio::task::JoinHandle;

use super::{
    blocks::Blocks,
    gate::Visit,
    goods::Storage,
    metrics::StorageMetrics,
    volume::{BlockRange, VolumeError},
};

/// A request's reads, on their way to who asked. It holds one block that is
/// sent and one that is read ahead.
struct Reading {
    volume: Arc<Blocks>,
    metrics: StorageMetrics,
    visit: Visit,
    reads: vec::IntoIter<BlockRead>,
    ahead: Option<JoinHandle<Result<BlockRange, VolumeError>>>,
    /// What of the present frame is not sent yet.
    pieces: VecDeque<Bytes>,
}

/// Answers a request for blocks.
pub(super) async fn get(
    storage: &Storage,
    visit: Visit,
    request: Request,
) -> Result<Response, Problem> {
    let reads: Vec<BlockRead> = json_body(request, JSON_BYTES_MAX).await?;
    let chunks = reads
        .iter()
        .map(|read| read.chunks as usize)
        .fold(0, usize::saturating_add);
    let bytes = chunks.saturating_mul(CHUNK_BYTES);
    if reads.len() > BLOCKS_MAX || bytes > BODY_BYTES_MAX {
        return Err(Problem::new(
            Code::TooLarge,
            format!(
                "{} blocks of {bytes} bytes are more than one request may read: {BLOCKS_MAX} blocks and {BODY_BYTES_MAX} bytes.",
                reads.len()
            ),
        ));
    }
    let mut reading = Reading {
        volume: Arc::clone(&storage.volume),
        metrics: storage.metrics.clone(),
        visit,
        reads: reads.into_iter(),
        ahead: None,
        pieces: VecDeque::new(),
    };
    reading.read_ahead();
    Ok(stream_response(
        "application/octet-stream",
        reading.into_stream(),
    ))
}

impl Reading {
    fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold(self, |mut reading| async {
            let piece = reading.next().await.map_err(io::Error::other)?;
            Ok(piece.map(|piece| (piece, reading)))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.pieces.is_empty() {
            let Some(ahead) = self.ahead.take() else {
                return Ok(None);
            };
            let read = async {
                let failed = |_| Problem::new(Code::Internal, "A task of the Host failed.");
                ahead.await.map_err(failed)
            };
            let range = self.visit.run(read).await?;
            self.read_ahead();
            let frame = range
                .map_err(|error| error.to_problem())
                .and_then(|range| self.frame(range));
            self.metrics.on_read(frame.is_ok());
            self.pieces = frame.unwrap_or_else(|problem| problem_frame(&problem));
        }
        let piece = self.pieces.pop_front();
        self.metrics.on_sent(piece.as_ref().map_or(0, Bytes::len));
        Ok(piece)
    }

    fn read_ahead(&mut self) {
        self.ahead = self.reads.next().map(|read| {
            let volume = Arc::clone(&self.volume);
            let (first, chunks) = (read.first_chunk as usize, read.chunks as usize);
            tokio::task::spawn_blocking(move || volume.get(&read.id, first, chunks))
        });
    }

    fn frame(&self, range: BlockRange) -> Result<VecDeque<Bytes>, Problem> {
        let header = range.prefix.header();
        self.visit.permit(
            BlockOperation::Get,
            header.id(),
            header.identity().version,
            range.payload.len(),
        )?;
        let prefix = range.prefix.bytes().clone();
        let length = prefix.len() + range.payload.len();
        let header = frame_header(FrameKind::Block, length);
        let pieces = [Bytes::copy_from_slice(&header), prefix, range.payload];
        Ok(pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .collect())
    }
}

fn problem_frame(problem: &Problem) -> VecDeque<Bytes> {
    let text = serde_json::to_vec(problem).unwrap_or_default();
    let header = frame_header(FrameKind::Problem, text.len());
    [Bytes::copy_from_slice(&header), text.into()].into()
}
