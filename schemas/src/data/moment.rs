//! Dates and times of SQL: years 1 to 9999, microseconds, fixed-width texts that
//! sort as the moments do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use time::{Date, PrimitiveDateTime, Time, format_description::BorrowedFormatItem};

use crate::scalar::ScalarError;

type Form = &'static [BorrowedFormatItem<'static>];

const DATE: Form = time::macros::format_description!("[year]-[month]-[day]");
const TIME: Form =
    time::macros::format_description!("[hour]:[minute]:[second].[subsecond digits:6]");
const TIMESTAMP: Form = time::macros::format_description!(
    "[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]"
);
const TIMESTAMP_TZ: Form = time::macros::format_description!(
    "[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]Z"
);

macro_rules! moment {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $form:ident, $width:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name($inner);

        impl $name {
            /// What a text must look like to be one, for messages.
            pub const EXPECTED: &'static str = $expected;

            /// The inner value.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = ScalarError;

            /// Reads the one form in which it is written.
            fn from_str(text: &str) -> Result<Self, ScalarError> {
                let refused = || ScalarError::new(Self::EXPECTED, text);
                if text.len() != $width {
                    return Err(refused());
                }
                let inner = <$inner>::parse(text, $form).map_err(|_| refused())?;
                Self::new(inner).map_err(|_| refused())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = self.0.format($form).map_err(|_| fmt::Error)?;
                f.write_str(&text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ScalarError;

            fn try_from(text: String) -> Result<Self, ScalarError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(moment: $name) -> Self {
                moment.to_string()
            }
        }
    };
}

moment! {
    /// A `date`, years 1 to 9999.
    SqlDate, Date, DATE, 10, "a date such as 2026-01-31, years 0001 to 9999"
}
moment! {
    /// A `time` of the day, in microseconds; 24:00 does not exist.
    SqlTime, Time, TIME, 15, "a time such as 23:59:59.000000"
}
moment! {
    /// A `timestamp`: date and time of no zone, years 1 to 9999, in microseconds.
    Timestamp, PrimitiveDateTime, TIMESTAMP, 26,
    "a timestamp such as 2026-01-31 23:59:59.000000, years 0001 to 9999"
}
moment! {
    /// A `timestamptz`: a moment, kept and written in UTC; years 1 to 9999, in
    /// microseconds. The inner value is that in UTC.
    TimestampTz, PrimitiveDateTime, TIMESTAMP_TZ, 27,
    "a UTC timestamp such as 2026-01-31 23:59:59.000000Z, years 0001 to 9999"
}

fn is_in_range(date: Date) -> bool {
    date.year() >= 1 && date.year() <= 9999
}

fn is_whole(time: Time) -> bool {
    time.nanosecond().is_multiple_of(1000)
}

impl SqlDate {
    /// Refuses years outside of 1 to 9999.
    pub fn new(date: Date) -> Result<Self, ScalarError> {
        if is_in_range(date) {
            return Ok(Self(date));
        }
        Err(ScalarError::new(Self::EXPECTED, &date.to_string()))
    }
}

impl SqlTime {
    /// Refuses what is finer than a microsecond.
    pub fn new(time: Time) -> Result<Self, ScalarError> {
        if is_whole(time) {
            return Ok(Self(time));
        }
        Err(ScalarError::new(Self::EXPECTED, &time.to_string()))
    }
}

impl Timestamp {
    /// Refuses years outside of 1 to 9999, and what is finer than a microsecond.
    pub fn new(moment: PrimitiveDateTime) -> Result<Self, ScalarError> {
        if is_in_range(moment.date()) && is_whole(moment.time()) {
            return Ok(Self(moment));
        }
        Err(ScalarError::new(Self::EXPECTED, &moment.to_string()))
    }
}

impl TimestampTz {
    /// From a moment in UTC. Refuses years outside of 1 to 9999, and what is
    /// finer than a microsecond.
    pub fn new(utc: PrimitiveDateTime) -> Result<Self, ScalarError> {
        Timestamp::new(utc).map(|moment| Self(moment.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same<T: FromStr + fmt::Display>(text: &str) -> bool {
        text.parse::<T>()
            .is_ok_and(|value| value.to_string() == text)
    }

    #[test]
    fn extremes_are_written_as_they_are_read() {
        assert!(same::<SqlDate>("0001-01-01"));
        assert!(same::<SqlDate>("9999-12-31"));
        assert!(same::<SqlTime>("00:00:00.000000"));
        assert!(same::<SqlTime>("23:59:59.999999"));
        assert!(same::<Timestamp>("0001-01-01 00:00:00.000000"));
        assert!(same::<Timestamp>("9999-12-31 23:59:59.999999"));
        assert!(same::<TimestampTz>("0001-01-01 00:00:00.000000Z"));
        assert!(same::<TimestampTz>("9999-12-31 23:59:59.999999Z"));
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "0000-12-31",
            "10000-01-01",
            "2026-02-30",
            "2026-1-1",
            "infinity",
            "",
        ] {
            assert!(text.parse::<SqlDate>().is_err(), "{text}");
        }
        for text in [
            "24:00:00.000000",
            "12:00:60.000000",
            "12:00:00",
            "12:00:00.0000000",
        ] {
            assert!(text.parse::<SqlTime>().is_err(), "{text}");
        }
        assert!("2026-01-01 00:00:00.000000".parse::<TimestampTz>().is_err());
        assert!(
            "2026-01-01 00:00:00.000000+01"
                .parse::<TimestampTz>()
                .is_err()
        );
    }
}
