//! Numbers of bytes: typed as `512`, `64KiB`, `4GiB`, shown as `1.5 GiB`.

use std::{fmt, str::FromStr};

use serde::Deserialize;

const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Size(u64);

impl Size {
    /// Wraps a number of bytes.
    pub(crate) const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Reads a number of bytes of which 0 makes no sense.
    pub(crate) fn above_zero(text: &str) -> Result<Self, String> {
        match text.parse()? {
            Self(0) => Err("a size above 0 is expected".to_owned()),
            size => Ok(size),
        }
    }

    /// Gives the bytes.
    pub(crate) const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a size is expected, for example 512, 64KiB or 4GiB".to_owned();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let factor = match unit {
            "" => 1,
            _ => {
                UNITS
                    .iter()
                    .find(|(name, _)| *name == unit)
                    .ok_or_else(wrong)?
                    .1
            }
        };
        let count: u64 = count.parse().map_err(|_| wrong())?;
        count.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = UNITS
            .into_iter()
            .find(|(_, factor)| self.0 >= *factor)
            .unwrap_or(("B", 1));
        let whole = self.0 / factor;
        let tenths = u128::from(self.0 % factor) * 10 / u128::from(factor);
        if tenths == 0 || factor == 1 {
            write!(f, "{whole} {name}")
        } else {
            write!(f, "{whole}.{tenths} {name}")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_shown_in_the_largest_fitting_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (5 << 30, "5 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn wrong_sizes_are_refused() {
        for text in ["", "KiB", "1kb", "-1", "1 GiB", "99999999TiB", "1é"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whole_units_read_back(count in 0_u64..1 << 20, unit in 0_usize..5) {
            let (name, factor) = UNITS[unit];
            prop_assert_eq!(format!("{count}{name}").parse::<Size>(), Ok(Size(count * factor)));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,30}") {
            let _ = text.parse::<Size>();
        }

        #[test]
        fn the_unit_is_the_largest_that_fits(bytes in any::<u64>()) {
            let text = Size(bytes).to_string();
            let (number, unit) = text.split_once(' ').unwrap();
            let factor = UNITS.iter().find(|(name, _)| *name == unit).unwrap().1;
            let whole: u64 = number.split('.').next().unwrap().parse().unwrap();
            prop_assert_eq!(whole, bytes / factor);
            prop_assert!(unit == "TiB" || whole < 1024);
        }
    }
}
