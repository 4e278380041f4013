//! Access keys: an id that is no secret, and a secret that is shown once. Who knows them,
//! and what is kept of the secret, is for each kind of Element to say.

use gridmart_schemas::{
    id::PersonName,
    problem::{Code, Problem},
};
use rand::RngExt as _;

/// The most characters of what a key is for.
const LABEL_CHARACTERS_MAX: usize = 240;
/// Characters of ids: no vowels and nothing that looks like another one.
const ID_CHARACTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ23456789";
const ID_PREFIX: &str = "GM";
const ID_LENGTH: usize = 18;
/// 40 characters of 64: 240 bits.
const SECRET_CHARACTERS: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SECRET_LENGTH: usize = 40;
/// The most access keys of one person at one Element.
const KEYS_PER_PERSON_MAX: usize = 20;

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

/// Refuses a label that nobody would read.
pub(crate) fn require_label(label: &str) -> Result<(), Problem> {
    if label.chars().count() <= LABEL_CHARACTERS_MAX {
        return Ok(());
    }
    let detail = format!("The label has more than {LABEL_CHARACTERS_MAX} characters.");
    Err(Problem::new(Code::InvalidRequest, detail))
}

/// Refuses one key more than a person may have.
pub(crate) fn require_room(person: &PersonName, present: usize) -> Result<(), Problem> {
    if present < KEYS_PER_PERSON_MAX {
        return Ok(());
    }
    let detail = format!(
        "{person} has {KEYS_PER_PERSON_MAX} access keys at this Element, which is all that one \
         may have: delete one first."
    );
    Err(Problem::new(Code::LimitExceeded, detail))
}

/// Somebody else's key is nobody's business.
pub(crate) fn unknown(person: &PersonName, id: &str) -> Problem {
    let shown: String = id.chars().take(80).collect();
    let detail = format!("{person} has no access key {shown:?} at this Element.");
    Problem::new(Code::NotFound, detail)
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
