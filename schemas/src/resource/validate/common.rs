//! Rules that Elements and Hosts of all kinds have.

use super::{
    BrokenRule,
    checker::{Check, Checker},
};
use crate::{
    resource::{
        common::{AccessControlBase, CommonInfo, CommonPolicy},
        element_doc::{CommonConfiguration, HostEntry, HostTable, JoinTokens, PoolHost},
    },
    scalar::Uri,
};

impl Check for CommonInfo {
    fn check(&self, checker: &mut Checker) {
        checker.both(
            ("Latitude", self.latitude.is_some()),
            ("Longitude", self.longitude.is_some()),
        );
        checker.degrees("Latitude", self.latitude, 90, "-90 to 90 degrees");
        checker.degrees("Longitude", self.longitude, 180, "-180 to 180 degrees");
    }
}

impl Check for CommonPolicy {
    fn check(&self, checker: &mut Checker) {
        checker.both(
            ("DowntimeStart", self.downtime_start.is_some()),
            ("DowntimeEnd", self.downtime_end.is_some()),
        );
        checker.ordered(
            ("DowntimeStart", self.downtime_start),
            ("DowntimeEnd", self.downtime_end),
        );
    }
}

impl Check for AccessControlBase {
    fn check(&self, checker: &mut Checker) {
        if let Some(scheme) = self
            .scheme
            .as_ref()
            .filter(|scheme| scheme.as_str() != "basic")
        {
            let found = scheme.to_string();
            checker.report_at("Scheme", BrokenRule::UnknownScheme { found });
        }
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.operations.as_ref().is_some_and(Vec::is_empty) {
                checker.within(format_args!("Rule[{}]", index + 1), |checker| {
                    checker.report(BrokenRule::Empty { what: "Operations" });
                });
            }
        }
    }
}

impl Check for CommonConfiguration {
    fn check(&self, checker: &mut Checker) {
        checker.positive("HeartbeatInterval", self.heartbeat_interval);
        checker.positive("ProbeTimeout", self.probe_timeout);
    }
}

impl Check for JoinTokens {
    fn check(&self, checker: &mut Checker) {
        let hashes = self.tokens.iter().map(|token| &token.hash);
        checker.unique("JoinToken", "hash", hashes);
    }
}

/// The Hosts of an Element: each once, each good by itself, each of this Element.
pub(super) fn check_hosts<H: PoolHost>(table: &HostTable<H>, element: &Uri, checker: &mut Checker) {
    checker.within("HostTable", |checker| {
        for (index, entry) in table.hosts.iter().enumerate() {
            checker.within(format_args!("Host[{}]", index + 1), |checker| {
                check_host(entry, element, checker);
            });
        }
        let ids = table.hosts.iter().map(|entry| entry.host.id());
        checker.unique("Host", "Host", ids);
    });
}

fn check_host<H: PoolHost>(entry: &HostEntry<H>, element: &Uri, checker: &mut Checker) {
    checker.child(H::ROOT, &entry.host);
    let named = entry.host.element();
    if named != element {
        let rule = BrokenRule::Dangling {
            what: "the Host's Element",
            found: named.to_string(),
            expected: element.to_string(),
        };
        checker.within(format_args!("{}/Info/Element", H::ROOT), |checker| {
            checker.report(rule);
        });
    }
    if entry.host.id() == element {
        let rule = BrokenRule::Duplicate {
            what: "ID",
            value: element.to_string(),
        };
        checker.report_at(H::ROOT, rule);
    }
}
