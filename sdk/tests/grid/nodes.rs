//! Identities and doors of simulated nodes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use gridmart_fabric::{
    authority::{Authority, NodeSubject},
    door::{Door, DoorLimits, Service},
    identity::{IdentityCell, NewKey, NodeIdentity},
    tls::{Revocations, ServerTls},
};
use gridmart_sdk::schemas::{id::NodeId, role::NodeKind, wire::enrol::Certificate};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// The certificate authority of one test.
pub(crate) struct Site {
    pub(crate) authority: Authority,
    _folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            authority: Authority::open_or_create(folder.path()).unwrap(),
            _folder: folder,
        }
    }

    fn identity(&self, id: NodeId, kind: NodeKind) -> NodeIdentity {
        let key = NewKey::generate().unwrap();
        let subject = NodeSubject {
            id,
            kind,
            domain: "test".to_owned(),
            dns_names: Vec::new(),
            ips: Vec::new(),
        };
        let chain_pem = self
            .authority
            .sign(
                &key.csr_pem().unwrap(),
                &subject,
                OffsetDateTime::now_utc(),
                Duration::from_hours(24),
            )
            .unwrap();
        let certificate = Certificate {
            node: id,
            domain: "test".to_owned(),
            chain_pem,
            parent: NodeId::generate(),
        };
        key.into_identity(&certificate).unwrap()
    }

    /// Opens a door; it stands until the token is cancelled.
    pub(crate) async fn door(
        &self,
        id: NodeId,
        kind: NodeKind,
        listen: &str,
        service: Arc<dyn Service>,
        stop: CancellationToken,
    ) -> SocketAddr {
        let cell = IdentityCell::new(self.identity(id, kind));
        let tls = ServerTls::new(cell, Revocations::new()).unwrap();
        let limits = DoorLimits {
            grace: Duration::ZERO,
            ..DoorLimits::default()
        };
        let door = Door::bind(listen.parse().unwrap(), tls, limits)
            .await
            .unwrap();
        let address = door.local_addr();
        tokio::spawn(door.serve(service, stop));
        address
    }
}
