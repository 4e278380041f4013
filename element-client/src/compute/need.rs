//! What is needed of a Host, and what the pool offers around it. The judging
//! itself is the fabric's, so that the controller comes to the same verdict.

use std::collections::BTreeSet;

use gridmart_fabric::need::{Need, found_on_host, host_meets, version_serves};
use gridmart_schemas::{
    api::explain::Check,
    resource::{ae::Capability, host::ComputeHost},
};

/// Capabilities of a pool: those of its Element, without a version, and those
/// of its applications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    capabilities: BTreeSet<(String, Option<String>)>,
}

impl Offered {
    /// The Element itself does this (`NAME` or `NAME/VERSION`).
    pub fn add_token(&mut self, token: &str) {
        let (name, version) = token
            .split_once('/')
            .map_or((token, None), |(name, version)| (name, Some(version)));
        let version = version.map(ToOwned::to_owned);
        self.capabilities.insert((name.to_owned(), version));
    }

    /// An application of the pool does this. Answers whether any of it is new.
    pub fn extend(&mut self, capabilities: &[Capability]) -> bool {
        let before = self.capabilities.len();
        self.capabilities.extend(
            capabilities
                .iter()
                .map(|one| (one.name.to_string(), Some(one.version.to_string()))),
        );
        self.capabilities.len() > before
    }

    fn serves(&self, name: &str, version: Option<&str>) -> bool {
        self.capabilities
            .range((name.to_owned(), None)..)
            .take_while(|(have, _)| have == name)
            .any(|(_, offered)| match (version, offered) {
                (None, _) => true,
                (Some(needed), Some(offered)) => version_serves(offered, needed),
                (Some(_), None) => false,
            })
    }
}

/// Whether the Host meets all needs.
pub(crate) fn meets_all(needs: &[Need], host: &ComputeHost, offered: &Offered) -> bool {
    needs.iter().all(|need| one_is_met(need, host, offered))
}

fn one_is_met(need: &Need, host: &ComputeHost, offered: &Offered) -> bool {
    host_meets(need, host, |name, version| offered.serves(name, version))
}

/// Puts each need to the Host, to be shown.
pub(crate) fn need_checks(needs: &[Need], host: &ComputeHost, offered: &Offered) -> Vec<Check> {
    let check = |need: &Need| {
        let met = one_is_met(need, host, offered);
        let capability = matches!(need, Need::Capability { .. } | Need::Companion { .. });
        Check {
            name: need.name().to_owned(),
            met,
            needed: need.to_string(),
            found: if met && capability {
                "offered here".to_owned()
            } else {
                found_on_host(need, host)
            },
        }
    };
    needs.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_offers_what_its_applications_do() {
        let mut offered = Offered::default();
        offered.add_token("data.transfer");
        let capability = Capability {
            name: "spf".parse().unwrap(),
            version: "2.1".parse().unwrap(),
        };
        assert!(offered.extend(std::slice::from_ref(&capability)));
        assert!(!offered.extend(&[capability]));
        assert!(offered.serves("spf", None) && offered.serves("spf", Some("2.0")));
        assert!(!offered.serves("spf", Some("3.0")) && !offered.serves("sp", None));
        assert!(offered.serves("data.transfer", None));
        assert!(!offered.serves("data.transfer", Some("1")));
    }
}
