//! Whether one machine is what is needed: static facts only.

use gridmart_schemas::{
    resource::host::{Accelerator, ComputeHost},
    scalar::Token,
};

use super::{Need, quantity::Quantity, version_serves};

/// Whether the Host meets the need. `offers` tells whether a capability, in
/// that version or a later one, is offered around the Host; needs of a whole
/// Element are not judged here and count as met.
pub fn host_meets(
    need: &Need,
    host: &ComputeHost,
    offers: impl Fn(&str, Option<&str>) -> bool,
) -> bool {
    let info = &host.info;
    match need {
        Need::Number { quantity, .. } if quantity.is_of_element() => true,
        Need::Number { quantity, range } => {
            host_number(host, *quantity).is_some_and(|number| range.contains(number))
        }
        Need::Platform(platform) => info.architecture.platform_type == *platform,
        Need::Architecture(name) => name.accepts(&info.architecture.platform_type),
        Need::OsFamily(family) => info.operating_system.family == *family,
        Need::OperatingSystem(name) => name.accepts(&info.operating_system.family),
        Need::OperatingSystemVersion(version) => {
            let system = &info.operating_system;
            [&system.release, &system.version]
                .into_iter()
                .flatten()
                .any(|found| found.as_str() == version)
        }
        Need::HostNames(names) => names
            .iter()
            .any(|name| *name == info.host_name.as_str() || *name == info.common.name.as_str()),
        Need::ExclusiveExecution => false,
        Need::Accelerator(needed) => info
            .accelerators
            .iter()
            .any(|found| has_accelerator(found, needed)),
        Need::Capability { name, version } => {
            let version = version.as_deref();
            has_capability(&info.common.capabilities, name, version) || offers(name, version)
        }
        Need::Companion { name, version } => {
            let version = Some(version.as_str());
            has_capability(&info.common.capabilities, name, version) || offers(name, version)
        }
        Need::Domain(domain) => info.common.domain.as_str() == domain,
    }
}

/// What the Host has where the need looks, in words.
pub fn found_on_host(need: &Need, host: &ComputeHost) -> String {
    let info = &host.info;
    match need {
        Need::Number { quantity, .. } => {
            host_number(host, *quantity).map_or_else(unknown, |number| quantity.format(number))
        }
        Need::Platform(_) | Need::Architecture(_) => info.architecture.platform_type.to_string(),
        Need::OsFamily(_) | Need::OperatingSystem(_) => info.operating_system.family.to_string(),
        Need::OperatingSystemVersion(_) => info
            .operating_system
            .release
            .as_ref()
            .map_or_else(unknown, ToString::to_string),
        Need::HostNames(_) => info.host_name.to_string(),
        Need::ExclusiveExecution => "Hosts are shared".to_owned(),
        Need::Accelerator(_) => format!("{} accelerators", info.accelerators.len()),
        Need::Capability { .. } | Need::Companion { .. } => "not offered here".to_owned(),
        Need::Domain(_) => info.common.domain.to_string(),
    }
}

/// Whether one of the tokens (`NAME` or `NAME/VERSION`) is the capability.
pub fn has_capability(tokens: &[Token], name: &str, version: Option<&str>) -> bool {
    tokens
        .iter()
        .any(|token| match token.as_str().split_once('/') {
            Some((have, offered)) => {
                have == name && version.is_none_or(|needed| version_serves(offered, needed))
            }
            None => token.as_str() == name && version.is_none(),
        })
}

/// The Host's number of that kind, its owner's limits counted; `None` if it
/// does not say, or if the number is of a whole Element.
pub fn host_number(host: &ComputeHost, quantity: Quantity) -> Option<u64> {
    let (info, policy) = (&host.info, &host.policy);
    let limited = |size: u64, limit: Option<u64>| limit.map_or(size, |limit| limit.min(size));
    match quantity {
        Quantity::Cpus => Some(u64::from(info.architecture.smp_size.get())),
        Quantity::Memory => Some(limited(info.main_memory.ram_size, policy.max_main_memory)),
        Quantity::VirtualMemory => info.main_memory.virtual_size,
        Quantity::Disk => {
            let size = info.file_systems.first()?.size?;
            Some(limited(size, policy.max_disk_space))
        }
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

fn unknown() -> String {
    "unknown".to_owned()
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
