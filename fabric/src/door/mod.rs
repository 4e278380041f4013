//! Doors: where nodes and programs come in. HTTP/1.1 over TLS 1.3, upgraded to
//! WebSockets for streams.
//!
//! Invariants: who has not shaken hands or asked in time is put out; the number
//! of connections, upgraded ones included, is bounded; a door that ends first
//! lets requests finish, then cuts what is left; when [`Door::serve`] has
//! returned, nothing of the door runs any more; whoever is refused is logged
//! with the code, at a bounded rate.

mod answer;
mod plain;
mod refusal;
mod upgrade;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gridmart_schemas::problem::Code;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    answer::{
        Body, Request, Response, empty_response, file_response, json_body, json_response,
        problem_response, text_response,
    },
    upgrade::{PendingSocket, upgrade},
};
pub use crate::request::{Fetched, fetch};
use crate::{identity::PeerIdentity, telemetry::LineGate, tls::ServerTls};

/// Pause after a failed accept: the system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long cut connections may take to notice.
const CUT_GRACE: Duration = Duration::from_secs(2);

/// The bounds of a door.
#[derive(Clone, Copy, Debug)]
pub struct DoorLimits {
    /// Connections at a time, upgraded ones included; more wait outside.
    pub connections: u32,
    /// How long the TLS handshake may take.
    pub handshake: Duration,
    /// How long a request's head may take, and how long a connection may idle.
    pub header: Duration,
    /// The most headers of a request.
    pub headers: usize,
    /// The most bytes of a request's head; at least 8192.
    pub header_bytes: usize,
    /// A peer that takes no bytes for this long is cut.
    pub write_stall: Duration,
    /// How long requests and streams may go on when the door ends.
    pub grace: Duration,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            headers: 64,
            header_bytes: 16 * 1024,
            write_stall: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// What is behind a door.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. Dropped when its caller goes away.
    fn handle(
        &self,
        peer: PeerIdentity,
        remote: SocketAddr,
        request: Request,
    ) -> BoxFuture<'_, Response>;
}

/// A door that is bound and not open yet.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    tls: ServerTls,
    limits: DoorLimits,
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

impl Door {
    /// Binds the address; port 0 lets the system choose.
    pub async fn bind(listen: SocketAddr, tls: ServerTls, limits: DoorLimits) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            tls,
            limits,
        })
    }

    /// Where it is.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets go of everybody.
    pub async fn serve(self, service: Arc<dyn Service>, stop: CancellationToken) {
        let Self {
            listener,
            tls,
            limits,
            ..
        } = self;
        let places = Arc::new(Semaphore::new(limits.connections as usize));
        let tasks = TaskTracker::new();
        let open = Arc::new(Open {
            service,
            tls,
            limits,
            stop: stop.clone(),
            cut: CancellationToken::new(),
            refusals: LineGate::new(),
        });
        while let Some((tcp, remote, place)) =
            stop.run_until_cancelled(next(&listener, &places)).await
        {
            tasks.spawn(connection(tcp, remote, place, open.clone()));
        }
        drop(listener);
        tasks.close();
        // Upgraded connections hold their places as well.
        let all_gone = places.acquire_many(limits.connections);
        if timeout(limits.grace, all_gone).await.is_err() {
            tracing::info!("connections are cut: their time to end is over");
        }
        open.cut.cancel();
        if timeout(CUT_GRACE, async {
            tokio::join!(tasks.wait(), places.acquire_many(limits.connections))
        })
        .await
        .is_err()
        {
            tracing::warn!("connections did not end when they were cut");
        }
    }
}

/// The next caller, once there is a place.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            // Nobody closes the semaphore.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((tcp, remote)) => return (tcp, remote, place),
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    tcp: TcpStream,
    remote: SocketAddr,
    place: OwnedSemaphorePermit,
    open: Arc<Open>,
) {
    // Answers are small and must not wait for more.
    let _ = tcp.set_nodelay(true);
    let limits = open.limits;
    let shaken = async {
        if !plain::speaks_tls(&tcp).await? {
            plain::refuse(tcp).await;
            return Ok(None);
        }
        open.tls
            .accept(tcp, open.cut.clone(), limits.write_stall)
            .await
            .map(Some)
    };
    let shaken = tokio::select! {
        shaken = timeout(limits.handshake, shaken) => shaken,
        () = open.stop.cancelled() => return,
    };
    let (mut channel, peer) = match shaken {
        Ok(Ok(Some(shaken))) => shaken,
        Ok(Ok(None)) => {
            return refusal::log(
                &open.refusals,
                remote,
                Some(Code::TlsRequired),
                "it spoke no TLS",
            );
        }
        Ok(Err(error)) => {
            let code = refusal::code_of(&error);
            return refusal::log(&open.refusals, remote, code, &error);
        }
        Err(_) => {
            let code = Some(Code::TimedOut);
            return refusal::log(
                &open.refusals,
                remote,
                code,
                "the TLS handshake took too long",
            );
        }
    };
    channel.hold(place);
    let service = service_fn(|request| {
        let (service, peer) = (open.service.clone(), peer.clone());
        let open = open.clone();
        async move {
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
