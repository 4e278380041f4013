//! Who a node is: its key, its certificate, and where both are kept.
//!
//! Invariants: a private key never leaves the process but into a file of mode
//! 0600; all keys are ECDSA P-256; what a certificate says is read in one
//! place (`certificate`), from its names, never from its subject.

mod certificate;
mod door_name;
mod ephemeral;
mod key;
mod peer;

use std::{io, path::Path, sync::Arc, time::Duration};

use gridmart_schemas::{
    id::{KeyHash, NodeId},
    problem::Problem,
    role::NodeKind,
    storage::heal::{HealCertificate, SignedHeal},
    wire::enrol::Certificate,
};
use parking_lot::RwLock;
use rustls::{pki_types::CertificateDer, sign::CertifiedKey};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub(crate) use self::{
    certificate::{
        CertificateFacts, NodeName, armoured, chain_from_pem, der_to_pem, facts_of,
        key_hash_of_spki, node_uri,
    },
    key::Key,
};
pub use self::{
    certificate::{dns_name, fingerprint},
    door_name::{DoorName, DoorNameError},
    ephemeral::EphemeralKey,
    key::NewKey,
    peer::{PeerIdentity, PeerNode},
};
use crate::{
    authority::BACKDATED,
    disk::{RealDisk, Secrecy, durable_write, read_bounded},
    ticket::SigningKey,
};

/// Name of the file in a node's data folder.
const FILE: &str = "identity.json";
/// The most bytes such a file has.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// A renewal that fails is tried again after this share of what is left.
const RENEWAL_TRIES: u32 = 10;
/// The bounds of the time between two looks at the certificate: others are not
/// pestered, and a clock that was set is noticed.
const RENEWAL_PAUSE_MIN: Duration = Duration::from_secs(1);
const RENEWAL_PAUSE_MAX: Duration = Duration::from_mins(10);

/// What is wrong with a key, a certificate, or the file that holds both.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A certificate chain does not have the form of a node's.
    #[error("the certificate chain is not a node's: {0}; join the node again")]
    Chain(String),
    /// A certificate for another key, or for another node.
    #[error("the certificate does not belong to this node: {0}; join the node again")]
    Foreign(&'static str),
    /// A key cannot be made or used.
    #[error("the key cannot be used; join the node again")]
    Key(#[source] rcgen::Error),
    /// A key cannot be used for TLS.
    #[error("the key cannot be used for TLS; join the node again")]
    Tls(#[source] rustls::Error),
    /// The file is damaged.
    #[error(
        "the identity in {path} cannot be read: restore the file, or remove it and join the node again"
    )]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The disk refuses.
    #[error("the identity in {path} cannot be read or written: check the folder's owner and space")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Stored {
    parent: NodeId,
    chain_pem: String,
    key_pem: Zeroizing<String>,
}

/// A node's own identity. Never changes: a renewed certificate makes a new one.
pub struct NodeIdentity {
    key: Arc<Key>,
    facts: CertificateFacts,
    node: NodeId,
    kind: NodeKind,
    domain: String,
    parent: NodeId,
    root: CertificateDer<'static>,
    chain_pem: String,
    certified: Arc<CertifiedKey>,
}

impl std::fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeIdentity")
            .field("node", &self.node)
            .field("kind", &self.kind)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

impl NodeIdentity {
    /// Puts key and certificate together, if they belong together.
    fn assemble(key: Arc<Key>, chain_pem: String, parent: NodeId) -> Result<Self, IdentityError> {
        let chain = chain_from_pem(&chain_pem)?;
        let [leaf, _, root] = chain.as_slice() else {
            return Err(IdentityError::Chain(format!(
                "{} certificates instead of leaf, intermediate and root",
                chain.len()
            )));
        };
        let facts = facts_of(leaf)?;
        if &facts.key_hash != key.hash() {
            return Err(IdentityError::Foreign("it certifies another key"));
        }
        let Some(name) = facts.node.clone() else {
            return Err(IdentityError::Chain("the leaf names no node".to_owned()));
        };
        let root = root.clone();
        let certified = key.certified(chain)?;
        Ok(Self {
            key,
            facts,
            node: name.id,
            kind: name.kind,
            domain: name.domain,
            parent,
            root,
            chain_pem,
            certified,
        })
    }

    /// Loads the identity that a data folder holds; `None` if it holds none.
    pub fn load(folder: &Path) -> Result<Option<Self>, IdentityError> {
        let path = folder.join(FILE);
        let shown = path.display().to_string();
        let bytes = match read_bounded(&path, FILE_BYTES_MAX) {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) => Zeroizing::new(bytes),
            Err(source) => {
                return Err(IdentityError::Io {
                    path: shown,
                    source,
                });
            }
        };
        let stored: Stored =
            serde_json::from_slice(&bytes).map_err(|source| IdentityError::File {
                path: shown,
                source,
            })?;
        let key = Key::from_pem(&stored.key_pem)?;
        Self::assemble(Arc::new(key), stored.chain_pem, stored.parent).map(Some)
    }

    /// Keeps the identity in a data folder, durably.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        let path = folder.join(FILE);
        let fault = |source| IdentityError::Io {
            path: path.display().to_string(),
            source,
        };
        let stored = Stored {
            parent: self.parent,
            chain_pem: self.chain_pem.clone(),
            key_pem: self.key.to_pem(),
        };
        let bytes = Zeroizing::new(
            serde_json::to_vec_pretty(&stored).map_err(|error| fault(error.into()))?,
        );
        durable_write(&RealDisk, &path, &bytes, Secrecy::Secret).map_err(fault)
    }

    /// The node.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// What it is.
    pub const fn kind(&self) -> NodeKind {
        self.kind
    }

    /// Its domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The node that it dials; the controller is its own parent.
    pub const fn parent(&self) -> NodeId {
        self.parent
    }

    /// The names of its doors that its certificate carries.
    pub fn door_names(&self) -> &[DoorName] {
        &self.facts.doors
    }

    /// When its certificate ends.
    pub const fn not_after(&self) -> OffsetDateTime {
        self.facts.not_after
    }

    /// Leaf, intermediate and root, PEM.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The pinned root, DER.
    pub fn root_der(&self) -> &[u8] {
        self.root()
    }

    /// The pinned root, PEM.
    pub fn root_pem(&self) -> String {
        der_to_pem(self.root())
    }

    /// The hash of its public key.
    pub fn key_hash(&self) -> &KeyHash {
        self.key.hash()
    }

    /// The key as a signer of tickets.
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::new(self.node, &self.key)
    }

    /// Signs what this node, an Element, states of a repair, and puts its
    /// certificate beside: renewed ones take its place soon.
    pub fn sign_heal(&self, certificate: HealCertificate) -> Result<SignedHeal, Problem> {
        let signature = self.signing_key().sign_heal(&certificate)?;
        // Whoever judges it has the root.
        let chain = self.certified.cert.iter();
        let chain = chain.filter(|certificate| **certificate != self.root);
        Ok(SignedHeal {
            certificate,
            signature,
            chain: Some(chain.map(|certificate| der_to_pem(certificate)).collect()),
        })
    }

    /// Whether half of the certificate's life is over.
    pub fn needs_renewal(&self, now: OffsetDateTime) -> bool {
        now >= self.renewal_due()
    }

    /// How long to wait before the certificate is looked at again: until half
    /// of its life is over; and then, since the last try has failed, a part of
    /// what is left.
    pub fn renewal_pause(&self, now: OffsetDateTime) -> Duration {
        let due = self.renewal_due();
        let pause = if now < due {
            due - now
        } else {
            (self.facts.not_after - now) / RENEWAL_TRIES
        };
        pause
            .try_into()
            .unwrap_or(RENEWAL_PAUSE_MIN)
            .clamp(RENEWAL_PAUSE_MIN, RENEWAL_PAUSE_MAX)
    }

    /// Half of the life since it was made, which is after it begins.
    fn renewal_due(&self) -> OffsetDateTime {
        let made = self.facts.not_before + BACKDATED;
        // One of an older controller is backdated by less.
        let made = if made < self.facts.not_after {
            made
        } else {
            self.facts.not_before
        };
        made + (self.facts.not_after - made) / 2
    }

    /// A certificate request for the same key.
    pub fn csr_pem(&self) -> Result<String, IdentityError> {
        self.key.csr_pem()
    }

    /// The identity with its next certificate.
    pub fn renewed(&self, certificate: &Certificate) -> Result<Self, IdentityError> {
        let next = Self::assemble(self.key.clone(), certificate.chain_pem.clone(), self.parent)?;
        if (next.node, next.kind) != (self.node, self.kind) {
            return Err(IdentityError::Foreign("it names another node"));
        }
        if next.root() != self.root() {
            return Err(IdentityError::Foreign("it is from another authority"));
        }
        Ok(next)
    }

    pub(crate) const fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// Key and whole chain, as TLS takes them. The root goes along for those
    /// who know but its fingerprint.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

/// The identity that doors and dials use now; renewal replaces it in place.
#[derive(Debug)]
pub struct IdentityCell {
    current: RwLock<Arc<NodeIdentity>>,
}

impl IdentityCell {
    /// Begins with this identity.
    pub fn new(identity: NodeIdentity) -> Arc<Self> {
        Arc::new(Self {
            current: RwLock::new(Arc::new(identity)),
        })
    }

    /// The newest identity.
    pub fn current(&self) -> Arc<NodeIdentity> {
        self.current.read().clone()
    }

    /// Uses this one from now on, for new connections.
    pub fn replace(&self, identity: NodeIdentity) {
        *self.current.write() = Arc::new(identity);
    }
}

#[cfg(test)]
mod tests;
