//! A moment in UTC.

use std::{fmt, str::FromStr};

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use super::{ScalarError, ascii_digits, collapse};

/// A moment in UTC, years 1000 to 2999, with nanoseconds at most. Written as
/// RFC 3339 with `Z`; second 60 does not exist.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, format = "date-time")]
pub struct UtcTime(OffsetDateTime);

impl UtcTime {
    /// What a text must look like to be one, for messages.
    pub const EXPECTED: &'static str =
        "a UTC time such as 2026-01-31T23:59:59.5Z, years 1000 to 2999";

    /// Reads the system's clock.
    pub fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    /// From any offset; refuses years outside of 1000 to 2999.
    pub fn new(moment: OffsetDateTime) -> Result<Self, ScalarError> {
        let utc = moment
            .checked_to_offset(UtcOffset::UTC)
            .filter(|utc| (1000..=2999).contains(&utc.year()));
        utc.map(Self)
            .ok_or_else(|| ScalarError::new(Self::EXPECTED, &moment.to_string()))
    }

    /// From seconds since 1970; refuses years outside of 1000 to 2999.
    pub fn from_unix_seconds(seconds: i64) -> Result<Self, ScalarError> {
        OffsetDateTime::from_unix_timestamp(seconds)
            .map_err(|_| ScalarError::new(Self::EXPECTED, &seconds.to_string()))
            .and_then(Self::new)
    }

    /// Gives whole seconds since 1970.
    pub const fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Gives the inner moment; its offset is UTC.
    pub const fn to_offset_date_time(self) -> OffsetDateTime {
        self.0
    }

    /// Reads `YYYY-MM-DDThh:mm:ss(.f{1,9})?Z`.
    fn parse_exact(text: &str) -> Option<OffsetDateTime> {
        let (stamp, fraction) = match text.strip_suffix('Z')?.split_once('.') {
            Some((stamp, fraction)) if ascii_digits(fraction, 9) => (stamp, fraction),
            Some(_) => return None,
            None => (text.strip_suffix('Z')?, ""),
        };
        let shape = stamp.len() == 19
            && stamp.bytes().enumerate().all(|(index, byte)| match index {
                4 | 7 => byte == b'-',
                10 => byte == b'T',
                13 | 16 => byte == b':',
                _ => byte.is_ascii_digit(),
            });
        if !shape {
            return None;
        }
        let number = |from: usize, to: usize| stamp.get(from..to)?.parse::<u16>().ok();
        let small = |from: usize| number(from, from + 2).and_then(|value| u8::try_from(value).ok());
        let year = i32::from(number(0, 4)?);
        let month = Month::try_from(small(5)?).ok()?;
        let date = Date::from_calendar_date(year, month, small(8)?).ok()?;
        let nanosecond: u32 = format!("{fraction:0<9}").parse().ok()?;
        let time = Time::from_hms_nano(small(11)?, small(14)?, small(17)?, nanosecond).ok()?;
        Some(OffsetDateTime::new_utc(date, time))
    }
}

impl FromStr for UtcTime {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        Self::parse_exact(&collapse(text))
            .ok_or_else(|| ScalarError::new(Self::EXPECTED, text))
            .and_then(Self::new)
    }
}

impl TryFrom<String> for UtcTime {
    type Error = ScalarError;

    fn try_from(text: String) -> Result<Self, ScalarError> {
        text.parse()
    }
}

impl From<UtcTime> for String {
    fn from(moment: UtcTime) -> Self {
        moment.to_string()
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = self.0;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second()
        )?;
        if moment.nanosecond() != 0 {
            let digits = format!("{:09}", moment.nanosecond());
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl fmt::Debug for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_strict_utc_is_read() {
        for good in [
            "2024-02-29T23:59:59Z",
            " 1000-01-01T00:00:00.000000001Z\n",
            "2999-12-31T23:59:59.999999999Z",
        ] {
            assert!(good.parse::<UtcTime>().is_ok(), "{good}");
        }
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "12026-01-01T00:00:00Z",
            "0999-01-01T00:00:00Z",
            "2026-1-01T00:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-00-01T00:00:00Z",
            "２026-01-01T00:00:00Z",
            "",
        ] {
            assert!(bad.parse::<UtcTime>().is_err(), "{bad}");
        }
    }

    #[test]
    fn now_reads_back() {
        let now = UtcTime::now();
        assert_eq!(now.to_string().parse(), Ok(now));
    }

    proptest! {
        #[test]
        fn round_trips(seconds in -30_000_000_000i64..32_000_000_000, nanos in 0i64..1_000_000_000) {
            let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap() + time::Duration::nanoseconds(nanos);
            let moment = UtcTime::new(moment).unwrap();
            prop_assert_eq!(moment.to_string().parse(), Ok(moment));
        }
    }
}
