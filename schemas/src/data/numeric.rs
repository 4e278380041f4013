//! Exact decimal numbers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Digits that a number may have, before and after its point together: what
/// PostgreSQL takes in a declaration.
pub const NUMERIC_DIGITS_MAX: usize = 1000;

/// A `numeric`: an exact decimal number in the one form that it is written in.
/// An optional minus sign; digits without leading zeros; if it has a scale, a
/// point and its digits, of which trailing zeros are kept, as PostgreSQL keeps
/// them. There is no −0, no exponent, no NaN and no infinity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Numeric(String);

/// Why something is not a number here, or does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumericError {
    /// It is not written as one.
    #[error("{0:?} is not a decimal number such as -12.50")]
    Malformed(String),
    /// It has too many digits.
    #[error("a number may have {NUMERIC_DIGITS_MAX} digits, and this one has {0}")]
    TooLong(usize),
    /// Its column has no place for it.
    #[error("{value} does not fit numeric({precision},{scale}), and numbers are never rounded")]
    DoesNotFit {
        /// The number.
        value: String,
        /// Digits of the column.
        precision: u16,
        /// Of which after the point.
        scale: u16,
    },
}

impl Numeric {
    /// The number as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Digits after the point.
    pub fn scale(&self) -> usize {
        self.parts().1.len()
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('.').unwrap_or((&self.0, ""))
    }

    /// The same number with exactly so many digits after its point.
    pub fn for_column(&self, precision: u16, scale: u16) -> Result<Self, NumericError> {
        let does_not_fit = || NumericError::DoesNotFit {
            value: self.0.clone(),
            precision,
            scale,
        };
        let (whole, fraction) = self.parts();
        let wanted = usize::from(scale);
        let lost = fraction.get(wanted..).unwrap_or("");
        let whole_digits = whole.trim_start_matches('-').trim_start_matches('0').len();
        if !lost.bytes().all(|digit| digit == b'0')
            || whole_digits + wanted > usize::from(precision)
        {
            return Err(does_not_fit());
        }
        if wanted == 0 {
            return Ok(Self(whole.to_owned()));
        }
        let kept = &fraction[..wanted.min(fraction.len())];
        Ok(Self(format!("{whole}.{kept:0<wanted$}")))
    }
}

impl FromStr for Numeric {
    type Err = NumericError;

    fn from_str(text: &str) -> Result<Self, NumericError> {
        let malformed = || NumericError::Malformed(text.chars().take(64).collect());
        let (negative, digits) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty()
            || !whole
                .bytes()
                .chain(fraction.bytes())
                .all(|digit| digit.is_ascii_digit())
        {
            return Err(malformed());
        }
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            trimmed => trimmed,
        };
        if whole.len() + fraction.len() > NUMERIC_DIGITS_MAX {
            return Err(NumericError::TooLong(whole.len() + fraction.len()));
        }
        let is_zero = whole
            .bytes()
            .chain(fraction.bytes())
            .all(|digit| digit == b'0');
        let sign = if negative && !is_zero { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        Ok(Self(format!("{sign}{whole}{point}{fraction}")))
    }
}

impl TryFrom<String> for Numeric {
    type Error = NumericError;

    fn try_from(text: String) -> Result<Self, NumericError> {
        text.parse()
    }
}

impl From<Numeric> for String {
    fn from(numeric: Numeric) -> Self {
        numeric.0
    }
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numeric(text: &str) -> Numeric {
        text.parse().unwrap()
    }

    #[test]
    fn one_number_has_one_form() {
        for (text, form) in [
            ("1", "1"),
            ("+007", "7"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-001.50", "-1.50"),
        ] {
            assert_eq!(numeric(text).as_str(), form);
        }
        for text in [
            "", "-", ".", "1e5", "NaN", "Infinity", " 1", "1,5", "--1", "١",
        ] {
            assert!(text.parse::<Numeric>().is_err(), "{text:?}");
        }
        assert!("9".repeat(NUMERIC_DIGITS_MAX).parse::<Numeric>().is_ok());
        assert!(
            "9".repeat(NUMERIC_DIGITS_MAX + 1)
                .parse::<Numeric>()
                .is_err()
        );
    }

    #[test]
    fn a_column_never_rounds() {
        let fits = |text: &str, precision, scale| {
            numeric(text)
                .for_column(precision, scale)
                .ok()
                .map(|fit| fit.0)
        };
        assert_eq!(fits("1.5", 10, 2).as_deref(), Some("1.50"));
        assert_eq!(fits("1.500", 10, 2).as_deref(), Some("1.50"));
        assert_eq!(fits("1.505", 10, 2), None);
        assert_eq!(fits("100", 2, 0), None);
        assert_eq!(fits("-99.00", 2, 0).as_deref(), Some("-99"));
        assert_eq!(fits("0.12", 2, 2).as_deref(), Some("0.12"));
        assert_eq!(fits(&"9".repeat(38), 38, 0), Some("9".repeat(38)));
        assert_eq!(fits(&"9".repeat(39), 38, 0), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "[-+]?[0-9]{0,20}\\.?[0-9]{0,20}") {
            if let Ok(number) = text.parse::<Numeric>() {
                let again: Numeric = number.as_str().parse().unwrap();
                prop_assert_eq!(again, number);
            }
        }
    }
}
