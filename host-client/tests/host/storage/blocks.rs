//! Blocks are put, read, listed and deleted, and are there after a restart.

use bytes::Bytes;
use gridmart_fabric::{
    block::{CHUNK_BYTES, EncodedBlock},
    door,
    ticket::{BlockOperation, VerifyingKeys},
};
use gridmart_schemas::{
    id::VersionId,
    problem::Code,
    role::NodeKind,
    wire::block::{BlockRead, BlocksListed},
};
use time::OffsetDateTime;

use super::{Pool, answers, blocks_of, codes, encoded, id, pool, whole};
use crate::simulation::within;

/// Asks as the Element, and reads the whole answer.
async fn fetched(pool: &Pool, path: &str) -> Vec<u8> {
    let expected = (pool.host.id, NodeKind::StorageHost);
    let (endpoints, tls) = ([pool.host.door.clone()], pool.element.tls());
    let mut body = within("an answer", door::fetch(&endpoints, expected, &tls, path))
        .await
        .unwrap();
    let mut whole = Vec::new();
    while let Some(piece) = within("a piece", body.chunk()).await.unwrap() {
        whole.extend_from_slice(&piece);
    }
    whole
}

async fn listed(pool: &Pool, words: &str) -> BlocksListed {
    let bytes = fetched(pool, &format!("/v1/blocks?{words}")).await;
    serde_json::from_slice(&bytes).unwrap()
}

/// Some of them have files of their own, the others lie in segments.
fn all_sizes(version: VersionId) -> Vec<EncodedBlock> {
    [0, 1, CHUNK_BYTES + 1, 700_000, 3_000_000]
        .into_iter()
        .flat_map(|bytes| blocks_of(version, 2, bytes))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_put_read_listed_and_deleted_and_outlive_a_restart() {
    let pool = pool().await;
    let blocks = all_sizes(VersionId::generate());
    let stored = within("a put", pool.own().put(None, &blocks))
        .await
        .unwrap();
    assert_eq!(codes(&stored), vec![None; blocks.len()]);
    assert_eq!((stored.host, stored.receipt), (pool.host.id, None));

    let incarnation = stored.incarnation;
    let pool = pool.restarted().await;
    let own = pool.own();
    let again = within("a put", own.put(None, &blocks)).await.unwrap();
    assert_eq!(codes(&again), vec![None; blocks.len()], "they are there");
    assert_ne!(again.incarnation, incarnation);
    let reads = blocks.iter().map(whole).collect();
    let read = answers(&own, None, reads).await.unwrap();
    let expected: Vec<_> = blocks
        .iter()
        .map(|block| Ok(encoded(block).into()))
        .collect();
    assert!(read == expected, "each is what it was");

    let mut ids: Vec<_> = blocks.iter().map(id).collect();
    ids.sort_unstable();
    let first = listed(&pool, "limit=4").await;
    assert!(!first.is_last);
    let rest = within("a list", own.list(Some(ids[3]))).await.unwrap();
    assert!(rest.is_last);
    let all = first.blocks.iter().chain(&rest.blocks);
    assert_eq!(all.map(|listed| listed.id).collect::<Vec<_>>(), ids);

    let (gone, kept) = ids.split_at(7);
    let deleted = within("a delete", own.delete(gone)).await.unwrap();
    assert_eq!(deleted.refused, []);
    let deleted = within("a delete", own.delete(gone)).await.unwrap();
    assert_eq!(deleted.refused, [], "gone is gone");
    let left = within("a list", own.list(None)).await.unwrap().blocks;
    assert_eq!(
        left.iter().map(|listed| listed.id).collect::<Vec<_>>(),
        kept
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_read_and_what_is_not_there_is_told_for_each() {
    let pool = pool().await;
    let own = pool.own();
    let blocks = blocks_of(VersionId::generate(), 2, 3 * CHUNK_BYTES + 5);
    within("a put", own.put(None, &blocks[..1])).await.unwrap();
    let read = |block: &EncodedBlock, first_chunk, chunks| BlockRead {
        id: id(block),
        first_chunk,
        chunks,
    };
    let reads = vec![
        read(&blocks[0], 0, 0),
        read(&blocks[0], 1, 2),
        read(&blocks[1], 0, 1),
        read(&blocks[0], 9, 1),
        read(&blocks[0], 3, 1),
    ];
    let prefix = blocks[0].prefix().bytes();
    let part = |range: std::ops::Range<usize>| {
        Bytes::from([&prefix[..], &blocks[0].payload()[range]].concat())
    };
    let expected = [
        Ok(prefix.clone()),
        Ok(part(CHUNK_BYTES..3 * CHUNK_BYTES)),
        Err(Code::NotFound),
        Err(Code::InvalidRequest),
        Ok(part(3 * CHUNK_BYTES..3 * CHUNK_BYTES + 5)),
    ];
    assert!(answers(&own, None, reads).await.unwrap() == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_writes_and_reads_with_tickets_and_has_a_receipt() {
    let pool = pool().await;
    let (program, version) = (pool.program(), VersionId::generate());
    let blocks = all_sizes(version);
    let put = pool.ticket(&program, version, BlockOperation::Put);
    let stored = within("a put", program.client.put(Some(&put), &blocks)).await;
    let receipt = stored.unwrap().receipt.unwrap();
    let host = pool.host_identity().signing_key();
    let mut keys = VerifyingKeys::default();
    keys.insert(host.issuer(), host.spki_pem()).unwrap();
    let element = pool.element.identity.current().node();
    let now = OffsetDateTime::now_utc();
    let claims = keys
        .verify_receipt(&receipt, element, program.key.key_hash(), now)
        .unwrap();
    assert_eq!((claims.iss, claims.version), (pool.host.id, version));
    let told = claims.blocks.iter().map(|block| (block.id, block.root));
    let sent = blocks
        .iter()
        .map(|block| (id(block), *block.prefix().root()));
    assert!(told.eq(sent));

    let get = pool.ticket(&program, version, BlockOperation::Get);
    let reads = blocks.iter().map(whole).collect();
    let read = answers(&program.client, Some(&get), reads).await.unwrap();
    let expected: Vec<_> = blocks
        .iter()
        .map(|block| Ok(encoded(block).into()))
        .collect();
    assert!(read == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_much_as_one_request_may_have_passes() {
    let pool = pool().await;
    let own = pool.own();
    let version = VersionId::generate();
    let large: Vec<_> = (0..15)
        .flat_map(|_| blocks_of(version, 1, 4 * 1024 * 1024))
        .collect();
    let stored = within("a put", own.put(None, &large)).await.unwrap();
    assert_eq!(codes(&stored), vec![None; 15]);
    let reads = large.iter().map(whole).collect();
    let read = answers(&own, None, reads).await.unwrap();
    assert!(read.iter().all(Result::is_ok));
    let many: Vec<_> = (0..1024).flat_map(|_| blocks_of(version, 1, 100)).collect();
    let stored = within("a put", own.put(None, &many)).await.unwrap();
    assert_eq!(codes(&stored), vec![None; 1024]);
    let text = String::from_utf8(fetched(&pool, "/metrics").await).unwrap();
    let counted = "gridmart_host_block_operations_total{work=\"put\",outcome=\"done\"} 1039";
    assert!(text.contains(counted), "{text}");
}
