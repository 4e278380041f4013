//! Doors: where nodes and programs come in. HTTP/1.1 over TLS 1.3, upgraded to
//! WebSockets for streams.
//!
//! A [`Door`] listens; an [`InnerDoor`] does not: its connections are brought to
//! it by an [`Usher`], whatever carries them. Behind both is the same.
//!
//! Invariants: who has not shaken hands or asked in time is put out; the number
//! of connections, upgraded ones included, is bounded, for each address as
//! well, and nodes keep places of their own; a door that ends first lets
//! requests finish, then cuts what is left; when [`Door::serve`] has returned,
//! nothing of the door runs any more; whoever is refused is logged with the
//! code, at a bounded rate.

pub mod advertised;
mod answer;
mod body;
mod hall;
mod inner;
mod limits;
mod places;
mod plain;
mod refusal;
mod upgrade;

use std::{io, net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::hall::{Hall, Source};
pub(crate) use self::places::Place;
pub use self::{
    answer::{
        Body, Request, Response, empty_response, file_response, json_body, json_response,
        problem_response, text_response,
    },
    body::{BodyPieces, stream_response},
    inner::{InnerDoor, Usher},
    limits::DoorLimits,
    places::Origin,
    upgrade::{PendingSocket, PendingTunnel, ticket_shown, tunnel, upgrade},
};
pub use crate::request::{Fetched, fetch};
use crate::{identity::PeerIdentity, tls::ServerTls};

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
