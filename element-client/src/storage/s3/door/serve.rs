//! Taking connections, and ending.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use gridmart_fabric::door::Origin;
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    S3Limits,
    connection::{Answering, connection},
};

/// Pause after a failed accept: the system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long cut connections may take to notice.
const CUT_GRACE: Duration = Duration::from_secs(2);

/// How connections are kept from others' eyes.
#[derive(Clone)]
pub(in super::super) enum Tls {
    /// With these certificates.
    On(Arc<ServerConfig>),
    /// Not at all: for this machine alone.
    Off,
}

/// A door that is bound and not open yet.
pub(in super::super) struct S3Door {
    listener: TcpListener,
    address: SocketAddr,
    tls: Tls,
    limits: S3Limits,
}

/// How many connections there are.
#[derive(Default)]
struct Counts(Mutex<HashMap<Origin, usize>>);

/// One connection's place, until it is dropped.
pub(super) struct Place {
    counts: Arc<Counts>,
    origin: Origin,
    _one: OwnedSemaphorePermit,
}

impl Counts {
    fn take(
        self: &Arc<Self>,
        from: IpAddr,
        limit: usize,
        one: OwnedSemaphorePermit,
    ) -> Option<Place> {
        let origin = Origin::from(from);
        let mut counts = self.0.lock();
        let count = counts.entry(origin).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Place {
            counts: Arc::clone(self),
            origin,
            _one: one,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock();
        if let Some(count) = counts.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.origin);
            }
        }
    }
}

impl S3Door {
    /// Binds the address; port 0 lets the system choose. Within a runtime.
    pub(in super::super) fn bind(
        listen: SocketAddr,
        tls: Tls,
        limits: S3Limits,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            tls,
            limits,
        })
    }

    /// Where it is.
    pub(in super::super) const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub(in super::super) const fn is_secure(&self) -> bool {
        matches!(self.tls, Tls::On(_))
    }

    /// Serves until `stop`, then lets requests finish for a while, and cuts what is
    /// left.
    pub(in super::super) async fn serve(self, answering: Answering, stop: CancellationToken) {
        let Self {
            listener,
            tls,
            limits,
            ..
        } = self;
        let places = Arc::new(Semaphore::new(limits.connections));
        let counts = Arc::new(Counts::default());
        let tasks = TaskTracker::new();
        let cut = CancellationToken::new();
        while let Some((tcp, remote, one)) =
            stop.run_until_cancelled(next(&listener, &places)).await
        {
            let Some(place) = counts.take(remote.ip(), limits.connections_per_address, one) else {
                tracing::debug!(%remote, "an address has all of the connections that it may have");
                continue;
            };
            let (tls, answering, stop) = (tls.clone(), answering.clone(), stop.clone());
            let served = async move {
                if let Err(error) = serve_one(tcp, remote, &tls, answering, stop, place).await {
                    tracing::debug!(%remote, %error, "a connection to the S3 door ended early");
                }
            };
            let cut = cut.clone();
            tasks.spawn(async move { cut.run_until_cancelled(served).await });
        }
        drop(listener);
        tasks.close();
        if timeout(limits.grace, tasks.wait()).await.is_err() {
            tracing::info!("connections to the S3 door are cut: their time to end is over");
            cut.cancel();
            if timeout(CUT_GRACE, tasks.wait()).await.is_err() {
                tracing::warn!("connections to the S3 door did not end when they were cut");
            }
        }
    }
}

/// The next connection, once there is a place.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        // Nobody closes the semaphore.
        let Ok(one) = Arc::clone(places).acquire_owned().await else {
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((tcp, remote)) => return (tcp, remote, one),
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(
    tcp: TcpStream,
    remote: SocketAddr,
    tls: &Tls,
    answering: Answering,
    stop: CancellationToken,
    place: Place,
) -> io::Result<()> {
    // Answers are small and must not wait for more.
    let _ = tcp.set_nodelay(true);
    let handshake = answering.limits.handshake;
    match tls {
        Tls::Off => connection(tcp, remote, false, answering, stop, place).await,
        Tls::On(config) => {
            let shaking = TlsAcceptor::from(Arc::clone(config)).accept(tcp);
            let channel = timeout(handshake, shaking).await??;
            connection(channel, remote, true, answering, stop, place).await
        }
    }
}
