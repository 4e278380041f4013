//! Join tokens: `gmj1.` and base64url of a JSON object.
//!
//! A token binds kind, domain and parent, and carries the fingerprint of the
//! root that the new node pins. Only the hash of its secret is ever kept.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gridmart_schemas::{
    id::{NodeId, TokenId},
    role::NodeKind,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Version and recognition mark of the text form.
const PREFIX: &str = "gmj1.";
/// The most bytes of a token's text.
const TEXT_BYTES_MAX: usize = 2048;
const SECRET_BYTES: usize = 32;

/// A text that is not a join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a join token: copy the whole line that `gridmart token create` showed, from `gmj1.` on"
)]
pub struct JoinTokenError;

/// A join token, whole. It is shown once and never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Its public part.
    pub id: TokenId,
    /// What may join with it.
    pub kind: NodeKind,
    /// The domain of what joins.
    pub domain: String,
    /// Where it joins: the node that the door's certificate has to name.
    pub parent: NodeId,
    /// SHA-256 of the root certificate, 64 hex digits.
    pub fingerprint: String,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("domain", &self.domain)
            .field("parent", &self.parent)
            .finish_non_exhaustive()
    }
}

/// The text form's content: short names, since people copy it.
#[derive(Serialize, Deserialize)]
struct Fields {
    i: TokenId,
    k: NodeKind,
    d: String,
    p: NodeId,
    f: String,
    s: Zeroizing<String>,
}

impl JoinToken {
    /// Makes a token with a new secret.
    pub fn generate(kind: NodeKind, domain: &str, parent: NodeId, fingerprint: &str) -> Self {
        Self {
            id: TokenId::generate(),
            kind,
            domain: domain.to_owned(),
            parent,
            fingerprint: fingerprint.to_owned(),
            secret: Zeroizing::new(rand::random()),
        }
    }

    /// What is kept in the secret's place: SHA-256, 64 hex digits.
    pub fn secret_hash(&self) -> String {
        hex::encode(aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            self.secret.as_slice(),
        ))
    }

    /// Whether the secret is the one with that hash; takes equal time for all.
    pub fn secret_matches(&self, hash: &str) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(
            self.secret_hash().as_bytes(),
            hash.as_bytes(),
        )
        .is_ok()
    }

    /// What the parent of such a node is.
    pub const fn parent_kind(&self) -> NodeKind {
        match self.kind.element_kind() {
            Some(element) => element,
            None => NodeKind::Control,
        }
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = Fields {
            i: self.id,
            k: self.kind,
            d: self.domain.clone(),
            p: self.parent,
            f: self.fingerprint.clone(),
            s: Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.as_slice())),
        };
        let json = Zeroizing::new(serde_json::to_vec(&fields).map_err(|_| fmt::Error)?);
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(&*json))
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        let text = text.trim();
        let body = text
            .strip_prefix(PREFIX)
            .filter(|_| text.len() <= TEXT_BYTES_MAX)
            .ok_or(JoinTokenError)?;
        let json = Zeroizing::new(URL_SAFE_NO_PAD.decode(body).map_err(|_| JoinTokenError)?);
        let fields: Fields = serde_json::from_slice(&json).map_err(|_| JoinTokenError)?;
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        let length = URL_SAFE_NO_PAD.decode_slice(fields.s.as_bytes(), secret.as_mut_slice());
        let hex_digits = fields.f.len() == 64
            && fields
                .f
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if length != Ok(SECRET_BYTES) || !hex_digits || fields.d.is_empty() {
            return Err(JoinTokenError);
        }
        Ok(Self {
            id: fields.i,
            kind: fields.k,
            domain: fields.d,
            parent: fields.p,
            fingerprint: fields.f,
            secret,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> JoinToken {
        JoinToken::generate(
            NodeKind::ComputeHost,
            "lab",
            NodeId::generate(),
            &"ab".repeat(32),
        )
    }

    #[test]
    fn the_text_form_reads_back() {
        let token = token();
        let read: JoinToken = format!(" {token}\n").parse().unwrap();
        assert_eq!(read, token);
        assert!(read.secret_matches(&token.secret_hash()));
        assert_eq!(read.parent_kind(), NodeKind::ComputingElement);
    }

    #[test]
    fn the_secret_is_not_shown_and_not_guessed() {
        let (token, other) = (token(), token());
        let secret = URL_SAFE_NO_PAD.encode(token.secret.as_slice());
        assert!(!format!("{token:?}").contains(&secret));
        assert!(!token.secret_matches(&other.secret_hash()));
        assert!(!token.secret_matches(""));
    }

    #[test]
    fn a_cut_token_is_refused() {
        let text = token().to_string();
        for length in 0..text.len() {
            assert!(text[..length].parse::<JoinToken>().is_err(), "{length}");
        }
        assert!(
            format!("{PREFIX}{}", "A".repeat(4000))
                .parse::<JoinToken>()
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(body in ".{0,200}", json in "\\{\"[ikdpfs]\":\"[a-z0-9]{0,40}\"\\}") {
            let _ = body.parse::<JoinToken>();
            let prefixed = format!("{PREFIX}{body}");
            prop_assert!(prefixed.parse::<JoinToken>().is_err());
            let encoded = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json));
            prop_assert!(encoded.parse::<JoinToken>().is_err());
        }
    }
}
