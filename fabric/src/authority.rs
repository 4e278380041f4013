//! The controller's certificate authority: a root that nodes pin, and an
//! intermediate that signs.
//!
//! Invariants: of a request only the key counts, after its proof of possession
//! was verified; a certificate never outlives its issuer; the folder is there
//! whole or not at all.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use gridmart_schemas::{id::NodeId, role::NodeKind};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::{
    disk::{Disk as _, RealDisk, Secrecy, durable_write, read_bounded},
    identity::{
        IdentityError, Key, NodeName, chain_from_pem, der_to_pem, dns_name, facts_of, fingerprint,
        node_uri,
    },
};

/// How long a node's certificate lives, if nobody says otherwise.
pub const DEFAULT_VALIDITY: Duration = Duration::from_hours(7 * 24);
/// Certificates begin this long before they are made: clocks differ.
pub const BACKDATED: Duration = Duration::from_hours(2);
/// How long the root and the intermediate live.
const AUTHORITY_DAYS: i64 = 20 * 365;
/// The most bytes of a certificate request.
const CSR_BYTES_MAX: usize = 8 * 1024;
/// Bytes of an uncompressed point on P-256.
const P256_POINT_BYTES: usize = 65;
/// The most names that one certificate carries beside the node's own.
const NAMES_MAX: usize = 32;
/// The most bytes of a file of the authority.
const FILE_BYTES_MAX: u64 = 64 * 1024;

const ROOT_CERTIFICATE: &str = "root.pem";
const ROOT_KEY: &str = "root.key";
const INTERMEDIATE_CERTIFICATE: &str = "intermediate.pem";
const INTERMEDIATE_KEY: &str = "intermediate.key";

/// Why the authority cannot be had, or does not sign.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The request is malformed, of a wrong kind, or does not prove possession.
    #[error("the certificate request is refused: {0}; make a new one with a P-256 key")]
    Request(String),
    /// A name that a certificate cannot carry.
    #[error("{0:?} cannot stand in a certificate: correct the name")]
    Name(String),
    /// A file of the authority is missing or damaged.
    #[error("the authority in {folder} is damaged ({what}): restore the folder from a backup")]
    Damaged {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// A key cannot be made.
    #[error("a key of the authority cannot be made")]
    Key(#[source] IdentityError),
    /// The disk refuses.
    #[error(
        "the authority in {folder} cannot be read or written: check the folder's owner and space"
    )]
    Io {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whom a certificate is for.
#[derive(Clone, Debug)]
pub struct NodeSubject {
    /// The node.
    pub id: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// Its domain.
    pub domain: String,
    /// More DNS names (the controller's for people).
    pub dns_names: Vec<String>,
    /// More addresses.
    pub ips: Vec<IpAddr>,
}

/// The authority, opened.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    intermediate: CertificateDer<'static>,
    intermediate_end: OffsetDateTime,
    root: CertificateDer<'static>,
    root_pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("root", &self.root_fingerprint())
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the authority of a folder, or makes one where none is.
    pub fn open_or_create(folder: &Path) -> Result<Self, AuthorityError> {
        let exists = folder
            .join(ROOT_CERTIFICATE)
            .try_exists()
            .map_err(|source| AuthorityError::Io {
                folder: folder.to_owned(),
                source,
            })?;
        if !exists {
            create(folder)?;
        }
        open(folder)
    }

    /// What nodes pin: SHA-256 of the root, as 64 hex digits.
    pub fn root_fingerprint(&self) -> String {
        fingerprint(&self.root)
    }

    /// The root, PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// Signs the key of a request for a node. Gives leaf, intermediate and
    /// root, PEM.
    pub fn sign(
        &self,
        csr_pem: &str,
        subject: &NodeSubject,
        now: OffsetDateTime,
        validity: Duration,
    ) -> Result<String, AuthorityError> {
        if csr_pem.len() > CSR_BYTES_MAX {
            return Err(AuthorityError::Request(format!(
                "it is over the limit of {CSR_BYTES_MAX} bytes"
            )));
        }
        // Parsing verifies the request's own signature: possession is proven.
        let request = CertificateSigningRequestParams::from_pem(csr_pem)
            .map_err(|error| AuthorityError::Request(error.to_string()))?;
        // The algorithm alone is that of the signature, not the key's curve.
        let on_the_curve = request.public_key.der_bytes().len() == P256_POINT_BYTES;
        if !on_the_curve || request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(AuthorityError::Request(
                "its key is not of the curve P-256".to_owned(),
            ));
        }
        let mut params = leaf_params(subject)?;
        params.not_before = now - BACKDATED;
        params.not_after = (now + validity).min(self.intermediate_end);
        params.serial_number = Some(random_serial());
        let leaf = params.signed_by(&request.public_key, &self.issuer)?;
        Ok([leaf.der(), &self.intermediate, &self.root]
            .map(|certificate| der_to_pem(certificate))
            .concat())
    }
}

fn leaf_params(subject: &NodeSubject) -> Result<CertificateParams, AuthorityError> {
    if subject.dns_names.len() + subject.ips.len() > NAMES_MAX {
        return Err(AuthorityError::Name(format!("more than {NAMES_MAX} names")));
    }
    let name = |text: String| {
        text.as_str()
            .try_into()
            .map_err(|_| AuthorityError::Name(text))
    };
    let domain_fits =
        subject.domain.len() <= 255 && subject.domain.bytes().all(|byte| byte.is_ascii_graphic());
    if subject.domain.is_empty() || !domain_fits {
        return Err(AuthorityError::Name(subject.domain.clone()));
    }
    let node = NodeName {
        id: subject.id,
        kind: subject.kind,
        domain: subject.domain.clone(),
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(
        DnType::CommonName,
        format!("{} {}", subject.kind, subject.id),
    );
    params
        .subject_alt_names
        .push(SanType::DnsName(name(dns_name(subject.id, subject.kind))?));
    params
        .subject_alt_names
        .push(SanType::URI(name(node_uri(&node))?));
    for dns in &subject.dns_names {
        params
            .subject_alt_names
            .push(SanType::DnsName(name(dns.clone())?));
    }
    params
        .subject_alt_names
        .extend(subject.ips.iter().copied().map(SanType::IpAddress));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn authority_params(name: &str, below: u8, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - BACKDATED;
    params.not_after = now + time::Duration::days(AUTHORITY_DAYS);
    params.serial_number = Some(random_serial());
    params
}

/// 127 random bits: positive, and unlike any other.
fn random_serial() -> SerialNumber {
    let mut bytes: [u8; 16] = rand::random();
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// Makes a new authority beside the folder, then moves it into place at once.
fn create(folder: &Path) -> Result<(), AuthorityError> {
    let now = OffsetDateTime::now_utc();
    let root_key = Key::generate().map_err(AuthorityError::Key)?;
    let root_params = authority_params("gridmart root", 1, now);
    let root = root_params.self_signed(root_key.pair())?;
    let root_issuer = Issuer::from_params(&root_params, root_key.pair());
    let intermediate_key = Key::generate().map_err(AuthorityError::Key)?;
    let mut intermediate_params = authority_params("gridmart intermediate", 0, now);
    intermediate_params.use_authority_key_identifier_extension = true;
    let intermediate = intermediate_params.signed_by(intermediate_key.pair(), &root_issuer)?;

    let root_pem = der_to_pem(root.der());
    let intermediate_pem = der_to_pem(intermediate.der());
    let root_key_pem = root_key.to_pem();
    let intermediate_key_pem = intermediate_key.to_pem();
    let files = [
        (ROOT_KEY, root_key_pem.as_bytes()),
        (ROOT_CERTIFICATE, root_pem.as_bytes()),
        (INTERMEDIATE_KEY, intermediate_key_pem.as_bytes()),
        (INTERMEDIATE_CERTIFICATE, intermediate_pem.as_bytes()),
    ];
    place(folder, &files).map_err(|source| AuthorityError::Io {
        folder: folder.to_owned(),
        source,
    })
}

fn place(folder: &Path, files: &[(&str, &[u8])]) -> io::Result<()> {
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    let mut beside = folder.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    if beside.try_exists()? {
        // Left by a crash before the rename: nobody ever used these keys.
        std::fs::remove_dir_all(&beside)?;
    }
    RealDisk.create_folder(&beside)?;
    for (name, bytes) in files {
        durable_write(&RealDisk, &beside.join(name), bytes, Secrecy::Secret)?;
    }
    RealDisk.rename(&beside, folder)?;
    RealDisk.sync_folder(parent)
}

fn open(folder: &Path) -> Result<Authority, AuthorityError> {
    let damaged = |what: String| AuthorityError::Damaged {
        folder: folder.to_owned(),
        what,
    };
    let read = |name: &str| -> Result<String, AuthorityError> {
        let bytes = read_bounded(&folder.join(name), FILE_BYTES_MAX)
            .map_err(|source| AuthorityError::Io {
                folder: folder.to_owned(),
                source,
            })?
            .ok_or_else(|| damaged(format!("{name} is missing")))?;
        String::from_utf8(bytes).map_err(|_| damaged(format!("{name} is not text")))
    };
    let certificate = |name: &str| -> Result<CertificateDer<'static>, AuthorityError> {
        let chain =
            chain_from_pem(&read(name)?).map_err(|error| damaged(format!("{name}: {error}")))?;
        let [certificate] = <[_; 1]>::try_from(chain)
            .map_err(|_| damaged(format!("{name} is not one certificate")))?;
        Ok(certificate)
    };
    let root = certificate(ROOT_CERTIFICATE)?;
    let intermediate = certificate(INTERMEDIATE_CERTIFICATE)?;
    let facts = facts_of(&intermediate).map_err(|error| damaged(error.to_string()))?;
    let key = Key::from_pem(&zeroize::Zeroizing::new(read(INTERMEDIATE_KEY)?))
        .map_err(|error| damaged(format!("{INTERMEDIATE_KEY}: {error}")))?;
    if key.hash() != &facts.key_hash {
        return Err(damaged(format!(
            "{INTERMEDIATE_KEY} is not the key of {INTERMEDIATE_CERTIFICATE}"
        )));
    }
    let issuer = Issuer::from_ca_cert_der(&intermediate, key.into_pair())?;
    let root_pem = der_to_pem(&root);
    Ok(Authority {
        issuer,
        intermediate,
        intermediate_end: facts.not_after,
        root,
        root_pem,
    })
}

#[cfg(test)]
mod tests;
