use std::time::Duration;

use super::*;
use crate::authority::{Authority, NodeSubject};

fn certified(authority: &Authority, node: NodeId, kind: NodeKind, csr_pem: &str) -> Certificate {
    let subject = NodeSubject {
        id: node,
        kind,
        domain: "lab".to_owned(),
        dns_names: Vec::new(),
        ips: Vec::new(),
    };
    let now = OffsetDateTime::now_utc();
    let chain_pem = authority
        .sign(csr_pem, &subject, now, Duration::from_hours(2))
        .unwrap();
    Certificate {
        node,
        domain: "lab".to_owned(),
        chain_pem,
        parent: NodeId::generate(),
    }
}

fn identity(authority: &Authority, node: NodeId) -> NodeIdentity {
    let key = NewKey::generate().unwrap();
    let certificate = certified(
        authority,
        node,
        NodeKind::ComputeHost,
        &key.csr_pem().unwrap(),
    );
    key.into_identity(&certificate).unwrap()
}

#[test]
fn an_identity_is_kept_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&folder.path().join("authority")).unwrap();
    assert!(NodeIdentity::load(folder.path()).unwrap().is_none());
    let made = identity(&authority, NodeId::generate());
    made.save(folder.path()).unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(folder.path().join(FILE))
            .unwrap()
            .permissions(),
    );
    assert_eq!(permissions & 0o777, 0o600);
    let found = NodeIdentity::load(folder.path()).unwrap().unwrap();
    assert_eq!(
        (found.node(), found.kind(), found.domain()),
        (made.node(), NodeKind::ComputeHost, "lab")
    );
    assert_eq!(
        (found.parent(), found.key_hash(), found.not_after()),
        (made.parent(), made.key_hash(), made.not_after())
    );
    assert_eq!(fingerprint(found.root_der()), authority.root_fingerprint());
    assert_eq!(found.root_pem(), authority.root_pem());
}

#[test]
fn a_damaged_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), b"{").unwrap();
    let error = NodeIdentity::load(folder.path()).unwrap_err();
    assert!(error.to_string().contains(FILE), "{error}");
}

#[test]
fn renewal_is_due_at_half_life_and_keeps_key_and_node() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&folder.path().join("authority")).unwrap();
    let old = identity(&authority, NodeId::generate());
    let now = OffsetDateTime::now_utc();
    assert!(!old.needs_renewal(now));
    assert!(old.needs_renewal(now + Duration::from_mins(61)));
    // Looked at often enough to be in time, and tried again ever sooner.
    assert_eq!(old.renewal_pause(now), Duration::from_mins(10));
    let due = old.renewal_due();
    assert_eq!(
        old.renewal_pause(due - Duration::from_secs(30)),
        Duration::from_secs(30)
    );
    assert_eq!(
        old.renewal_pause(old.not_after() - Duration::from_secs(100)),
        Duration::from_secs(10)
    );
    assert_eq!(
        old.renewal_pause(old.not_after() + Duration::from_secs(100)),
        Duration::from_secs(1)
    );

    let next = certified(&authority, old.node(), old.kind(), &old.csr_pem().unwrap());
    let renewed = old.renewed(&next).unwrap();
    assert_eq!(
        (renewed.key_hash(), renewed.parent()),
        (old.key_hash(), old.parent())
    );
    assert_ne!(renewed.chain_pem(), old.chain_pem());

    let stranger = certified(
        &authority,
        NodeId::generate(),
        old.kind(),
        &old.csr_pem().unwrap(),
    );
    assert!(matches!(
        old.renewed(&stranger),
        Err(IdentityError::Foreign(_))
    ));
    let foreign = Authority::open_or_create(&folder.path().join("foreign")).unwrap();
    let foreign = certified(&foreign, old.node(), old.kind(), &old.csr_pem().unwrap());
    assert!(matches!(
        old.renewed(&foreign),
        Err(IdentityError::Foreign(_))
    ));
    let other_key = certified(
        &authority,
        old.node(),
        old.kind(),
        &NewKey::generate().unwrap().csr_pem().unwrap(),
    );
    assert!(matches!(
        old.renewed(&other_key),
        Err(IdentityError::Foreign(_))
    ));
}

#[test]
fn secrets_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&folder.path().join("authority")).unwrap();
    let identity = identity(&authority, NodeId::generate());
    for shown in [
        format!("{identity:?}"),
        format!("{:?}", identity.signing_key()),
        format!("{:?}", EphemeralKey::generate().unwrap()),
    ] {
        assert!(
            !shown.contains("PRIVATE") && !shown.contains("key_pem"),
            "{shown}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_certificate_or_not(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        proptest::prop_assert!(facts_of(&bytes).is_err());
        let _ = chain_from_pem(&String::from_utf8_lossy(&bytes));
    }
}
