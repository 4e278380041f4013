//! Control streams, over loopback.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::common::{Grid, Ignorant, OpenDoor, soon};
use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::DoorLimits,
    identity::EphemeralKey,
    stream::{Backoff, Dialer, Handler, Incoming, Peer, StreamLimits, dial, reply},
    telemetry::{current_request, in_request},
    tls::ClientTls,
};
use gridmart_schemas::{
    id::RequestId,
    problem::{Code, Problem},
    role::NodeKind,
    wire::{
        Request as _,
        control_element::{ActivityList, CallTerminate, Terminated},
        element_host::{LeasesEnded, Probe},
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Answers `call-terminate` with a number from `by`, when it is let.
pub(crate) struct Echo {
    pub(crate) gate: Semaphore,
    pub(crate) seen: Mutex<Vec<String>>,
    pub(crate) requests: Mutex<Vec<Option<RequestId>>>,
    pub(crate) running: AtomicUsize,
    pub(crate) most_running: AtomicUsize,
    pub(crate) notices: Semaphore,
    pub(crate) closed: Notify,
}

impl Echo {
    pub(crate) fn new(open: usize, notices: usize) -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(open),
            seen: Mutex::default(),
            requests: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            notices: Semaphore::new(notices),
            closed: Notify::new(),
        })
    }
}

impl Handler for Echo {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        Box::pin(async move {
            match incoming.kind.as_str() {
                CallTerminate::KIND => {
                    let asked: CallTerminate = incoming.read()?;
                    self.requests.lock().push(current_request());
                    let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                    self.most_running.fetch_max(running, Ordering::SeqCst);
                    self.gate.acquire().await.unwrap().forget();
                    self.running.fetch_sub(1, Ordering::SeqCst);
                    assert_ne!(asked.by, "panic", "asked to panic");
                    reply(&Terminated {
                        ended: asked.by.parse().unwrap_or(0),
                    })
                }
                _ => Err(incoming.unknown()),
            }
        })
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.notices.acquire().await.unwrap().forget();
            self.seen.lock().push(
                incoming
                    .body
                    .map(|body| body.get().to_owned())
                    .unwrap_or_default(),
            );
        })
    }

    fn on_closed<'a>(&'a self, _: &'a Peer) -> BoxFuture<'a, ()> {
        self.closed.notify_one();
        Box::pin(async {})
    }
}

pub(crate) fn ask(by: &(impl ToString + ?Sized)) -> CallTerminate {
    CallTerminate {
        call: gridmart_schemas::id::CallId::generate(),
        by: by.to_string(),
    }
}

pub(crate) async fn door_with(
    grid: &Grid,
    handler: Arc<dyn Handler>,
    limits: StreamLimits,
) -> OpenDoor {
    OpenDoor::open_with(
        grid,
        NodeKind::ComputingElement,
        DoorLimits::default(),
        |service| {
            service.handler = handler;
            service.stream_limits = limits;
        },
    )
    .await
}

pub(crate) async fn connected(grid: &Grid, door: &OpenDoor, limits: StreamLimits) -> Peer {
    let (_, tls) = grid.client(NodeKind::ComputeHost);
    let endpoints = door.endpoints();
    let dialled = dial(
        &endpoints,
        door.expected,
        &tls,
        "/v1/control",
        Arc::new(Ignorant),
        limits,
    );
    soon("dial", dialled).await.unwrap()
}

#[tokio::test]
async fn concurrent_asks_find_their_answers() {
    let grid = Grid::new();
    let echo = Echo::new(0, 0);
    let door = door_with(&grid, echo.clone(), StreamLimits::default()).await;
    let peer = connected(&grid, &door, StreamLimits::default()).await;
    let asks: Vec<_> = (1..=50)
        .map(|number| {
            let peer = peer.clone();
            tokio::spawn(async move {
                (
                    number,
                    peer.ask(&ask(&number), PATIENCE).await.unwrap().ended,
                )
            })
        })
        .collect();
    soon("all to run", async {
        while echo.running.load(Ordering::SeqCst) < 50 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    echo.gate.add_permits(50);
    for asked in asks {
        let (number, answer) = soon("answer", asked).await.unwrap();
        assert_eq!(number, answer);
    }
}

#[tokio::test]
async fn both_ends_ask_and_the_request_id_goes_along() {
    let grid = Grid::new();
    let (here, there) = (Echo::new(10, 0), Echo::new(10, 0));
    let mut door = door_with(&grid, there.clone(), StreamLimits::default()).await;
    let (node, tls) = grid.client(NodeKind::ComputeHost);
    let handler = here.clone();
    let endpoints = door.endpoints();
    let dialled = dial(
        &endpoints,
        door.expected,
        &tls,
        "/v1/control",
        handler,
        StreamLimits::default(),
    );
    let up = soon("dial", dialled).await.unwrap();
    assert_eq!(up.identity().node.as_ref().unwrap().id, door.expected.0);
    let down = soon("stream", door.streams.recv()).await.unwrap();
    assert_eq!(down.identity().node.as_ref().unwrap().id, node);
    assert_eq!(
        soon("answer", down.ask(&ask(&4), PATIENCE))
            .await
            .unwrap()
            .ended,
        4
    );

    let (first, second) = (RequestId::generate(), RequestId::generate());
    in_request(Some(first), up.ask(&ask(&1), PATIENCE))
        .await
        .unwrap();
    up.with_request_id(second)
        .ask(&ask(&2), PATIENCE)
        .await
        .unwrap();
    up.ask(&ask(&3), PATIENCE).await.unwrap();
    assert_eq!(*there.requests.lock(), [Some(first), Some(second), None]);
}

#[tokio::test]
async fn what_is_unknown_broken_or_late_is_told_and_the_stream_goes_on() {
    let grid = Grid::new();
    let echo = Echo::new(0, 0);
    let door = door_with(&grid, echo.clone(), StreamLimits::default()).await;
    let peer = connected(&grid, &door, StreamLimits::default()).await;
    let code = |problem: Problem| problem.code;
    assert_eq!(
        peer.ask(&ActivityList { limit: 1 }, PATIENCE)
            .await
            .map_err(code)
            .unwrap_err(),
        Code::UnknownMessage
    );
    assert_eq!(
        peer.ask(&Probe {}, PATIENCE)
            .await
            .map_err(code)
            .unwrap_err(),
        Code::UnknownMessage
    );
    let late = peer.ask(&ask(&1), Duration::from_millis(50)).await;
    assert_eq!(late.map_err(code).unwrap_err(), Code::TimedOut);
    // The late answer, and a handler that panics, disturb nobody.
    echo.gate.add_permits(3);
    assert_eq!(
        peer.ask(&ask("panic"), PATIENCE)
            .await
            .map_err(code)
            .unwrap_err(),
        Code::Internal
    );
    assert_eq!(peer.ask(&ask(&7), PATIENCE).await.unwrap().ended, 7);
}

#[tokio::test]
async fn asks_end_with_their_stream() {
    let grid = Grid::new();
    let echo = Echo::new(0, 0);
    let mut door = door_with(&grid, echo.clone(), StreamLimits::default()).await;
    let peer = connected(&grid, &door, StreamLimits::default()).await;
    let asking = tokio::spawn({
        let peer = peer.clone();
        async move { peer.ask(&ask(&1), Duration::from_hours(1)).await }
    });
    let other_end = soon("stream", door.streams.recv()).await.unwrap();
    other_end.close();
    assert_eq!(
        soon("end of the ask", asking)
            .await
            .unwrap()
            .unwrap_err()
            .code,
        Code::Unavailable
    );
    soon("end of the stream", peer.closed()).await;
    soon("on_closed", echo.closed.notified()).await;
    assert_eq!(
        peer.ask(&ask(&1), PATIENCE).await.unwrap_err().code,
        Code::Unavailable
    );
    assert_eq!(
        peer.tell(&LeasesEnded { leases: vec![] })
            .await
            .unwrap_err()
            .code,
        Code::Unavailable
    );
}

#[tokio::test]
async fn what_was_told_before_the_close_arrives_in_order() {
    let grid = Grid::new();
    let echo = Echo::new(0, 1000);
    let door = door_with(&grid, echo.clone(), StreamLimits::default()).await;
    let peer = connected(&grid, &door, StreamLimits::default()).await;
    let notices: Vec<_> = (0..200)
        .map(|_| LeasesEnded {
            leases: vec![gridmart_schemas::id::LeaseId::generate()],
        })
        .collect();
    for notice in &notices {
        peer.tell(notice).await.unwrap();
    }
    soon("all notices", async {
        while echo.seen.lock().len() < notices.len() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let sent: Vec<String> = notices
        .iter()
        .map(|notice| serde_json::to_string(notice).unwrap())
        .collect();
    assert_eq!(*echo.seen.lock(), sent);
    peer.close();
    soon("on_closed", echo.closed.notified()).await;
}

/// A command line tells, closes and ends its process: what it told counts.
#[test]
fn a_finished_stream_has_written_all_that_was_told() {
    const NOTICES: usize = 300;
    let server = tokio::runtime::Runtime::new().unwrap();
    let (grid, echo) = (Grid::new(), Echo::new(0, 1000));
    let door = server.block_on(door_with(&grid, echo.clone(), StreamLimits::default()));
    let client = tokio::runtime::Runtime::new().unwrap();
    client.block_on(async {
        let peer = connected(&grid, &door, StreamLimits::default()).await;
        for _ in 0..NOTICES {
            let leases = vec![gridmart_schemas::id::LeaseId::generate()];
            peer.tell(&LeasesEnded { leases }).await.unwrap();
        }
        peer.close();
        soon("the end", peer.finished()).await;
    });
    client.shutdown_background();
    server.block_on(soon("on_closed", echo.closed.notified()));
    assert_eq!(echo.seen.lock().len(), NOTICES);
}

#[tokio::test]
async fn what_came_in_before_the_end_is_still_handled() {
    let grid = Grid::new();
    let echo = Echo::new(0, 0);
    let mut door = door_with(&grid, echo.clone(), StreamLimits::default()).await;
    let peer = connected(&grid, &door, StreamLimits::default()).await;
    for _ in 0..5 {
        peer.tell(&LeasesEnded { leases: vec![] }).await.unwrap();
    }
    peer.close();
    let other_end = soon("stream", door.streams.recv()).await.unwrap();
    soon("end of the stream", other_end.closed()).await;
    assert!(echo.seen.lock().is_empty());
    echo.notices.add_permits(5);
    soon("on_closed", echo.closed.notified()).await;
    assert_eq!(echo.seen.lock().len(), 5);
}

#[tokio::test]
async fn a_handler_that_hangs_does_not_keep_its_stream() {
    let grid = Grid::new();
    let echo = Echo::new(0, 0);
    let limits = StreamLimits {
        grace: Duration::from_millis(100),
        ..StreamLimits::default()
    };
    let door = door_with(&grid, echo.clone(), limits).await;
    let peer = connected(&grid, &door, StreamLimits::default()).await;
    let asked = tokio::time::timeout(Duration::from_millis(50), peer.ask(&ask(&1), PATIENCE)).await;
    assert!(asked.is_err());
    peer.tell(&LeasesEnded { leases: vec![] }).await.unwrap();
    peer.close();
    soon("on_closed", echo.closed.notified()).await;
}

#[tokio::test]
async fn a_slow_handler_slows_the_teller_down() {
    let grid = Grid::new();
    let echo = Echo::new(0, 0);
    let limits = StreamLimits {
        queue_messages: 4,
        queue_bytes: 64 * 1024,
        ..StreamLimits::default()
    };
    let door = door_with(&grid, echo.clone(), limits).await;
    let peer = connected(&grid, &door, limits).await;
    let leases: Vec<_> = (0..1000)
        .map(|_| gridmart_schemas::id::LeaseId::generate())
        .collect();
    let notice = Arc::new(LeasesEnded { leases });
    // More than all queues and the sockets' buffers together take.
    let told = Arc::new(AtomicUsize::new(0));
    let telling = tokio::spawn({
        let (peer, notice, told) = (peer.clone(), notice.clone(), told.clone());
        async move {
            for _ in 0..1000 {
                peer.tell(&*notice).await.unwrap();
                told.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    soon("a full queue", async {
        loop {
            match peer.try_tell(&*notice) {
                Err(problem) if problem.code == Code::Busy => break,
                Err(problem) => panic!("{problem}"),
                Ok(()) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(told.load(Ordering::SeqCst) < 1000);
    echo.notices.add_permits(10_000);
    soon("all told", telling).await.unwrap();
}

#[tokio::test]
async fn requests_run_bounded_and_the_rest_is_refused_at_once() {
    let grid = Grid::new();
    let echo = Echo::new(0, 0);
    let limits = StreamLimits {
        requests_running: 2,
        queue_messages: 3,
        ..StreamLimits::default()
    };
    let door = door_with(&grid, echo.clone(), limits).await;
    let peer = connected(&grid, &door, StreamLimits::default()).await;
    let (outcomes_in, mut outcomes) = mpsc::unbounded_channel();
    for number in 1..=20 {
        let (peer, outcomes) = (peer.clone(), outcomes_in.clone());
        tokio::spawn(async move {
            outcomes.send(
                peer.ask(&ask(&number), PATIENCE)
                    .await
                    .map_err(|problem| problem.code),
            )
        });
    }
    // Two run, one is between queue and place, three wait: the rest is told.
    for _ in 0..14 {
        assert_eq!(
            soon("refusal", outcomes.recv()).await.unwrap().unwrap_err(),
            Code::Busy
        );
    }
    echo.gate.add_permits(20);
    for _ in 0..6 {
        soon("answer", outcomes.recv()).await.unwrap().unwrap();
    }
    assert_eq!(echo.most_running.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_dialer_says_hello_on_each_stream_until_it_is_stopped() {
    let grid = Grid::new();
    let echo = Echo::new(100, 0);
    let mut door = door_with(&grid, echo.clone(), StreamLimits::default()).await;
    let (_, tls) = grid.client(NodeKind::ComputeHost);
    // The first endpoint is dead; the second one serves.
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let dialer = Dialer {
        endpoints: vec![dead.to_string(), door.address.to_string()],
        expected: door.expected,
        tls,
        path: "/v1/control".to_owned(),
        handler: Arc::new(Ignorant),
        limits: StreamLimits::default(),
        backoff: Backoff {
            first: Duration::from_millis(10),
            most: Duration::from_millis(50),
        },
    };
    let stop = CancellationToken::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let dialling = tokio::spawn({
        let (stop, tries) = (stop.clone(), tries.clone());
        dialer.keep_connected(
            move |peer| {
                let number = tries.fetch_add(1, Ordering::SeqCst);
                Box::pin(async move {
                    peer.ask(&ask(&1), PATIENCE).await?;
                    // The second hello is refused, and tried again.
                    if number == 1 {
                        Err(Problem::new(Code::Busy, "Not now."))
                    } else {
                        Ok(())
                    }
                })
            },
            stop,
        )
    });
    soon("first stream", door.streams.recv())
        .await
        .unwrap()
        .close();
    let refused = soon("second stream", door.streams.recv()).await.unwrap();
    soon("end of the refused stream", refused.closed()).await;
    let third = soon("third stream", door.streams.recv()).await.unwrap();
    stop.cancel();
    soon("end of the dialer", dialling).await.unwrap();
    soon("end of the stream", third.closed()).await;
    assert_eq!(tries.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_upgrade_that_is_refused_says_why() {
    let grid = Grid::new();
    let door = OpenDoor::open(&grid, NodeKind::ComputingElement).await;
    let key = EphemeralKey::generate().unwrap();
    let tls = ClientTls::ephemeral(grid.authority.root_pem(), &key).unwrap();
    let dialled = async |path: &str| {
        let limits = StreamLimits::default();
        soon(
            "dial",
            dial(
                &door.endpoints(),
                door.expected,
                &tls,
                path,
                Arc::new(Ignorant),
                limits,
            ),
        )
        .await
    };
    assert_eq!(
        dialled("/v1/who").await.unwrap_err().code,
        Code::CertificateRefused
    );
    assert_eq!(
        dialled("/v1/nothing").await.unwrap_err().code,
        Code::NotFound
    );
    dialled("/v1/control").await.unwrap();
}
