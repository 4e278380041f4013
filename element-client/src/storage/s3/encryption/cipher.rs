//! Encrypting and decrypting, from any place on.

use std::sync::Arc;

use aws_lc_rs::{
    cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey},
    iv::FixedLength,
};
use s3s::{S3Result, s3_error};

pub(super) const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 16;

/// The key of one object. Clones share it.
#[derive(Clone, Debug)]
pub(in super::super) struct Cipher(Arc<EncryptingKey>);

fn refused() -> s3s::S3Error {
    s3_error!(InternalError, "The cipher does not work.")
}

impl Cipher {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> S3Result<Self> {
        let key = UnboundCipherKey::new(&AES_256, key).map_err(|_| refused())?;
        let key = EncryptingKey::ctr(key).map_err(|_| refused())?;
        Ok(Self(Arc::new(key)))
    }

    /// Encrypts bytes, or decrypts them: both are the same. They are those of an
    /// object from `offset` on; of a part, which has a nonce of its own, from there
    /// on in the part. No two different contents may have the same nonce.
    pub(in super::super) fn apply(
        &self,
        nonce: u64,
        offset: u64,
        bytes: &[u8],
    ) -> S3Result<Vec<u8>> {
        let block = BLOCK_BYTES as u64;
        let lead = usize::try_from(offset % block).map_err(|_| refused())?;
        let mut whole = vec![0; lead];
        whole.extend_from_slice(bytes);
        let mut counter = [0; BLOCK_BYTES];
        let (high, low) = counter.split_at_mut(8);
        high.copy_from_slice(&nonce.to_be_bytes());
        low.copy_from_slice(&(offset / block).to_be_bytes());
        let context = EncryptionContext::Iv128(FixedLength::from(counter));
        self.0
            .less_safe_encrypt(&mut whole, context)
            .map_err(|_| refused())?;
        whole.drain(..lead);
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_aes_in_counter_mode() {
        // NIST SP 800-38B, D.3: the key's encryption of a block of zeros.
        let key: [u8; 32] =
            hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
                .unwrap()
                .try_into()
                .unwrap();
        let cipher = Cipher::new(&key).unwrap();
        let zero = cipher.apply(0, 0, &[0; 16]).unwrap();
        assert_eq!(hex::encode(zero), "e568f68194cf76d6174d4cc04310a854");
    }

    proptest! {
        #[test]
        fn pieces_are_those_of_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            at in 0..200_usize,
            nonce: u64,
        ) {
            let cipher = Cipher::new(&[7; KEY_BYTES]).unwrap();
            let whole = cipher.apply(nonce, 0, &bytes).unwrap();
            let at = at.min(bytes.len());
            let rest = cipher.apply(nonce, at as u64, &bytes[at..]).unwrap();
            prop_assert_eq!(&whole[at..], &rest[..]);
            prop_assert_eq!(cipher.apply(nonce, at as u64, &rest).unwrap(), &bytes[at..]);
        }
    }
}
