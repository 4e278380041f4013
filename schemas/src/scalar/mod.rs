//! The scalar types of the resource description model: one type per dimension,
//! each with the lexical form that `xsd/common.xsd` states for it.
//!
//! Invariant: a value of these types always has a lexical form that the XSD
//! accepts and that reads back as the same value ([`WorkPath`] alone stands in no
//! document). Reading follows XSD: white
//! space (space, tab, CR, LF, nothing else) is collapsed first, except in
//! [`Text`]; lengths count characters.

mod data;
mod number;
mod path;
mod storage;
mod text;
mod utc;

use std::borrow::Cow;

pub use data::DatabaseName;
pub(crate) use number::ascii_digits;
pub use number::{Decimal, Percent, Seconds};
pub use path::WorkPath;
pub use storage::{BucketName, FailureLabel};
pub use text::{LocalId, PrincipalName, Text, Token, TokenHash, Uri, VariableName};
pub use utc::UtcTime;

/// A TCP or UDP port; never 0.
pub type Port = std::num::NonZeroU16;

/// How much of a refused value an error repeats, in characters.
const SHOWN_CHARACTERS: usize = 80;

/// A text that is not a value of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not valid here: expected {expected}")]
pub struct ScalarError {
    expected: &'static str,
    found: String,
}

impl ScalarError {
    /// Makes an error that names what was expected and shows (the beginning of) what was found.
    pub fn new(expected: &'static str, found: &str) -> Self {
        let mut shown: String = found.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < found.len() {
            shown.push('…');
        }
        Self {
            expected,
            found: shown,
        }
    }

    /// Says what was expected.
    pub const fn expected(&self) -> &'static str {
        self.expected
    }

    /// Gives the refused text, cut if it is long.
    pub fn found(&self) -> &str {
        &self.found
    }
}

/// XML's own white space; Rust's notion is wider.
pub(crate) const fn is_xml_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// Characters that an XML 1.0 document can hold at all.
pub(crate) const fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// White space as the XSD facet `collapse` leaves it.
pub(crate) fn collapse(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim_matches(is_xml_space);
    let clean = !trimmed.contains(['\t', '\n', '\r']) && !trimmed.contains("  ");
    if clean {
        return Cow::Borrowed(trimmed);
    }
    let words: Vec<&str> = trimmed
        .split(is_xml_space)
        .filter(|word| !word.is_empty())
        .collect();
    Cow::Owned(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapse_follows_xsd() {
        assert_eq!(collapse(" \t a \r\n b  c "), "a b c");
        assert_eq!(collapse(" \n "), "");
        assert_eq!(collapse("\u{a0}a\u{a0}"), "\u{a0}a\u{a0}");
    }

    #[test]
    fn error_shows_a_bounded_piece() {
        let error = ScalarError::new("a word", &"x".repeat(500));
        assert_eq!(error.found().chars().count(), SHOWN_CHARACTERS + 1);
        assert!(error.to_string().contains("expected a word"));
    }
}
