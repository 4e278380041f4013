//! Identifiers: one type per noun, so that no bare string or UUID crosses a
//! function boundary meaning an id.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An identifier that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {noun}: {expected}")]
pub struct IdError {
    noun: &'static str,
    text: String,
    expected: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, format = "uuid")]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new identifier; later ones sort after earlier ones.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// Wraps an existing UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Gives the UUID.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }

            /// Gives the form that documents use: `urn:uuid:…`.
            pub fn to_urn(&self) -> String {
                self.0.urn().to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text).map(Self).map_err(|_| IdError {
                    noun: $noun,
                    text: text.chars().take(64).collect(),
                    expected: "a UUID is expected",
                })
            }
        }
    };
}

uuid_id!(
    /// A node: the controller, an Element or a Host.
    NodeId, "node id");
uuid_id!(
    /// The permission to use slots of one Host for one person and application.
    LeaseId, "lease id");
uuid_id!(
    /// One call of an application; a retry is a new attempt under the same id.
    CallId, "call id");
uuid_id!(
    /// One map over many parts.
    JobId, "job id");
uuid_id!(
    /// A bucket of a Storage Element; its name may change owner, its id never does.
    BucketId, "bucket id");
uuid_id!(
    /// One whole content of one key of a bucket.
    VersionId, "version id");
uuid_id!(
    /// A piece of an object version that is made safe by itself.
    StripeId, "stripe id");
uuid_id!(
    /// An upload in parts that is not an object version yet.
    UploadId, "upload id");
uuid_id!(
    /// Object bytes on their way: one put, get or copy.
    TransferId, "transfer id");
uuid_id!(
    /// A session in which somebody runs SQL statements on one database.
    SqlSessionId, "SQL session id");
uuid_id!(
    /// A database of a Data Element; its name may change hands, its id never does.
    DatabaseId, "database id");
uuid_id!(
    /// One request of a person or program, followed through all tiers.
    RequestId, "request id");
uuid_id!(
    /// A place in an Element's queue.
    EntryId, "queue entry id");
uuid_id!(
    /// An API token or a join token (its public part).
    TokenId, "token id");
uuid_id!(
    /// One report of a map's progress: heard twice, it counts once.
    ReportId, "report id");
uuid_id!(
    /// One start of a node's process: another value means that it restarted.
    Incarnation, "incarnation");

/// The one-time secret under which a Host dials its Element for one program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RelayNonce(Uuid);

impl RelayNonce {
    /// Makes one of bytes that nobody can guess.
    pub const fn from_random(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for RelayNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}

impl fmt::Debug for RelayNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A secret, as long as it is unused.
        f.write_str("RelayNonce")
    }
}

impl FromStr for RelayNonce {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::parse_str(text).map(Self).map_err(|_| IdError {
            noun: "relay nonce",
            text: text.chars().take(64).collect(),
            expected: "32 hex digits are expected",
        })
    }
}

/// One position of a stripe, on one Host: `<stripe>-<position>` in text, fit for
/// a file name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlockId {
    /// The stripe.
    pub stripe: StripeId,
    /// Data blocks come first, from 0, then parity.
    pub position: u8,
}

impl FromStr for BlockId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let read = text.rsplit_once('-').and_then(|(stripe, position)| {
            Some(Self {
                stripe: stripe.parse().ok()?,
                position: position.parse().ok()?,
            })
        });
        // One block has one name: no other case, no leading zeros.
        read.filter(|id| id.to_string() == text)
            .ok_or_else(|| IdError {
                noun: "block id",
                text: text.chars().take(64).collect(),
                expected: "a lower-case UUID, `-` and a position from 0 to 255 are expected",
            })
    }
}

impl TryFrom<String> for BlockId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<BlockId> for String {
    fn from(id: BlockId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stripe, self.position)
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The content hash of an application package: `blake3:` and 64 hex digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct Digest(String);

impl Digest {
    const PREFIX: &'static str = "blake3:";

    /// Wraps a finished BLAKE3 hash.
    pub fn from_blake3(hash: [u8; 32]) -> Self {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(71);
        text.push_str(Self::PREFIX);
        for byte in hash {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// Gives the whole text, `blake3:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the hex digits alone, fit for a file name.
    pub fn hex(&self) -> &str {
        &self.0[Self::PREFIX.len()..]
    }
}

impl FromStr for Digest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let good = text.strip_prefix(Self::PREFIX).is_some_and(|hex| {
            hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError {
                noun: "digest",
                text: text.chars().take(80).collect(),
                expected: "`blake3:` and 64 lower-case hex digits are expected",
            })
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over the DER `SubjectPublicKeyInfo` of a TLS key, as 64 hex digits:
/// what a ticket names as its presenter (after RFC 8705, with the key in place
/// of the certificate, so that a renewed certificate keeps its tickets).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct KeyHash(String);

impl KeyHash {
    /// Gives the hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyHash {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError {
                noun: "key hash",
                text: text.chars().take(80).collect(),
                expected: "64 lower-case hex digits are expected",
            })
        }
    }
}

impl TryFrom<String> for KeyHash {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<KeyHash> for String {
    fn from(hash: KeyHash) -> Self {
        hash.0
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a person: 1 to 64 of `a-z 0-9 . _ -`, starting with a letter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct PersonName(String);

impl PersonName {
    /// Gives the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
        if first && rest && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError {
                noun: "person's name",
                text: text.chars().take(80).collect(),
                expected: "1 to 64 of a-z 0-9 . _ - starting with a letter are expected",
            })
        }
    }
}

impl TryFrom<String> for PersonName {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<PersonName> for String {
    fn from(name: PersonName) -> Self {
        name.0
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_accepts_only_its_own_form() {
        let digest = Digest::from_blake3([0xab; 32]);
        assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.hex().len(), 64);
        for bad in [
            "",
            "blake3:",
            "sha256:00",
            &digest.as_str().to_uppercase(),
            "blake3:../../etc/passwd",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn person_names_are_bounded() {
        assert!("ada.lovelace-1".parse::<PersonName>().is_ok());
        for bad in ["", "Ada", "1a", "a b", "a/b", &"a".repeat(65)] {
            assert!(bad.parse::<PersonName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_sort_by_age() {
        let first = CallId::generate();
        let second = CallId::generate();
        assert!(first < second);
        assert_eq!(first.to_string().parse::<CallId>().unwrap(), first);
    }

    #[test]
    fn a_block_has_one_name() {
        let id = BlockId {
            stripe: StripeId::generate(),
            position: 5,
        };
        let text = id.to_string();
        assert_eq!(text.parse::<BlockId>().unwrap(), id);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        let stripe = id.stripe;
        for bad in [
            String::new(),
            "-".to_owned(),
            stripe.to_string(),
            format!("{stripe}-"),
            format!("{stripe}-05"),
            format!("{stripe}-+5"),
            format!("{stripe}--5"),
            format!("{stripe}-256"),
            format!("{stripe}-5/.."),
            format!("{{{stripe}}}-5"),
            text.to_uppercase().replace("-5", "-5A"),
            format!("{}-5", stripe.to_string().to_uppercase()),
        ] {
            assert!(bad.parse::<BlockId>().is_err(), "{bad}");
        }
    }
}
