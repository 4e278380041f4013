//! Who is at the other end of a connection, as TLS has proven it.

use gridmart_schemas::{
    id::{KeyHash, NodeId},
    problem::{Code, Problem},
    role::NodeKind,
};
use time::OffsetDateTime;

use super::certificate::{CertificateFacts, armoured};

/// The other end of a connection.
#[derive(Clone, Debug, Default)]
pub struct PeerIdentity {
    /// The key that the other end has proven to hold; `None` if it showed no
    /// certificate at all.
    pub key_hash: Option<KeyHash>,
    /// Which node it is; only if its certificate is from our root, in time,
    /// and the node is not revoked.
    pub node: Option<PeerNode>,
    /// Why a certificate that names a node does not count.
    pub refusal: Option<Code>,
}

/// A node that has proven its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerNode {
    /// Which node.
    pub id: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// Its domain.
    pub domain: String,
    /// When its certificate ends; connections end with it.
    pub not_after: OffsetDateTime,
    /// Its public key (`SubjectPublicKeyInfo`, PEM): tickets that it signs are
    /// verified with it.
    pub spki_pem: String,
}

impl PeerNode {
    pub(crate) fn from_facts(facts: &CertificateFacts) -> Option<Self> {
        let name = facts.node.clone()?;
        Some(Self {
            id: name.id,
            kind: name.kind,
            domain: name.domain,
            not_after: facts.not_after,
            spki_pem: armoured("PUBLIC KEY", &facts.spki_der),
        })
    }
}

impl PeerIdentity {
    /// The key, or why the door stays shut.
    pub fn require_key(&self) -> Result<&KeyHash, Problem> {
        self.key_hash.as_ref().ok_or_else(|| {
            Problem::new(
                Code::Unauthenticated,
                "This door needs a TLS client certificate, and none was shown.",
            )
        })
    }

    /// The node, of any kind, or why the door stays shut.
    pub fn require_any_node(&self) -> Result<&PeerNode, Problem> {
        match (&self.node, self.refusal) {
            (Some(node), _) => Ok(node),
            (None, Some(Code::NodeRevoked)) => Err(Problem::new(
                Code::NodeRevoked,
                "The node that asks was revoked.",
            )),
            (None, _) if self.key_hash.is_none() => Err(Problem::new(
                Code::Unauthenticated,
                "This is for nodes only, and no certificate was shown.",
            )),
            (None, _) => Err(Problem::new(
                Code::CertificateRefused,
                "This is for nodes only: the certificate shown is not a node's of this controller, or its time is over.",
            )),
        }
    }

    /// The node, if it is an Element.
    pub fn require_element(&self) -> Result<&PeerNode, Problem> {
        let node = self.require_any_node()?;
        if node.kind.is_element() {
            return Ok(node);
        }
        Err(Problem::new(
            Code::NotAuthorized,
            format!(
                "This is for Elements only, and {} is of kind {}.",
                node.id, node.kind
            ),
        ))
    }

    /// The node, if it is of this kind.
    pub fn require_node(&self, kind: NodeKind) -> Result<&PeerNode, Problem> {
        let node = self.require_any_node()?;
        if node.kind == kind {
            return Ok(node);
        }
        Err(Problem::new(
            Code::NotAuthorized,
            format!(
                "This is for nodes of kind {kind} only, and {} is of kind {}.",
                node.id, node.kind
            ),
        ))
    }
}
