//! A place in the binary log: of each domain the last transaction (`0-1-7`: domain, server,
//! number), as replicas tell it to their primary.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::data::engine::mirror::Place;

/// See the module; by domain, who wrote the last transaction and its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gtids(BTreeMap<u32, (u32, u64)>);

/// It is no such text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoGtids;

impl Gtids {
    /// A transaction follows.
    pub(super) fn add(&mut self, domain: u32, server: u32, number: u64) {
        self.0.insert(domain, (server, number));
    }

    /// The last number of a domain.
    pub(super) fn number(&self, domain: u32) -> Option<u64> {
        self.0.get(&domain).map(|(_, number)| *number)
    }

    /// Nothing was ever logged.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Place for Gtids {
    fn has(&self, other: &Self) -> bool {
        other.0.iter().all(|(domain, (_, number))| {
            let own = self.0.get(domain);
            own.is_some_and(|(_, own)| own >= number)
        })
    }
}

impl fmt::Display for Gtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (domain, (server, number))) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{domain}-{server}-{number}")?;
        }
        Ok(())
    }
}

impl FromStr for Gtids {
    type Err = NoGtids;

    fn from_str(text: &str) -> Result<Self, NoGtids> {
        let mut gtids = Self::default();
        for one in text.split(',').filter(|one| !one.is_empty()) {
            let mut parts = one.splitn(3, '-');
            let mut part = || parts.next().ok_or(NoGtids);
            let (domain, server, number) = (part()?, part()?, part()?);
            gtids.add(
                domain.parse().map_err(|_| NoGtids)?,
                server.parse().map_err(|_| NoGtids)?,
                number.parse().map_err(|_| NoGtids)?,
            );
        }
        Ok(gtids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_compared_by_each_domain() {
        let place = |text: &str| text.parse::<Gtids>().unwrap();
        assert_eq!(place("2-1-9,0-1-14").to_string(), "0-1-14,2-1-9");
        assert_eq!(place("").to_string(), "");
        assert!(place("0-1-14,2-1-9").has(&place("0-7-14")));
        assert!(place("0-1-14").has(&place("")));
        assert!(!place("0-1-14").has(&place("0-1-15")));
        assert!(!place("0-1-14").has(&place("0-1-1,3-1-1")));
        for text in ["0-1", "0-1-x", "-1-1-1", "0-1-7-8"] {
            assert_eq!(text.parse::<Gtids>(), Err(NoGtids), "{text}");
        }
    }
}
