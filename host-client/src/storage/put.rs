//! `POST /v1/blocks`: blocks are taken as they come, some at a time, and
//! answered when all of them are durable.

use std::sync::Arc;

use gridmart_fabric::{
    block::{BlockAssembler, EncodedBlock},
    door::{BodyPieces, Request, Response, json_response},
    ticket::{BlockOperation, ReceiptBlock, ReceiptClaims, Times},
};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::block::{BLOCKS_MAX, BODY_BYTES_MAX, BlockStored, BlocksStored},
};
use http::StatusCode;
use time::OffsetDateTime;
use tokio::task::JoinHandle;

use super::{blocks::Blocks, gate::Visit, goods::Storage};
use crate::member::Member;

/// From so many bytes on, blocks that have come are written. With a block that
/// is on its way, and as much that is being written, a request holds less than
/// 16 MiB.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Blocks of one request, on their way to the disk.
struct Intake<'a> {
    storage: &'a Storage,
    visit: &'a Visit,
    batch: Vec<EncodedBlock>,
    batch_bytes: usize,
    /// All that have come.
    count: usize,
    /// What is being written: one batch, while the next one comes.
    writing: Option<JoinHandle<Vec<BlockStored>>>,
    stored: Vec<BlockStored>,
}

/// Takes the blocks of a request.
pub(super) async fn put(
    storage: &Storage,
    visit: Visit,
    request: Request,
) -> Result<Response, Problem> {
    let mut pieces = BodyPieces::new(request, BODY_BYTES_MAX as u64)?;
    let mut intake = Intake {
        storage,
        visit: &visit,
        batch: Vec::new(),
        batch_bytes: 0,
        count: 0,
        writing: None,
        stored: Vec::new(),
    };
    let taken = visit.run(intake.take(&mut pieces)).await;
    if let Err(problem) = taken {
        pieces.drain().await;
        return Err(problem);
    }
    let blocks = intake.stored;
    storage.metrics.on_put(&blocks);
    let receipt = receipt(&storage.member, &visit, &blocks)?;
    let stored = BlocksStored {
        host: storage.member.node,
        incarnation: storage.member.incarnation,
        blocks,
        receipt,
    };
    Ok(json_response(StatusCode::OK, &stored))
}

impl Intake<'_> {
    async fn take(&mut self, pieces: &mut BodyPieces) -> Result<(), Problem> {
        let mut assembler = BlockAssembler::default();
        while let Some(piece) = pieces.next().await? {
            self.storage.metrics.on_received(piece.len());
            assembler.push(piece);
            while let Some(block) = assembler.block()? {
                self.on_block(block).await?;
            }
        }
        if !assembler.is_empty() {
            return Err(Problem::new(
                Code::InvalidRequest,
                "The request's body ends within a block.",
            ));
        }
        self.write().await?;
        self.written().await
    }

    async fn on_block(&mut self, block: EncodedBlock) -> Result<(), Problem> {
        self.count += 1;
        if self.count > BLOCKS_MAX {
            let detail = format!("The request has more than {BLOCKS_MAX} blocks.");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        let header = block.prefix().header();
        self.visit.permit(
            BlockOperation::Put,
            header.id(),
            header.identity().version,
            header.payload_bytes(),
        )?;
        self.batch_bytes += header.encoded_bytes();
        self.batch.push(block);
        if self.batch_bytes >= BATCH_BYTES {
            self.write().await?;
        }
        Ok(())
    }

    /// Begins to write what has come, once what came before is written.
    async fn write(&mut self) -> Result<(), Problem> {
        self.written().await?;
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if !batch.is_empty() {
            let volume = Arc::clone(&self.storage.volume);
            self.writing = Some(tokio::task::spawn_blocking(move || {
                write_batch(&volume, &batch)
            }));
        }
        Ok(())
    }

    /// Waits for what is being written.
    async fn written(&mut self) -> Result<(), Problem> {
        if let Some(writing) = self.writing.take() {
            let stored = writing
                .await
                .map_err(|_| Problem::new(Code::Internal, "A task of the Host failed."))?;
            self.stored.extend(stored);
        }
        Ok(())
    }
}

/// Writes blocks; blocks for the disk.
fn write_batch(volume: &Blocks, batch: &[EncodedBlock]) -> Vec<BlockStored> {
    let outcomes = volume.put(batch).into_iter();
    let stored = batch.iter().zip(outcomes).map(|(block, outcome)| {
        let (id, root) = (block.prefix().header().id(), *block.prefix().root());
        match outcome {
            Ok(()) => BlockStored::Stored { id, root },
            Err(error) => {
                tracing::warn!(block.id = %id, %error, "a block is not stored");
                let problem = error.to_problem();
                BlockStored::Refused { id, problem }
            }
        }
    });
    stored.collect()
}

/// What the Host states of the blocks that are stored, for a program to show to
/// the Element.
fn receipt(
    member: &Member,
    visit: &Visit,
    stored: &[BlockStored],
) -> Result<Option<String>, Problem> {
    let Some(claims) = visit.receipt_for() else {
        return Ok(None);
    };
    let blocks: Vec<_> = stored
        .iter()
        .filter_map(|stored| match stored {
            BlockStored::Stored { id, root } => Some(ReceiptBlock {
                id: *id,
                root: *root,
            }),
            BlockStored::Refused { .. } => None,
        })
        .collect();
    if blocks.is_empty() {
        return Ok(None);
    }
    let Times { nbf, iat, exp } = Times::of_receipt(OffsetDateTime::now_utc());
    let claims = ReceiptClaims {
        iss: member.node,
        aud: member.element.1.0,
        presenter: claims.presenter.clone(),
        incarnation: member.incarnation,
        version: claims.version,
        cut: Some(claims.cut),
        blocks,
        nbf,
        iat,
        exp,
    };
    let key = member.identity.current().signing_key();
    key.sign_receipt(&claims).map(Some)
}
