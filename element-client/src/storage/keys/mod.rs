//! Access keys: with which programs sign requests at the S3 door.
//!
//! Signatures of S3 need the secret itself, so it is kept, sealed under a key
//! that stands in a file of its own in the data folder and never in the log: who
//! reads a Host's disk learns no secret. The price: when that file is lost, the
//! metadata that is rebuilt from Hosts holds keys that nobody can open. They are
//! refused like unknown ones, and their persons make new ones; whoever wants to
//! spare them that keeps a copy of the file `access-keys.key`. Where the file is gone
//! and something is sealed under it, the Element does not start: a new key is made by
//! who knows what is lost.

mod desk;
mod sealing;

use rand::RngExt as _;

pub(crate) use self::sealing::SealingKey;

/// Characters of ids: no vowels and nothing that looks like another one.
const ID_CHARACTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ23456789";
const ID_PREFIX: &str = "GM";
const ID_LENGTH: usize = 18;
/// 40 characters of 64: 240 bits.
const SECRET_CHARACTERS: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SECRET_LENGTH: usize = 40;
/// The most access keys of one person at one Element.
pub(crate) const KEYS_PER_PERSON_MAX: usize = 20;

/// A new key; its secret is shown once.
pub(crate) struct NewKey {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl NewKey {
    pub(crate) fn generate() -> Self {
        let id = characters(ID_CHARACTERS, ID_LENGTH);
        Self {
            id: format!("{ID_PREFIX}{id}"),
            secret: characters(SECRET_CHARACTERS, SECRET_LENGTH),
        }
    }
}

fn characters(of: &[u8], length: usize) -> String {
    let mut random = rand::rng();
    (0..length)
        .filter_map(|_| of.get(random.random_range(0..of.len())))
        .map(|byte| char::from(*byte))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_form_of_s3_and_differ() {
        let (one, other) = (NewKey::generate(), NewKey::generate());
        assert_eq!((one.id.len(), one.secret.len()), (20, 40));
        assert!(one.id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(one.id != other.id && one.secret != other.secret);
    }
}
