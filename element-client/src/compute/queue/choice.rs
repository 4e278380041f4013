//! Which Host: the checks, in one place.
//!
//! A grant asks only whether all checks are met; an explanation shows each of
//! them. Both come from the same tables and functions.

use std::time::Instant;

use gridmart_fabric::rule::{self, Subject};
use gridmart_schemas::{
    api::explain::{Candidate, Check, Verdict},
    id::{Digest, NodeId},
    resource::{
        common::Who,
        enumeration::{HealthState, ServingState},
    },
    role::{Desired, Operation},
};

use super::{
    Queue,
    application::PoolApplication,
    entry::{Asker, Entry},
    host::{Placement, PoolHost},
};
use crate::compute::need::{meets_all, need_checks};

struct HostCheck {
    name: &'static str,
    needed: &'static str,
    met: fn(&PoolHost) -> bool,
    found: fn(&PoolHost) -> String,
}

fn yes_no(value: bool, yes: &str, no: &str) -> String {
    if value { yes.to_owned() } else { no.to_owned() }
}

/// What every Host has to be, whatever is called.
const HOST_CHECKS: &[HostCheck] = &[
    HostCheck {
        name: "connected",
        needed: "its control stream stands",
        met: |host| host.connected,
        found: |host| yes_no(host.connected, "it stands", "it is lost"),
    },
    HostCheck {
        name: "alive",
        needed: "it answers probes",
        met: |host| !host.down,
        found: |host| yes_no(host.down, "it did not answer", "nothing to the contrary"),
    },
    HostCheck {
        name: "heartbeat",
        needed: "a State within its validity",
        met: |host| host.fresh,
        found: |host| yes_no(host.fresh, "fresh", "stale"),
    },
    HostCheck {
        name: "revoked",
        needed: "a certificate that is accepted",
        met: |host| !host.revoked,
        found: |host| yes_no(host.revoked, "revoked", "accepted"),
    },
    HostCheck {
        name: "desired-state",
        needed: "production",
        met: |host| host.wish.desired == Desired::Production,
        found: |host| host.wish.desired.to_string(),
    },
    HostCheck {
        name: "serving-state",
        needed: "production",
        met: |host| host.serving == ServingState::Production,
        found: |host| host.serving.to_string(),
    },
    HostCheck {
        name: "health-state",
        needed: "not critical",
        met: |host| host.health != HealthState::Critical,
        found: |host| host.health.to_string(),
    },
];

/// Whether all checks of a Host by itself are met.
pub(super) fn host_is_usable(host: &PoolHost) -> bool {
    HOST_CHECKS.iter().all(|check| (check.met)(host))
}

fn host_checks(host: &PoolHost) -> Vec<Check> {
    let shown = |check: &HostCheck| Check {
        name: check.name.to_owned(),
        met: (check.met)(host),
        needed: check.needed.to_owned(),
        found: (check.found)(host),
    };
    HOST_CHECKS.iter().map(shown).collect()
}

/// Whether the application may be on the Host at present.
fn placement_checks(host: &PoolHost, application: &PoolApplication) -> Vec<Check> {
    let wish = host.application_wish(&application.digest, application.wish);
    let broken = match host.placements.get(&application.digest) {
        Some(Placement::Broken { problem, .. }) => Some(problem.detail.clone()),
        _ => None,
    };
    vec![
        Check {
            name: "application-state".to_owned(),
            met: wish.desired == Desired::Production,
            needed: "production".to_owned(),
            found: wish.desired.to_string(),
        },
        Check {
            name: "deployment".to_owned(),
            met: broken.is_none(),
            needed: "it can be brought to the Host".to_owned(),
            found: broken.unwrap_or_else(|| "nothing to the contrary".to_owned()),
        },
    ]
}

/// Whether the Host's owner lets the asker use it.
fn access_check(host: &PoolHost, asker: &Asker, application: &str) -> Check {
    let subject = Subject {
        person: &asker.person,
        role: asker.role,
        domain: asker.domain.as_deref(),
        application: Some(application),
    };
    let ruling = rule::evaluate(
        &host.description.access.rules,
        &subject,
        Operation::Call,
        None,
    );
    Check {
        name: "rule".to_owned(),
        met: ruling.allowed,
        needed: format!("a rule of the Host that allows {} to call", asker.person),
        found: ruling.reason,
    }
}

fn is_open_to_all(host: &PoolHost) -> bool {
    let rules = &host.description.access.rules;
    rules
        .iter()
        .any(|rule| rule.who == Who::All && rule.operations.is_none() && rule.part.is_none())
}

impl Queue {
    /// Whether the Host fits the application, whatever else the Host does.
    pub(super) fn fits(&self, host: &PoolHost, application: &PoolApplication) -> bool {
        let Some(manifest) = &application.manifest else {
            return false;
        };
        let placed = placement_checks(host, application)
            .into_iter()
            .all(|check| check.met);
        placed && meets_all(&manifest.needs, &host.description, &self.offered)
    }

    /// Whether a Host that fits the application suits the asker, too.
    pub(super) fn suits(&self, host: &PoolHost, asker: &Asker, application: &str) -> bool {
        let may = is_open_to_all(host) || access_check(host, asker, application).met;
        may && meets_all(&asker.needs, &host.description, &self.offered)
    }

    /// Chooses the Host for one more slot of an entry: the most free slots
    /// first, one to be avoided only if there is no other.
    pub(super) fn choose(&self, entry: &Entry, application: &PoolApplication) -> Option<NodeId> {
        let candidates = &application.index.as_ref()?.candidates;
        let mut avoided = None;
        for (_, id) in candidates.iter().rev() {
            let Some(host) = self.hosts.get(id) else {
                continue;
            };
            if !entry.may_use(*id) || !self.suits(host, &entry.wanted.asker, &application.name) {
                continue;
            }
            if !entry.wanted.avoid.contains(id) {
                return Some(*id);
            }
            avoided = avoided.or(Some(*id));
        }
        avoided
    }

    /// Whether any Host of the pool could serve the asker at some time.
    pub(super) fn could_ever_fit(&self, asker: &Asker, application: &PoolApplication) -> bool {
        let Some(manifest) = &application.manifest else {
            return true;
        };
        let suits = |host: &PoolHost| self.suits(host, asker, &application.name);
        // Those that are free are the likeliest, and found without a search.
        let now = application.index.as_ref().is_some_and(|index| {
            let mut candidates = index.candidates.iter().rev();
            candidates.any(|(_, id)| self.hosts.get(id).is_some_and(suits))
        });
        let needs = &manifest.needs;
        now || self.hosts.values().any(|host| {
            !host.revoked && suits(host) && meets_all(needs, &host.description, &self.offered)
        })
    }

    /// Shows each Host with what it meets and fails, for one application and
    /// asker; `chosen` are the Hosts taken. At most `limit` Hosts are shown,
    /// those chosen first.
    pub fn candidates(
        &self,
        digest: &Digest,
        asker: Option<&Asker>,
        chosen: &[NodeId],
        limit: usize,
    ) -> Vec<Candidate> {
        let application = self.applications.get(digest);
        let mut hosts: Vec<&PoolHost> = self.hosts.values().collect();
        hosts.sort_by_key(|host| {
            (
                !chosen.contains(&host.id),
                std::cmp::Reverse(host.free()),
                host.id,
            )
        });
        hosts.truncate(limit);
        let shown = |host: &PoolHost| {
            let mut checks = host_checks(host);
            if let Some(application) = application {
                checks.extend(placement_checks(host, application));
                if let Some(manifest) = &application.manifest {
                    checks.extend(need_checks(
                        &manifest.needs,
                        &host.description,
                        &self.offered,
                    ));
                }
                if let Some(asker) = asker {
                    checks.push(access_check(host, asker, &application.name));
                    checks.extend(need_checks(&asker.needs, &host.description, &self.offered));
                }
            }
            let fit = checks.iter().all(|check| check.met);
            checks.push(slot_check(host));
            let verdict = if chosen.contains(&host.id) {
                Verdict::Chosen
            } else if fit && host.free() > 0 {
                Verdict::Eligible
            } else {
                Verdict::Unfit
            };
            Candidate {
                id: host.id.to_string(),
                name: host.name().to_owned(),
                verdict,
                checks,
            }
        };
        hosts.into_iter().map(shown).collect()
    }

    /// Lets broken placements be tried again.
    pub(super) fn forgive_placements(&mut self, now: Instant) {
        let mut healed = Vec::new();
        for host in self.hosts.values_mut() {
            let before = host.placements.len();
            host.placements
                .retain(|_, placement| !matches!(placement, Placement::Broken { until, .. } if *until <= now));
            if host.placements.len() != before {
                healed.push(host.id);
            }
        }
        for id in healed {
            self.refit(id);
        }
    }
}

fn slot_check(host: &PoolHost) -> Check {
    Check {
        name: "free-slots".to_owned(),
        met: host.free() > 0,
        needed: "at least 1".to_owned(),
        found: format!(
            "{} of {} (in leases: {})",
            host.free(),
            host.slots,
            host.held
        ),
    }
}
