//! Doors: where nodes and programs come in. HTTP/1.1 over TLS 1.3, upgraded to
//! WebSockets for streams.
//!
//! A [`Door`] listens; an [`InnerDoor`] does not: its connections are brought to
//! it by an [`Usher`], whatever carries them. Behind both is the same.
//!
//! Invariants: who has not shaken hands or asked in time is put out; the number
//! of connections, upgraded ones included, is bounded; a door that ends first
//! lets requests finish, then cuts what is left; when [`Door::serve`] has
//! returned, nothing of the door runs any more; whoever is refused is logged
//! with the code, at a bounded rate.

mod answer;
mod hall;
mod inner;
mod plain;
mod refusal;
mod upgrade;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::hall::{Hall, Source};

pub use self::{
    answer::{
        Body, Request, Response, empty_response, file_response, json_body, json_response,
        problem_response, text_response,
    },
    inner::{InnerDoor, Usher},
    upgrade::{PendingSocket, PendingTunnel, ticket_shown, tunnel, upgrade},
};
pub use crate::request::{Fetched, fetch};
use crate::{identity::PeerIdentity, tls::ServerTls};

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
    hall: Hall,
}

impl Door {
    /// Binds the address; port 0 lets the system choose.
    pub async fn bind(listen: SocketAddr, tls: ServerTls, limits: DoorLimits) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            hall: Hall { tls, limits },
        })
    }

    /// Where it is.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets go of everybody.
    pub async fn serve(self, service: Arc<dyn Service>, stop: CancellationToken) {
        self.hall
            .serve(Source::Listener(self.listener), service, stop)
            .await;
    }
}
