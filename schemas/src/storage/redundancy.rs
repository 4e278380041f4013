//! How data is made safe against the loss of Hosts.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A text or numbers that are no redundancy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a redundancy: `replica(N)` with 1 to 16 copies, or `rs(K,M)` with 2 to 16 data \
     and 1 to 8 parity blocks, is expected"
)]
pub struct RedundancyError(String);

/// How the blocks of a stripe are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Every block holds the same bytes.
    Replica,
    /// Data blocks, and parity blocks from which lost ones are rebuilt.
    ReedSolomon,
}

/// How many blocks each stripe has, each on another Host, and how many of them
/// may be lost: `replica(3)`, `rs(4,2)` in text.
///
/// Invariant: only what [`Redundancy::replica`] and [`Redundancy::rs`] accept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Redundancy {
    codec: Codec,
    data: u8,
    parity: u8,
}

impl Redundancy {
    /// The most copies.
    pub const COPIES_MAX: u8 = 16;
    /// The most data blocks of a stripe.
    pub const DATA_MAX: u8 = 16;
    /// The most parity blocks of a stripe.
    pub const PARITY_MAX: u8 = 8;
    /// The fewest Hosts with which erasure coding is the default: as many as
    /// `rs(4,2)` has blocks, and one more on which to rebuild a lost one.
    const STRIPED_HOSTS: u32 = 7;

    /// The same bytes on so many Hosts (1 to 16).
    pub fn replica(copies: u8) -> Result<Self, RedundancyError> {
        if !(1..=Self::COPIES_MAX).contains(&copies) {
            return Err(RedundancyError(format!("replica({copies})")));
        }
        Ok(Self {
            codec: Codec::Replica,
            data: 1,
            parity: copies - 1,
        })
    }

    /// So many data blocks (2 to 16) and parity blocks (1 to 8).
    pub fn rs(data: u8, parity: u8) -> Result<Self, RedundancyError> {
        if !(2..=Self::DATA_MAX).contains(&data) || !(1..=Self::PARITY_MAX).contains(&parity) {
            return Err(RedundancyError(format!("rs({data},{parity})")));
        }
        Ok(Self {
            codec: Codec::ReedSolomon,
            data,
            parity,
        })
    }

    /// What a pool of so many Hosts begins with, and a sentence that says why.
    pub fn default_for(hosts: u32) -> (Self, String) {
        if hosts >= Self::STRIPED_HOSTS {
            let chosen = Self {
                codec: Codec::ReedSolomon,
                data: 4,
                parity: 2,
            };
            let why = format!(
                "With {hosts} Hosts, {chosen} bears the loss of any two at one and a half times the \
                 room, and leaves a Host on which to rebuild."
            );
            return (chosen, why);
        }
        let copies = u8::try_from(hosts.clamp(1, 3)).unwrap_or(1);
        let chosen = Self {
            codec: Codec::Replica,
            data: 1,
            parity: copies - 1,
        };
        let why = match copies {
            3 => format!(
                "With {hosts} Hosts, {chosen} bears the loss of any two; erasure coding is the \
                 default from {} Hosts on.",
                Self::STRIPED_HOSTS
            ),
            2 => format!("With 2 Hosts, {chosen} bears the loss of either; add Hosts for more."),
            _ => format!("With {hosts} Hosts, {chosen} bears no loss; add Hosts for more."),
        };
        (chosen, why)
    }

    /// How the blocks are made.
    pub const fn codec(self) -> Codec {
        self.codec
    }

    /// Blocks that are enough to read a stripe (`k`; 1 of a replica).
    pub const fn data(self) -> u8 {
        self.data
    }

    /// Blocks that may be lost (`m`).
    pub const fn parity(self) -> u8 {
        self.parity
    }

    /// Blocks of a stripe, and so the Hosts that it needs.
    pub const fn blocks(self) -> u8 {
        self.data + self.parity
    }

    /// How many blocks of a stripe have to be there where so many losses are borne
    /// from the beginning; never fewer than can be read.
    pub const fn least(self, losses: u8) -> u8 {
        self.data + self.parity.saturating_sub(losses)
    }

    /// How small objects are kept, which are not worth cutting into pieces:
    /// whole, and bearing as many losses.
    #[must_use]
    pub const fn whole(self) -> Self {
        Self {
            codec: Codec::Replica,
            data: 1,
            parity: self.parity,
        }
    }
}

/// A number of one or two digits, without leading zeros.
fn number(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain && text.len() <= 2)
}

impl FromStr for Redundancy {
    type Err = RedundancyError;

    fn from_str(text: &str) -> Result<Self, RedundancyError> {
        let refused = || RedundancyError(text.chars().take(64).collect());
        let (name, numbers) = text
            .strip_suffix(')')
            .and_then(|text| text.split_once('('))
            .ok_or_else(refused)?;
        match (name, numbers.split_once(',')) {
            ("replica", None) => Self::replica(number(numbers).ok_or_else(refused)?),
            ("rs", Some((data, parity))) => Self::rs(
                number(data).ok_or_else(refused)?,
                number(parity).ok_or_else(refused)?,
            ),
            _ => Err(refused()),
        }
    }
}

impl TryFrom<String> for Redundancy {
    type Error = RedundancyError;

    fn try_from(text: String) -> Result<Self, RedundancyError> {
        text.parse()
    }
}

impl From<Redundancy> for String {
    fn from(redundancy: Redundancy) -> Self {
        redundancy.to_string()
    }
}

impl fmt::Display for Redundancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.codec {
            Codec::Replica => write!(f, "replica({})", self.blocks()),
            Codec::ReedSolomon => write!(f, "rs({},{})", self.data, self.parity),
        }
    }
}

impl fmt::Debug for Redundancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_redundancy_reads_back() {
        let replicas = (0..=u8::MAX).filter_map(|copies| Redundancy::replica(copies).ok());
        let striped = (0..=u8::MAX).flat_map(|data| {
            (0..=u8::MAX).filter_map(move |parity| Redundancy::rs(data, parity).ok())
        });
        let all: Vec<Redundancy> = replicas.chain(striped).collect();
        assert_eq!(all.len(), 16 + 15 * 8);
        for redundancy in all {
            assert_eq!(redundancy.to_string().parse(), Ok(redundancy));
            assert!(redundancy.blocks() <= 24);
            assert_eq!(redundancy.whole().parity(), redundancy.parity());
            assert_eq!(redundancy.least(0), redundancy.blocks());
            assert_eq!(redundancy.least(u8::MAX), redundancy.data());
            assert_eq!(redundancy.whole().data(), 1);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "replica",
            "replica()",
            "replica(0)",
            "replica(17)",
            "replica(03)",
            "replica(+3)",
            "replica(3,1)",
            "replica(3))",
            "rs(4)",
            "rs(1,1)",
            "rs(17,2)",
            "rs(4,0)",
            "rs(4,9)",
            "rs(4, 2)",
            "rs(4,2,1)",
            "RS(4,2)",
            "raid(4,2)",
        ] {
            let refused = bad.parse::<Redundancy>().unwrap_err();
            assert!(refused.to_string().contains("rs(K,M)"), "{bad}");
        }
    }

    #[test]
    fn the_default_is_what_the_hosts_can_bear() {
        for (hosts, expected) in [
            (0, "replica(1)"),
            (1, "replica(1)"),
            (2, "replica(2)"),
            (3, "replica(3)"),
            (6, "replica(3)"),
            (7, "rs(4,2)"),
            (u32::MAX, "rs(4,2)"),
        ] {
            let (chosen, why) = Redundancy::default_for(hosts);
            assert_eq!(chosen.to_string(), expected, "{hosts}");
            assert!(why.contains(expected), "{why}");
            assert!(u32::from(chosen.blocks()) <= hosts.max(1));
        }
    }
}
