//! What a block is known by.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A text that is no block root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a block root: 64 lower-case hex digits are expected")]
pub struct BlockRootError(String);

/// The hash that binds a block's identity, position and content: what manifests
/// and receipts name. 64 hex digits in text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlockRoot([u8; 32]);

impl BlockRoot {
    /// Wraps a finished hash.
    pub const fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// Gives the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

impl FromStr for BlockRoot {
    type Err = BlockRootError;

    fn from_str(text: &str) -> Result<Self, BlockRootError> {
        let refused = || BlockRootError(text.chars().take(80).collect());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(refused());
        }
        let mut hash = [0; 32];
        for (byte, &[high, low]) in hash.iter_mut().zip(pairs) {
            let high = digit(high).ok_or_else(refused)?;
            let low = digit(low).ok_or_else(refused)?;
            *byte = high << 4 | low;
        }
        Ok(Self(hash))
    }
}

impl TryFrom<String> for BlockRoot {
    type Error = BlockRootError;

    fn try_from(text: String) -> Result<Self, BlockRootError> {
        text.parse()
    }
}

impl From<BlockRoot> for String {
    fn from(root: BlockRoot) -> Self {
        root.to_string()
    }
}

impl fmt::Display for BlockRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_has_one_form() {
        let root = BlockRoot::new(std::array::from_fn(|at| u8::try_from(at * 7).unwrap()));
        let text = root.to_string();
        assert_eq!(text.parse(), Ok(root));
        for bad in [
            "",
            &text[1..],
            &format!("{text}00"),
            &text.to_uppercase(),
            &text.replace("07", "0ä"),
            &text.replace("07", "+7"),
        ] {
            assert!(bad.parse::<BlockRoot>().is_err(), "{bad}");
        }
    }
}
