//! Enrolment: how a node gets its first certificate, and the next ones.
//!
//! The first request is an HTTPS `POST /v1/enrol` on the parent's door without
//! a client certificate; renewal goes over the control stream.

use serde::{Deserialize, Serialize};

use super::requests;
use crate::{id::NodeId, role::NodeKind};

/// The most names that a node may ask for.
pub const NAMES_MAX: usize = 8;

/// `POST /v1/enrol` (controller's or Element's node door).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The join token, whole.
    pub token: String,
    /// What wants to join.
    pub kind: NodeKind,
    /// The name that people read.
    pub name: String,
    /// PKCS#10 request, PEM; only its key and its proof of possession count.
    pub csr_pem: String,
}

/// What an enrolled or renewed node gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// The id that the certificate carries.
    pub node: NodeId,
    /// The domain that the certificate carries.
    pub domain: String,
    /// Leaf, intermediate and root, PEM.
    pub chain_pem: String,
    /// The parent's id, to be expected in its certificate.
    pub parent: NodeId,
}

/// Element → controller: a Host has proved its token to me, sign its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostVouch {
    /// The name that people read.
    pub name: String,
    /// PKCS#10 request, PEM.
    pub csr_pem: String,
}

/// Child → parent (→ controller): sign my next certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateRenew {
    /// Whose; a Host asks its Element, which passes it on for the Host alone.
    pub node: NodeId,
    /// PKCS#10 request, PEM.
    pub csr_pem: String,
    /// Names and addresses by which programs that know nothing of nodes reach the
    /// node's doors: at most [`NAMES_MAX`] of an Element with such doors. Those
    /// that it may not have are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

requests! {
    HostVouch = "host-vouch" => Certificate,
    CertificateRenew = "certificate-renew" => Certificate,
}
