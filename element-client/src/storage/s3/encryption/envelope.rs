//! An object's key, sealed, in its metadata.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gridmart_schemas::id::VersionId;
use rusqlite::Connection;
use s3s::{S3Result, dto::ServerSideEncryption, s3_error};

use super::{Cipher, CustomerKey, Wanted, cipher::KEY_BYTES, wanted::AES256};
use crate::storage::{
    keys::SealingKey,
    metadata::{ObjectHead, StoreError, query},
};

/// In an object's metadata: under whose key its own is sealed.
const SEALED_UNDER: &str = "x-gridmart-sealed-under";
/// In an object's metadata: its key, sealed, base64.
const SEALED_KEY: &str = "x-gridmart-sealed-key";
const ELEMENT: &str = "element";
const CUSTOMER: &str = "customer";

/// To what a key is bound: it opens nothing else.
fn bound(version: VersionId) -> String {
    format!("object/{version}")
}

fn refused() -> s3s::S3Error {
    s3_error!(InternalError, "The object's key cannot be used.")
}

/// Makes the key of a new object as it is wanted, and notes it, sealed.
pub(in super::super) fn begin(
    head: &mut ObjectHead,
    wanted: &Wanted,
    element: &SealingKey,
    version: VersionId,
) -> S3Result<Option<Cipher>> {
    let key: [u8; KEY_BYTES] = rand::random();
    let (text, id) = (hex::encode(key), bound(version));
    let (under, sealed) = match wanted {
        Wanted::Nothing => return Ok(None),
        Wanted::Element => (ELEMENT, element.seal(&id, &text)),
        Wanted::Customer(customer) => {
            let customer = SealingKey::of(&customer.bytes).map_err(|_| refused())?;
            (CUSTOMER, customer.seal(&id, &text))
        }
    };
    let sealed = STANDARD.encode(sealed.map_err(|_| refused())?);
    head.headers
        .insert(SEALED_UNDER.to_owned(), under.to_owned());
    head.headers.insert(SEALED_KEY.to_owned(), sealed);
    Cipher::new(&key).map(Some)
}

/// Takes the notes away: what is made of a copy of metadata has a key of its own.
pub(in super::super) fn forget(head: &mut ObjectHead) {
    head.headers.remove(SEALED_UNDER);
    head.headers.remove(SEALED_KEY);
}

/// Whether what is on the Hosts of an object can be read with its key alone.
pub(in crate::storage) fn is_encrypted(head: &ObjectHead) -> bool {
    head.headers.contains_key(SEALED_UNDER)
}

/// Opens the key of an object with what the request brings; none: the object is not
/// encrypted.
pub(in super::super) fn open(
    head: &ObjectHead,
    customer: Option<&CustomerKey>,
    element: &SealingKey,
    version: VersionId,
) -> S3Result<Option<Cipher>> {
    let under = head.headers.get(SEALED_UNDER).map(String::as_str);
    let unsealed = |sealing: &SealingKey| {
        let sealed = STANDARD.decode(head.headers.get(SEALED_KEY)?).ok()?;
        let key = sealing.unseal(&bound(version), &sealed).ok()?;
        <[u8; KEY_BYTES]>::try_from(hex::decode(key).ok()?).ok()
    };
    let key = match (under, customer) {
        (None, None) => return Ok(None),
        (Some(ELEMENT), None) => unsealed(element).ok_or_else(refused)?,
        (Some(CUSTOMER), Some(customer)) => {
            let customer = SealingKey::of(&customer.bytes).map_err(|_| refused())?;
            unsealed(&customer).ok_or_else(|| {
                s3_error!(
                    InvalidRequest,
                    "The key that was provided is not the one that the object is encrypted with."
                )
            })?
        }
        (Some(CUSTOMER), None) => {
            return Err(s3_error!(
                InvalidRequest,
                "The object was stored using a form of Server Side Encryption. The correct \
                 parameters must be provided to retrieve the object."
            ));
        }
        (_, Some(_)) => {
            return Err(s3_error!(
                InvalidRequest,
                "The encryption parameters are not applicable to this object."
            ));
        }
        (Some(_), None) => return Err(refused()),
    };
    Cipher::new(&key).map(Some)
}

/// Whether anything in a store can be used with the Element's key alone: access
/// keys, or objects. Blocks.
pub(in crate::storage) fn is_sealed_under_element(
    connection: &Connection,
) -> Result<bool, StoreError> {
    Ok(
        query::has_access_keys(connection)?
            || query::has_header(connection, SEALED_UNDER, ELEMENT)?,
    )
}

/// What answers tell.
#[derive(Debug, Default)]
pub(in super::super) struct Told {
    pub(in super::super) server: Option<ServerSideEncryption>,
    pub(in super::super) algorithm: Option<String>,
    pub(in super::super) md5: Option<String>,
}

impl Told {
    /// For answers that the S3 library has no place in for them.
    pub(in super::super) fn customer_headers(&self) -> http::HeaderMap {
        let named = [("algorithm", &self.algorithm), ("key-md5", &self.md5)];
        let told = named.into_iter().filter_map(|(what, value)| {
            let name = format!("x-amz-server-side-encryption-customer-{what}");
            let name = http::HeaderName::try_from(name).ok()?;
            Some((name, http::HeaderValue::try_from(value.as_deref()?).ok()?))
        });
        told.collect()
    }
}

/// What is told of an object's encryption to whoever brought its key.
pub(in super::super) fn told(head: &ObjectHead, customer: Option<&CustomerKey>) -> Told {
    match head.headers.get(SEALED_UNDER).map(String::as_str) {
        Some(ELEMENT) => Told {
            server: Some(ServerSideEncryption::from_static(AES256)),
            ..Told::default()
        },
        Some(_) => Told {
            server: None,
            algorithm: Some(AES256.to_owned()),
            md5: customer.map(|customer| customer.md5.clone()),
        },
        None => Told::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(byte: u8) -> CustomerKey {
        CustomerKey {
            bytes: [byte; KEY_BYTES],
            md5: String::new(),
        }
    }

    #[test]
    fn a_key_opens_with_what_it_was_sealed_under_and_for_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let element = SealingKey::find_or_pass(folder.path()).unwrap();
        let (version, other) = (VersionId::generate(), VersionId::generate());
        let zeros = |cipher: &Cipher| cipher.apply(0, 0, &[0; 40]).unwrap();
        for wanted in [Wanted::Element, Wanted::Customer(customer(1))] {
            let mut head = ObjectHead::default();
            let made = begin(&mut head, &wanted, &element, version)
                .unwrap()
                .unwrap();
            let right = match &wanted {
                Wanted::Customer(key) => Some(key),
                _ => None,
            };
            let again = open(&head, right, &element, version).unwrap().unwrap();
            assert_eq!(zeros(&made), zeros(&again));
            assert!(open(&head, right, &element, other).is_err());
            assert!(open(&head, Some(&customer(2)), &element, version).is_err());
            if right.is_some() {
                assert!(open(&head, None, &element, version).is_err());
            }
            let text = serde_json::to_string(&head).unwrap();
            assert!(!text.contains(&STANDARD.encode([1; KEY_BYTES])), "{text}");
            forget(&mut head);
            assert!(open(&head, None, &element, version).unwrap().is_none());
        }
        let plain = ObjectHead::default();
        assert!(open(&plain, Some(&customer(1)), &element, version).is_err());
    }
}
