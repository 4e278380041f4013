//! Programs that come by way of the Element, where the Host cannot be dialled.
//!
//! The Element says that one is there; the Host dials the Element's door, and
//! what comes over that connection is served as at a door of its own.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use gridmart_fabric::{
    door::Usher,
    stream::Peer,
    tls::{ClientTls, Expected},
    tunnel::Tunnel,
};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::element_host::{RelayAsk, RelayDial},
};

/// The Element has so long to say whether it relays.
const ASK_TIME_MAX: Duration = Duration::from_secs(15);
/// Why a Host takes no calls whose Element does not relay.
pub(super) const UNSERVED: &str = "It cannot be dialled, and its Element is of a version that relays nothing: update the Element, or start the Host without --relayed.";

/// The way in by way of the Element.
pub(crate) struct Relay {
    /// `HOST:PORT` of the Element's door.
    endpoints: Vec<String>,
    element: Expected,
    tls: ClientTls,
    usher: Usher,
    /// The Element has said that it relays.
    served: AtomicBool,
}

impl Relay {
    pub(crate) const fn new(
        endpoints: Vec<String>,
        element: Expected,
        tls: ClientTls,
        usher: Usher,
    ) -> Self {
        Self {
            endpoints,
            element,
            tls,
            usher,
            served: AtomicBool::new(false),
        }
    }

    /// Whether programs can come.
    pub(crate) fn is_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Asks the Element, before the hello, whether it relays.
    pub(crate) async fn ask(&self, peer: &Peer) -> Result<(), Problem> {
        let served = match peer.ask(&RelayAsk {}, ASK_TIME_MAX).await {
            Ok(_) => true,
            // As an older Element answers: it knows no such question, or wants
            // the hello first.
            Err(problem) if matches!(problem.code, Code::UnknownMessage | Code::InvalidRequest) => {
                tracing::error!(%problem, "{UNSERVED}");
                false
            }
            Err(problem) => return Err(problem),
        };
        self.served.store(served, Ordering::Relaxed);
        Ok(())
    }

    /// Dials for a program that is at the Element, and brings it in.
    pub(crate) async fn dial(&self, dial: RelayDial) -> Result<(), Problem> {
        let path = format!("/v1/data/{}", dial.nonce);
        let tunnel = Tunnel::dial(&self.endpoints, self.element, &self.tls, &path, None)
            .await
            .inspect_err(|problem| {
                tracing::warn!(%problem, caller = %dial.caller, "the Host cannot dial its Element for a program");
            })?;
        tracing::debug!(caller = %dial.caller, "a program comes by way of the Element");
        self.usher.bring(tunnel, dial.caller)
    }
}
