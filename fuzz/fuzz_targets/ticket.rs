//! No bytes pass for a ticket unless our key has signed them, and of what is
//! signed only what this audience, this TLS key and this moment are meant by.
//!
//! The first byte chooses what the others are: a ticket; the header, claims or
//! signature of a good one; or claims that are signed.
#![no_main]

use std::{sync::LazyLock, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gridmart_fabric::{
    authority::{Authority, NodeSubject},
    identity::{EphemeralKey, NewKey, NodeIdentity},
    ticket::{
        AccessClaims, LEEWAY, LIFE_MAX, LeaseClaims, LeaseCut, SigningKey, TicketApplication,
        Times, VerifyingKeys,
    },
};
use gridmart_schemas::{
    id::{Digest, KeyHash, LeaseId, NodeId},
    role::NodeKind,
    wire::enrol::Certificate,
};
use libfuzzer_sys::fuzz_target;
use time::OffsetDateTime;

struct House {
    signer: SigningKey,
    keys: VerifyingKeys,
    audience: NodeId,
    presenter: KeyHash,
    good: String,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| house().expect("a house can be made"));

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a moment")
}

fn house() -> Result<House, Box<dyn std::error::Error>> {
    let signer = identity()?.signing_key();
    let mut keys = VerifyingKeys::default();
    keys.insert(signer.issuer(), signer.spki_pem())?;
    let presenter = EphemeralKey::generate()?.key_hash().clone();
    let audience: NodeId = "01890a5d-ac96-774b-bcce-b302099a8057".parse()?;
    let Times { nbf, iat, exp } = Times::starting(now(), LIFE_MAX);
    let good = signer.sign_lease(&LeaseClaims {
        iss: signer.issuer(),
        sub: "alice".parse()?,
        aud: audience,
        presenter: presenter.clone(),
        lease: LeaseId::generate(),
        slots: 1,
        application: TicketApplication {
            digest: Digest::from_blake3([7; 32]),
            name: "spf".to_owned(),
            version: "1".to_owned(),
        },
        cut: LeaseCut::default(),
        incarnation: None,
        job: None,
        nbf,
        iat,
        exp,
    })?;
    keys.verify_lease(&good, audience, &presenter, now())?;
    Ok(House {
        signer,
        keys,
        audience,
        presenter,
        good,
    })
}

fn identity() -> Result<NodeIdentity, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::open_or_create(folder.path())?;
    let key = NewKey::generate()?;
    let node = NodeId::generate();
    let subject = NodeSubject {
        id: node,
        kind: NodeKind::ComputingElement,
        domain: "lab".to_owned(),
        dns_names: Vec::new(),
        ips: Vec::new(),
    };
    let chain_pem = authority.sign(
        &key.csr_pem()?,
        &subject,
        OffsetDateTime::now_utc(),
        Duration::from_secs(3600),
    )?;
    Ok(key.into_identity(&Certificate {
        node,
        domain: "lab".to_owned(),
        chain_pem,
        parent: node,
    })?)
}

/// Nobody has signed it.
fn unsigned(ticket: &str) {
    let House {
        keys,
        audience,
        presenter,
        good,
        ..
    } = &*HOUSE;
    if ticket == good {
        return;
    }
    let lease = keys.verify_lease(ticket, *audience, presenter, now());
    let access = keys.verify_access(ticket, *audience, presenter, now());
    assert!(lease.is_err() && access.is_err(), "forged: {ticket}");
}

/// A good ticket with one of its three parts exchanged.
fn exchanged(part: usize, bytes: &[u8]) {
    let mut parts: Vec<String> = HOUSE.good.split('.').map(str::to_owned).collect();
    parts[part] = URL_SAFE_NO_PAD.encode(bytes);
    unsigned(&parts.join("."));
}

/// Placed before a good ticket's claims, a hostile header must not count.
fn signed(bytes: &[u8]) {
    let House {
        signer,
        keys,
        audience,
        presenter,
        ..
    } = &*HOUSE;
    let meant = |times: Times, aud: NodeId, key: &KeyHash| {
        let (now, leeway) = (now().unix_timestamp(), LEEWAY.as_secs().cast_signed());
        aud == *audience
            && key == presenter
            && times.exp > now - leeway
            && times.nbf.max(times.iat) <= now + leeway
            && times.exp - times.nbf.min(times.iat) <= LIFE_MAX.as_secs().cast_signed()
    };
    if let Ok(mut claims) = serde_json::from_slice::<AccessClaims>(bytes) {
        claims.iss = signer.issuer();
        if let Ok(ticket) = signer.sign_access(&claims)
            && let Ok(read) = keys.verify_access(&ticket, claims.aud, &claims.presenter, now())
        {
            assert_eq!(read, claims);
            let (nbf, iat, exp) = (read.nbf, read.iat, read.exp);
            assert!(
                meant(Times { nbf, iat, exp }, *audience, presenter),
                "{read:?}"
            );
            assert!(
                keys.verify_lease(&ticket, claims.aud, &claims.presenter, now())
                    .is_err()
            );
        }
    }
    if let Ok(mut claims) = serde_json::from_slice::<LeaseClaims>(bytes) {
        claims.iss = signer.issuer();
        if let Ok(ticket) = signer.sign_lease(&claims)
            && let Ok(read) = keys.verify_lease(&ticket, *audience, presenter, now())
        {
            assert_eq!(read, claims);
            let (nbf, iat, exp) = (read.nbf, read.iat, read.exp);
            assert!(
                meant(Times { nbf, iat, exp }, read.aud, &read.presenter),
                "{read:?}"
            );
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 5 {
        0 => unsigned(&String::from_utf8_lossy(rest)),
        part @ 1..=3 => exchanged(usize::from(part) - 1, rest),
        _ => signed(rest),
    }
});
