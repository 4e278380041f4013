//! `/v1/ledger…`: the own Element writes its metadata log to this Host, and
//! reads it again when it has lost its own.

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use gridmart_fabric::{
    door::{BodyPieces, Request, Response, json_response, stream_response},
    ledger::{push_record, records_of},
};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::ledger::{
        APPEND_BODY_BYTES_MAX, APPEND_BYTES_MAX, LedgerAppended, LedgerPosition, LedgerSnapshot,
        LedgerStatus, POSITION_HEADER, SNAPSHOT_HASH_HEADER,
    },
};
use http::{HeaderValue, StatusCode, header};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    goods::Storage,
    ledger::{
        self, Ledger, LedgerError, LedgerRecord, Position, SnapshotInfo, SnapshotReader,
        SnapshotWriter,
    },
    query::Query,
    room::FileSystem,
};
use crate::member::{blocking, nothing_there};

/// Requests that are served at a time; an append holds 32 MiB at most.
const REQUESTS_MAX: usize = 4;
/// Who comes beyond that waits for so long.
const PLACE_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of a snapshot that are written or read at a time.
const SNAPSHOT_PIECE_BYTES: usize = 1024 * 1024;
const BYTES: &str = "application/octet-stream";

// What may be sent is what the ledger takes.
const _: () = assert!(APPEND_BYTES_MAX == ledger::APPEND_BYTES_MAX);

/// Places for requests to the ledger.
pub(super) struct Places(Semaphore);

impl Default for Places {
    fn default() -> Self {
        Self(Semaphore::new(REQUESTS_MAX))
    }
}

/// Answers what the own Element asks of the ledger.
pub(super) async fn answer(storage: &Storage, request: Request) -> Result<Response, Problem> {
    let place = timeout(PLACE_TIME_MAX, storage.ledger_places.0.acquire()).await;
    // Nobody closes the semaphore.
    let _place = place.ok().and_then(Result::ok).ok_or_else(|| {
        let detail = "The Host serves as many requests to its ledger as it can at a time.";
        Problem::new(Code::Busy, detail)
    })?;
    match (request.method().as_str(), request.uri().path()) {
        ("GET", "/v1/ledger") => status(storage).await,
        ("POST", "/v1/ledger/append") => append(storage, request).await,
        ("GET", "/v1/ledger/records") => records(storage, &request).await,
        ("PUT", "/v1/ledger/snapshot") => snapshot_put(storage, request).await,
        ("GET", "/v1/ledger/snapshot") => snapshot_get(storage).await,
        _ => Err(nothing_there(&request)),
    }
}

const fn from_wire(position: LedgerPosition) -> Position {
    Position {
        epoch: position.epoch,
        sequence: position.sequence,
    }
}

const fn to_wire(position: Position) -> LedgerPosition {
    LedgerPosition {
        epoch: position.epoch,
        sequence: position.sequence,
    }
}

fn refused(error: &LedgerError) -> Problem {
    if error.code() == Code::StorageFailed {
        tracing::error!(%error, "the ledger cannot be written or read");
    }
    error.to_problem()
}

/// Does what blocks for the disk.
async fn with_ledger<T: Send + 'static>(
    storage: &Storage,
    work: impl FnOnce(&Arc<Ledger>) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, Problem> {
    let ledger = Arc::clone(&storage.ledger);
    blocking(move || work(&ledger).map_err(|error| refused(&error))).await
}

async fn status(storage: &Storage) -> Result<Response, Problem> {
    let status = with_ledger(storage, |ledger| {
        Ok(LedgerStatus {
            last: to_wire(ledger.position()?),
            epoch: ledger.epoch(),
            base: to_wire(ledger.base()),
            snapshot: ledger.snapshot().map(|info| LedgerSnapshot {
                position: to_wire(info.position),
                bytes: info.bytes,
                hash: blake3::Hash::from_bytes(info.hash).to_hex().to_string(),
            }),
        })
    });
    Ok(json_response(StatusCode::OK, &status.await?))
}

async fn append(storage: &Storage, request: Request) -> Result<Response, Problem> {
    let query = Query::of(&request);
    let epoch: u64 = query.require("epoch")?;
    let after: LedgerPosition = query.require("after")?;
    let mut pieces = BodyPieces::new(request, APPEND_BODY_BYTES_MAX as u64)?;
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.next().await? {
        body.extend_from_slice(&piece);
    }
    let records = records_of(body.freeze())?.into_iter();
    let records: Vec<_> = records
        .map(|(position, bytes)| LedgerRecord {
            position: from_wire(position),
            bytes,
        })
        .collect();
    let appended = with_ledger(storage, move |ledger| {
        match ledger.append(epoch, from_wire(after), &records) {
            Ok(last) => Ok(LedgerAppended::Appended {
                last: to_wire(last),
            }),
            Err(LedgerError::Gap { there }) => Ok(LedgerAppended::Gap {
                there: to_wire(there),
            }),
            Err(LedgerError::StaleEpoch { newest, .. }) => Ok(LedgerAppended::Stale { newest }),
            Err(error) => Err(error),
        }
    });
    Ok(json_response(StatusCode::OK, &appended.await?))
}

async fn records(storage: &Storage, request: &Request) -> Result<Response, Problem> {
    let query = Query::of(request);
    let after: u64 = query.require("after")?;
    let bytes_max = query.read("bytes")?.unwrap_or(APPEND_BYTES_MAX);
    let bytes_max = bytes_max.min(APPEND_BYTES_MAX);
    let records = with_ledger(storage, move |ledger| ledger.read(after, bytes_max)).await?;
    let mut pieces = Vec::with_capacity(records.len() * 2);
    for record in records {
        push_record(&mut pieces, to_wire(record.position), record.bytes);
    }
    let pieces = pieces.into_iter().map(Ok::<Bytes, io::Error>);
    Ok(stream_response(BYTES, stream::iter(pieces)))
}

// === the snapshot ===

fn snapshot_hash(text: &str) -> Result<[u8; 32], Problem> {
    let hash = blake3::Hash::from_hex(text);
    hash.map(Into::into).map_err(|error| {
        let detail = format!("The hash of the snapshot cannot be read: {error}.");
        Problem::new(Code::InvalidRequest, detail)
    })
}

async fn snapshot_put(storage: &Storage, request: Request) -> Result<Response, Problem> {
    let query = Query::of(&request);
    let epoch: u64 = query.require("epoch")?;
    let position: LedgerPosition = query.require("position")?;
    let bytes: u64 = query.require("bytes")?;
    let hash: String = query.require("hash")?;
    let info = SnapshotInfo {
        position: from_wire(position),
        bytes,
        hash: snapshot_hash(&hash)?,
    };
    let there = FileSystem::of(&storage.member.data_dir).map_or(0, |found| found.available);
    if bytes > there {
        let detail = format!(
            "The snapshot has {bytes} bytes, and the Host's disk has room for {there}: make room."
        );
        return Err(Problem::new(Code::StorageFailed, detail));
    }
    let mut pieces = BodyPieces::new(request, bytes)?;
    let taken = take_snapshot(storage, epoch, info, &mut pieces).await;
    if let Err(problem) = taken {
        pieces.drain().await;
        return Err(problem);
    }
    status(storage).await
}

async fn take_snapshot(
    storage: &Storage,
    epoch: u64,
    info: SnapshotInfo,
    pieces: &mut BodyPieces,
) -> Result<(), Problem> {
    let mut writer = with_ledger(storage, move |ledger| ledger.snapshot_put(epoch, info)).await?;
    let mut buffer = BytesMut::new();
    while let Some(piece) = pieces.next().await? {
        buffer.extend_from_slice(&piece);
        if buffer.len() >= SNAPSHOT_PIECE_BYTES {
            writer = written(writer, buffer.split().freeze()).await?;
        }
    }
    let writer = written(writer, buffer.freeze()).await?;
    blocking(move || writer.finish().map_err(|error| refused(&error))).await
}

async fn written(mut writer: SnapshotWriter, piece: Bytes) -> Result<SnapshotWriter, Problem> {
    blocking(move || match writer.write(&piece) {
        Ok(()) => Ok(writer),
        Err(error) => Err(refused(&error)),
    })
    .await
}

async fn snapshot_get(storage: &Storage) -> Result<Response, Problem> {
    let reader = with_ledger(storage, |ledger| ledger.snapshot_get()).await?;
    let info = *reader.info();
    let pieces = stream::try_unfold(reader, |reader| async {
        read_piece(reader).await.map_err(io::Error::other)
    });
    let mut response = stream_response(BYTES, pieces);
    let hash = blake3::Hash::from_bytes(info.hash).to_hex();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, info.bytes.into());
    for (name, value) in [
        (POSITION_HEADER, to_wire(info.position).to_string()),
        (SNAPSHOT_HASH_HEADER, hash.to_string()),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

async fn read_piece(
    mut reader: SnapshotReader,
) -> Result<Option<(Bytes, SnapshotReader)>, Problem> {
    blocking(move || {
        let mut buffer = vec![0; SNAPSHOT_PIECE_BYTES];
        let read = reader.read(&mut buffer).map_err(|error| refused(&error))?;
        buffer.truncate(read);
        Ok((read > 0).then(|| (buffer.into(), reader)))
    })
    .await
}
