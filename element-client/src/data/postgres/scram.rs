//! The server's side of SCRAM-SHA-256 (RFC 5802, 7677), without I/O. Channel binding is
//! not offered.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::wire::Malformed;
use crate::data::keys::{Verifier, hash, mac};

/// What it is called on the wire.
pub(super) const MECHANISM: &str = "SCRAM-SHA-256";
/// Random bytes of the server's part of the nonce.
const NONCE_BYTES: usize = 18;

/// A dialogue of which the client has said the first word.
pub(super) struct Dialogue {
    /// What comes before the client's first word, which its last one repeats.
    header: &'static str,
    nonce: String,
    /// Both first words.
    said: String,
    verifier: Verifier,
}

impl Dialogue {
    /// Takes the client's first word.
    pub(super) fn begin(word: &[u8], verifier: Verifier) -> Result<(Self, String), Malformed> {
        Self::with_nonce(
            word,
            verifier,
            &STANDARD.encode(rand::random::<[u8; NONCE_BYTES]>()),
        )
    }

    fn with_nonce(word: &[u8], verifier: Verifier, own: &str) -> Result<(Self, String), Malformed> {
        let word = std::str::from_utf8(word).map_err(|_| Malformed("SCRAM is not UTF-8"))?;
        let headers = ["n,,", "y,,"].into_iter();
        let header = headers
            .clone()
            .find(|header| word.starts_with(header))
            .ok_or(Malformed(
                "SCRAM with channel binding or another identity is not offered",
            ))?;
        let bare = word.get(header.len()..).unwrap_or("");
        let mut fields = bare.split(',');
        // Who it is has been said already; clients leave it empty here.
        fields
            .next()
            .filter(|name| name.starts_with("n="))
            .ok_or(Malformed("SCRAM begins without a name"))?;
        let theirs = fields.next().and_then(|nonce| nonce.strip_prefix("r="));
        let theirs = theirs
            .filter(|nonce| !nonce.is_empty())
            .ok_or(Malformed("SCRAM begins without a nonce"))?;
        let nonce = format!("{theirs}{own}");
        let answer = format!(
            "r={nonce},s={},i={}",
            STANDARD.encode(&verifier.salt),
            verifier.iterations
        );
        let dialogue = Self {
            header,
            nonce,
            said: format!("{bare},{answer}"),
            verifier,
        };
        Ok((dialogue, answer))
    }

    /// Takes the client's last word: what is answered if it has proved to know the
    /// secret, else `None`.
    pub(super) fn end(&self, word: &[u8]) -> Result<Option<String>, Malformed> {
        let word = std::str::from_utf8(word).map_err(|_| Malformed("SCRAM is not UTF-8"))?;
        let (claim, proof) = word
            .rsplit_once(",p=")
            .ok_or(Malformed("SCRAM ends without a proof"))?;
        let expected = format!("c={},r={}", STANDARD.encode(self.header), self.nonce);
        // Extensions may follow, and none is known.
        if claim != expected {
            return Err(Malformed("SCRAM ends otherwise than it began"));
        }
        let proof = STANDARD
            .decode(proof)
            .map_err(|_| Malformed("SCRAM's proof is not in base64"))?;
        let all = format!("{},{claim}", self.said);
        let signature = mac(&self.verifier.stored_key, all.as_bytes());
        let key: Vec<u8> = proof
            .iter()
            .zip(signature)
            .map(|(one, other)| one ^ other)
            .collect();
        let is_whole = proof.len() == signature.len();
        let known = verify_slices_are_equal(&hash(&key), &self.verifier.stored_key);
        if !is_whole || known.is_err() {
            return Ok(None);
        }
        let own = mac(&self.verifier.server_key, all.as_bytes());
        Ok(Some(format!("v={}", STANDARD.encode(own))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn dialogue() -> Dialogue {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::salted("pencil", &salt);
        let own = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        Dialogue::with_nonce(FIRST, verifier, own).unwrap().0
    }

    /// The example of RFC 7677.
    #[test]
    fn who_knows_the_secret_is_let_in() {
        let end = dialogue().end(LAST.as_bytes()).unwrap().unwrap();
        assert_eq!(end, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn nobody_else_is() {
        let wrong = LAST.replace("p=dHz", "p=dHy");
        assert_eq!(dialogue().end(wrong.as_bytes()), Ok(None));
        let short = LAST.replace("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "");
        assert_eq!(dialogue().end(short.as_bytes()), Ok(None));
        for word in [
            LAST.replace("hvYDpWUa2RaTCAfux", "x"),
            LAST.replace("biws", "eSws"),
            "c=biws".to_owned(),
            String::new(),
        ] {
            assert!(dialogue().end(word.as_bytes()).is_err(), "{word}");
        }
        for word in [
            &b"p=tls-server-end-point,,n=,r=a"[..],
            b"n,a=eve,n=,r=a",
            b"n,,n=,r=",
            b"n,,m=x,n=,r=a",
            b"\xff",
            b"",
        ] {
            assert!(Dialogue::begin(word, Verifier::mock(b"s", "x")).is_err());
        }
    }
}
