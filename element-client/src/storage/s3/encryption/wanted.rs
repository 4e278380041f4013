//! What a request says of encryption.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use s3s::{
    S3Result,
    crypto::{Checksum as _, Md5},
    dto::ServerSideEncryption,
    s3_error,
};

use super::cipher::KEY_BYTES;

/// The one cipher there is, as S3 names it.
pub(super) const AES256: &str = ServerSideEncryption::AES256;

/// Algorithm, key and the key's MD5, as their headers have them.
pub(in super::super) type CustomerHeaders<'a> = [Option<&'a str>; 3];

/// A key that a request brings along.
pub(in super::super) struct CustomerKey {
    pub(super) bytes: [u8; KEY_BYTES],
    /// Base64: what its owner tells it by.
    pub(super) md5: String,
}

impl CustomerKey {
    /// Reads the headers; none: the request brings no key.
    pub(in super::super) fn read(headers: CustomerHeaders<'_>) -> S3Result<Option<Self>> {
        let (algorithm, key, md5) = match headers {
            [None, None, None] => return Ok(None),
            [Some(algorithm), Some(key), Some(md5)] => (algorithm, key, md5),
            [None, ..] => {
                return Err(s3_error!(
                    InvalidArgument,
                    "Requests specifying Server Side Encryption with Customer provided keys must \
                     provide a valid encryption algorithm."
                ));
            }
            [_, None, _] => {
                return Err(s3_error!(
                    InvalidArgument,
                    "Requests specifying Server Side Encryption with Customer provided keys must \
                     provide an appropriate secret key."
                ));
            }
            [.., None] => {
                return Err(s3_error!(
                    InvalidArgument,
                    "Requests specifying Server Side Encryption with Customer provided keys must \
                     provide the client calculated MD5 of the secret key."
                ));
            }
        };
        if algorithm != AES256 {
            return Err(s3_error!(
                InvalidEncryptionAlgorithmError,
                "The encryption request you specified is not valid. The valid value is AES256."
            ));
        }
        let bytes: Option<[u8; KEY_BYTES]> = STANDARD
            .decode(key)
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "The secret key was invalid for the specified algorithm."
            )
        })?;
        let mut digest = Md5::new();
        digest.update(&bytes);
        if STANDARD.encode(digest.finalize()) != md5 {
            return Err(s3_error!(
                InvalidArgument,
                "The calculated MD5 hash of the key did not match the hash that was provided."
            ));
        }
        Ok(Some(Self {
            bytes,
            md5: md5.to_owned(),
        }))
    }
}

/// Under which key a new object is to be sealed.
pub(in super::super) enum Wanted {
    Nothing,
    Element,
    Customer(CustomerKey),
}

impl Wanted {
    /// The key that the request brings.
    pub(in super::super) const fn customer(&self) -> Option<&CustomerKey> {
        match self {
            Self::Customer(key) => Some(key),
            Self::Nothing | Self::Element => None,
        }
    }

    /// Reads the headers. Keys of a service that manages them there are none.
    pub(in super::super) fn read(
        server: Option<&ServerSideEncryption>,
        managed_key: Option<&str>,
        customer: CustomerHeaders<'_>,
        is_default: bool,
    ) -> S3Result<Self> {
        let conflict = || {
            s3_error!(
                InvalidArgument,
                "Server Side Encryption with Customer provided key is incompatible with the \
                 encryption method specified"
            )
        };
        if customer.iter().any(Option::is_some) && (server.is_some() || managed_key.is_some()) {
            return Err(conflict());
        }
        if let Some(key) = CustomerKey::read(customer)? {
            return Ok(Self::Customer(key));
        }
        match (server.map(ServerSideEncryption::as_str), managed_key) {
            (None, None) if is_default => Ok(Self::Element),
            (None, None) => Ok(Self::Nothing),
            (Some(AES256), None) => Ok(Self::Element),
            (Some("aws:kms" | "aws:kms:dsse"), _) => {
                crate::storage::s3::fault::not_implemented("A service that manages keys")
            }
            _ => Err(s3_error!(
                InvalidArgument,
                "The encryption method specified is not supported"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=";
    const MD5: &str = "DWygnHRtgiJ77HCm+1rvHw==";

    fn code(server: Option<&str>, managed: Option<&str>, customer: CustomerHeaders<'_>) -> String {
        let server = server.map(|word| ServerSideEncryption::from(word.to_owned()));
        match Wanted::read(server.as_ref(), managed, customer, false) {
            Ok(Wanted::Nothing) => "nothing".to_owned(),
            Ok(Wanted::Element) => "element".to_owned(),
            Ok(Wanted::Customer(_)) => "customer".to_owned(),
            Err(error) => error.code().as_str().to_owned(),
        }
    }

    #[test]
    fn headers_are_whole_or_refused() {
        let none = [None; 3];
        assert_eq!(code(None, None, none), "nothing");
        assert_eq!(code(Some("AES256"), None, none), "element");
        assert_eq!(code(Some("aws:kms"), None, none), "NotImplemented");
        assert_eq!(code(Some("aes:kms"), None, none), "InvalidArgument");
        assert_eq!(code(Some("AES256"), Some("key"), none), "InvalidArgument");
        let whole = [Some("AES256"), Some(KEY), Some(MD5)];
        assert_eq!(code(None, None, whole), "customer");
        assert_eq!(code(Some("AES256"), None, whole), "InvalidArgument");
        for at in 0..3 {
            let mut part = whole;
            part[at] = None;
            assert_eq!(code(None, None, part), "InvalidArgument", "{at}");
        }
        let wrong = [Some("AES256"), Some(KEY), Some("AAAAAAAAAAAAAAAAAAAAAA==")];
        assert_eq!(code(None, None, wrong), "InvalidArgument");
        let short = [Some("AES256"), Some("AAAA"), Some(MD5)];
        assert_eq!(code(None, None, short), "InvalidArgument");
    }
}
