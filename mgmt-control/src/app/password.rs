//! Passwords: argon2id, checked in blocking tasks, a few at a time.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use gridmart_schemas::problem::{Code, Problem};
use rand::RngExt as _;
use tokio::sync::Semaphore;

use crate::failure::Failure;

/// The shortest password.
const PASSWORD_CHARACTERS_MIN: usize = 12;
/// The longest; a hash of more costs time for nothing.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Checks at a time: each takes 19 MiB and tens of milliseconds of CPU.
const CHECKS_MAX: usize = 2;
/// Characters of a password that the controller makes.
const MADE_CHARACTERS: usize = 24;

/// Hashes and checks passwords.
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Checked when nobody of that name exists, so that it takes as long.
    decoy: String,
}

impl Passwords {
    /// Makes the decoy; takes as long as hashing a password.
    pub fn new() -> Result<Self, Failure> {
        Ok(Self {
            turns: Arc::new(Semaphore::new(CHECKS_MAX)),
            decoy: hash(&make())?,
        })
    }

    /// Hashes a new password, if it may be one.
    pub async fn hash(&self, password: String) -> Result<String, Failure> {
        let length = password.chars().count();
        if length < PASSWORD_CHARACTERS_MIN || password.len() > PASSWORD_BYTES_MAX {
            return Err(Problem::new(
                Code::InvalidRequest,
                format!("A password has {PASSWORD_CHARACTERS_MIN} characters or more, and {PASSWORD_BYTES_MAX} bytes at most."),
            )
            .into());
        }
        self.in_turn(move || hash(&password)).await?
    }

    /// Whether the password is the one that was hashed; `None`: nobody of that
    /// name, which is found out just as slowly.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Failure> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let good = self.in_turn(move || verify(&password, &hash)).await?;
        Ok(good && known)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|error| Failure::internal("waiting for a turn", &error))?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        done.await
            .map_err(|error| Failure::internal("checking a password", &error))
    }
}

/// Makes a random password.
pub fn make() -> String {
    rand::rng()
        .sample_iter(rand::distr::Alphanumeric)
        .take(MADE_CHARACTERS)
        .map(char::from)
        .collect()
}

/// Hashes without asking whether it may be a password.
pub fn hash(password: &str) -> Result<String, Failure> {
    let failed =
        |error: argon2::password_hash::Error| Failure::internal("hashing a password", &error);
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(failed)?;
    Ok(hash.to_string())
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_is_right() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords
            .hash("correct horse battery".to_owned())
            .await
            .unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let verify = |password: &str, hash: Option<&String>| {
            passwords.verify(password.to_owned(), hash.cloned())
        };
        assert!(verify("correct horse battery", Some(&hash)).await.unwrap());
        assert!(!verify("correct horse batterz", Some(&hash)).await.unwrap());
        assert!(!verify("correct horse battery", None).await.unwrap());
        assert!(
            !verify("correct horse battery", Some(&"damaged".to_owned()))
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn short_and_endless_ones_are_refused() {
        let passwords = Passwords::new().unwrap();
        for bad in ["short".to_owned(), "x".repeat(PASSWORD_BYTES_MAX + 1)] {
            assert_eq!(
                passwords.hash(bad).await.unwrap_err().code(),
                Code::InvalidRequest
            );
        }
        assert_eq!(make().len(), MADE_CHARACTERS);
        assert_ne!(make(), make());
    }
}
