//! Judging tickets.

use std::{collections::HashMap, time::Duration};

use gridmart_schemas::{
    id::{KeyHash, NodeId},
    problem::{Code, Problem},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use x509_parser::{
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY},
    prelude::FromDer as _,
    x509::SubjectPublicKeyInfo,
};

use super::{
    AccessClaims, BlockClaims, KEYS_MAX, LEEWAY, LeaseClaims, LogClaims, ReceiptClaims, Times,
    claims::Claims,
};
use crate::identity::key_hash_of_spki;

/// The most bytes of a public key, PEM; ours have 178.
const SPKI_PEM_BYTES_MAX: usize = 4096;

/// The keys whose tickets are believed, each with its owner.
#[derive(Clone, Default)]
pub struct VerifyingKeys {
    keys: HashMap<String, (NodeId, DecodingKey)>,
}

impl std::fmt::Debug for VerifyingKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(self.keys.iter().map(|(kid, (issuer, _))| (kid, issuer)))
            .finish()
    }
}

impl VerifyingKeys {
    /// Believes tickets that `issuer` signs with this key
    /// (`SubjectPublicKeyInfo`, PEM).
    pub fn insert(&mut self, issuer: NodeId, spki_pem: &str) -> Result<KeyHash, Problem> {
        let refusal = |what: &str| {
            Problem::new(
                Code::InvalidRequest,
                format!("The ticket key of {issuer} {what}."),
            )
        };
        if spki_pem.len() > SPKI_PEM_BYTES_MAX {
            return Err(refusal("is too long"));
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(refusal("is one too many"));
        }
        let der = SubjectPublicKeyInfoDer::from_pem_slice(spki_pem.as_bytes())
            .map_err(|_| refusal("is not a PEM public key"))?;
        let (_, spki) =
            SubjectPublicKeyInfo::from_der(&der).map_err(|_| refusal("is not a public key"))?;
        let curve = spki
            .algorithm
            .parameters
            .as_ref()
            .and_then(|parameters| parameters.as_oid().ok());
        if spki.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY || curve != Some(OID_EC_P256) {
            return Err(refusal("is not of the curve P-256"));
        }
        let kid = key_hash_of_spki(&der);
        let key = DecodingKey::from_ec_der(&spki.subject_public_key.data);
        self.keys.insert(kid.as_str().to_owned(), (issuer, key));
        Ok(kid)
    }

    /// Judges an access ticket that the holder of the TLS key `presenter`
    /// shows to the Element `audience`.
    pub fn verify_access(
        &self,
        ticket: &str,
        audience: NodeId,
        presenter: &KeyHash,
        now: OffsetDateTime,
    ) -> Result<AccessClaims, Problem> {
        self.verify(ticket, audience, presenter, now)
    }

    /// Judges a ticket for the log of a database, which the Host that holds the TLS key
    /// `presenter` shows to the Host of its core.
    pub fn verify_log(
        &self,
        ticket: &str,
        audience: NodeId,
        presenter: &KeyHash,
        now: OffsetDateTime,
    ) -> Result<LogClaims, Problem> {
        self.verify(ticket, audience, presenter, now)
    }

    /// Judges a lease ticket that the holder of the TLS key `presenter` shows
    /// to the Host (or to the Element that made it, if it is the `audience`).
    pub fn verify_lease(
        &self,
        ticket: &str,
        audience: NodeId,
        presenter: &KeyHash,
        now: OffsetDateTime,
    ) -> Result<LeaseClaims, Problem> {
        self.verify(ticket, audience, presenter, now)
    }

    /// Judges a block ticket that the holder of the TLS key `presenter` shows
    /// to the Host `audience`.
    pub fn verify_block(
        &self,
        ticket: &str,
        audience: NodeId,
        presenter: &KeyHash,
        now: OffsetDateTime,
    ) -> Result<BlockClaims, Problem> {
        self.verify(ticket, audience, presenter, now)
    }

    /// Judges a receipt that the holder of the TLS key `presenter` shows to the
    /// Element `audience`; who stated it is its issuer.
    pub fn verify_receipt(
        &self,
        receipt: &str,
        audience: NodeId,
        presenter: &KeyHash,
        now: OffsetDateTime,
    ) -> Result<ReceiptClaims, Problem> {
        self.verify(receipt, audience, presenter, now)
    }

    fn verify<C: Claims>(
        &self,
        ticket: &str,
        audience: NodeId,
        presenter: &KeyHash,
        now: OffsetDateTime,
    ) -> Result<C, Problem> {
        let claims: C = self.authentic(ticket)?;
        judge(&claims, audience, presenter, now)?;
        Ok(claims)
    }

    /// The claims, if one of our keys has signed them for its own owner.
    fn authentic<C: Claims>(&self, ticket: &str) -> Result<C, Problem> {
        let (owner, claims): (_, C) = self.opened(ticket, C::TYPE, C::BYTES_MAX)?;
        if claims.issuer() != owner {
            return Err(invalid("its issuer does not own its key"));
        }
        Ok(claims)
    }

    /// What one of our keys has signed, and whose key that is.
    pub(super) fn opened<T: DeserializeOwned>(
        &self,
        ticket: &str,
        kind: &str,
        bytes_max: usize,
    ) -> Result<(NodeId, T), Problem> {
        if ticket.len() > bytes_max {
            return Err(invalid(&format!(
                "it is over the limit of {bytes_max} bytes"
            )));
        }
        let header =
            jsonwebtoken::decode_header(ticket).map_err(|_| invalid("it has no header of ours"))?;
        if header.alg != Algorithm::ES256 {
            return Err(invalid("its algorithm is not ES256"));
        }
        if header.typ.as_deref() != Some(kind) {
            return Err(invalid("it is of another type"));
        }
        if header.crit.is_some() {
            return Err(invalid("it demands extensions"));
        }
        let (owner, key) = header
            .kid
            .and_then(|kid| self.keys.get(&kid))
            .ok_or_else(|| invalid("its key is not known here"))?;
        // Audience and times are judged by the caller, with its own clock.
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let decoded = jsonwebtoken::decode(ticket, key, &validation)
            .map_err(|_| invalid("its signature or its form is wrong"))?;
        Ok((*owner, decoded.claims))
    }
}

/// What is judged of claims that are authentic: for whom they are, who shows
/// them, and when.
pub(super) fn judge<C: Claims>(
    claims: &C,
    audience: NodeId,
    presenter: &KeyHash,
    now: OffsetDateTime,
) -> Result<(), Problem> {
    if claims.audience() != audience {
        let detail = format!(
            "The ticket is for {}, not for {audience}.",
            claims.audience()
        );
        return Err(Problem::new(Code::TicketForeign, detail));
    }
    if claims.presenter() != presenter {
        let detail = "The ticket belongs to another TLS key than the one it was shown with.";
        return Err(Problem::new(Code::TicketKeyMismatch, detail));
    }
    judge_times(claims.times(), C::LIFE_MAX, now)
}

fn judge_times(times: Times, life_max: Duration, now: OffsetDateTime) -> Result<(), Problem> {
    let life = times.exp.saturating_sub(times.nbf.min(times.iat));
    if times.exp <= times.nbf || life > life_max.as_secs().cast_signed() {
        return Err(invalid("its life is longer than tickets live"));
    }
    let now = now.unix_timestamp();
    let leeway = LEEWAY.as_secs().cast_signed();
    if now >= times.exp.saturating_add(leeway) {
        let detail = format!(
            "The ticket's time is over: it was made {} s ago by this machine's clock. If it is new, \
             the clock of this machine, or of the one that made it, is wrong by that.",
            now.saturating_sub(times.iat)
        );
        return Err(Problem::new(Code::TicketExpired, detail));
    }
    let begins = times.nbf.max(times.iat);
    if now < begins.saturating_sub(leeway) {
        let detail = format!(
            "The ticket's time has not come: it was made {} s from now by this machine's clock. \
             The clock of this machine, or of the one that made it, is wrong by that.",
            begins.saturating_sub(now)
        );
        return Err(Problem::new(Code::TicketExpired, detail));
    }
    Ok(())
}

fn invalid(why: &str) -> Problem {
    Problem::new(
        Code::TicketInvalid,
        format!("The ticket is refused: {why}."),
    )
}
