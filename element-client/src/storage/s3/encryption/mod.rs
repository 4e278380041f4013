//! Encryption by the server: what is on the Hosts of an object that asks for it is
//! of no use without a key.
//!
//! Each such object has a key of its own, of random bytes, under which its bytes are
//! encrypted (AES-256 in counter mode: any range is read without what is before it).
//! That key lies beside the object, sealed: under the Element's key, or under a key
//! that whoever puts the object sends along, and that is kept nowhere. Sealing tells
//! a wrong key. What is damaged on a Host is told by the stripes' own digests.

mod cipher;
mod envelope;
mod source;
mod wanted;

pub(in crate::storage) use self::envelope::{is_encrypted, is_sealed_under_element};
pub(super) use self::{
    cipher::Cipher,
    envelope::{begin, forget, open, told},
    source::{NONCE, Plain, plain},
    wanted::{CustomerKey, Wanted},
};

/// Takes the headers of a key out of an operation's input.
macro_rules! customer {
    ($input:expr) => {
        [
            $input.sse_customer_algorithm.as_deref(),
            $input.sse_customer_key.as_deref(),
            $input.sse_customer_key_md5.as_deref(),
        ]
    };
}
pub(super) use customer;

/// The same for the key of what is copied.
macro_rules! source_customer {
    ($input:expr) => {
        [
            $input.copy_source_sse_customer_algorithm.as_deref(),
            $input.copy_source_sse_customer_key.as_deref(),
            $input.copy_source_sse_customer_key_md5.as_deref(),
        ]
    };
}
pub(super) use source_customer;
