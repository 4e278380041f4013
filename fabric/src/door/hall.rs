//! What is behind every door: from a connection, however it came, to the answers
//! of the service.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use gridmart_schemas::problem::Code;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    DoorLimits, Service,
    answer::problem_response,
    inner::Brought,
    places::{Place, Places},
    plain, refusal,
};
use crate::{
    identity::PeerIdentity,
    telemetry::LineGate,
    tls::{BoxedTransport, Channel, ServerTls},
};

/// Pause after a failed accept: the system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long cut connections may take to notice.
const CUT_GRACE: Duration = Duration::from_secs(2);

/// Where connections come from.
pub(super) enum Source {
    Listener(TcpListener),
    Ushers(mpsc::Receiver<Brought>),
}

/// A connection that nobody has spoken on yet.
enum Caller {
    Tcp(TcpStream),
    Brought(BoxedTransport),
}

struct Arrival {
    caller: Caller,
    remote: SocketAddr,
    place: Place,
    /// Tells it to make room for the next one.
    leave: CancellationToken,
}

/// What all connections of a door share.
struct Open {
    service: Arc<dyn Service>,
    tls: ServerTls,
    limits: DoorLimits,
    stop: CancellationToken,
    cut: CancellationToken,
    refusals: LineGate,
}

/// How a door serves.
#[derive(Debug)]
pub(super) struct Hall {
    pub(super) tls: ServerTls,
    pub(super) limits: DoorLimits,
}

impl Hall {
    /// Serves until `stop`, then lets go of everybody.
    pub(super) async fn serve(
        self,
        mut source: Source,
        service: Arc<dyn Service>,
        stop: CancellationToken,
    ) {
        let Self { tls, limits } = self;
        let limits = limits.affordable();
        let places = Places::new(limits);
        let tasks = TaskTracker::new();
        let open = Arc::new(Open {
            service,
            tls,
            limits,
            stop: stop.clone(),
            cut: CancellationToken::new(),
            refusals: LineGate::new(),
        });
        while let Some(arrival) = stop.run_until_cancelled(source.next(&places)).await {
            tasks.spawn(connection(arrival, open.clone()));
        }
        drop(source);
        tasks.close();
        // Upgraded connections hold their places as well.
        if timeout(limits.grace, places.empty()).await.is_err() {
            tracing::info!("connections are cut: their time to end is over");
        }
        open.cut.cancel();
        if timeout(CUT_GRACE, async {
            tokio::join!(tasks.wait(), places.empty())
        })
        .await
        .is_err()
        {
            tracing::warn!("connections did not end when they were cut");
        }
    }
}

impl Source {
    /// The next caller, once there is a place.
    async fn next(&mut self, places: &Arc<Places>) -> Arrival {
        let (caller, remote) = match self {
            Self::Listener(listener) => accepted(listener).await,
            Self::Ushers(brought) => match brought.recv().await {
                Some(Brought { transport, remote }) => (Caller::Brought(transport), remote),
                // Nobody can bring any more; what is inside goes on.
                None => return std::future::pending().await,
            },
        };
        // Who was brought counts as its far end's address.
        let (place, leave) = places.arrive(remote.ip()).await;
        Arrival {
            caller,
            remote,
            place,
            leave,
        }
    }
}

async fn accepted(listener: &TcpListener) -> (Caller, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((tcp, remote)) => return (Caller::Tcp(tcp), remote),
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Caller {
    /// What TLS is spoken on; `None` for who speaks without, and was told so.
    async fn transport(self) -> io::Result<Option<BoxedTransport>> {
        let tcp = match self {
            Self::Brought(transport) => return Ok(Some(transport)),
            Self::Tcp(tcp) => tcp,
        };
        // Answers are small and must not wait for more.
        let _ = tcp.set_nodelay(true);
        if plain::speaks_tls(&tcp).await? {
            return Ok(Some(Box::new(tcp)));
        }
        plain::refuse(tcp).await;
        Ok(None)
    }
}

/// Shakes hands in time and while there is room; `None`: put out, or the door
/// ends.
async fn shaken(
    caller: Caller,
    remote: SocketAddr,
    leave: &CancellationToken,
    open: &Open,
) -> Option<(Channel, PeerIdentity)> {
    let limits = open.limits;
    let shaking = async {
        let Some(transport) = caller.transport().await? else {
            return Ok(None);
        };
        open.tls
            .accept(transport, open.cut.clone(), limits.write_stall)
            .await
            .map(Some)
    };
    let shaken: Option<Result<io::Result<_>, _>> = tokio::select! {
        shaken = timeout(limits.handshake, shaking) => Some(shaken),
        () = leave.cancelled() => None,
        () = open.stop.cancelled() => return None,
    };
    let (code, reason) = match shaken {
        Some(Ok(Ok(Some(shaken)))) => return Some(shaken),
        Some(Ok(Ok(None))) => (Some(Code::TlsRequired), "it spoke no TLS".to_owned()),
        Some(Ok(Err(error))) => (refusal::code_of(&error), error.to_string()),
        None => (Some(Code::Busy), "too many arrive at a time".to_owned()),
        Some(Err(_)) => {
            let reason = "the TLS handshake took too long";
            (Some(Code::TimedOut), reason.to_owned())
        }
    };
    refusal::log(&open.refusals, remote, code, reason);
    None
}

async fn connection(arrival: Arrival, open: Arc<Open>) {
    let Arrival {
        caller,
        remote,
        mut place,
        leave,
    } = arrival;
    let limits = open.limits;
    let Some((mut channel, peer)) = shaken(caller, remote, &leave, &open).await else {
        return;
    };
    let settled = place.settle(peer.node.is_some());
    if let Err(problem) = &settled {
        refusal::log(&open.refusals, remote, Some(problem.code), &problem.detail);
    }
    let is_in = settled.is_ok();
    channel.hold(place);
    let service = service_fn(|request| {
        let (service, peer) = (open.service.clone(), peer.clone());
        let (open, settled) = (open.clone(), settled.clone());
        async move {
            if let Err(problem) = settled {
                // Told in its own tongue, and then let go; it is logged already.
                return Ok(problem_response(&problem));
            }
            let path = request.uri().path().to_owned();
            let response = service.handle(peer, remote, request).await;
            if let Some(refused) = response.extensions().get() {
                refusal::log_answer(&open.refusals, remote, &path, refused);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(is_in)
        .header_read_timeout(limits.header)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(channel), service)
        .with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = open.stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%remote, %error, "a connection ended early");
    }
}
