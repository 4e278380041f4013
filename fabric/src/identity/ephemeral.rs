//! The key of a program that uses the grid: it lives as long as the program,
//! and its self-signed certificate proves nothing but possession.

use std::sync::Arc;

use gridmart_schemas::id::KeyHash;
use rcgen::{CertificateParams, DistinguishedName, DnType};
use rustls::sign::CertifiedKey;

use super::{IdentityError, Key};

/// A program's own key with a self-signed certificate. Clones share the key.
#[derive(Clone)]
pub struct EphemeralKey {
    key: Arc<Key>,
    certified: Arc<CertifiedKey>,
}

impl std::fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EphemeralKey")
            .field("hash", self.key.hash())
            .finish_non_exhaustive()
    }
}

impl EphemeralKey {
    /// Makes a key and its certificate.
    pub fn generate() -> Result<Self, IdentityError> {
        let key = Key::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "gridmart program");
        let certificate = params.self_signed(key.pair()).map_err(IdentityError::Key)?;
        let certified = key.certified(vec![certificate.der().clone()])?;
        Ok(Self {
            key: Arc::new(key),
            certified,
        })
    }

    /// What tickets name as their presenter.
    pub fn key_hash(&self) -> &KeyHash {
        self.key.hash()
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}
