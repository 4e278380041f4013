//! Queueing, leases, overdue calls, a restart.

use gridmart_schemas::{
    id::CallId,
    problem::Code,
    wire::{
        control_element::HostSummary,
        queue::{CallOverdue, LeaseRelease, LeaseRenew, OverdueAnswer},
        record::{CallRecords, JobProgress},
    },
};

use super::{
    Pool,
    simulation::{Element, PATIENCE, controller::Controller, wait_for},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_finds_its_host() {
    let pool = Pool::open(2).await;
    let client = pool.client().await;
    assert_eq!(
        client.enter(pool.ticket(&client, "ada"), 1).await.unwrap(),
        0
    );
    let lease = client.granted(1).await;
    assert_eq!((lease.host, lease.slots), (pool.host.id, 1));
    let claims = pool.host.verify(&lease.ticket, client.key()).unwrap();
    assert_eq!(
        (
            claims.lease,
            claims.sub.as_str(),
            claims.application.name.as_str()
        ),
        (lease.lease, "ada", "spf")
    );
    assert_eq!(claims.incarnation, Some(*pool.host.incarnation.lock()));
    let other = pool.client().await;
    assert_eq!(
        pool.host
            .verify(&lease.ticket, other.key())
            .unwrap_err()
            .code,
        Code::TicketKeyMismatch
    );
    // The application came once to the Element and once to the Host.
    assert_eq!(pool.control.told.lock().packages, 1);
    assert_eq!(pool.host.held.lock().len(), 1);
    // A renewed ticket is of the same lease.
    let renew = LeaseRenew {
        lease: lease.lease,
        ticket: pool.ticket(&client, "ada"),
    };
    assert_eq!(
        client.peer().ask(&renew, PATIENCE).await.unwrap().lease,
        lease.lease
    );
    let foreign = LeaseRenew {
        lease: lease.lease,
        ticket: pool.ticket(&client, "eve"),
    };
    assert_eq!(
        client
            .peer()
            .ask(&foreign, PATIENCE)
            .await
            .err()
            .unwrap()
            .code,
        Code::TicketForeign
    );
    // Given back, it is over at the Host as well.
    client
        .peer()
        .tell(&LeaseRelease { lease: lease.lease })
        .await
        .unwrap();
    wait_for("the lease's end at the Host", || {
        pool.host
            .ended
            .lock()
            .pop()
            .filter(|end| !end.kill)
            .ok_or("none")
    })
    .await;
    pool.element.end().await;
}

/// On one thread: a stream cannot drain while the queue decides.
#[tokio::test]
async fn who_reads_is_told_more_at_once_than_a_stream_takes() {
    const CALLS: u32 = 600;
    let pool = Pool::open(CALLS).await;
    let client = pool.client().await;
    // All wait for the Host, which then takes all of them in one decision.
    pool.host.disconnect();
    for number in 0..CALLS {
        let ticket = pool.ticket(&client, &format!("p{}", number % 10));
        client.enter(ticket, 1).await.unwrap();
    }
    pool.host.connect().await.unwrap();
    client.granted(usize::try_from(CALLS).unwrap()).await;
    assert!(!client.peer().is_closed());
    assert_eq!(client.heard.lock().refused, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_that_are_not_right_are_refused() {
    let pool = Pool::open(1).await;
    let client = pool.client().await;
    let other = pool.client().await;
    let element = pool.element.id;
    let ticket = |change: fn(&mut gridmart_fabric::ticket::AccessClaims)| {
        pool.control
            .ticket(element, "ada", client.key(), &pool.application, change)
    };
    let refused = async |ticket: String| client.enter(ticket, 1).await.unwrap_err().code;
    assert_eq!(refused("no.ticket.atall".into()).await, Code::TicketInvalid);
    assert_eq!(
        refused(pool.ticket(&other, "ada")).await,
        Code::TicketKeyMismatch
    );
    assert_eq!(
        refused(ticket(
            |claims| claims.aud = gridmart_schemas::id::NodeId::generate()
        ))
        .await,
        Code::TicketForeign
    );
    let expired = ticket(|claims| {
        (claims.nbf, claims.iat, claims.exp) =
            (claims.nbf - 1000, claims.iat - 1000, claims.exp - 1000);
    });
    assert_eq!(refused(expired).await, Code::TicketExpired);
    assert_eq!(
        refused(ticket(|claims| claims.operations.clear())).await,
        Code::NotAuthorized
    );
    let stranger = Controller::new(tempfile::tempdir().unwrap().path());
    let forged = stranger.ticket(element, "ada", client.key(), &pool.application, |_| {});
    assert_eq!(refused(forged).await, Code::TicketInvalid);
    assert_eq!(
        client.enter(pool.ticket(&client, "ada"), 1).await.unwrap(),
        0,
        "the door goes on"
    );
    pool.element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_client_makes_the_element_recall() {
    let pool = Pool::open(1).await;
    let (first, second) = (pool.client().await, pool.client().await);
    first.enter(pool.ticket(&first, "ada"), 1).await.unwrap();
    let lease = first.granted(1).await.lease;
    assert_eq!(
        second.enter(pool.ticket(&second, "bob"), 1).await.unwrap(),
        1
    );
    wait_for("the recall", || {
        first
            .heard
            .lock()
            .recalled
            .contains(&lease)
            .then_some(())
            .ok_or("none")
    })
    .await;
    first.peer().tell(&LeaseRelease { lease }).await.unwrap();
    second.granted(1).await;
    pool.element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overdue_call_is_told_whether_its_host_lives() {
    let pool = Pool::open(2).await;
    let (one, two) = (pool.client().await, pool.client().await);
    one.enter(pool.ticket(&one, "ada"), 1).await.unwrap();
    two.enter(pool.ticket(&two, "bob"), 1).await.unwrap();
    let (lease, other) = (one.granted(1).await.lease, two.granted(1).await.lease);
    let overdue = CallOverdue {
        lease,
        call: CallId::generate(),
    };
    let alive = one.peer().ask(&overdue, PATIENCE).await.unwrap();
    let now_is = *pool.host.incarnation.lock();
    assert!(
        matches!(alive, OverdueAnswer::Alive { incarnation, .. } if incarnation == now_is),
        "{alive:?}"
    );
    // A Host that does not answer is down for all who have leases there; both
    // questions share one probe.
    *pool.host.mute.lock() = true;
    let before = *pool.host.probes.lock();
    let also = CallOverdue {
        lease: other,
        call: CallId::generate(),
    };
    let (peer_one, peer_two) = (one.peer(), two.peer());
    let (first, second) = tokio::join!(
        peer_one.ask(&overdue, PATIENCE * 2),
        peer_two.ask(&also, PATIENCE * 2)
    );
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (OverdueAnswer::Down {}, OverdueAnswer::Down {})
    );
    assert_eq!(*pool.host.probes.lock(), before + 1);
    two.wait_over(other, Code::HostDown).await;
    pool.element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_element_works_on_without_its_controller() {
    let pool = Pool::open(2).await;
    let client = pool.client().await;
    client.enter(pool.ticket(&client, "ada"), 1).await.unwrap();
    let lease = client.granted(1).await;
    pool.hold(&lease, "ada");
    let ticket = pool.ticket(&client, "ada");
    pool.control.shut().await;
    let door = pool.element.door.clone();
    pool.element.end().await;

    let again = Element::start(pool.folder.path(), &pool.address, None).await;
    assert_eq!(again.door, door, "the door has moved");
    let opened = client.connect(&again).await;
    assert_eq!(opened.leases, [lease.lease]);
    pool.host.connect().await.unwrap();
    // One slot of two is held still: of two more wanted, one is granted.
    assert_eq!(client.enter(ticket.clone(), 1).await.unwrap(), 0);
    assert_eq!(client.granted(2).await.slots, 1);
    assert_eq!(client.enter(ticket, 1).await.unwrap(), 1);

    // What ended meanwhile reaches the controller when it is back.
    let progress = JobProgress {
        report: Some(gridmart_schemas::id::ReportId::generate()),
        lease: None,
        ended: None,
        job: gridmart_schemas::id::JobId::generate(),
        owner: "ada".parse().unwrap(),
        application: "spf".into(),
        version: "1.0".into(),
        host: pool.host.id,
        finished: 5,
        failed: 0,
        wall_us: 5,
        cpu_us: 5,
    };
    let batch = CallRecords {
        sequence: 1,
        jobs: vec![progress.clone()],
        ..CallRecords::default()
    };
    pool.host.peer().ask(&batch, PATIENCE).await.unwrap();
    pool.host.peer().ask(&batch, PATIENCE).await.unwrap();
    pool.control.open().await;
    let records = wait_for("the records", || {
        let told = pool.control.told.lock();
        if told.records.is_empty() {
            Err(told.heartbeats.len())
        } else {
            Ok(told.records.clone())
        }
    })
    .await;
    let jobs: Vec<&JobProgress> = records.iter().flat_map(|batch| &batch.jobs).collect();
    assert_eq!(
        jobs,
        [&progress],
        "once, although the Host has sent it twice"
    );
    let hosts: Vec<HostSummary> = pool
        .control
        .told
        .lock()
        .hello
        .as_ref()
        .unwrap()
        .hosts
        .clone();
    assert_eq!(
        hosts
            .iter()
            .map(|host| (host.id, host.connected))
            .collect::<Vec<_>>(),
        [(pool.host.id, true)]
    );
    again.end().await;
}
