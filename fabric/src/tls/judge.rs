//! Judging certificates: possession of the key, and whose it is.

use std::sync::Arc;

use gridmart_schemas::problem::Code;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{Revocations, TlsError, provider};
use crate::identity::{PeerIdentity, PeerNode, facts_of};

/// The most certificates that a peer may show.
const CHAIN_MAX: usize = 4;

/// Makes a store of one root.
pub(super) fn roots(root: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone())?;
    Ok(Arc::new(roots))
}

/// Verifies that `root` vouched for a node's certificate at a time.
pub(crate) fn verify_node_chain(
    leaf: &CertificateDer<'static>,
    others: &[CertificateDer<'static>],
    root: &CertificateDer<'static>,
    then: UnixTime,
) -> Result<(), TlsError> {
    if others.len() >= CHAIN_MAX {
        return Err(TlsError::Setup(Error::General(
            "too many certificates".to_owned(),
        )));
    }
    let verifier = chain_verifier(root)?;
    verifier.verify_client_cert(leaf, others, then)?;
    Ok(())
}

fn chain_verifier(root: &CertificateDer<'static>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(roots(root)?, provider())
        .build()
        .map_err(|error| TlsError::Root(error.to_string()))
}

/// Accepts any certificate whose key the peer holds, and none at all.
#[derive(Debug)]
pub(super) struct PossessionVerifier {
    provider: Arc<CryptoProvider>,
}

impl PossessionVerifier {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            provider: provider(),
        })
    }
}

impl ClientCertVerifier for PossessionVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if intermediates.len() >= CHAIN_MAX {
            return Err(Error::General(
                "the client shows too many certificates".to_owned(),
            ));
        }
        // The name is judged after the handshake, when the answer can say why.
        Ok(ClientCertVerified::assertion())
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
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// Tells which node a certificate is, if any.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    chain: Arc<dyn ClientCertVerifier>,
    revocations: Revocations,
}

impl Judge {
    pub(super) fn new(
        root: &CertificateDer<'static>,
        revocations: Revocations,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            chain: chain_verifier(root)?,
            revocations,
        })
    }

    /// Judges what a client has shown and proven to hold.
    pub(super) fn judge(&self, shown: Option<&[CertificateDer<'static>]>) -> PeerIdentity {
        let Some((leaf, intermediates)) = shown.and_then(<[_]>::split_first) else {
            return PeerIdentity::default();
        };
        let Ok(facts) = facts_of(leaf) else {
            // A certificate that nothing can be read from names no key either.
            return PeerIdentity {
                refusal: Some(Code::CertificateRefused),
                ..PeerIdentity::default()
            };
        };
        let key_hash = Some(facts.key_hash.clone());
        let Some(node) = PeerNode::from_facts(&facts) else {
            return PeerIdentity {
                key_hash,
                node: None,
                refusal: None,
            };
        };
        let refusal = if self
            .chain
            .verify_client_cert(leaf, intermediates, UnixTime::now())
            .is_err()
        {
            Some(Code::CertificateRefused)
        } else if self.revocations.contains(node.id) {
            Some(Code::NodeRevoked)
        } else {
            None
        };
        PeerIdentity {
            key_hash,
            node: refusal.is_none().then_some(node),
            refusal,
        }
    }

    pub(super) const fn revocations(&self) -> &Revocations {
        &self.revocations
    }
}
