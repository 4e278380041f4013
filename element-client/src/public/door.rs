//! Doors for people's own programs: taking connections, within bounds, and ending. Whose
//! protocol is spoken there is not known here.
//!
//! Invariants: who is not let in is closed at once; when [`PublicDoor::serve`] has
//! returned, nothing of the door runs any more.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use gridmart_fabric::{
    door::{
        Origin,
        advertised::{endpoint, host_of},
    },
    identity::{DoorName, DoorNameError, IdentityCell},
    tls::web_server_config,
};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    run::{ElementError, reached_by},
};

/// Pause after a failed accept: the system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long cut connections may take to notice.
const CUT_GRACE: Duration = Duration::from_secs(2);

/// How connections are kept from others' eyes.
#[derive(Clone)]
pub(crate) enum Tls {
    /// With these certificates.
    On(Arc<ServerConfig>),
    /// Not at all: for this machine alone.
    Off,
}

/// A door that is bound and not open yet.
pub(crate) struct PublicDoor {
    listener: TcpListener,
    address: SocketAddr,
    tls: Tls,
    bounds: DoorBounds,
    /// What is spoken there, for the log.
    what: &'static str,
}

/// How much a door takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DoorBounds {
    /// Connections; more wait to be taken.
    pub(crate) connections: usize,
    /// Of one address; more are closed.
    pub(crate) connections_per_address: usize,
    /// How long connections may go on when the door ends.
    pub(crate) grace: Duration,
}

/// Who listens where, at this start and at the last.
pub(crate) struct Listening<'a> {
    /// Of the Element, for its certificate and its name.
    pub(crate) identity: &'a Arc<IdentityCell>,
    /// Where it was told to listen.
    pub(crate) listen: SocketAddr,
    /// The port of the last start.
    pub(crate) last_port: Option<u16>,
    /// What is spoken there, for the log: `S3`.
    pub(crate) what: &'static str,
    /// With which option another address is chosen.
    pub(crate) option: &'static str,
}

/// How many connections there are.
#[derive(Default)]
struct Counts(Mutex<HashMap<Origin, usize>>);

/// One connection's place, until it is dropped.
pub(crate) struct Place {
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

impl PublicDoor {
    /// Binds the door where it was told to, and with port 0 where it was at the last
    /// start, so that programs find it again. Only on this machine's own addresses it
    /// is without TLS. Within a runtime.
    pub(crate) fn open(
        listening: &Listening<'_>,
        bounds: DoorBounds,
    ) -> Result<Self, ElementError> {
        let Listening {
            identity,
            listen,
            last_port,
            what,
            option,
        } = *listening;
        let tls = if listen.ip().is_loopback() {
            Tls::Off
        } else {
            Tls::On(web_server_config(Arc::clone(identity))?)
        };
        if let Some(port) = last_port.filter(|_| listen.port() == 0) {
            let again = SocketAddr::new(listen.ip(), port);
            match Self::bind(again, tls.clone(), bounds, what) {
                Ok(door) => return Ok(door),
                Err(error) => {
                    tracing::warn!(address = %again, %error, "the {what} door's last address is taken; programs that know no other will not find it");
                }
            }
        }
        Self::bind(listen, tls, bounds, what).map_err(|source| ElementError::ListenPublic {
            what,
            option,
            address: listen,
            source,
        })
    }

    /// Binds the address; port 0 lets the system choose. Within a runtime.
    pub(crate) fn bind(
        listen: SocketAddr,
        tls: Tls,
        bounds: DoorBounds,
        what: &'static str,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            tls,
            bounds,
            what,
        })
    }

    /// Where it is.
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub(crate) const fn is_secure(&self) -> bool {
        matches!(self.tls, Tls::On(_))
    }

    /// How connections are kept from others' eyes.
    pub(crate) fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// `HOST:PORT` by which programs reach it, and the names by which they may trust its
    /// certificate: the one that is advertised, and its own address, if it has one of its
    /// own.
    pub(crate) fn reached(&self, config: &Config) -> (String, Vec<DoorName>) {
        let address = self.address;
        let reached = if address.ip().is_loopback() {
            address.ip().to_string()
        } else {
            reached_by(config, address)
        };
        // The advertised port is the other door's.
        let known_as = endpoint(host_of(&reached), address.port());
        let mut names = Vec::new();
        if self.is_secure() {
            match host_of(&reached).parse() {
                Ok(name) => names.push(name),
                Err(error) => {
                    let (error, what): (DoorNameError, _) = (error, self.what);
                    tracing::warn!(%error, "programs that verify the {what} door's certificate will not trust it by that name");
                }
            }
            let own = DoorName::Address(address.ip());
            if !address.ip().is_unspecified() && !names.contains(&own) {
                names.push(own);
            }
        }
        (known_as, names)
    }

    /// Serves until `stop`, then lets connections end for a while, and cuts what is
    /// left. `serve_one` has a connection for itself, and gives back its place by
    /// dropping it.
    pub(crate) async fn serve<F>(
        self,
        serve_one: impl Fn(TcpStream, SocketAddr, Place) -> F,
        stop: CancellationToken,
    ) where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let Self {
            listener,
            bounds,
            what,
            ..
        } = self;
        let places = Arc::new(Semaphore::new(bounds.connections));
        let counts = Arc::new(Counts::default());
        let tasks = TaskTracker::new();
        let cut = CancellationToken::new();
        while let Some((tcp, remote, one)) =
            stop.run_until_cancelled(next(&listener, &places)).await
        {
            let most = bounds.connections_per_address;
            let Some(place) = counts.take(remote.ip(), most, one) else {
                tracing::debug!(%remote, "an address has all of the connections that it may have");
                continue;
            };
            // Answers are small and must not wait for more.
            let _ = tcp.set_nodelay(true);
            let serving = serve_one(tcp, remote, place);
            let cut = cut.clone();
            tasks.spawn(async move {
                if let Some(Err(error)) = cut.run_until_cancelled(serving).await {
                    tracing::debug!(%remote, %error, "a connection to the {what} door ended early");
                }
            });
        }
        drop(listener);
        tasks.close();
        if timeout(bounds.grace, tasks.wait()).await.is_err() {
            tracing::info!("connections to the {what} door are cut: their time to end is over");
            cut.cancel();
            if timeout(CUT_GRACE, tasks.wait()).await.is_err() {
                tracing::warn!("connections to the {what} door did not end when they were cut");
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
