//! Whether a machine is what is needed: static facts only, so the same code
//! serves placement and deployment.

use std::num::NonZeroU32;

use gridmart_schemas::resource::host::{Accelerator, ComputeHost};

use super::{
    needs::{Need, version_serves},
    quantity::Quantity,
    verdict::{Concern, Sink},
};
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
    let description = &host.description;
    let info = &description.info;
    let mut tell = |met: bool, found: &dyn Fn() -> String| {
        sink.check(need.name(), Concern::Need, met, || {
            (need.to_string(), found())
        });
    };
    match need {
        Need::Number { quantity, range } => {
            let number = host_number(description, *quantity);
            let met = number.is_some_and(|number| range.contains(number));
            tell(met, &|| {
                number.map_or_else(unknown, |number| quantity.format(number))
            });
        }
        Need::Platform(platform) => {
            let found = &info.architecture.platform_type;
            tell(found == platform, &|| found.to_string());
        }
        Need::Architecture(name) => {
            let found = &info.architecture.platform_type;
            tell(name.accepts(found), &|| found.to_string());
        }
        Need::OsFamily(family) => {
            let found = &info.operating_system.family;
            tell(found == family, &|| found.to_string());
        }
        Need::OperatingSystem(name) => {
            let found = &info.operating_system.family;
            tell(name.accepts(found), &|| found.to_string());
        }
        Need::OperatingSystemVersion(version) => {
            let system = &info.operating_system;
            let met = [&system.release, &system.version]
                .into_iter()
                .flatten()
                .any(|found| found.as_str() == version);
            tell(met, &|| {
                system
                    .release
                    .as_ref()
                    .map_or_else(unknown, ToString::to_string)
            });
        }
        Need::HostNames(names) => {
            let met = names
                .iter()
                .any(|name| *name == info.host_name.as_str() || *name == info.common.name.as_str());
            tell(met, &|| info.host_name.to_string());
        }
        Need::ExclusiveExecution => tell(false, &|| "Hosts are shared".to_owned()),
        Need::Accelerator(needed) => {
            let met = info
                .accelerators
                .iter()
                .any(|found| has_accelerator(found, needed));
            tell(met, &|| format!("{} accelerators", info.accelerators.len()));
        }
        Need::Capability { .. } | Need::Companion { .. } => {
            let (met, found) = check_capability(ground, host, need);
            tell(met, &|| found.clone().unwrap_or_else(not_offered));
        }
        Need::Domain(_) => {}
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

fn unknown() -> String {
    "unknown".to_owned()
}

fn host_number(host: &ComputeHost, quantity: Quantity) -> Option<u64> {
    let info = &host.info;
    match quantity {
        Quantity::Cpus => Some(u64::from(NonZeroU32::get(info.architecture.smp_size))),
        Quantity::Memory => Some(info.main_memory.ram_size),
        Quantity::VirtualMemory => info.main_memory.virtual_size,
        Quantity::Disk => info.file_systems.first().and_then(|system| system.size),
        Quantity::CpuSpeed => {
            let megahertz = info.processor.as_ref()?.clock_speed?;
            Some(u64::from(megahertz) * 1_000_000)
        }
        // GLUE has no attribute for a bandwidth; the others are of the Element.
        Quantity::NetworkBandwidth
        | Quantity::CpuTime
        | Quantity::TotalCpus
        | Quantity::TotalMemory
        | Quantity::TotalDisk
        | Quantity::TotalCpuTime
        | Quantity::Hosts => None,
    }
}

fn element_number(element: &Element, hosts: &[&Host], quantity: Quantity) -> Option<u64> {
    let policy = &element.description.policy;
    let sum = |quantity: Quantity| {
        let numbers = hosts
            .iter()
            .filter_map(|host| host_number(&host.description, quantity));
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

fn has_accelerator(found: &Accelerator, needed: &Accelerator) -> bool {
    let named = |needed: Option<&_>, found: Option<&_>| needed.is_none() || needed == found;
    found.kind == needed.kind
        && named(needed.vendor.as_ref(), found.vendor.as_ref())
        && named(needed.model.as_ref(), found.model.as_ref())
        && found.count.unwrap_or(1) >= needed.count.unwrap_or(1)
        && needed
            .memory
            .is_none_or(|bytes| found.memory.is_some_and(|found| found >= bytes))
}

/// Whether the Element or the Host itself names the capability.
fn has_token(ground: &Ground<'_>, host: &Host, name: &str, version: Option<&str>) -> bool {
    let of_element = &ground.element.description.info.common.capabilities;
    let of_host = &host.description.info.common.capabilities;
    of_element
        .iter()
        .chain(of_host)
        .any(|token| match token.as_str().split_once('/') {
            Some((have, offered)) => {
                have == name && version.is_none_or(|needed| version_serves(offered, needed))
            }
            None => token.as_str() == name && version.is_none(),
        })
}

/// Whether the default version of any application has the capability.
fn on_the_shelf(catalogue: &Snapshot, name: &str, version: Option<&str>) -> bool {
    catalogue
        .applications
        .values()
        .any(|application| application.default && application_offers(application, name, version))
}

fn not_offered() -> String {
    "not offered here".to_owned()
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
