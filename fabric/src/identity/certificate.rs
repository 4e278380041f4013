//! What a certificate says, read from its names.
//!
//! A node's certificate carries a DNS name, `UUID.KIND.gridmart.internal`, so
//! that the standard name check of TLS binds a dial to the expected node, and
//! a URI, `urn:gridmart:node:KIND:UUID:DOMAIN`, which says the rest.

use std::net::IpAddr;

use gridmart_schemas::{
    id::{KeyHash, NodeId},
    role::NodeKind,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use time::OffsetDateTime;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::{FromDer as _, ParsedExtension},
};

use super::{DoorName, IdentityError};

/// What all nodes' DNS names end in; no resolver is ever asked for them.
pub(super) const DNS_SUFFIX: &str = "gridmart.internal";
const URI_PREFIX: &str = "urn:gridmart:node:";
/// The most bytes of a certificate that is looked at; ours have about 800.
const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;
/// The most certificates of a chain.
const CHAIN_MAX: usize = 4;

/// The name that a dial expects the node's certificate to carry.
pub fn dns_name(node: NodeId, kind: NodeKind) -> String {
    format!("{node}.{kind}.{DNS_SUFFIX}")
}

/// SHA-256 over a certificate's DER, as 64 hex digits.
pub fn fingerprint(certificate_der: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        certificate_der,
    ))
}

/// The URI that says which node it is.
pub(crate) fn node_uri(name: &NodeName) -> String {
    format!("{URI_PREFIX}{}:{}:{}", name.kind, name.id, name.domain)
}

/// Which node a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeName {
    pub(crate) id: NodeId,
    pub(crate) kind: NodeKind,
    pub(crate) domain: String,
}

impl NodeName {
    fn from_uri(uri: &str) -> Option<Self> {
        let mut parts = uri.strip_prefix(URI_PREFIX)?.splitn(3, ':');
        let kind = parts.next()?.parse().ok()?;
        let id = parts.next()?.parse().ok()?;
        let domain = parts.next().filter(|domain| !domain.is_empty())?.to_owned();
        Some(Self { id, kind, domain })
    }
}

/// What a certificate says. Nothing of it is proven by reading it.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFacts {
    pub(crate) key_hash: KeyHash,
    pub(crate) spki_der: Vec<u8>,
    pub(crate) node: Option<NodeName>,
    /// Names of its doors, beside that of the node.
    pub(crate) doors: Vec<DoorName>,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
}

/// The hash of a public key, as tickets name it.
#[expect(clippy::expect_used, reason = "32 bytes are 64 hex digits")]
pub(crate) fn key_hash_of_spki(spki_der: &[u8]) -> KeyHash {
    fingerprint(spki_der)
        .parse()
        .expect("a SHA-256 is a key hash")
}

/// Reads a certificate.
pub(crate) fn facts_of(certificate: &[u8]) -> Result<CertificateFacts, IdentityError> {
    if certificate.len() > CERTIFICATE_BYTES_MAX {
        return Err(IdentityError::Chain(format!(
            "a certificate of {} bytes",
            certificate.len()
        )));
    }
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| IdentityError::Chain(error.to_string()))?;
    let spki_der = parsed.public_key().raw.to_vec();
    Ok(CertificateFacts {
        key_hash: key_hash_of_spki(&spki_der),
        spki_der,
        node: node_name_of(&parsed),
        doors: door_names_of(&parsed),
        not_before: parsed.validity().not_before.to_datetime(),
        not_after: parsed.validity().not_after.to_datetime(),
    })
}

/// The node's name, if the certificate carries exactly one, with the DNS name
/// that belongs to it.
fn node_name_of(certificate: &X509Certificate<'_>) -> Option<NodeName> {
    let names = alternative_names(certificate);
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) if uri.starts_with(URI_PREFIX) => Some(*uri),
        _ => None,
    });
    let name = NodeName::from_uri(uris.next()?)?;
    let dns = dns_name(name.id, name.kind);
    let agrees = names
        .iter()
        .any(|other| matches!(other, GeneralName::DNSName(text) if *text == dns));
    (uris.next().is_none() && agrees).then_some(name)
}

fn door_names_of(certificate: &X509Certificate<'_>) -> Vec<DoorName> {
    let names = alternative_names(certificate).iter();
    let doors = names.filter_map(|name| match name {
        GeneralName::DNSName(text) => text.parse().ok(),
        GeneralName::IPAddress(bytes) => address_of(bytes).map(DoorName::Address),
        _ => None,
    });
    doors.collect()
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    four.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

fn alternative_names<'a>(certificate: &'a X509Certificate<'_>) -> &'a [GeneralName<'a>] {
    let names =
        certificate
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
                _ => None,
            });
    names.map_or(&[], Vec::as_slice)
}

/// Reads a PEM chain, leaf first.
pub(crate) fn chain_from_pem(pem: &str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    if pem.len() > CHAIN_MAX * CERTIFICATE_BYTES_MAX * 2 {
        return Err(IdentityError::Chain(format!(
            "{} bytes are too many",
            pem.len()
        )));
    }
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| IdentityError::Chain(error.to_string()))
}

/// Writes one certificate as PEM.
pub(crate) fn der_to_pem(der: &[u8]) -> String {
    armoured("CERTIFICATE", der)
}

/// Writes PEM of any label.
pub(crate) fn armoured(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}
