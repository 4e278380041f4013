//! A door that nobody can dial: connections are brought to it.

use std::{net::SocketAddr, sync::Arc};

use gridmart_schemas::problem::{Code, Problem};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    DoorLimits, Service,
    hall::{Hall, Source},
};
use crate::tls::{BoxedTransport, ServerTls, Transport};

/// Connections that wait at a door to be let in.
const WAITING_MAX: usize = 64;

/// A connection on its way in.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) transport: BoxedTransport,
    pub(super) remote: SocketAddr,
}

/// A door without a listener.
#[derive(Debug)]
pub struct InnerDoor {
    hall: Hall,
    brought: mpsc::Receiver<Brought>,
}

/// Brings connections to an inner door. Clones lead to the same door.
#[derive(Clone, Debug)]
pub struct Usher {
    door: mpsc::Sender<Brought>,
}

impl InnerDoor {
    /// Makes a door, and who brings connections to it.
    pub fn new(tls: ServerTls, limits: DoorLimits) -> (Self, Usher) {
        let (sender, brought) = mpsc::channel(WAITING_MAX);
        let hall = Hall { tls, limits };
        (Self { hall, brought }, Usher { door: sender })
    }

    /// Serves until `stop`, then lets go of everybody.
    pub async fn serve(self, service: Arc<dyn Service>, stop: CancellationToken) {
        self.hall
            .serve(Source::Ushers(self.brought), service, stop)
            .await;
    }
}

impl Usher {
    /// Brings a connection, of which `remote` is the far end; refused as
    /// `busy` when too many wait already, as `unavailable` when the door has
    /// ended.
    pub fn bring(
        &self,
        transport: impl Transport + 'static,
        remote: SocketAddr,
    ) -> Result<(), Problem> {
        let brought = Brought {
            transport: Box::new(transport),
            remote,
        };
        self.door.try_send(brought).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Problem::new(
                Code::Busy,
                format!("{WAITING_MAX} connections wait at the door already."),
            ),
            mpsc::error::TrySendError::Closed(_) => {
                Problem::new(Code::Unavailable, "The door is closed.")
            }
        })
    }
}
