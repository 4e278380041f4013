//! P-256 keys: made here, kept as PKCS#8.

use std::sync::Arc;

use gridmart_schemas::{id::KeyHash, wire::enrol::Certificate};
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _,
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use super::{IdentityError, NodeIdentity, key_hash_of_spki};

/// A private key with the hash of its public half.
pub(crate) struct Key {
    pair: KeyPair,
    hash: KeyHash,
}

impl Key {
    pub(crate) fn generate() -> Result<Self, IdentityError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map(Self::new)
            .map_err(IdentityError::Key)
    }

    pub(crate) fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        KeyPair::from_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256)
            .map(Self::new)
            .map_err(IdentityError::Key)
    }

    fn new(pair: KeyPair) -> Self {
        let hash = key_hash_of_spki(&pair.subject_public_key_info());
        Self { pair, hash }
    }

    pub(crate) const fn hash(&self) -> &KeyHash {
        &self.hash
    }

    pub(crate) const fn pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(crate) fn into_pair(self) -> KeyPair {
        self.pair
    }

    pub(crate) fn pkcs8(&self) -> &[u8] {
        self.pair.serialized_der()
    }

    /// The key with its certificates, as TLS takes them.
    pub(crate) fn certified(
        &self,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<Arc<CertifiedKey>, IdentityError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8().to_vec()));
        let signer =
            rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&key).map_err(IdentityError::Tls)?;
        Ok(Arc::new(CertifiedKey::new(chain, signer)))
    }

    pub(crate) fn spki_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.pair.serialize_pem())
    }

    /// A PKCS#10 request that says nothing but the key.
    pub(crate) fn csr_pem(&self) -> Result<String, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .serialize_request(&self.pair)
            .and_then(|request| request.pem())
            .map_err(IdentityError::Key)
    }
}

/// A key that has no certificate yet.
pub struct NewKey {
    key: Key,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey")
            .field("hash", self.key.hash())
            .finish_non_exhaustive()
    }
}

impl NewKey {
    /// Makes a key.
    pub fn generate() -> Result<Self, IdentityError> {
        Key::generate().map(|key| Self { key })
    }

    /// The request for its certificate, PEM.
    pub fn csr_pem(&self) -> Result<String, IdentityError> {
        self.key.csr_pem()
    }

    /// The identity, with the certificate that was made on the request.
    pub fn into_identity(self, certificate: &Certificate) -> Result<NodeIdentity, IdentityError> {
        NodeIdentity::assemble(
            Arc::new(self.key),
            certificate.chain_pem.clone(),
            certificate.parent,
        )
    }
}
