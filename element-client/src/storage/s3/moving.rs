//! Requests that carry bytes of objects, as transfers.

use std::sync::Arc;

use gridmart_schemas::{
    id::TransferId,
    problem::Code,
    wire::transfer::{TransferDirection, TransferDoor},
};
use s3s::{S3Error, S3Result};

use super::{
    caller::{Caller, Session},
    context::BucketContext,
    fault,
    operations::Operations,
};
use crate::storage::transfers::{Cargo, Running};

/// What is moved by a request, and how much, if that is known.
pub(super) struct Move<'a> {
    pub(super) session: &'a Session,
    pub(super) context: &'a BucketContext,
    pub(super) key: &'a str,
    pub(super) direction: TransferDirection,
    pub(super) bytes: Option<u64>,
}

/// Begins the transfer that a request is.
pub(super) fn begin(operations: &Operations, moved: &Move<'_>) -> S3Result<Arc<Running>> {
    let Move {
        session,
        context,
        key,
        direction,
        bytes,
    } = *moved;
    let owner = match &session.caller {
        Caller::Person { name, .. } => Some(name),
        Caller::Anonymous => None,
    };
    let cargo = Cargo::new(owner, &context.bucket, key, direction);
    let handle = session.handle.as_ref();
    let id = handle.map_or_else(TransferId::generate, |handle| handle.id);
    // Who puts can be answered; who gets has the head of the answer already.
    let connection = handle
        .filter(|_| direction == TransferDirection::Get)
        .map(|handle| handle.connection.clone());
    operations
        .transfers
        .begin(id, cargo, TransferDoor::S3, bytes, connection)
        .map_err(|problem| fault::of(&problem))
}

/// Does the work of a transfer to its end, unless it is killed before.
pub(super) async fn carry<T>(
    running: Arc<Running>,
    work: impl Future<Output = S3Result<T>>,
) -> S3Result<T> {
    let done = running.run(work).await;
    let done = done.map_err(|problem| fault::of(&problem)).flatten();
    match &done {
        Ok(_) => running.finish(),
        Err(error) => running.fail(Code::InvalidRequest, told(error)),
    }
    done
}

/// How an error is told in a record: S3 has words of its own.
fn told(error: &S3Error) -> String {
    match error.message() {
        Some(message) => format!("{}: {message}", error.code().as_str()),
        None => error.code().as_str().to_owned(),
    }
}
