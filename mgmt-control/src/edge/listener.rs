//! The people's door itself: an actix server on threads of its own.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use actix_web::{HttpServer, dev::ServerHandle};
use rustls::ServerConfig;
use tokio::sync::oneshot;

use super::{
    application,
    crowd::{Crowd, stall_limit},
};
use crate::app::Control;

/// Where the controller itself comes to a door that speaks TLS.
const OWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Requests under way may take so long to end when the door closes, seconds.
const SHUTDOWN_SECONDS: u64 = 1;
/// Connections at a time, per worker; more wait outside.
const CONNECTIONS_MAX: usize = 2048;
/// TLS handshakes at a time, per worker.
const HANDSHAKES_MAX: usize = 128;
/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may idle between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Why the people's door does not open.
#[derive(Debug, thiserror::Error)]
pub enum PeopleDoorError {
    /// The address cannot be bound.
    #[error("cannot listen on {address} for people: is it taken? choose another port")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The server cannot be started.
    #[error("the people's door cannot be served")]
    Serve(#[source] std::io::Error),
}

/// The door, open.
pub struct PeopleDoor {
    handle: ServerHandle,
    thread: thread::JoinHandle<()>,
}

impl PeopleDoor {
    /// Binds the address; port 0 lets the system choose.
    pub fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), PeopleDoorError> {
        let failed = |source| PeopleDoorError::Bind { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        stall_limit(&listener).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok((listener, bound))
    }

    /// Serves the door, with TLS if so configured; then the controller itself comes by a
    /// plain one beside it, on loopback.
    pub async fn open(
        control: Arc<Control>,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Self, PeopleDoorError> {
        let own = match &tls {
            None => None,
            Some(_) => Some(Self::bind(OWN)?),
        };
        let own_address = match &own {
            Some((_, address)) => *address,
            None => listener.local_addr().map_err(PeopleDoorError::Serve)?,
        };
        let gateway = Arc::clone(&control);
        let own = own.map(|(listener, _)| listener);
        let (started, start) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("people-door".to_owned())
            .spawn(move || serve(control, (listener, own), tls, started))
            .map_err(PeopleDoorError::Serve)?;
        let handle = match start.await {
            Ok(started) => started?,
            Err(_) => {
                return Err(PeopleDoorError::Serve(std::io::Error::other(
                    "its thread has ended",
                )));
            }
        };
        gateway.gateway.opened(format!("http://{own_address}"));
        Ok(Self { handle, thread })
    }

    /// Lets requests under way end for a moment, then closes.
    pub async fn close(self) {
        self.handle.stop(true).await;
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the people's door has panicked");
        }
    }
}

fn serve(
    control: Arc<Control>,
    (listener, own): (TcpListener, Option<TcpListener>),
    tls: Option<Arc<ServerConfig>>,
    started: oneshot::Sender<Result<ServerHandle, PeopleDoorError>>,
) {
    let workers = thread::available_parallelism()
        .map_or(2, usize::from)
        .clamp(2, 4);
    let crowd = Arc::new(Crowd::default());
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || application(Some(Arc::clone(&control))).0)
            .workers(workers)
            .disable_signals()
            .shutdown_timeout(SHUTDOWN_SECONDS)
            .max_connections(CONNECTIONS_MAX)
            .max_connection_rate(HANDSHAKES_MAX)
            .client_request_timeout(HEAD_TIMEOUT)
            .keep_alive(IDLE_TIMEOUT)
            .on_connect(move |connection, facts| crowd.on_connect(connection, facts));
        let bound = match tls {
            Some(tls) => server.listen_rustls_0_23(listener, ServerConfig::clone(&tls)),
            None => server.listen(listener),
        };
        let bound = match own {
            Some(own) => bound.and_then(|server| server.listen(own)),
            None => bound,
        };
        match bound {
            Ok(server) => {
                let server = server.run();
                // Whoever started it waits for this.
                let _ = started.send(Ok(server.handle()));
                if let Err(error) = server.await {
                    tracing::error!(error = %error, "the people's door has failed");
                }
            }
            Err(error) => {
                let _ = started.send(Err(PeopleDoorError::Serve(error)));
            }
        }
    });
}
