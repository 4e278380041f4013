//! The Element's ledger is written, read and replaced by a snapshot, by the own
//! Element alone.

use bytes::Bytes;
use gridmart_fabric::{
    block::ClientLimits,
    identity::IdentityCell,
    ledger::LedgerClient,
    tls::{ClientTls, Revocations},
};
use gridmart_schemas::{
    problem::{Code, Problem},
    role::NodeKind,
    wire::ledger::{LedgerAppended, LedgerPosition, LedgerSnapshot, LedgerStatus},
};
use tokio::sync::mpsc;

use super::{Pool, pool};
use crate::simulation::within;

type Records = Vec<(LedgerPosition, Bytes)>;

const fn at(epoch: u64, sequence: u64) -> LedgerPosition {
    LedgerPosition { epoch, sequence }
}

/// Records of an epoch, each with its sequence as content.
fn records(epoch: u64, sequences: std::ops::RangeInclusive<u64>) -> Records {
    let record = |sequence: u64| (at(epoch, sequence), Bytes::from(sequence.to_string()));
    sequences.map(record).collect()
}

fn client(pool: &Pool, tls: ClientTls) -> LedgerClient {
    let expected = (pool.host.id, NodeKind::StorageHost);
    let limits = ClientLimits::default();
    LedgerClient::new(vec![pool.host.door.clone()], expected, tls, limits)
}

fn own(pool: &Pool) -> LedgerClient {
    client(pool, pool.element.tls())
}

async fn append(
    client: &LedgerClient,
    epoch: u64,
    after: LedgerPosition,
    records: &Records,
) -> LedgerAppended {
    within("an append", client.append(epoch, after, records))
        .await
        .unwrap()
}

async fn status(client: &LedgerClient) -> LedgerStatus {
    within("the status", client.status()).await.unwrap()
}

async fn read(client: &LedgerClient, after: u64) -> Result<Records, Code> {
    let read = within("records", client.records(after, 1 << 20)).await;
    read.map_err(|problem| problem.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_appended_fenced_and_outlive_a_restart() {
    let pool = pool().await;
    let ledger = own(&pool);
    let empty = status(&ledger).await;
    assert_eq!(
        (empty.epoch, empty.last, empty.snapshot),
        (0, at(0, 0), None)
    );
    let first = append(&ledger, 1, at(0, 0), &records(1, 1..=5)).await;
    assert_eq!(first, LedgerAppended::Appended { last: at(1, 5) });
    let gap = append(&ledger, 1, at(1, 7), &records(1, 8..=9)).await;
    assert_eq!(gap, LedgerAppended::Gap { there: at(1, 5) });
    let second = append(&ledger, 2, at(1, 3), &records(2, 4..=4)).await;
    assert_eq!(second, LedgerAppended::Appended { last: at(2, 4) });
    let stale = append(&ledger, 1, at(1, 5), &records(1, 6..=6)).await;
    assert_eq!(stale, LedgerAppended::Stale { newest: 2 });

    let pool = pool.restarted().await;
    let ledger = own(&pool);
    let found = status(&ledger).await;
    assert_eq!((found.epoch, found.last), (2, at(2, 4)));
    let expected = [records(1, 1..=3), records(2, 4..=4)].concat();
    assert_eq!(read(&ledger, 0).await, Ok(expected.clone()));
    assert_eq!(read(&ledger, 3).await, Ok(expected[3..].to_vec()));
    assert_eq!(read(&ledger, 4).await, Ok(Vec::new()));
}

/// Sends `content` as the snapshot at a position.
async fn snapshot_put(
    ledger: &LedgerClient,
    position: LedgerPosition,
    hashed: &Bytes,
    content: &Bytes,
) -> Result<LedgerStatus, Problem> {
    let snapshot = LedgerSnapshot {
        position,
        bytes: content.len() as u64,
        hash: blake3::hash(hashed).to_hex().to_string(),
    };
    let (sender, source) = mpsc::channel(1);
    let content = content.clone();
    tokio::spawn(async move {
        for piece in content.chunks(100_000) {
            if sender.send(Bytes::copy_from_slice(piece)).await.is_err() {
                return;
            }
        }
    });
    within("a snapshot", ledger.snapshot_put(2, &snapshot, source)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_takes_the_place_of_records_when_it_is_whole() {
    let pool = pool().await;
    let ledger = own(&pool);
    append(&ledger, 2, at(0, 0), &records(2, 1..=5)).await;
    let none = within("a snapshot", ledger.snapshot_get()).await;
    assert_eq!(none.unwrap_err().code, Code::NotFound);
    let content: Bytes = (0..=250)
        .cycle()
        .take(3_000_000)
        .collect::<Vec<u8>>()
        .into();
    let other = Bytes::from_static(b"other");
    let damaged = snapshot_put(&ledger, at(2, 3), &other, &content).await;
    assert_eq!(damaged.unwrap_err().code, Code::InvalidRequest);
    assert_eq!(
        read(&ledger, 0).await,
        Ok(records(2, 1..=5)),
        "all is there"
    );
    let taken = snapshot_put(&ledger, at(2, 3), &content, &content).await;
    let taken = taken.unwrap();
    assert_eq!((taken.base, taken.last), (at(2, 3), at(2, 5)));

    let pool = pool.restarted().await;
    let ledger = own(&pool);
    assert_eq!(status(&ledger).await, taken);
    assert_eq!(read(&ledger, 0).await, Err(Code::LedgerGap));
    assert_eq!(read(&ledger, 3).await, Ok(records(2, 4..=5)));
    let mut coming = within("a snapshot", ledger.snapshot_get()).await.unwrap();
    assert_eq!(Some(coming.snapshot()), taken.snapshot.as_ref());
    let mut whole = Vec::new();
    while let Some(piece) = within("a piece", coming.piece()).await.unwrap() {
        whole.extend_from_slice(&piece);
    }
    assert!(whole == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_own_element_reaches_the_ledger() {
    let pool = pool().await;
    let stranger = pool.element.stranger(NodeKind::StorageElement);
    let tls = ClientTls::node(IdentityCell::new(stranger), Revocations::new()).unwrap();
    let stranger = client(&pool, tls);
    let key = pool.program().key;
    let tls = ClientTls::ephemeral(&pool.element.root_pem(), &key).unwrap();
    let program = client(&pool, tls);
    for (who, code) in [
        (&stranger, Code::NotAuthorized),
        (&program, Code::CertificateRefused),
    ] {
        let refused = within("a refusal", who.append(9, at(0, 0), &records(9, 1..=1))).await;
        assert_eq!(refused.unwrap_err().code, code);
        let refused = within("a refusal", who.status()).await;
        assert_eq!(refused.unwrap_err().code, code);
    }
    assert_eq!(status(&own(&pool)).await.epoch, 0);
}
