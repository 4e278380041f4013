//! Dialling a node: TCP or what stands for it, TLS, and who is there.

use std::{sync::Arc, time::Duration};

use gridmart_schemas::problem::{Code, Problem};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Channel, ClientTls, Expected, FoundRoot, channel::BoxedTransport};
use crate::identity::{PeerIdentity, PeerNode, dns_name, facts_of};

/// How long TCP and TLS together may take, per endpoint.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that takes no bytes for this long is cut.
const WRITE_STALL_LIMIT: Duration = Duration::from_secs(30);
/// The most endpoints that are tried.
const ENDPOINTS_MAX: usize = 8;

/// Dials the endpoints in turn until the expected node answers at one.
pub(crate) async fn connect(
    endpoints: &[String],
    expected: Expected,
    tls: &ClientTls,
) -> Result<(Channel, PeerIdentity), Problem> {
    let (stream, endpoint) = first(endpoints, expected, tls.config()).await?;
    channel(stream, endpoint, expected, tls)
}

/// The same over a transport that leads to the expected node already; `way`
/// names it in errors.
pub(crate) async fn connect_over(
    transport: BoxedTransport,
    way: &str,
    expected: Expected,
    tls: &ClientTls,
) -> Result<(Channel, PeerIdentity), Problem> {
    let shaken = timeout(
        CONNECT_TIMEOUT,
        shake(transport, way, expected, tls.config()),
    );
    let stream = shaken
        .await
        .map_err(|_| Problem::new(Code::TimedOut, format!("{way} does not answer.")))??;
    channel(stream, way, expected, tls)
}

/// Whom the handshake has shown, and what ends the connection.
fn channel(
    stream: TlsStream<BoxedTransport>,
    endpoint: &str,
    expected: Expected,
    tls: &ClientTls,
) -> Result<(Channel, PeerIdentity), Problem> {
    let leaf = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first);
    let facts = leaf.and_then(|leaf| facts_of(leaf).ok());
    let node = facts
        .as_ref()
        .and_then(PeerNode::from_facts)
        .filter(|node| (node.id, node.kind) == expected);
    // The name check of TLS has bound the certificate to the expected node.
    let (Some(facts), Some(node)) = (facts, node) else {
        return Err(Problem::new(
            Code::CertificateRefused,
            format!("{endpoint} does not show a node's certificate."),
        ));
    };
    let Some(revocation) = tls.revocations().connection(node.id) else {
        return Err(Problem::new(
            Code::NodeRevoked,
            format!("The node {} at {endpoint} was revoked.", node.id),
        ));
    };
    let end = Some(node.not_after);
    let peer = PeerIdentity {
        key_hash: Some(facts.key_hash),
        node: Some(node),
        refusal: None,
    };
    Ok((
        Channel::new(
            stream.into(),
            [None, Some(revocation)],
            end,
            WRITE_STALL_LIMIT,
        ),
        peer,
    ))
}

/// The same for who does not know the root yet, but its fingerprint.
pub(crate) async fn connect_unpinned(
    endpoints: &[String],
    expected: Expected,
    root: &Arc<FoundRoot>,
) -> Result<Channel, Problem> {
    let config = root
        .client_config()
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let (stream, _) = first(endpoints, expected, &config).await?;
    Ok(Channel::new(
        stream.into(),
        [None, None],
        None,
        WRITE_STALL_LIMIT,
    ))
}

async fn first<'a>(
    endpoints: &'a [String],
    expected: Expected,
    config: &Arc<ClientConfig>,
) -> Result<(TlsStream<BoxedTransport>, &'a str), Problem> {
    let mut last = Problem::new(
        Code::Unavailable,
        format!("No address of {} is known.", expected.0),
    );
    for endpoint in endpoints.iter().take(ENDPOINTS_MAX) {
        match timeout(CONNECT_TIMEOUT, one(endpoint, expected, config)).await {
            Ok(Ok(stream)) => return Ok((stream, endpoint)),
            Ok(Err(problem)) => last = problem,
            Err(_) => last = Problem::new(Code::TimedOut, format!("{endpoint} does not answer.")),
        }
    }
    Err(last)
}

async fn one(
    endpoint: &str,
    expected: Expected,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<BoxedTransport>, Problem> {
    let tcp = TcpStream::connect(endpoint)
        .await
        .map_err(|error| unreachable(endpoint, &error))?;
    tcp.set_nodelay(true)
        .map_err(|error| unreachable(endpoint, &error))?;
    shake(Box::new(tcp), endpoint, expected, config).await
}

/// The TLS handshake, with the expected node.
async fn shake(
    transport: BoxedTransport,
    endpoint: &str,
    expected: Expected,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<BoxedTransport>, Problem> {
    let name = ServerName::try_from(dns_name(expected.0, expected.1))
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    TlsConnector::from(config.clone())
        .connect(name, transport)
        .await
        .map_err(|error| match tls_fault(&error) {
            Some(rustls::Error::InvalidCertificate(fault)) => Problem::new(
                Code::CertificateRefused,
                format!(
                    "{endpoint} does not prove to be the {} {}: {fault:?}.",
                    expected.1, expected.0
                ),
            ),
            _ => unreachable(endpoint, &error),
        })
}

fn unreachable(endpoint: &str, error: &std::io::Error) -> Problem {
    Problem::new(
        Code::Unavailable,
        format!("{endpoint} cannot be reached: {error}."),
    )
}

fn tls_fault(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}
