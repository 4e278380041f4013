//! The door itself, and the TLS of its connections.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    S3Limits,
    connection::{Answering, connection},
};
use crate::public::door::{DoorBounds, Place, PublicDoor, Tls};

/// What the door is called in logs.
pub(in super::super) const WHAT: &str = "S3";

impl S3Limits {
    /// As the door takes them.
    pub(in super::super) const fn bounds(&self) -> DoorBounds {
        DoorBounds {
            connections: self.connections,
            connections_per_address: self.connections_per_address,
            grace: self.grace,
        }
    }
}

/// Serves until `stop`, then lets requests finish for a while, and cuts what is left.
pub(in super::super) async fn serve(
    door: PublicDoor,
    answering: Answering,
    stop: CancellationToken,
) {
    let (tls, ending) = (door.tls(), stop.clone());
    let one = move |tcp, remote, place| {
        let (tls, answering, stop) = (tls.clone(), answering.clone(), ending.clone());
        async move { serve_one(tcp, remote, &tls, answering, stop, place).await }
    };
    door.serve(one, stop).await;
}

async fn serve_one(
    tcp: TcpStream,
    remote: SocketAddr,
    tls: &Tls,
    answering: Answering,
    stop: CancellationToken,
    place: Place,
) -> io::Result<()> {
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
