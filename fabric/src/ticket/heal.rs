//! Heal certificates, judged by whoever has the authority's root: years later,
//! when the certificate of the key that signed has long been renewed.

use gridmart_schemas::{
    problem::{Code, Problem},
    role::NodeKind,
    storage::heal::{HealCertificate, SignedHeal},
};
use rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use time::OffsetDateTime;

use super::{HEAL_BYTES_MAX, HEAL_TYPE, VerifyingKeys};
use crate::{
    identity::{CertificateFacts, armoured, chain_from_pem, facts_of},
    tls::verify_node_chain,
};

/// Judges what an Element states of a repair: whether it was signed with a key
/// that the authority of `root_pem` certified as this Element's at that time, and
/// says what was signed.
pub fn verify_heal(signed: &SignedHeal, root_pem: &str) -> Result<(), Problem> {
    let SignedHeal {
        certificate,
        signature,
        chain,
    } = signed;
    let chain = chain.as_deref().ok_or_else(|| {
        refused("the certificate of its key was not kept beside it: an older Element made it")
    })?;
    let facts = signer(chain, root_pem, certificate.ended)?;
    let is_signer = |node: &crate::identity::NodeName| {
        node.id == certificate.element && node.kind == NodeKind::StorageElement
    };
    if !facts.node.as_ref().is_some_and(is_signer) {
        return Err(refused(&format!(
            "its key is not certified as that of {}",
            certificate.element
        )));
    }
    let mut keys = VerifyingKeys::default();
    let spki_pem = armoured("PUBLIC KEY", &facts.spki_der);
    keys.insert(certificate.element, &spki_pem)?;
    let (_, stated): (_, HealCertificate) = keys
        .opened(signature, HEAL_TYPE, HEAL_BYTES_MAX)
        .map_err(|problem| refused(&format!("of its signature, {}", problem.detail)))?;
    if stated != *certificate {
        return Err(refused("it is not what was signed"));
    }
    Ok(())
}

/// What the first certificate of a chain says, if the root vouched for it then.
fn signer(
    chain_pem: &str,
    root_pem: &str,
    then: OffsetDateTime,
) -> Result<CertificateFacts, Problem> {
    let unreadable = |error| refused(&format!("{error}"));
    let chain = chain_from_pem(chain_pem).map_err(unreadable)?;
    let (leaf, others) = chain
        .split_first()
        .ok_or_else(|| refused("its chain names no certificate"))?;
    let root = CertificateDer::from_pem_slice(root_pem.as_bytes())
        .map_err(|error| refused(&format!("the authority's root cannot be read: {error}")))?;
    let seconds = u64::try_from(then.unix_timestamp()).unwrap_or_default();
    let then = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verify_node_chain(leaf, others, &root, then)
        .map_err(|error| refused(&format!("its key was not certified then: {error}")))?;
    facts_of(leaf).map_err(unreadable)
}

fn refused(why: &str) -> Problem {
    Problem::new(
        Code::CertificateRefused,
        format!("The heal certificate is refused: {why}."),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gridmart_schemas::{id::NodeId, wire::enrol::Certificate};
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::{
        authority::{Authority, NodeSubject},
        identity::{NewKey, NodeIdentity},
    };

    const LIFE: Duration = Duration::from_hours(1);

    struct Scene {
        _folder: TempDir,
        authority: Authority,
        element: NodeIdentity,
        now: OffsetDateTime,
    }

    fn certified(authority: &Authority, csr: &str, id: NodeId, now: OffsetDateTime) -> Certificate {
        let subject = NodeSubject {
            id,
            kind: NodeKind::StorageElement,
            domain: "lab".to_owned(),
            dns_names: Vec::new(),
            ips: Vec::new(),
        };
        Certificate {
            chain_pem: authority.sign(csr, &subject, now, LIFE).unwrap(),
            node: id,
            domain: "lab".to_owned(),
            parent: id,
        }
    }

    fn scene() -> Scene {
        let folder = TempDir::new().unwrap();
        let authority = Authority::open_or_create(&folder.path().join("authority")).unwrap();
        let now = OffsetDateTime::now_utc();
        let key = NewKey::generate().unwrap();
        let csr = key.csr_pem().unwrap();
        let certificate = certified(&authority, &csr, NodeId::generate(), now);
        Scene {
            _folder: folder,
            element: key.into_identity(&certificate).unwrap(),
            authority,
            now,
        }
    }

    impl Scene {
        fn heal(&self, ended: OffsetDateTime) -> SignedHeal {
            let certificate = HealCertificate {
                id: Uuid::now_v7(),
                element: self.element.node(),
                began: ended,
                ended,
                hosts_lost: vec![NodeId::generate()],
                blocks_rebuilt: 7,
                blocks_read_back: 7,
                bytes: 4096,
                failures: 0,
                blocks_short: 0,
                digest: "ab".repeat(32),
            };
            self.element.sign_heal(certificate).unwrap()
        }

        fn judge(&self, signed: &SignedHeal) -> Result<(), Code> {
            verify_heal(signed, self.authority.root_pem()).map_err(|problem| problem.code)
        }
    }

    #[test]
    fn what_was_signed_before_a_renewal_holds_after_it() {
        let mut scene = scene();
        let before = scene.heal(scene.now);
        let csr = scene.element.csr_pem().unwrap();
        let next = certified(
            &scene.authority,
            &csr,
            scene.element.node(),
            scene.now + LIFE,
        );
        scene.element = scene.element.renewed(&next).unwrap();
        let after = scene.heal(scene.now + LIFE + LIFE / 2);
        assert_ne!(before.chain, after.chain);
        assert_eq!(scene.judge(&before), Ok(()));
        assert_eq!(scene.judge(&after), Ok(()));
        // Not by a certificate whose time was over.
        let late = scene.heal(scene.now + 3 * LIFE);
        assert_eq!(scene.judge(&late), Err(Code::CertificateRefused));
    }

    #[test]
    fn what_was_changed_or_is_another_s_does_not_hold() {
        let scene = scene();
        let refused = Err(Code::CertificateRefused);
        let good = scene.heal(scene.now);
        assert_eq!(scene.judge(&good), Ok(()));

        let mut changed = good.clone();
        changed.certificate.blocks_rebuilt += 1;
        assert_eq!(scene.judge(&changed), refused);

        let mut unsigned = good.clone();
        unsigned.signature.pop();
        assert_eq!(scene.judge(&unsigned), refused);

        let mut alone = good.clone();
        alone.chain = None;
        assert_eq!(scene.judge(&alone), refused);

        // Somebody else's key, certified as well.
        let key = NewKey::generate().unwrap();
        let csr = key.csr_pem().unwrap();
        let other = certified(&scene.authority, &csr, NodeId::generate(), scene.now);
        let other = key.into_identity(&other).unwrap();
        let forged = other.sign_heal(good.certificate.clone()).unwrap();
        assert_eq!(scene.judge(&forged), refused);

        // Another authority's root.
        let folder = TempDir::new().unwrap();
        let foreign = Authority::open_or_create(&folder.path().join("authority")).unwrap();
        let judged = verify_heal(&good, foreign.root_pem()).unwrap_err();
        assert_eq!(judged.code, Code::CertificateRefused);
    }
}
