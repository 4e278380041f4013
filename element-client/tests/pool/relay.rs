//! A Host that cannot be dialled: who is joined to it, and who is not.

use gridmart_schemas::{id::NodeId, problem::Code};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    Pool, host_token,
    simulation::{client::Client, host::Host, wait_for, within},
};

/// A pool whose Host cannot be dialled, and a client with a lease on it.
async fn relayed() -> (Pool, Client) {
    let pool = Pool::open(2).await;
    *pool.host.relayed.lock() = true;
    pool.host.connect().await.unwrap();
    let client = pool.client().await;
    client.enter(pool.ticket(&client, "ada"), 1).await.unwrap();
    client.granted(1).await;
    (pool, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_joined_to_its_host() {
    let (pool, client) = relayed().await;
    let lease = client.granted(1).await;
    assert!(lease.endpoints.is_empty(), "{:?}", lease.endpoints);
    let mut near = client
        .tunnel(&lease, lease.host, Some(&lease.ticket))
        .await
        .unwrap();
    let mut far = wait_for("the other end", || {
        pool.host.tunnels.lock().pop().ok_or("none")
    })
    .await;
    near.write_all(b"there").await.unwrap();
    near.shutdown().await.unwrap();
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).await.unwrap();
    far.write_all(b"and back").await.unwrap();
    far.shutdown().await.unwrap();
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    assert_eq!(
        (heard.as_slice(), answer.as_slice()),
        (&b"there"[..], &b"and back"[..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_lease_of_ones_own_opens_the_way() {
    let (pool, client) = relayed().await;
    let lease = client.granted(1).await;
    let refusal = async |client: &Client, host: NodeId, ticket: Option<&str>| {
        client.tunnel(&lease, host, ticket).await.unwrap_err().code
    };
    let own = Some(lease.ticket.as_str());
    assert_eq!(
        refusal(&client, lease.host, None).await,
        Code::Unauthenticated
    );
    assert_eq!(
        refusal(&client, NodeId::generate(), own).await,
        Code::TicketForeign
    );
    let access = pool.ticket(&client, "ada");
    assert_eq!(
        refusal(&client, lease.host, Some(&access)).await,
        Code::TicketInvalid
    );
    let thief = pool.client().await;
    assert_eq!(
        refusal(&thief, lease.host, own).await,
        Code::TicketKeyMismatch
    );
    // The Host hears of none of them.
    assert!(pool.host.told.lock().is_empty());
    client.peer().close();
    pool.host.peer().close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nonce_serves_its_host_once() {
    let (pool, client) = relayed().await;
    let lease = client.granted(1).await;
    let token = host_token(&pool.control, 1).await;
    let other = Host::join(&pool.element.door, &token, 1).await.unwrap();
    *pool.host.stuck.lock() = true;
    let refused = client
        .tunnel(&lease, lease.host, Some(&lease.ticket))
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::RelayFailed);
    assert!(
        refused.retryable && refused.detail.contains("h1") && refused.detail.contains("barred"),
        "{refused}"
    );
    // Nobody waits any more.
    let nonce = *pool.host.told.lock().last().unwrap();
    assert_eq!(
        pool.host.dial(nonce).await.unwrap_err().code,
        Code::NotFound
    );
    *pool.host.stuck.lock() = false;
    *pool.host.slow.lock() = true;
    let told = pool.host.told.lock().len();
    let intruder = async {
        let nonce = wait_for("the nonce", || {
            pool.host.told.lock().get(told).copied().ok_or("none")
        })
        .await;
        let refused = other.dial(nonce).await.unwrap_err();
        *pool.host.slow.lock() = false;
        refused
    };
    let (joined, refused) = tokio::join!(
        client.tunnel(&lease, lease.host, Some(&lease.ticket)),
        intruder
    );
    assert_eq!(refused.code, Code::NotAuthorized);
    let joined = joined.unwrap();
    let used = *pool.host.told.lock().last().unwrap();
    assert!(used != nonce);
    for host in [&pool.host, &other] {
        assert_eq!(host.dial(used).await.unwrap_err().code, Code::NotFound);
    }
    drop(joined);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_away_is_named() {
    let (pool, client) = relayed().await;
    let lease = client.granted(1).await;
    pool.host.disconnect();
    let refused = within("the refusal", async {
        loop {
            match client.tunnel(&lease, lease.host, Some(&lease.ticket)).await {
                Err(problem) if problem.code == Code::HostDown => return problem,
                // The Element has not noticed yet.
                _ => tokio::task::yield_now().await,
            }
        }
    });
    assert!(refused.await.detail.contains("h1"));
}
