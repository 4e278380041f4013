//! The name of an object in its bucket.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most bytes of a key, as S3 has it.
const KEY_BYTES_MAX: usize = 1024;

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of {bytes} bytes: 1 to 1024 bytes of UTF-8 are expected")]
pub struct KeyError {
    bytes: usize,
}

/// The key of an object: 1 to 1024 bytes of UTF-8. Keys sort by their bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Gives the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        if (1..=KEY_BYTES_MAX).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(KeyError { bytes: text.len() })
        }
    }
}

impl std::str::FromStr for ObjectKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::try_from(text.to_owned())
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
