//! What can be counted of Hosts and Elements, and numbers with units as people
//! write and read them in needs.

use gridmart_schemas::resource::needs::{Boundary, Exact, RangeValue};

/// A number that a Host or an Element has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// CPUs that a Host's system shows.
    Cpus,
    /// Bytes of a Host's RAM.
    Memory,
    /// Bytes of a Host's RAM and swap.
    VirtualMemory,
    /// Bytes of a Host's work area.
    Disk,
    /// Hz of a Host's processors.
    CpuSpeed,
    /// Bit/s of a Host's network.
    NetworkBandwidth,
    /// CPU seconds that the Element allows one slot.
    CpuTime,
    /// CPUs of all Hosts of the Element.
    TotalCpus,
    /// Bytes of RAM of all Hosts of the Element.
    TotalMemory,
    /// Bytes of the work areas of all Hosts of the Element.
    TotalDisk,
    /// CPU seconds that the Element allows over all slots.
    TotalCpuTime,
    /// Hosts of the Element.
    Hosts,
}

impl Quantity {
    /// The name in checks, and in people's needs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpus => "cpus",
            Self::Memory => "memory",
            Self::VirtualMemory => "virtual-memory",
            Self::Disk => "disk",
            Self::CpuSpeed => "cpu-speed",
            Self::NetworkBandwidth => "network-bandwidth",
            Self::CpuTime => "cpu-time",
            Self::TotalCpus => "total-cpus",
            Self::TotalMemory => "total-memory",
            Self::TotalDisk => "total-disk",
            Self::TotalCpuTime => "total-cpu-time",
            Self::Hosts => "hosts",
        }
    }

    /// Whether it is of the whole Element, not of one Host.
    pub const fn is_of_element(self) -> bool {
        matches!(
            self,
            Self::CpuTime
                | Self::TotalCpus
                | Self::TotalMemory
                | Self::TotalDisk
                | Self::TotalCpuTime
                | Self::Hosts
        )
    }

    /// Whether it counts bytes.
    pub const fn is_bytes(self) -> bool {
        matches!(
            self,
            Self::Memory | Self::VirtualMemory | Self::Disk | Self::TotalMemory | Self::TotalDisk
        )
    }

    /// Writes such a number for people.
    pub fn format(self, number: u64) -> String {
        if self.is_bytes() {
            format_bytes(number)
        } else {
            number.to_string()
        }
    }

    /// Those that people may name.
    pub const SPOKEN: &'static [Self] = &[
        Self::Cpus,
        Self::Memory,
        Self::VirtualMemory,
        Self::Disk,
        Self::TotalCpus,
        Self::TotalMemory,
        Self::TotalDisk,
        Self::Hosts,
    ];
}

/// Units of bytes; binary ones are powers of 1024, the others of 1000.
const BYTE_UNITS: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Reads `4GiB`, `512MB`, `1024`.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, factor) = BYTE_UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1));
    parse_count(digits.trim_end())?.checked_mul(factor)
}

/// Reads a whole number without sign.
pub fn parse_count(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Writes bytes in the largest binary unit that leaves a number above 1.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: &[(u64, &str)] = &[
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*size);
            match tenths % 10 {
                0 => format!("{} {unit}", tenths / 10),
                rest => format!("{}.{rest} {unit}", tenths / 10),
            }
        }
        None => format!("{bytes} B"),
    }
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `<`
    Below,
    /// `=`
    Exactly,
}

impl Comparison {
    /// Every comparison with its sign; longer signs first.
    pub const SIGNS: &'static [(&'static str, Self)] = &[
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        (">", Self::Above),
        ("<", Self::Below),
        ("=", Self::Exactly),
    ];

    /// The range that the comparison with `value` means.
    pub fn range(self, value: u64) -> RangeValue {
        let bound = |exclusive: bool| Boundary {
            value,
            exclusive_bound: exclusive.then_some(true),
        };
        let mut range = RangeValue::default();
        match self {
            Self::AtLeast => range.lower_bounded_range = Some(bound(false)),
            Self::Above => range.lower_bounded_range = Some(bound(true)),
            Self::AtMost => range.upper_bounded_range = Some(bound(false)),
            Self::Below => range.upper_bounded_range = Some(bound(true)),
            Self::Exactly => {
                range.exact = vec![Exact {
                    value,
                    epsilon: None,
                }];
            }
        }
        range
    }
}

/// Writes a range for people, its numbers by `number`.
pub fn format_range(range: &RangeValue, number: impl Fn(u64) -> String) -> String {
    let exclusive = |bound: &Boundary| bound.exclusive_bound == Some(true);
    let mut alternatives = Vec::new();
    if let Some(bound) = &range.lower_bounded_range {
        let sign = if exclusive(bound) {
            "above"
        } else {
            "at least"
        };
        alternatives.push(format!("{sign} {}", number(bound.value)));
    }
    if let Some(bound) = &range.upper_bounded_range {
        let sign = if exclusive(bound) { "below" } else { "at most" };
        alternatives.push(format!("{sign} {}", number(bound.value)));
    }
    for exact in &range.exact {
        let give_or_take = exact
            .epsilon
            .map_or_else(String::new, |epsilon| format!(" ± {}", number(epsilon)));
        alternatives.push(format!("exactly {}{give_or_take}", number(exact.value)));
    }
    for between in &range.ranges {
        alternatives.push(format!(
            "{} to {}",
            number(between.lower_bound.value),
            number(between.upper_bound.value)
        ));
    }
    alternatives.join(" or ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("4GiB", 4 << 30),
            ("4 GiB", 4 << 30),
            ("2KB", 2000),
            ("5B", 5),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for bad in [
            "",
            "GiB",
            "-1",
            "+1",
            "1.5GiB",
            "4gib",
            "99999999999999TiB",
            "1e3",
            "٤",
        ] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
        assert_eq!(format_bytes(4 << 30), "4 GiB");
        assert_eq!(format_bytes(1536), "1.5 KiB");
        assert_eq!(format_bytes(12), "12 B");
    }

    #[test]
    fn ranges_are_written_for_people() {
        let at_least = Comparison::AtLeast.range(2);
        assert_eq!(format_range(&at_least, |n| n.to_string()), "at least 2");
        assert_eq!(
            format_range(&Comparison::Exactly.range(3), |n| n.to_string()),
            "exactly 3"
        );
    }

    proptest! {
        #[test]
        fn comparisons_mean_what_they_say(value in 0u64..50, found in 0u64..50) {
            prop_assert_eq!(Comparison::AtLeast.range(value).contains(found), found >= value);
            prop_assert_eq!(Comparison::AtMost.range(value).contains(found), found <= value);
            prop_assert_eq!(Comparison::Above.range(value).contains(found), found > value);
            prop_assert_eq!(Comparison::Below.range(value).contains(found), found < value);
            prop_assert_eq!(Comparison::Exactly.range(value).contains(found), found == value);
        }
    }
}
