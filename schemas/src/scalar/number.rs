//! Scalars that are numbers, kept as whole numbers so that equality and round
//! trips are exact.

use std::{fmt, str::FromStr, time::Duration};

use super::{ScalarError, collapse};

/// A length of time with millisecond resolution, below 10¹² seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = f64)]
pub struct Seconds(u64);

/// A share from 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = u8)]
pub struct Percent(u8);

/// A signed decimal number with six places, below 10⁹ in size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = f64)]
pub struct Decimal(i64);

/// Largest number of milliseconds or millionths: fifteen digits, exact in an `f64`.
const FIXED_MAX: u64 = 999_999_999_999_999;

impl Seconds {
    /// What a text must look like to be one, for messages.
    pub const EXPECTED: &'static str =
        "seconds: 1 to 12 digits, then at most 3 decimal places, no sign";
    /// The longest time that can be said.
    pub const MAX: Self = Self(FIXED_MAX);

    /// From milliseconds; more than [`Self::MAX`] becomes [`Self::MAX`].
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis > FIXED_MAX {
            FIXED_MAX
        } else {
            millis
        })
    }

    /// From whole seconds; more than [`Self::MAX`] becomes [`Self::MAX`].
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// From a measured time, cut to milliseconds.
    pub fn from_duration(duration: Duration) -> Self {
        Self::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// Gives milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Gives the standard library's form.
    pub const fn to_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        seconds.to_duration()
    }
}

impl Percent {
    /// What a text must look like to be one, for messages.
    pub const EXPECTED: &'static str = "a whole number from 0 to 100";

    /// Takes 0 to 100.
    pub fn new(value: u8) -> Result<Self, ScalarError> {
        if value <= 100 {
            Ok(Self(value))
        } else {
            Err(ScalarError::new(Self::EXPECTED, &value.to_string()))
        }
    }

    /// Gives the number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Decimal {
    /// What a text must look like to be one, for messages.
    pub const EXPECTED: &'static str =
        "a decimal number: 1 to 9 digits, then at most 6 decimal places, `-` allowed";

    /// From millionths; limited to what nine digits and six places can say.
    pub const fn from_millionths(millionths: i64) -> Self {
        let max = FIXED_MAX.cast_signed();
        if millionths > max {
            Self(max)
        } else if millionths < -max {
            Self(-max)
        } else {
            Self(millionths)
        }
    }

    /// Gives millionths.
    pub const fn as_millionths(self) -> i64 {
        self.0
    }

    /// From a measured number, rounded to six places; `None` if it is not a
    /// number or too large.
    pub fn from_f64(value: f64) -> Option<Self> {
        scale(value, 1e6).map(Self)
    }

    /// Gives the nearest floating-point number.
    #[expect(
        clippy::cast_precision_loss,
        reason = "fifteen digits are exact in an f64"
    )]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// Scales and rounds; `None` outside of fifteen digits.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "bounded to fifteen digits, which an f64 holds exactly"
)]
fn scale(value: f64, factor: f64) -> Option<i64> {
    let scaled = (value * factor).round();
    (scaled.abs() <= FIXED_MAX as f64).then_some(scaled as i64)
}

/// Whether the text is `[0-9]{1,max}`.
pub(crate) fn ascii_digits(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads `[0-9]{1,whole}(\.[0-9]{1,places})?` as a whole number of units of
/// the last place.
fn parse_fixed(text: &str, whole: usize, places: usize) -> Option<u64> {
    let (before, after) = match text.split_once('.') {
        Some((before, after)) if ascii_digits(after, places) => (before, after),
        Some(_) => return None,
        None => (text, ""),
    };
    if !ascii_digits(before, whole) {
        return None;
    }
    format!("{before}{after:0<places$}").parse().ok()
}

/// Writes units of the last place as a decimal number without trailing zeros.
fn write_fixed(f: &mut fmt::Formatter<'_>, units: u64, per_one: u64, places: usize) -> fmt::Result {
    write!(f, "{}", units / per_one)?;
    let rest = units % per_one;
    if rest == 0 {
        return Ok(());
    }
    let digits = format!("{rest:0places$}");
    write!(f, ".{}", digits.trim_end_matches('0'))
}

impl FromStr for Seconds {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        parse_fixed(&collapse(text), 12, 3)
            .map(Self)
            .ok_or_else(|| ScalarError::new(Self::EXPECTED, text))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_fixed(f, self.0, 1000, 3)
    }
}

impl FromStr for Percent {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let digits = collapse(text);
        let value: Option<u8> = if ascii_digits(&digits, 10) {
            digits.parse().ok()
        } else {
            None
        };
        value
            .and_then(|value| Self::new(value).ok())
            .ok_or_else(|| ScalarError::new(Self::EXPECTED, text))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Decimal {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let collapsed = collapse(text);
        let (negative, digits) = match collapsed.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, &*collapsed),
        };
        let size =
            parse_fixed(digits, 9, 6).ok_or_else(|| ScalarError::new(Self::EXPECTED, text))?;
        let size = size.cast_signed();
        Ok(Self(if negative { -size } else { size }))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write_fixed(f, self.0.unsigned_abs(), 1_000_000, 6)
    }
}

impl serde::Serialize for Seconds {
    #[expect(
        clippy::cast_precision_loss,
        reason = "fifteen digits are exact in an f64"
    )]
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

impl<'de> serde::Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        scale(value, 1e3)
            .and_then(|millis| u64::try_from(millis).ok())
            .map(Self)
            .ok_or_else(|| {
                serde::de::Error::custom(ScalarError::new(Self::EXPECTED, &value.to_string()))
            })
    }
}

impl serde::Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Percent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u8::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

impl<'de> serde::Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        Self::from_f64(value).ok_or_else(|| {
            serde::de::Error::custom(ScalarError::new(Self::EXPECTED, &value.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seconds_have_milliseconds() {
        assert_eq!("007.5".parse(), Ok(Seconds::from_millis(7500)));
        assert_eq!(Seconds::from_millis(7500).to_string(), "7.5");
        assert_eq!(Seconds::from_millis(50).to_string(), "0.05");
        assert_eq!(Seconds::from_secs(3).to_string(), "3");
        for bad in [
            "",
            "-1",
            "+1",
            "1.",
            ".5",
            "1.2345",
            "1e3",
            "1 2",
            "1234567890123",
            "INF",
        ] {
            assert!(bad.parse::<Seconds>().is_err(), "{bad}");
        }
    }

    #[test]
    fn percent_is_bounded() {
        assert_eq!(" 0100 ".parse::<Percent>().map(Percent::get), Ok(100));
        for bad in ["101", "-0", "1.5", "", "00000000001"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Percent>("101").is_err());
    }

    #[test]
    fn decimals_keep_their_sign() {
        assert_eq!("-0.5".parse(), Ok(Decimal::from_millionths(-500_000)));
        assert_eq!(Decimal::from_millionths(-500_000).to_string(), "-0.5");
        assert_eq!("-0".parse(), Ok(Decimal::default()));
        assert_eq!(Decimal::from_f64(f64::NAN), None);
        assert_eq!(Decimal::from_f64(1e12), None);
        for bad in ["+1", "--1", "1.1234567", "1234567890", "-"] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_limited() {
        assert_eq!(Seconds::from_secs(u64::MAX), Seconds::MAX);
        assert_eq!(Seconds::MAX.to_string().parse(), Ok(Seconds::MAX));
        let least = Decimal::from_millionths(i64::MIN);
        assert_eq!(least.to_string().parse(), Ok(least));
        assert!(serde_json::from_str::<Seconds>("-1").is_err());
    }

    proptest! {
        #[test]
        fn text_and_json_round_trip(millis in 0..=FIXED_MAX, millionths in -999_999_999_999_999i64..=999_999_999_999_999) {
            let seconds = Seconds::from_millis(millis);
            prop_assert_eq!(seconds.to_string().parse(), Ok(seconds));
            let json = serde_json::to_string(&seconds).unwrap();
            prop_assert_eq!(serde_json::from_str::<Seconds>(&json).unwrap(), seconds);
            let decimal = Decimal::from_millionths(millionths);
            prop_assert_eq!(decimal.to_string().parse(), Ok(decimal));
            let json = serde_json::to_string(&decimal).unwrap();
            prop_assert_eq!(serde_json::from_str::<Decimal>(&json).unwrap(), decimal);
        }
    }
}
