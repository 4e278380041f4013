//! The door of a storage Host, with nothing behind it but the real ledger.

use std::{net::SocketAddr, sync::Arc};

use bytes::BytesMut;
use futures_util::{FutureExt as _, future::BoxFuture, stream};
use gridmart_fabric::{
    disk::RealDisk,
    door::{
        BodyPieces, Door, DoorLimits, Request, Response, Service, json_response, problem_response,
        stream_response,
    },
    identity::{IdentityCell, PeerIdentity},
    ledger::{push_record, records_of},
    tls::{Revocations, ServerTls},
};
use gridmart_host::storage::ledger::{Ledger, LedgerError, LedgerRecord, LedgerSettings, Position};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::ledger::{APPEND_BODY_BYTES_MAX, LedgerAppended, LedgerPosition, LedgerStatus},
};
use http::StatusCode;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The door; it is shut when this is dropped.
pub(crate) struct LedgerDoor {
    pub(crate) address: String,
    _open: DropGuard,
    _folder: TempDir,
}

impl LedgerDoor {
    pub(crate) async fn open(identity: Arc<IdentityCell>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = LedgerSettings::new(folder.path());
        let ledger = Ledger::open(Arc::new(RealDisk), settings).unwrap();
        let tls = ServerTls::new(identity, Revocations::new()).unwrap();
        let listen = ([127, 0, 0, 1], 0).into();
        let door = Door::bind(listen, tls, DoorLimits::default())
            .await
            .unwrap();
        let address = door.local_addr().to_string();
        let stop = CancellationToken::new();
        let behind = Behind {
            ledger: Arc::new(ledger),
        };
        tokio::spawn(door.serve(Arc::new(behind), stop.clone()));
        Self {
            address,
            _open: stop.drop_guard(),
            _folder: folder,
        }
    }
}

struct Behind {
    ledger: Arc<Ledger>,
}

fn wire(position: Position) -> LedgerPosition {
    LedgerPosition {
        epoch: position.epoch,
        sequence: position.sequence,
    }
}

fn own(position: LedgerPosition) -> Position {
    Position {
        epoch: position.epoch,
        sequence: position.sequence,
    }
}

/// The value of a parameter of the request.
fn parameter<T: std::str::FromStr>(request: &Request, name: &str) -> T {
    let mut pairs = request.uri().query().unwrap_or_default().split('&');
    let value = pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap().parse().ok().unwrap()
}

impl Behind {
    async fn answer(&self, request: Request) -> Result<Response, Problem> {
        match request.uri().path() {
            "/v1/ledger" => Ok(json_response(
                StatusCode::OK,
                &LedgerStatus {
                    epoch: self.ledger.epoch(),
                    base: wire(self.ledger.base()),
                    last: wire(self.ledger.position().unwrap()),
                    snapshot: None,
                },
            )),
            "/v1/ledger/append" => self.append(request).await,
            "/v1/ledger/records" => {
                let after = parameter(&request, "after");
                let records = self.ledger.read(after, parameter(&request, "bytes"));
                let mut pieces = Vec::new();
                for record in records.unwrap() {
                    push_record(&mut pieces, wire(record.position), record.bytes);
                }
                let pieces = stream::iter(pieces.into_iter().map(Ok));
                Ok(stream_response("application/octet-stream", pieces))
            }
            _ => Err(Problem::new(Code::NotFound, "Only records are kept here.")),
        }
    }

    async fn append(&self, request: Request) -> Result<Response, Problem> {
        let epoch = parameter(&request, "epoch");
        let after: LedgerPosition = parameter(&request, "after");
        let mut pieces = BodyPieces::new(request, APPEND_BODY_BYTES_MAX as u64)?;
        let mut body = BytesMut::new();
        while let Some(piece) = pieces.next().await? {
            body.extend_from_slice(&piece);
        }
        let records = records_of(body.freeze())?.into_iter();
        let record = |(position, bytes)| LedgerRecord {
            position: own(position),
            bytes,
        };
        let records: Vec<_> = records.map(record).collect();
        let appended = match self.ledger.append(epoch, own(after), &records) {
            Ok(last) => LedgerAppended::Appended { last: wire(last) },
            Err(LedgerError::Gap { there }) => LedgerAppended::Gap { there: wire(there) },
            Err(LedgerError::StaleEpoch { newest, .. }) => LedgerAppended::Stale { newest },
            Err(error) => return Err(error.to_problem()),
        };
        Ok(json_response(StatusCode::OK, &appended))
    }
}

impl Service for Behind {
    fn handle(&self, _: PeerIdentity, _: SocketAddr, request: Request) -> BoxFuture<'_, Response> {
        async {
            let answered = self.answer(request).await;
            answered.unwrap_or_else(|problem| problem_response(&problem))
        }
        .boxed()
    }
}
