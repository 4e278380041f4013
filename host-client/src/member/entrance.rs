//! Where programs come in.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use gridmart_fabric::{
    door::{Door, DoorLimits, InnerDoor, Service, Usher},
    tls::ServerTls,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{config::MemberConfig, error::HostError};

/// Requests at the door have so long when the Host goes down.
const DOOR_GRACE: Duration = Duration::from_millis(300);

/// The way in.
pub(super) enum Entrance {
    /// They dial.
    Door(Door),
    /// The Element says that they are there, and the Host dials.
    Relayed(InnerDoor, Usher),
}

impl Entrance {
    pub(super) async fn open(config: &MemberConfig, tls: ServerTls) -> Result<Self, HostError> {
        let limits = DoorLimits {
            grace: DOOR_GRACE,
            ..DoorLimits::default()
        };
        if config.relayed {
            let (door, usher) = InnerDoor::new(tls, limits);
            return Ok(Self::Relayed(door, usher));
        }
        let bound = Door::bind(config.listen, tls, limits).await;
        bound
            .map(Self::Door)
            .map_err(HostError::system("listening at", &config.listen))
    }

    pub(super) const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Door(door) => Some(door.local_addr()),
            Self::Relayed(..) => None,
        }
    }

    /// Who brings programs in that the Host has dialled for.
    pub(super) fn usher(&self) -> Option<Usher> {
        match self {
            Self::Door(_) => None,
            Self::Relayed(_, usher) => Some(usher.clone()),
        }
    }

    pub(super) fn serve(
        self,
        service: Arc<dyn Service>,
        stop: CancellationToken,
    ) -> JoinHandle<()> {
        match self {
            Self::Door(door) => tokio::spawn(door.serve(service, stop)),
            Self::Relayed(door, _) => tokio::spawn(door.serve(service, stop)),
        }
    }
}
