use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::identity::NewKey;

fn subject(kind: NodeKind) -> NodeSubject {
    NodeSubject {
        id: NodeId::generate(),
        kind,
        domain: "lab:a".to_owned(),
        dns_names: vec!["localhost".to_owned()],
        ips: vec![IpAddr::from([127, 0, 0, 1])],
    }
}

#[test]
fn the_authority_is_the_same_when_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/authority");
    let fingerprint = Authority::open_or_create(&path).unwrap().root_fingerprint();
    let again = Authority::open_or_create(&path).unwrap();
    assert_eq!(again.root_fingerprint(), fingerprint);
    for file in [ROOT_KEY, INTERMEDIATE_KEY] {
        assert_eq!(
            std::fs::metadata(path.join(file))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600,
            "{file}"
        );
    }
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_creation_that_was_cut_short_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority");
    std::fs::create_dir(folder.path().join("authority.new")).unwrap();
    std::fs::write(folder.path().join("authority.new/root.pem"), b"half").unwrap();
    Authority::open_or_create(&path).unwrap();
    assert!(!folder.path().join("authority.new").exists());
}

#[test]
fn a_damaged_authority_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority");
    let fingerprint = Authority::open_or_create(&path).unwrap().root_fingerprint();
    let other = folder.path().join("other");
    Authority::open_or_create(&other).unwrap();
    let key = std::fs::read(path.join(INTERMEDIATE_KEY)).unwrap();
    std::fs::copy(other.join(INTERMEDIATE_KEY), path.join(INTERMEDIATE_KEY)).unwrap();
    assert!(matches!(
        Authority::open_or_create(&path),
        Err(AuthorityError::Damaged { .. })
    ));
    std::fs::remove_file(path.join(INTERMEDIATE_KEY)).unwrap();
    assert!(matches!(
        Authority::open_or_create(&path),
        Err(AuthorityError::Damaged { .. })
    ));
    std::fs::write(path.join(INTERMEDIATE_KEY), key).unwrap();
    assert_eq!(
        Authority::open_or_create(&path).unwrap().root_fingerprint(),
        fingerprint
    );
}

#[test]
fn only_the_key_of_a_request_counts() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&folder.path().join("authority")).unwrap();
    let now = OffsetDateTime::now_utc();
    // A request that wants to be an authority under another node's name.
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut greedy =
        CertificateParams::new(vec!["victim.control.gridmart.internal".to_owned()]).unwrap();
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let csr = greedy.serialize_request(&key).unwrap().pem().unwrap();
    let subject = subject(NodeKind::ComputeHost);
    let chain = authority
        .sign(&csr, &subject, now, Duration::from_hours(1))
        .unwrap();
    let leaf = &chain_from_pem(&chain).unwrap()[0];
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).unwrap();
    assert!(!parsed.is_ca());
    let names = parsed
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names
        .len();
    assert_eq!(names, 4);
    let facts = facts_of(leaf).unwrap();
    assert_eq!(
        facts.node.unwrap(),
        NodeName {
            id: subject.id,
            kind: subject.kind,
            domain: subject.domain
        }
    );
    assert!(facts.not_before <= now - Duration::from_secs(59));
    assert!(facts.not_after <= now + Duration::from_hours(1));
}

#[test]
fn requests_without_possession_or_of_other_kinds_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&folder.path().join("authority")).unwrap();
    let sign = |csr: &str| {
        let now = OffsetDateTime::now_utc();
        authority.sign(csr, &subject(NodeKind::ComputeHost), now, DEFAULT_VALIDITY)
    };
    let csr = NewKey::generate().unwrap().csr_pem().unwrap();
    sign(&csr).unwrap();
    // The last base64 line holds the end of the signature.
    let forged = {
        let mut lines: Vec<String> = csr.lines().map(str::to_owned).collect();
        let at = lines.len() - 3;
        let line = lines[at].clone();
        let other = if line.as_bytes()[20] == b'A' {
            "B"
        } else {
            "A"
        };
        lines[at].replace_range(20..21, other);
        lines.join("\n")
    };
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = CertificateParams::default()
        .serialize_request(&p384)
        .unwrap()
        .pem()
        .unwrap();
    for bad in [
        &*forged,
        &*p384,
        "",
        "nonsense",
        &"x".repeat(CSR_BYTES_MAX + 1),
    ] {
        assert!(
            matches!(sign(bad), Err(AuthorityError::Request(_))),
            "{bad}"
        );
    }
}

#[test]
fn names_that_certificates_cannot_carry_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&folder.path().join("authority")).unwrap();
    let csr = NewKey::generate().unwrap().csr_pem().unwrap();
    for domain in ["", "a b", "é", &"x".repeat(256)] {
        let subject = NodeSubject {
            domain: domain.to_owned(),
            ..subject(NodeKind::ComputingElement)
        };
        let outcome = authority.sign(&csr, &subject, OffsetDateTime::now_utc(), DEFAULT_VALIDITY);
        assert!(matches!(outcome, Err(AuthorityError::Name(_))), "{domain}");
    }
}
