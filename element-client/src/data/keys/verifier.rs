//! With what a password is verified without being known: SCRAM-SHA-256 (RFC 5802, 7677).

use std::num::NonZeroU32;

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac::{HMAC_SHA256, Key, sign},
    pbkdf2::{PBKDF2_HMAC_SHA256, derive},
};

/// Rounds of the derivation, as PostgreSQL has them; secrets here are random, of 240 bits,
/// and need none.
const ITERATIONS: NonZeroU32 = match NonZeroU32::new(4096) {
    Some(iterations) => iterations,
    None => NonZeroU32::MIN,
};
/// Bytes of a salt.
pub(in crate::data) const SALT_BYTES: usize = 16;

/// See the module. None of it lets anybody sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Verifier {
    pub(in crate::data) salt: Vec<u8>,
    pub(in crate::data) iterations: u32,
    pub(in crate::data) stored_key: [u8; 32],
    pub(in crate::data) server_key: [u8; 32],
}

/// HMAC-SHA-256.
pub(in crate::data) fn mac(key: &[u8], of: &[u8]) -> [u8; 32] {
    let tag = sign(&Key::new(HMAC_SHA256, key), of);
    bytes(tag.as_ref())
}

/// SHA-256.
pub(in crate::data) fn hash(of: &[u8]) -> [u8; 32] {
    bytes(digest(&SHA256, of).as_ref())
}

/// Both algorithms give 32 bytes.
fn bytes(of: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(of) {
        *to = *from;
    }
    bytes
}

impl Verifier {
    /// Of a secret, under a random salt.
    pub(in crate::data) fn of(secret: &str) -> Self {
        Self::salted(secret, &rand::random::<[u8; SALT_BYTES]>())
    }

    pub(in crate::data) fn salted(secret: &str, salt: &[u8]) -> Self {
        let mut salted = [0; 32];
        let (algorithm, secret) = (PBKDF2_HMAC_SHA256, secret.as_bytes());
        derive(algorithm, ITERATIONS, salt, secret, &mut salted);
        Self {
            salt: salt.to_vec(),
            iterations: ITERATIONS.get(),
            stored_key: hash(&mac(&salted, b"Client Key")),
            server_key: mac(&salted, b"Server Key"),
        }
    }

    /// For a name that nobody has: always the same for it, and no password opens it.
    pub(in crate::data) fn mock(server_secret: &[u8], name: &str) -> Self {
        let derived = |what: &str| mac(server_secret, format!("{what} {name}").as_bytes());
        let salt = derived("salt");
        Self {
            salt: salt.get(..SALT_BYTES).unwrap_or(&salt).to_vec(),
            iterations: ITERATIONS.get(),
            stored_key: derived("stored key"),
            server_key: derived("server key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn a_secret_is_verified_as_the_standard_has_it() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::salted("pencil", &salt);
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
                       r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
                       c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = STANDARD.encode(mac(&verifier.server_key, message.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn an_unknown_name_has_the_same_salt_each_time() {
        let (one, again) = (Verifier::mock(b"s", "eve"), Verifier::mock(b"s", "eve"));
        assert_eq!(one, again);
        assert_ne!(one.salt, Verifier::mock(b"s", "bob").salt);
        assert_ne!(one.salt, Verifier::mock(b"t", "eve").salt);
        assert_eq!(one.salt.len(), Verifier::of("x").salt.len());
    }
}
