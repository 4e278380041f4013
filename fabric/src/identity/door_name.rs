//! The names by which programs that know nothing of nodes reach a door, as its
//! certificate carries them.

use std::{fmt, net::IpAddr, str::FromStr};

use super::certificate::DNS_SUFFIX;

/// The most characters of a DNS name, and of one of its labels.
const NAME_CHARACTERS_MAX: usize = 253;
const LABEL_CHARACTERS_MAX: usize = 63;

/// A host name or an address of a door. Never a name of the nodes' own kind, and
/// never one that stands for several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DoorName {
    /// In lower case.
    Dns(String),
    /// Without brackets.
    Address(IpAddr),
}

/// A text that is no such name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host name or address that a certificate may carry")]
pub struct DoorNameError(String);

impl DoorName {
    /// Whether it means the machine on which it is said.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Dns(name) => name == "localhost",
            Self::Address(address) => address.is_loopback(),
        }
    }
}

impl fmt::Display for DoorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl FromStr for DoorName {
    type Err = DoorNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse() {
            return Ok(Self::Address(address));
        }
        let name = text.to_ascii_lowercase();
        let is_own = name == DNS_SUFFIX || name.ends_with(&format!(".{DNS_SUFFIX}"));
        // A name whose last label is a number is an address that is misspelt.
        let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        let ends_in_number = name.rsplit('.').next().is_none_or(is_number);
        if name.len() > NAME_CHARACTERS_MAX
            || is_own
            || ends_in_number
            || !name.split('.').all(is_label)
        {
            return Err(DoorNameError(
                text.chars().take(NAME_CHARACTERS_MAX).collect(),
            ));
        }
        Ok(Self::Dns(name))
    }
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_CHARACTERS_MAX).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart_and_wildcards_refused() {
        for (text, shown) in [
            ("s3.lab", "s3.lab"),
            ("S3.Lab.Example", "s3.lab.example"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(text.parse::<DoorName>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "*.lab",
            "a..b",
            "-a.lab",
            "a b",
            "1.2.3.4.5",
            "256.0.0.1",
            "x.gridmart.internal",
            "GRIDMART.INTERNAL",
            &"a".repeat(64),
            "lab:9000",
        ] {
            assert!(text.parse::<DoorName>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,300}") {
            if let Ok(name) = text.parse::<DoorName>() {
                prop_assert_eq!(name.to_string().parse::<DoorName>(), Ok(name));
            }
        }
    }
}
