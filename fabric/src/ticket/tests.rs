use std::sync::OnceLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gridmart_schemas::{
    id::{Digest, Incarnation, KeyHash, LeaseId, NodeId},
    problem::Code,
    role::{Operation, Role},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;
use crate::identity::Key;

pub(super) struct Grid {
    control: SigningKey,
    pub(super) element: SigningKey,
    element_key: Key,
    pub(super) host: NodeId,
    pub(super) presenter: KeyHash,
    pub(super) keys: VerifyingKeys,
}

pub(super) fn grid() -> &'static Grid {
    static GRID: OnceLock<Grid> = OnceLock::new();
    GRID.get_or_init(|| {
        let (control_key, element_key) = (Key::generate().unwrap(), Key::generate().unwrap());
        let control = SigningKey::new(NodeId::generate(), &control_key);
        let element = SigningKey::new(NodeId::generate(), &element_key);
        let mut keys = VerifyingKeys::default();
        keys.insert(control.issuer(), control.spki_pem()).unwrap();
        assert_eq!(
            &keys.insert(element.issuer(), element.spki_pem()).unwrap(),
            element.kid()
        );
        let presenter = Key::generate().unwrap().hash().clone();
        Grid {
            control,
            element,
            element_key,
            host: NodeId::generate(),
            presenter,
            keys,
        }
    })
}

pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn application() -> TicketApplication {
    TicketApplication {
        digest: Digest::from_blake3([7; 32]),
        name: "spf".to_owned(),
        version: "1".to_owned(),
    }
}

fn access() -> AccessClaims {
    let grid = grid();
    let Times { nbf, iat, exp } = Times::starting(now(), LIFE_MAX);
    AccessClaims {
        iss: grid.control.issuer(),
        sub: "alice".parse().unwrap(),
        role: Role::User,
        domain: None,
        aud: grid.element.issuer(),
        presenter: grid.presenter.clone(),
        application: Some(application()),
        bucket: None,
        database: None,
        operations: vec![Operation::Call],
        needs: Vec::new(),
        cut: AccessCut::default(),
        nbf,
        iat,
        exp,
        request: None,
        jti: Uuid::now_v7(),
    }
}

pub(super) fn lease() -> LeaseClaims {
    let grid = grid();
    let Times { nbf, iat, exp } = Times::starting(now(), LIFE_MAX);
    LeaseClaims {
        iss: grid.element.issuer(),
        sub: "alice".parse().unwrap(),
        aud: grid.host,
        presenter: grid.presenter.clone(),
        lease: LeaseId::generate(),
        slots: 2,
        application: application(),
        cut: LeaseCut {
            element: 1,
            host: 2,
            application: 3,
        },
        incarnation: Some(Incarnation::generate()),
        job: None,
        nbf,
        iat,
        exp,
    }
}

fn judge_access(ticket: &str) -> Result<AccessClaims, Code> {
    let grid = grid();
    grid.keys
        .verify_access(ticket, grid.element.issuer(), &grid.presenter, now())
        .map_err(|problem| problem.code)
}

fn judge_lease(ticket: &str) -> Result<LeaseClaims, Code> {
    let grid = grid();
    grid.keys
        .verify_lease(ticket, grid.host, &grid.presenter, now())
        .map_err(|problem| problem.code)
}

/// Signs whatever claims with the Element's real key.
fn signed_with(header: &Header, claims: &impl serde::Serialize) -> String {
    jsonwebtoken::encode(
        header,
        claims,
        &EncodingKey::from_ec_der(grid().element_key.pkcs8()),
    )
    .unwrap()
}

fn lease_header() -> Header {
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some(LEASE_TYPE.to_owned());
    header.kid = Some(grid().element.kid().as_str().to_owned());
    header
}

#[test]
fn good_tickets_are_believed() {
    let grid = grid();
    let (access, lease) = (access(), lease());
    assert_eq!(
        judge_access(&grid.control.sign_access(&access).unwrap()),
        Ok(access)
    );
    assert_eq!(
        judge_lease(&grid.element.sign_lease(&lease).unwrap()),
        Ok(lease)
    );
}

#[test]
fn a_ticket_serves_one_audience_and_one_key() {
    let grid = grid();
    let ticket = grid.element.sign_lease(&lease()).unwrap();
    let code = |audience, presenter: &KeyHash| {
        grid.keys
            .verify_lease(&ticket, audience, presenter, now())
            .unwrap_err()
            .code
    };
    assert_eq!(
        code(NodeId::generate(), &grid.presenter),
        Code::TicketForeign
    );
    assert_eq!(code(grid.host, grid.element.kid()), Code::TicketKeyMismatch);
}

#[test]
fn times_are_judged_with_leeway() {
    let grid = grid();
    let ticket = grid.element.sign_lease(&lease()).unwrap();
    let at = |seconds: i64| {
        let now = now() + time::Duration::seconds(seconds);
        grid.keys
            .verify_lease(&ticket, grid.host, &grid.presenter, now)
            .map(|_| ())
            .map_err(|problem| problem.code)
    };
    assert_eq!(at(-61), Err(Code::TicketExpired));
    assert_eq!(at(-60), Ok(()));
    assert_eq!(at(0), Ok(()));
    assert_eq!(at(359), Ok(()));
    assert_eq!(at(360), Err(Code::TicketExpired));
}

#[test]
fn a_life_that_is_too_long_is_refused_whoever_signed() {
    let base = lease();
    for (nbf, iat, exp) in [
        (base.nbf, base.iat, base.exp + 1),
        (base.nbf - 100, base.iat, base.exp),
        (base.nbf, base.iat - 100, base.exp),
        (base.nbf, base.iat, base.nbf),
        (base.nbf, base.iat, i64::MAX),
        (i64::MIN, i64::MIN, base.exp),
        (i64::MIN, base.iat, i64::MAX),
    ] {
        let ticket = signed_with(
            &lease_header(),
            &LeaseClaims {
                nbf,
                iat,
                exp,
                ..base.clone()
            },
        );
        assert_eq!(
            judge_lease(&ticket),
            Err(Code::TicketInvalid),
            "{nbf} {iat} {exp}"
        );
    }
}

#[test]
fn an_issuer_signs_for_itself_alone() {
    let grid = grid();
    let forged = LeaseClaims {
        iss: grid.control.issuer(),
        ..lease()
    };
    assert_eq!(
        grid.element.sign_lease(&forged).unwrap_err().code,
        Code::Internal
    );
    assert_eq!(
        judge_lease(&signed_with(&lease_header(), &forged)),
        Err(Code::TicketInvalid)
    );
}

#[test]
fn the_two_kinds_never_pass_for_each_other() {
    let grid = grid();
    assert_eq!(
        judge_access(&grid.element.sign_lease(&lease()).unwrap()),
        Err(Code::TicketInvalid)
    );
    assert_eq!(
        judge_lease(&grid.control.sign_access(&access()).unwrap()),
        Err(Code::TicketInvalid)
    );
    for kind in [None, Some("JWT"), Some(ACCESS_TYPE)] {
        let header = Header {
            typ: kind.map(str::to_owned),
            ..lease_header()
        };
        assert_eq!(
            judge_lease(&signed_with(&header, &lease())),
            Err(Code::TicketInvalid),
            "{kind:?}"
        );
    }
}

#[test]
fn keys_that_are_not_trusted_sign_nothing() {
    let grid = grid();
    let stranger = SigningKey::new(grid.element.issuer(), &Key::generate().unwrap());
    assert_eq!(
        judge_lease(&stranger.sign_lease(&lease()).unwrap()),
        Err(Code::TicketInvalid)
    );
    // The stranger's signature under the Element's key id.
    let claims = lease();
    let foreign = Key::generate().unwrap();
    let forged = jsonwebtoken::encode(
        &lease_header(),
        &claims,
        &EncodingKey::from_ec_der(foreign.pkcs8()),
    )
    .unwrap();
    assert_eq!(judge_lease(&forged), Err(Code::TicketInvalid));
    let header = Header {
        kid: None,
        ..lease_header()
    };
    assert_eq!(
        judge_lease(&signed_with(&header, &claims)),
        Err(Code::TicketInvalid)
    );
    let header = Header {
        crit: Some(vec!["exp".to_owned()]),
        ..lease_header()
    };
    assert_eq!(
        judge_lease(&signed_with(&header, &claims)),
        Err(Code::TicketInvalid)
    );
}

#[test]
fn other_algorithms_are_refused() {
    let grid = grid();
    let claims = lease();
    let kid = grid.element.kid().as_str();
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let body = part(&serde_json::to_value(&claims).unwrap());
    for algorithm in [
        "none", "None", "NONE", "HS256", "ES384", "RS256", "EdDSA", "",
    ] {
        let header = part(&json!({"alg": algorithm, "typ": LEASE_TYPE, "kid": kid}));
        for signature in ["", "AAAA"] {
            assert_eq!(
                judge_lease(&format!("{header}.{body}.{signature}")),
                Err(Code::TicketInvalid),
                "{algorithm}"
            );
        }
        assert_eq!(
            judge_lease(&format!("{header}.{body}")),
            Err(Code::TicketInvalid),
            "{algorithm}"
        );
    }
    // The public key taken for a shared secret, in every form that it has.
    let pem = grid.element.spki_pem().as_bytes();
    let der = rcgen::PublicKeyData::subject_public_key_info(grid.element_key.pair());
    for secret in [pem, &der, &der[26..]] {
        let header = Header {
            alg: Algorithm::HS256,
            ..lease_header()
        };
        let forged =
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(judge_lease(&forged), Err(Code::TicketInvalid));
    }
}

#[test]
fn changed_cut_and_oversized_tickets_are_refused() {
    let grid = grid();
    let ticket = grid.element.sign_lease(&lease()).unwrap();
    for length in 0..ticket.len() {
        assert!(judge_lease(&ticket[..length]).is_err(), "{length}");
    }
    let parts: Vec<&str> = ticket.split('.').collect();
    let more = LeaseClaims {
        slots: 1000,
        ..lease()
    };
    let more = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&more).unwrap());
    assert_eq!(
        judge_lease(&format!("{}.{more}.{}", parts[0], parts[2])),
        Err(Code::TicketInvalid)
    );
    let huge = LeaseClaims {
        application: TicketApplication {
            name: "x".repeat(TICKET_BYTES_MAX),
            ..application()
        },
        ..lease()
    };
    assert_eq!(
        grid.element.sign_lease(&huge).unwrap_err().code,
        Code::Internal
    );
    assert_eq!(
        judge_lease(&signed_with(&lease_header(), &huge)),
        Err(Code::TicketInvalid)
    );
}

#[test]
fn only_p256_keys_are_trusted_and_not_too_many() {
    let mut keys = VerifyingKeys::default();
    let issuer = NodeId::generate();
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)
        .unwrap()
        .public_key_pem();
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)
        .unwrap()
        .public_key_pem();
    for bad in [&*p384, &*ed25519, "", "nonsense", &"x".repeat(5000)] {
        assert!(keys.insert(issuer, bad).is_err(), "{bad}");
    }
    for _ in 0..KEYS_MAX {
        keys.insert(issuer, &Key::generate().unwrap().spki_pem())
            .unwrap();
    }
    assert!(
        keys.insert(issuer, &Key::generate().unwrap().spki_pem())
            .is_err()
    );
}

proptest! {
    #[test]
    fn any_text_is_refused(text in ".{0,300}") {
        prop_assert_eq!(judge_lease(&text), Err(Code::TicketInvalid));
    }

    #[test]
    fn any_three_parts_are_refused(
        header in proptest::collection::vec(any::<u8>(), 0..100),
        body in proptest::collection::vec(any::<u8>(), 0..100),
        signature in proptest::collection::vec(any::<u8>(), 0..100),
        real_header in any::<bool>(),
    ) {
        let real = grid().element.sign_lease(&lease()).unwrap();
        let header = if real_header { real.split('.').next().unwrap().to_owned() } else { URL_SAFE_NO_PAD.encode(header) };
        let text = format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(body), URL_SAFE_NO_PAD.encode(signature));
        prop_assert_eq!(judge_lease(&text), Err(Code::TicketInvalid));
    }

    #[test]
    fn any_changed_byte_is_refused(at in any::<prop::sample::Index>(), byte in 0x21u8..0x7f) {
        let ticket = grid().element.sign_lease(&lease()).unwrap();
        let mut changed = ticket.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        prop_assert!(judge_lease(std::str::from_utf8(&changed).unwrap()).is_err());
    }
}
