//! Making tickets.

use std::sync::Arc;

use gridmart_schemas::{
    id::{KeyHash, NodeId},
    problem::{Code, Problem},
    storage::heal::HealCertificate,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::{
    AccessClaims, BlockClaims, HEAL_BYTES_MAX, HEAL_TYPE, LeaseClaims, LogClaims, ReceiptClaims,
    claims::Claims,
};
use crate::identity::Key;

/// A node's key as a signer of tickets. Clones share the key.
#[derive(Clone)]
pub struct SigningKey {
    issuer: NodeId,
    kid: KeyHash,
    spki_pem: String,
    key: Arc<EncodingKey>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("issuer", &self.issuer)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    pub(crate) fn new(issuer: NodeId, key: &Key) -> Self {
        Self {
            issuer,
            kid: key.hash().clone(),
            spki_pem: key.spki_pem(),
            key: Arc::new(EncodingKey::from_ec_der(key.pkcs8())),
        }
    }

    /// The key's name in tickets: the hash of its public half.
    pub const fn kid(&self) -> &KeyHash {
        &self.kid
    }

    /// The node that signs.
    pub const fn issuer(&self) -> NodeId {
        self.issuer
    }

    /// The public half, for those who verify (`SubjectPublicKeyInfo`, PEM).
    pub fn spki_pem(&self) -> &str {
        &self.spki_pem
    }

    /// Signs an access ticket.
    pub fn sign_access(&self, claims: &AccessClaims) -> Result<String, Problem> {
        self.sign(claims)
    }

    /// Signs a lease ticket.
    pub fn sign_lease(&self, claims: &LeaseClaims) -> Result<String, Problem> {
        self.sign(claims)
    }

    /// Signs a block ticket.
    pub fn sign_block(&self, claims: &BlockClaims) -> Result<String, Problem> {
        self.sign(claims)
    }

    /// Signs a ticket for the log of a database.
    pub fn sign_log(&self, claims: &LogClaims) -> Result<String, Problem> {
        self.sign(claims)
    }

    /// Signs a receipt.
    pub fn sign_receipt(&self, claims: &ReceiptClaims) -> Result<String, Problem> {
        self.sign(claims)
    }

    /// Signs what an Element states of a repair.
    pub(crate) fn sign_heal(&self, certificate: &HealCertificate) -> Result<String, Problem> {
        self.seal(HEAL_TYPE, HEAL_BYTES_MAX, certificate)
    }

    fn sign<C: Claims>(&self, claims: &C) -> Result<String, Problem> {
        let issuer = claims.issuer();
        if issuer != self.issuer {
            return Err(fault(format!(
                "A ticket of {issuer} cannot be signed by {}.",
                self.issuer
            )));
        }
        self.seal(C::TYPE, C::BYTES_MAX, claims)
    }

    fn seal(
        &self,
        kind: &str,
        bytes_max: usize,
        claims: &impl Serialize,
    ) -> Result<String, Problem> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(kind.to_owned());
        header.kid = Some(self.kid.as_str().to_owned());
        let ticket = jsonwebtoken::encode(&header, claims, &self.key)
            .map_err(|error| fault(format!("A ticket cannot be signed: {error}.")))?;
        if ticket.len() > bytes_max {
            return Err(fault(format!(
                "A ticket of {} bytes is over the limit of {bytes_max}.",
                ticket.len()
            )));
        }
        Ok(ticket)
    }
}

fn fault(detail: String) -> Problem {
    Problem::new(Code::Internal, detail)
}
