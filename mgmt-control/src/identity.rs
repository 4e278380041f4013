//! The controller's own identity, signed by its own authority.

use std::{net::IpAddr, path::Path, time::Duration};

use gridmart_fabric::{
    authority::{Authority, AuthorityError, NodeSubject},
    identity::{IdentityError, NewKey, NodeIdentity},
};
use gridmart_schemas::{id::NodeId, role::NodeKind, wire::enrol::Certificate};
use time::OffsetDateTime;

/// The domain in the controller's certificate.
const DOMAIN: &str = "control";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFault {
    /// The key or its file.
    #[error("the controller's key")]
    Identity(#[from] IdentityError),
    /// The signature.
    #[error("the controller's certificate")]
    Authority(#[from] AuthorityError),
}

/// What the controller's certificate says, names for people included.
pub(crate) fn subject(id: NodeId, advertised: &str) -> NodeSubject {
    let (mut dns_names, mut ips) = (
        vec!["localhost".to_owned()],
        vec![
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        ],
    );
    match advertised.parse::<IpAddr>() {
        Ok(ip) if ips.contains(&ip) => {}
        Ok(ip) => ips.push(ip),
        Err(_) if advertised == "localhost" => {}
        Err(_) => dns_names.push(advertised.to_owned()),
    }
    NodeSubject {
        id,
        kind: NodeKind::Control,
        domain: DOMAIN.to_owned(),
        dns_names,
        ips,
    }
}

/// Reads the identity, or makes one at the first start. Its certificate is
/// signed anew at each start: the names for people may have changed.
pub(crate) fn open(
    folder: &Path,
    authority: &Authority,
    advertised: &str,
    lifetime: Duration,
) -> Result<(NodeIdentity, NodeSubject), IdentityFault> {
    let identity = if let Some(known) = NodeIdentity::load(folder)? {
        let subject = subject(known.node(), advertised);
        (renew(authority, &known, &subject, lifetime)?, subject)
    } else {
        let subject = subject(NodeId::generate(), advertised);
        let key = NewKey::generate()?;
        let certificate = sign(authority, &key.csr_pem()?, &subject, lifetime)?;
        (key.into_identity(&certificate)?, subject)
    };
    identity.0.save(folder)?;
    Ok(identity)
}

/// Signs the same key again.
pub(crate) fn renew(
    authority: &Authority,
    present: &NodeIdentity,
    subject: &NodeSubject,
    lifetime: Duration,
) -> Result<NodeIdentity, IdentityFault> {
    let certificate = sign(authority, &present.csr_pem()?, subject, lifetime)?;
    Ok(present.renewed(&certificate)?)
}

fn sign(
    authority: &Authority,
    csr_pem: &str,
    subject: &NodeSubject,
    lifetime: Duration,
) -> Result<Certificate, IdentityFault> {
    let chain_pem = authority.sign(csr_pem, subject, OffsetDateTime::now_utc(), lifetime)?;
    Ok(Certificate {
        node: subject.id,
        domain: subject.domain.clone(),
        chain_pem,
        parent: subject.id,
    })
}
