//! Scalars that are text: names, addresses, free text.

use super::{collapse, is_xml_character};

/// Longest token and local id, in characters.
const TOKEN_MAX: usize = 255;
/// Longest address, in characters.
const URI_MAX: usize = 2048;
/// Longest free text, in characters.
const TEXT_MAX: usize = 4096;
/// Longest name in an access rule, in characters.
const PRINCIPAL_MAX: usize = 240;

/// Declares a newtype over `String` whose content `$check` has accepted.
/// `$normal` brings the text into its normal form first.
macro_rules! string_scalar {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $normal:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// What a text must look like to be one, for messages.
            pub const EXPECTED: &'static str = $expected;

            /// Reads the text; the same as [`str::parse`].
            pub fn new(text: &str) -> Result<Self, $crate::scalar::ScalarError> {
                let normal: std::borrow::Cow<'_, str> = ($normal)(text);
                if ($check)(&*normal) {
                    Ok(Self(normal.into_owned()))
                } else {
                    Err($crate::scalar::ScalarError::new(Self::EXPECTED, text))
                }
            }

            /// Gives the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::scalar::ScalarError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::scalar::ScalarError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(&text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::scalar::ScalarError;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}
pub(super) use string_scalar;

fn has_length(text: &str, max: usize) -> bool {
    // Every character takes a byte at least, so most long texts are not counted.
    text.len() <= max || (text.len() <= max * 4 && text.chars().count() <= max)
}

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && has_length(text, TOKEN_MAX) && text.chars().all(is_xml_character)
}

pub(super) fn is_local_id(text: &str) -> bool {
    text.len() <= TOKEN_MAX
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':'))
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    text.len() <= URI_MAX
        && scheme
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'))
        && !rest.is_empty()
        && rest.bytes().all(|byte| (b'!'..=b'~').contains(&byte))
}

fn is_text(text: &str) -> bool {
    has_length(text, TEXT_MAX) && text.chars().all(is_xml_character)
}

fn is_principal_name(text: &str) -> bool {
    is_token(text) && has_length(text, PRINCIPAL_MAX)
}

fn is_variable_name(text: &str) -> bool {
    text.len() <= TOKEN_MAX
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_token_hash(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

string_scalar!(
    /// One to 255 characters; runs of white space count as one space. Unknown
    /// is absent, so an empty token does not exist.
    Token, "1 to 255 characters", collapse, is_token
);
string_scalar!(
    /// A name fit for paths and queries (GLUE 2 `LocalID_t`).
    LocalId, "a letter, then letters, digits, `_`, `-`, `.`, `:`; at most 255 characters", collapse, is_local_id
);
string_scalar!(
    /// An absolute address: a scheme, a colon, printable ASCII without spaces.
    Uri, "an absolute URI (scheme, colon, printable ASCII) of at most 2048 characters", collapse, is_uri
);
string_scalar!(
    /// Free text, white space kept; may be empty.
    Text, "at most 4096 characters that XML can hold", std::borrow::Cow::Borrowed, is_text
);
string_scalar!(
    /// The name in an access rule: of a person, role, domain, application or organisation.
    PrincipalName, "a name of 1 to 240 characters", collapse, is_principal_name
);
string_scalar!(
    /// The name of an environment variable.
    VariableName, "a letter or `_`, then letters, digits, `_`; at most 255 characters", collapse, is_variable_name
);
string_scalar!(
    /// The hash under which a join token is kept.
    TokenHash, "64 lower-case hex digits", collapse, is_token_hash
);

impl Uri {
    /// Names a resource by its UUID: `urn:uuid:…`.
    pub fn from_uuid(uuid: &uuid::Uuid) -> Self {
        Self(uuid.urn().to_string())
    }

    /// Gives the UUID of a `urn:uuid:…` name.
    pub fn to_uuid(&self) -> Option<uuid::Uuid> {
        let text = self.0.strip_prefix("urn:uuid:")?;
        uuid::Uuid::try_parse(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_collapse_and_are_never_empty() {
        assert_eq!(Token::new(" a \n b ").unwrap().as_str(), "a b");
        for bad in ["", " \t", "a\u{0}b", "\u{ffff}", &"é".repeat(256)] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
        assert!(Token::new(&"é".repeat(255)).is_ok());
    }

    #[test]
    fn uris_are_absolute_ascii() {
        for good in [
            "urn:uuid:1",
            "https://a.example:1/x?y#z",
            "a+b.c-1:!",
            " mailto:a@b ",
        ] {
            assert!(Uri::new(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            ":x",
            "1a:x",
            "a:",
            "a:b c",
            "a:é",
            "no-colon",
            &format!("a:{}", "x".repeat(2047)),
        ] {
            assert!(Uri::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn text_keeps_white_space() {
        assert_eq!(Text::new(" a\t\n").unwrap().as_str(), " a\t\n");
        assert!(Text::new("").is_ok());
        assert!(Text::new(&"x".repeat(4097)).is_err());
    }

    #[test]
    fn local_ids_start_with_a_letter() {
        assert!(LocalId::new("lab-1.a:b_c").is_ok());
        for bad in ["", "1a", "_a", "a b", "é"] {
            assert!(LocalId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn json_form_is_a_checked_string() {
        let token: Token = serde_json::from_str("\" a  b \"").unwrap();
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"a b\"");
        assert!(serde_json::from_str::<Uri>("\"nothing\"").is_err());
    }

    #[test]
    fn uuid_names_round_trip() {
        let uuid = uuid::Uuid::from_u128(7);
        assert_eq!(Uri::from_uuid(&uuid).to_uuid(), Some(uuid));
        assert_eq!(Uri::new("urn:x:y").unwrap().to_uuid(), None);
    }
}
