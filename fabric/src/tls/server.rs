//! The side that is dialled.

use std::{sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Channel, Revocations, TlsError,
    channel::BoxedTransport,
    judge::{Judge, PossessionVerifier},
    provider,
};
use crate::identity::{IdentityCell, PeerIdentity};

/// Shows the newest certificate.
#[derive(Debug)]
struct CurrentCertificate(Arc<IdentityCell>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current().certified())
    }
}

/// TLS of a node's door. Clones share everything.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    judge: Judge,
}

impl ServerTls {
    /// Serves with the newest identity of the cell; its root says who is a node.
    pub fn new(identity: Arc<IdentityCell>, revocations: Revocations) -> Result<Self, TlsError> {
        let judge = Judge::new(identity.current().root(), revocations)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(PossessionVerifier::new())
            .with_cert_resolver(Arc::new(CurrentCertificate(identity)));
        disable_resumption(&mut config);
        Ok(Self {
            config: Arc::new(config),
            judge,
        })
    }

    /// Shakes hands. `door` ends the connection, as does the end of the peer's
    /// certificate and its revocation.
    pub(crate) async fn accept(
        &self,
        transport: BoxedTransport,
        door: CancellationToken,
        stall_limit: Duration,
    ) -> std::io::Result<(Channel, PeerIdentity)> {
        let acceptor = TlsAcceptor::from(self.config.clone());
        let stream = acceptor.accept(transport).await?;
        let mut peer = self.judge.judge(stream.get_ref().1.peer_certificates());
        let revocation = peer
            .node
            .as_ref()
            .and_then(|node| self.judge.revocations().connection(node.id));
        if revocation.is_none() && peer.node.take().is_some() {
            // Revoked between the judgement and now.
            peer.refusal = Some(gridmart_schemas::problem::Code::NodeRevoked);
        }
        let end = peer.node.as_ref().map(|node| node.not_after);
        let channel = Channel::new(stream.into(), [Some(door), revocation], end, stall_limit);
        Ok((channel, peer))
    }
}

/// TLS of the people's door: no client certificates, TLS 1.2 for old tools.
pub fn web_server_config(identity: Arc<IdentityCell>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(CurrentCertificate(identity)));
    disable_resumption(&mut config);
    Ok(Arc::new(config))
}

fn disable_resumption(config: &mut ServerConfig) {
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
}
