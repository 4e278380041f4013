//! Whether a machine is what is needed: static facts only, so the same code
//! serves placement and deployment.

use gridmart_fabric::need::{
    Need, found_on_host, has_capability, host_meets, host_number, quantity::Quantity,
    version_serves,
};

use super::verdict::{Concern, Sink};
use crate::catalogue::{
    Snapshot,
    application::Application,
    node::{Element, Host, Node},
};

/// What surrounds a Host: what else may have a capability or set a limit.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The catalogue.
    pub catalogue: &'a Snapshot,
    /// The application that is meant, if one is.
    pub application: Option<&'a Application>,
    /// The Element's node.
    pub node: &'a Node,
    /// The Element.
    pub element: &'a Element,
}

/// Checks a need of one Host.
pub fn check_host(ground: &Ground<'_>, host: &Host, need: &Need, sink: &mut impl Sink) {
    let Some(description) = host.compute() else {
        return;
    };
    let mut tell = |met: bool, found: &dyn Fn() -> String| {
        sink.check(need.name(), Concern::Need, met, || {
            (need.to_string(), found())
        });
    };
    match need {
        Need::Domain(_) => {}
        Need::Capability { .. } | Need::Companion { .. } => {
            let (met, found) = check_capability(ground, host, need);
            tell(met, &|| {
                found
                    .clone()
                    .unwrap_or_else(|| found_on_host(need, description))
            });
        }
        // Capabilities are judged above.
        _ => tell(host_meets(need, description, |_, _| false), &|| {
            found_on_host(need, description)
        }),
    }
}

/// Whether a capability is there, and what is instead, if that says something.
fn check_capability(ground: &Ground<'_>, host: &Host, need: &Need) -> (bool, Option<String>) {
    match (need, ground.application) {
        (Need::Capability { name, version }, Some(application)) => {
            let version = version.as_deref();
            let met = has_token(ground, host, name, version)
                || application_offers(application, name, version);
            (met, Some(capability_list(application)))
        }
        (Need::Capability { name, version }, None) => {
            let version = version.as_deref();
            let met = has_token(ground, host, name, version)
                || on_the_shelf(ground.catalogue, name, version);
            (met, met.then(|| need.to_string()))
        }
        (Need::Companion { name, version }, _) => {
            let met = has_token(ground, host, name, Some(version))
                || on_the_shelf(ground.catalogue, name, Some(version));
            (met, met.then(|| need.to_string()))
        }
        _ => (true, None),
    }
}

/// Checks a need of the Element as a whole; `hosts` are those that count.
pub fn check_element(ground: &Ground<'_>, hosts: &[&Host], need: &Need, sink: &mut impl Sink) {
    match need {
        Need::Domain(domain) => {
            let met = ground.node.domain == *domain;
            sink.check(need.name(), Concern::Need, met, || {
                (domain.clone(), ground.node.domain.clone())
            });
        }
        Need::Number { quantity, range } => {
            let number = element_number(ground.element, hosts, *quantity);
            // No limit on CPU time allows any.
            let met = number.is_none_or(|number| range.contains(number));
            sink.check(need.name(), Concern::Need, met, || {
                (
                    need.to_string(),
                    number.map_or_else(|| "no limit".to_owned(), |number| quantity.format(number)),
                )
            });
        }
        _ => {}
    }
}

fn element_number(element: &Element, hosts: &[&Host], quantity: Quantity) -> Option<u64> {
    let policy = &element.computing()?.policy;
    let sum = |quantity: Quantity| {
        let numbers = hosts
            .iter()
            .filter_map(|host| host_number(host.compute()?, quantity));
        Some(numbers.fold(0, u64::saturating_add))
    };
    match quantity {
        Quantity::CpuTime => policy.max_cpu_time,
        Quantity::TotalCpuTime => policy.max_total_cpu_time,
        Quantity::TotalCpus => sum(Quantity::Cpus),
        Quantity::TotalMemory => sum(Quantity::Memory),
        Quantity::TotalDisk => sum(Quantity::Disk),
        Quantity::Hosts => Some(hosts.len() as u64),
        other => sum(other),
    }
}

/// Whether the Element or the Host itself names the capability.
fn has_token(ground: &Ground<'_>, host: &Host, name: &str, version: Option<&str>) -> bool {
    let of_element = &ground.element.description.common_info().capabilities;
    let of_host = &host.description.common_info().capabilities;
    has_capability(of_element, name, version) || has_capability(of_host, name, version)
}

/// Whether the default version of any application has the capability.
fn on_the_shelf(catalogue: &Snapshot, name: &str, version: Option<&str>) -> bool {
    catalogue
        .applications
        .values()
        .any(|application| application.default && application_offers(application, name, version))
}

/// Whether an application has a capability for its callers.
pub fn application_offers(application: &Application, name: &str, version: Option<&str>) -> bool {
    application
        .manifest
        .info
        .capabilities
        .iter()
        .any(|capability| {
            capability.name.as_str() == name
                && version.is_none_or(|needed| version_serves(capability.version.as_str(), needed))
        })
}

/// The capabilities of an application, for people.
pub fn capability_list(application: &Application) -> String {
    let all: Vec<String> = application
        .manifest
        .info
        .capabilities
        .iter()
        .map(|capability| format!("{}/{}", capability.name, capability.version))
        .collect();
    if all.is_empty() {
        "none".to_owned()
    } else {
        all.join(", ")
    }
}
