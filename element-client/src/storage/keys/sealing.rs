//! The Element's key: the secrets of access keys are sealed under it, and the keys of
//! objects that are encrypted.

use std::{io, path::Path};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use gridmart_fabric::disk::{RealDisk, Secrecy, durable_write, read_bounded};

use crate::run::ElementError;

/// In the data folder; 32 random bytes, for the owner's eyes only.
const FILE: &str = "access-keys.key";
const KEY_BYTES: usize = 32;
/// A key and a byte: more is not read of a file that is none.
const READ_BYTES_MAX: u64 = KEY_BYTES as u64 + 1;

/// What is wrong with the key or with what was sealed under it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealingError {
    /// The file is not to be had.
    #[error("the file {FILE} in the data folder cannot be used")]
    File(#[from] io::Error),
    /// The file holds no key.
    #[error(
        "the file {FILE} in the data folder is not 32 bytes long; put back its copy, or remove it: access keys must be made anew then, and objects encrypted under the Element's key are lost"
    )]
    NoKey,
    /// The file is gone, and with it what was sealed under it.
    #[error(
        "the file {FILE} in the data folder is gone, under which access keys and objects of this Element are sealed; put back its copy. If there is none, write a new key there (`head -c 32 /dev/urandom > {FILE}; chmod 600 {FILE}`): access keys must be made anew then, and objects encrypted under the lost key cannot be read any more"
    )]
    Gone,
    /// Not sealed under this key, or for another id.
    #[error("the secret was not sealed under this Element's key")]
    Foreign,
    /// The cryptographic library refuses.
    #[error("the secret cannot be sealed")]
    Refused,
}

impl From<SealingError> for ElementError {
    fn from(error: SealingError) -> Self {
        Self::Sealing(Box::new(error))
    }
}

/// Seals secrets: AES-256-GCM under a random nonce each, bound to the id.
pub(crate) struct SealingKey(RandomizedNonceKey);

impl SealingKey {
    /// Opens the key of a data folder, or makes it where nothing was sealed yet:
    /// `is_in_use` tells, and is asked only where there is no key. Blocks.
    pub(crate) fn open<E: From<SealingError>>(
        folder: &Path,
        is_in_use: impl FnOnce() -> Result<bool, E>,
    ) -> Result<Self, E> {
        if let Some(key) = Self::find(folder)? {
            return Ok(key);
        }
        if is_in_use()? {
            return Err(SealingError::Gone.into());
        }
        let bytes: [u8; KEY_BYTES] = rand::random();
        durable_write(&RealDisk, &folder.join(FILE), &bytes, Secrecy::Secret)
            .map_err(SealingError::from)?;
        Ok(Self::of(&bytes)?)
    }

    /// The key of a data folder, or one for now that is kept nowhere: for who seals
    /// nothing. Blocks.
    pub(crate) fn find_or_pass(folder: &Path) -> Result<Self, SealingError> {
        match Self::find(folder)? {
            Some(key) => Ok(key),
            None => Self::of(&rand::random::<[u8; KEY_BYTES]>()),
        }
    }

    fn find(folder: &Path) -> Result<Option<Self>, SealingError> {
        let bytes = read_bounded(&folder.join(FILE), READ_BYTES_MAX)?;
        bytes.as_deref().map(Self::of).transpose()
    }

    /// Takes 32 bytes for a key.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, SealingError> {
        if bytes.len() != KEY_BYTES {
            return Err(SealingError::NoKey);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes);
        key.map(Self).map_err(|_| SealingError::NoKey)
    }

    /// Seals the secret of a key.
    pub(crate) fn seal(&self, id: &str, secret: &str) -> Result<Vec<u8>, SealingError> {
        let mut sealed = secret.as_bytes().to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(id.as_bytes()), &mut sealed)
            .map_err(|_| SealingError::Refused)?;
        Ok([nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for a key.
    pub(crate) fn unseal(&self, id: &str, sealed: &[u8]) -> Result<String, SealingError> {
        let (nonce, bytes) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealingError::Foreign)?;
        let mut bytes = bytes.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(id.as_bytes()), &mut bytes)
            .map_err(|_| SealingError::Foreign)?;
        String::from_utf8(opened.to_vec()).map_err(|_| SealingError::Foreign)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn open(folder: &Path, is_in_use: bool) -> Result<SealingKey, SealingError> {
        SealingKey::open(folder, || Ok(is_in_use))
    }

    #[test]
    fn a_secret_opens_for_its_id_under_its_key_only() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = open(folder.path(), false).unwrap();
        let sealed = key.seal("one", "secret").unwrap();
        let again = open(folder.path(), false).unwrap();
        assert_eq!(again.unseal("one", &sealed).unwrap(), "secret");
        assert_ne!(sealed, key.seal("one", "secret").unwrap());
        assert!(matches!(
            again.unseal("two", &sealed),
            Err(SealingError::Foreign)
        ));
        let foreign = open(other.path(), false).unwrap();
        assert!(foreign.unseal("one", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(key.unseal("one", &damaged).is_err(), "{at}");
            assert!(key.unseal("one", &sealed[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn the_file_is_its_owners_and_another_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), false).unwrap();
        let path = folder.path().join(FILE);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, [0; 31]).unwrap();
        assert!(matches!(
            open(folder.path(), false),
            Err(SealingError::NoKey)
        ));
    }

    #[test]
    fn a_lost_key_is_not_made_anew_where_something_is_sealed_under_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let lost = open(folder.path(), true).err().unwrap();
        assert!(matches!(lost, SealingError::Gone), "{lost}");
        SealingKey::find_or_pass(folder.path()).unwrap();
        assert!(!path.exists());
        let sealed = open(folder.path(), false).unwrap().seal("one", "secret");
        let again = open(folder.path(), true).unwrap();
        assert_eq!(again.unseal("one", &sealed.unwrap()).unwrap(), "secret");
    }
}
