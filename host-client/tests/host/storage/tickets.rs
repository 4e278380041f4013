//! Who may read and write, and for how long.

use std::time::Duration;

use gridmart_fabric::{
    identity::{EphemeralKey, IdentityCell},
    ticket::{BlockClaims, BlockOperation, Times},
    tls::{ClientTls, Revocations},
};
use gridmart_schemas::{
    id::{NodeId, VersionId},
    problem::{Code, Problem},
    resource::{enumeration::ServingState, host::StorageHostPolicy},
    role::{Desired, NodeKind},
    wire::desired::HostDesired,
};
use time::OffsetDateTime;

use super::{Pool, Program, answers, blocks_of, codes, id, pool, pool_with, whole};
use crate::simulation::within;

const PUT: BlockOperation = BlockOperation::Put;
const GET: BlockOperation = BlockOperation::Get;

/// What comes of a ticket that is good but for one change.
async fn changed(
    pool: &Pool,
    program: &Program,
    version: VersionId,
    change: impl FnOnce(&mut BlockClaims),
) -> Option<Code> {
    let mut claims = pool.claims(program.key.key_hash(), version, PUT);
    change(&mut claims);
    put(program, Some(&pool.sign(&claims)), version).await
}

async fn put(program: &Program, ticket: Option<&str>, version: VersionId) -> Option<Code> {
    let blocks = blocks_of(version, 1, 1000);
    let put = within("a put", program.client.put(ticket, &blocks)).await;
    put.err().map(|problem| problem.code)
}

fn code<T>(answer: Result<T, Problem>) -> Option<Code> {
    answer.err().map(|problem| problem.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_good_tickets_are_taken() {
    let pool = pool().await;
    let (program, version) = (pool.program(), VersionId::generate());
    assert_eq!(changed(&pool, &program, version, |_| {}).await, None);
    assert_eq!(
        put(&program, None, version).await,
        Some(Code::Unauthenticated)
    );
    let odd = put(&program, Some("e30.e30.e30"), version).await;
    assert_eq!(odd, Some(Code::TicketInvalid));
    let refused = |change: fn(&mut BlockClaims)| changed(&pool, &program, version, change);
    let stolen = |claims: &mut BlockClaims| {
        claims.presenter = EphemeralKey::generate().unwrap().key_hash().clone();
    };
    let old = |claims: &mut BlockClaims| {
        let then = OffsetDateTime::now_utc() - Duration::from_mins(10);
        let times = Times::starting(then, Duration::from_mins(5));
        (claims.nbf, claims.iat, claims.exp) = (times.nbf, times.iat, times.exp);
    };
    assert_eq!(refused(stolen).await, Some(Code::TicketKeyMismatch));
    assert_eq!(refused(old).await, Some(Code::TicketExpired));
    let elsewhere = |claims: &mut BlockClaims| claims.aud = NodeId::generate();
    assert_eq!(refused(elsewhere).await, Some(Code::TicketForeign));
    let other = |claims: &mut BlockClaims| claims.version = VersionId::generate();
    assert_eq!(refused(other).await, Some(Code::TicketForeign));
    let reads = |claims: &mut BlockClaims| claims.operation = GET;
    assert_eq!(refused(reads).await, Some(Code::NotAuthorized));
    let less = |claims: &mut BlockClaims| claims.bytes = 999;
    assert_eq!(refused(less).await, Some(Code::LimitExceeded));

    let stranger = pool.element.stranger(NodeKind::StorageElement);
    let mut claims = pool.claims(program.key.key_hash(), version, PUT);
    claims.iss = stranger.node();
    let forged = stranger.signing_key().sign_block(&claims).unwrap();
    let refused = put(&program, Some(&forged), version).await;
    assert_eq!(refused, Some(Code::TicketInvalid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_its_object_version_alone_and_no_more_bytes_than_it_says() {
    let pool = pool().await;
    let (program, version) = (pool.program(), VersionId::generate());
    let [own, other] = [version, VersionId::generate()].map(|version| blocks_of(version, 1, 1000));
    let both = [own[0].clone(), other[0].clone()];
    within("a put", pool.own().put(None, &both)).await.unwrap();
    let mut claims = pool.claims(program.key.key_hash(), version, GET);
    claims.bytes = 2000;
    let ticket = pool.sign(&claims);
    let read = |blocks: Vec<_>| answers(&program.client, Some(&ticket), blocks);
    let seen = read(both.iter().map(whole).collect()).await.unwrap();
    assert!(seen[0].is_ok());
    assert_eq!(seen[1], Err(Code::TicketForeign));
    let seen = read(vec![whole(&own[0]); 2]).await.unwrap();
    assert!(seen[0].is_ok());
    assert_eq!(seen[1], Err(Code::LimitExceeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_elements_is_for_no_other_node() {
    let pool = pool().await;
    let blocks = blocks_of(VersionId::generate(), 1, 1000);
    within("a put", pool.own().put(None, &blocks))
        .await
        .unwrap();
    let stranger = pool.element.stranger(NodeKind::StorageElement);
    let tls = ClientTls::node(IdentityCell::new(stranger), Revocations::new()).unwrap();
    let stranger = pool.client(tls);
    let program = pool.program().client;
    for client in [&stranger, &program] {
        let put = within("a put", client.put(None, &blocks)).await;
        assert_eq!(code(put), Some(Code::Unauthenticated));
        let read = answers(client, None, vec![whole(&blocks[0])]).await;
        assert_eq!(code(read), Some(Code::Unauthenticated));
    }
    let deleted = within("a delete", stranger.delete(&[id(&blocks[0])])).await;
    assert_eq!(code(deleted), Some(Code::NotAuthorized));
    let deleted = within("a delete", program.delete(&[id(&blocks[0])])).await;
    assert_eq!(code(deleted), Some(Code::CertificateRefused));
    let read = answers(&pool.own(), None, vec![whole(&blocks[0])]).await;
    assert!(read.unwrap()[0].is_ok());
}

async fn wish(pool: &Pool, change: impl FnOnce(&mut HostDesired)) {
    let changed = |desired: &mut HostDesired| {
        desired.wish.generation += 1;
        change(desired);
    };
    pool.element.desire(changed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_host_serves_its_element_alone() {
    let pool = pool().await;
    let (program, version) = (pool.program(), VersionId::generate());
    wish(&pool, |desired| desired.wish.desired = Desired::Closed).await;
    let refused = changed(&pool, &program, version, |_| {}).await;
    assert_eq!(refused, Some(Code::NotAccepting));
    let blocks = blocks_of(version, 1, 1000);
    let stored = within("a put", pool.own().put(None, &blocks)).await;
    assert_eq!(codes(&stored.unwrap()), [None]);
    let closed = |state: &_| serving(state) == ServingState::Closed;
    pool.state("that it is closed", closed).await;
    let pool = pool.restarted().await;
    let program = pool.program();
    let refused = changed(&pool, &program, version, |_| {}).await;
    assert_eq!(refused, Some(Code::NotAccepting), "after a restart as well");
    wish(&pool, |desired| desired.wish.desired = Desired::Production).await;
    assert_eq!(changed(&pool, &program, version, |_| {}).await, None);
}

fn serving(state: &gridmart_schemas::resource::host::StorageHostState) -> ServingState {
    state.common.serving_state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_a_transfer_end_and_a_kill_does_not() {
    let pool = pool_with(StorageHostPolicy {
        max_streams: Some(2),
        ..StorageHostPolicy::default()
    })
    .await;
    let (program, version) = (pool.program(), VersionId::generate());
    let blocks: Vec<_> = (0..15)
        .flat_map(|_| blocks_of(version, 1, 4 * 1024 * 1024))
        .collect();
    within("a put", pool.own().put(None, &blocks))
        .await
        .unwrap();
    let ticket = pool.ticket(&program, version, GET);
    let begin = || async {
        let reads = blocks.iter().map(whole).collect();
        let mut coming = within("an answer", program.client.read(Some(&ticket), reads))
            .await
            .unwrap();
        let (_, first) = within("a block", coming.next()).await.unwrap();
        assert!(first.is_ok());
        coming
    };
    // More than a connection holds is on its way: it goes on as it is read.
    let (mut stopped, mut killed) = (begin().await, begin().await);
    let third = answers(&program.client, Some(&ticket), vec![whole(&blocks[0])]).await;
    assert_eq!(code(third), Some(Code::Busy), "MaxStreams is two");
    wish(&pool, |desired| desired.wish.desired = Desired::Closed).await;
    let draining = |state: &_| serving(state) == ServingState::Draining;
    pool.state("that it is draining", draining).await;
    while let Some((_, block)) = within("a block", stopped.next()).await {
        assert!(block.is_ok(), "what runs may end");
    }
    wish(&pool, |desired| desired.wish.cut_epoch += 1).await;
    let mut last = None;
    while let Some((_, block)) = within("a block", killed.next()).await {
        last = block.err().map(|problem| problem.code);
    }
    assert_eq!(last, Some(Code::Unavailable), "it is cut off");
    wish(&pool, |desired| desired.wish.desired = Desired::Production).await;
    let refused = answers(&program.client, Some(&ticket), vec![whole(&blocks[0])]).await;
    assert_eq!(code(refused), Some(Code::TicketCut));
}
