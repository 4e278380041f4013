//! The side that dials.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use time::OffsetDateTime;

use super::{Revocations, TlsError, judge::roots, provider};
use crate::identity::{EphemeralKey, IdentityCell, chain_from_pem, fingerprint};

/// Whose certificate a dial shows.
#[derive(Debug)]
enum Own {
    Node(Arc<IdentityCell>),
    Program(Arc<CertifiedKey>),
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(match self {
            Self::Node(identity) => identity.current().certified(),
            Self::Program(key) => key.clone(),
        })
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// TLS of dials. Clones share everything.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    revocations: Revocations,
    /// Who dials, if it is a node.
    node: Option<Arc<IdentityCell>>,
}

impl ClientTls {
    /// Dials as a node, with the newest identity of the cell.
    pub fn node(identity: Arc<IdentityCell>, revocations: Revocations) -> Result<Self, TlsError> {
        let root = identity.current().root().clone();
        let tls = Self::new(&root, Own::Node(identity.clone()), revocations)?;
        Ok(Self {
            node: Some(identity),
            ..tls
        })
    }

    /// Dials as a program, with its own key.
    pub fn ephemeral(root_pem: &str, key: &EphemeralKey) -> Result<Self, TlsError> {
        let chain = chain_from_pem(root_pem).map_err(|error| TlsError::Root(error.to_string()))?;
        let [root] = chain.as_slice() else {
            return Err(TlsError::Root(format!(
                "{} certificates instead of one",
                chain.len()
            )));
        };
        Self::new(root, Own::Program(key.certified()), Revocations::new())
    }

    /// Dials as a program with its own key, with the trust of a node: its root, and
    /// whoever it has heard to be revoked.
    pub fn as_program(&self, key: &EphemeralKey) -> Result<Self, TlsError> {
        let node = self.node.as_ref();
        let node = node.ok_or_else(|| TlsError::Root("only a node has one to lend".to_owned()))?;
        let root = node.current().root().clone();
        Self::new(
            &root,
            Own::Program(key.certified()),
            self.revocations.clone(),
        )
    }

    fn new(
        root: &CertificateDer<'static>,
        own: Own,
        revocations: Revocations,
    ) -> Result<Self, TlsError> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots(root)?)
            .with_client_cert_resolver(Arc::new(own));
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            revocations,
            node: None,
        })
    }

    /// When the certificate ends that is shown now; a program has none.
    pub(crate) fn own_end(&self) -> Option<OffsetDateTime> {
        self.node.as_ref().map(|node| node.current().not_after())
    }

    pub(super) const fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    pub(super) const fn revocations(&self) -> &Revocations {
        &self.revocations
    }
}

/// Verifies against the root of a known fingerprint, which the server has to
/// show at the end of its chain.
#[derive(Debug)]
pub(crate) struct FoundRoot {
    provider: Arc<CryptoProvider>,
    fingerprint: String,
    found: Mutex<Option<CertificateDer<'static>>>,
}

impl FoundRoot {
    pub(crate) fn new(fingerprint: &str) -> Arc<Self> {
        Arc::new(Self {
            provider: provider(),
            fingerprint: fingerprint.to_owned(),
            found: Mutex::new(None),
        })
    }

    /// The root that the last accepted server has shown.
    pub(crate) fn root(&self) -> Option<CertificateDer<'static>> {
        self.found.lock().clone()
    }

    pub(super) fn client_config(self: &Arc<Self>) -> Result<Arc<ClientConfig>, TlsError> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.clone())
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

impl ServerCertVerifier for FoundRoot {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let root = intermediates
            .iter()
            .find(|certificate| fingerprint(certificate) == self.fingerprint)
            .ok_or(CertificateError::UnknownIssuer)?
            .clone()
            .into_owned();
        let verifier = roots(&root)
            .ok()
            .and_then(|roots| {
                WebPkiServerVerifier::builder_with_provider(roots, self.provider.clone())
                    .build()
                    .ok()
            })
            .ok_or(CertificateError::UnknownIssuer)?;
        let accepted = verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        *self.found.lock() = Some(root);
        Ok(accepted)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
