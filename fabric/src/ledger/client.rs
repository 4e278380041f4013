//! The Element's way to the copy of its ledger on one Host.

use bytes::{Bytes, BytesMut};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::ledger::{
        APPEND_BODY_BYTES_MAX, APPEND_BYTES_MAX, LedgerAppended, LedgerPosition, LedgerSnapshot,
        LedgerStatus, POSITION_HEADER, SNAPSHOT_HASH_HEADER,
    },
};
use http::{HeaderMap, Method, header};
use tokio::sync::mpsc;

use super::{push_record, records_of};
use crate::{
    kept::{AnswerBody, BYTES, ClientLimits, Kept, Request, formless},
    tls::{ClientTls, Expected},
};

/// A way to the ledger on one Host. Clones share its connections.
#[derive(Clone, Debug)]
pub struct LedgerClient {
    kept: Kept,
}

impl LedgerClient {
    /// Of the expected Host, whose door is at one of the endpoints. Nothing is
    /// dialled yet.
    pub fn new(
        endpoints: Vec<String>,
        expected: Expected,
        tls: ClientTls,
        limits: ClientLimits,
    ) -> Self {
        Self {
            kept: Kept::new(endpoints, expected, tls, limits),
        }
    }

    /// What the Host has.
    pub async fn status(&self) -> Result<LedgerStatus, Problem> {
        self.kept.json(&Request::get("/v1/ledger")).await
    }

    /// Appends records, those that come after `after`, under an epoch: the
    /// answer comes when they are durable, or tells why none was taken.
    pub async fn append(
        &self,
        epoch: u64,
        after: LedgerPosition,
        records: &[(LedgerPosition, Bytes)],
    ) -> Result<LedgerAppended, Problem> {
        let bytes: usize = records.iter().map(|(_, content)| content.len()).sum();
        if bytes > APPEND_BYTES_MAX {
            let detail = format!(
                "Records of {bytes} bytes are more than one append may have: {APPEND_BYTES_MAX}."
            );
            return Err(Problem::new(Code::TooLarge, detail));
        }
        let mut pieces = Vec::with_capacity(records.len() * 2);
        for (position, content) in records {
            push_record(&mut pieces, *position, content.clone());
        }
        let path = format!("/v1/ledger/append?epoch={epoch}&after={after}");
        let request = Request {
            method: Method::POST,
            pieces,
            ..Request::get(&path)
        };
        self.kept.json(&request).await
    }

    /// Reads the records after a sequence: at least one, if there is one, and
    /// no more than `bytes_max` bytes if there are several.
    pub async fn records(
        &self,
        after: u64,
        bytes_max: usize,
    ) -> Result<Vec<(LedgerPosition, Bytes)>, Problem> {
        let path = format!("/v1/ledger/records?after={after}&bytes={bytes_max}");
        let (_, mut body) = self.kept.pieces(&Request::get(&path)).await?;
        let mut bytes = BytesMut::new();
        while let Some(piece) = body.piece().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > APPEND_BODY_BYTES_MAX {
                return Err(formless("it has more bytes than were asked for"));
            }
        }
        body.end().await;
        records_of(bytes.freeze())
    }

    /// Sends what the records up to a position amount to, whose bytes come from
    /// `source`; what it covers goes from the ledger when it is durable.
    pub async fn snapshot_put(
        &self,
        epoch: u64,
        snapshot: &LedgerSnapshot,
        source: mpsc::Receiver<Bytes>,
    ) -> Result<LedgerStatus, Problem> {
        let LedgerSnapshot {
            position,
            bytes,
            hash,
        } = snapshot;
        let path = format!(
            "/v1/ledger/snapshot?epoch={epoch}&position={position}&bytes={bytes}&hash={hash}"
        );
        let request = Request {
            method: Method::PUT,
            kind: BYTES,
            ..Request::get(&path)
        };
        self.kept.json_of_stream(&request, *bytes, source).await
    }

    /// Reads the snapshot.
    pub async fn snapshot_get(&self) -> Result<SnapshotPieces, Problem> {
        let (head, body) = self
            .kept
            .pieces(&Request::get("/v1/ledger/snapshot"))
            .await?;
        let snapshot = told(&head.headers)
            .ok_or_else(|| formless("it does not say what the snapshot covers"))?;
        Ok(SnapshotPieces {
            snapshot,
            body,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        })
    }
}

fn told(headers: &HeaderMap) -> Option<LedgerSnapshot> {
    let text = |name| headers.get(name)?.to_str().ok();
    Some(LedgerSnapshot {
        position: text(POSITION_HEADER)?.parse().ok()?,
        bytes: text(header::CONTENT_LENGTH.as_str())?.parse().ok()?,
        hash: text(SNAPSHOT_HASH_HEADER)?.to_owned(),
    })
}

/// A snapshot, as it comes. Dropping it ends the transfer.
#[derive(Debug)]
pub struct SnapshotPieces {
    snapshot: LedgerSnapshot,
    body: AnswerBody,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl SnapshotPieces {
    /// What it is.
    pub const fn snapshot(&self) -> &LedgerSnapshot {
        &self.snapshot
    }

    /// The next piece; `None` after the last one, if the whole is what its
    /// length and hash say: what came before is not to be relied on until then.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Problem> {
        if let Some(piece) = self.body.piece().await? {
            self.hasher.update(&piece);
            self.bytes += piece.len() as u64;
            return Ok(Some(piece));
        }
        let hash = self.hasher.finalize().to_hex();
        if self.bytes != self.snapshot.bytes || *hash != *self.snapshot.hash {
            return Err(Problem::new(
                Code::DigestMismatch,
                "The snapshot of the ledger is not what its length and hash say.",
            ));
        }
        self.body.end().await;
        Ok(None)
    }
}
