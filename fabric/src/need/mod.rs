//! What is needed: from people's words (`memory>=4GiB`) and from an
//! application's manifest, brought into one form, and whether a machine has it.
//!
//! Invariants: pure functions; the controller and the Elements judge by the
//! same code; what a machine does not say counts as not met.

mod host;
pub mod quantity;

use std::{fmt, str::FromStr};

use gridmart_schemas::{
    problem::{Code, Problem},
    resource::{
        enumeration::{CpuArchitectureName, OperatingSystemName, OsFamily, Platform},
        host::Accelerator,
        needs::{Needs, RangeValue},
    },
};

use self::quantity::{Comparison, Quantity, format_range, parse_bytes, parse_count};

pub use self::host::{found_on_host, has_capability, host_meets, host_number};

/// The most needs that one request may name.
pub const NEEDS_MAX: usize = 32;
/// The most bytes of all needs of one request: they travel in its tickets.
const NEEDS_BYTES_MAX: usize = 2048;
/// The longest need, in bytes.
const NEED_BYTES_MAX: usize = 256;

/// One thing that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// What it does; of the application, the Element or the Host.
    Capability {
        /// What.
        name: String,
        /// In which version; absent: any.
        version: Option<String>,
    },
    /// What another application on the shelf has to do.
    Companion {
        /// What.
        name: String,
        /// In which version.
        version: String,
    },
    /// A number.
    Number {
        /// Which one.
        quantity: Quantity,
        /// Which values will do.
        range: RangeValue,
    },
    /// A processor architecture, by GLUE's name.
    Platform(Platform),
    /// A processor architecture, by JSDL's name.
    Architecture(CpuArchitectureName),
    /// An operating system, by GLUE's name.
    OsFamily(OsFamily),
    /// An operating system, by JSDL's name.
    OperatingSystem(OperatingSystemName),
    /// A version of the operating system.
    OperatingSystemVersion(String),
    /// A site.
    Domain(String),
    /// Certain machines, by name.
    HostNames(Vec<String>),
    /// A machine alone: not offered yet, so never met.
    ExclusiveExecution,
    /// A GPU or the like.
    Accelerator(Box<Accelerator>),
}

impl Need {
    /// The name of the check.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Capability { .. } => "capability",
            Self::Companion { .. } => "companion",
            Self::Number { quantity, .. } => quantity.name(),
            Self::Platform(_) | Self::Architecture(_) => "architecture",
            Self::OsFamily(_) | Self::OperatingSystem(_) => "os",
            Self::OperatingSystemVersion(_) => "os-version",
            Self::Domain(_) => "domain",
            Self::HostNames(_) => "host-name",
            Self::ExclusiveExecution => "exclusive-execution",
            Self::Accelerator(_) => "accelerator",
        }
    }

    /// Whether it is asked of the whole Element, not of one Host.
    pub const fn is_of_element(&self) -> bool {
        match self {
            Self::Domain(_) => true,
            Self::Number { quantity, .. } => quantity.is_of_element(),
            _ => false,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capability {
                name,
                version: None,
            } => f.write_str(name),
            Self::Capability {
                name,
                version: Some(version),
            }
            | Self::Companion { name, version } => {
                write!(f, "{name}/{version}")
            }
            Self::Number { quantity, range } => {
                f.write_str(&format_range(range, |number| quantity.format(number)))
            }
            Self::Platform(platform) => f.write_str(platform.as_str()),
            Self::Architecture(name) => f.write_str(name.as_str()),
            Self::OsFamily(family) => f.write_str(family.as_str()),
            Self::OperatingSystem(name) => f.write_str(name.as_str()),
            Self::OperatingSystemVersion(version) => f.write_str(version),
            Self::Domain(domain) => f.write_str(domain),
            Self::HostNames(names) => write!(f, "one of {}", names.join(", ")),
            Self::ExclusiveExecution => f.write_str("the machine alone"),
            Self::Accelerator(accelerator) => {
                write!(
                    f,
                    "{} × {}",
                    accelerator.count.unwrap_or(1),
                    accelerator.kind
                )
            }
        }
    }
}

impl FromStr for Need {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let refusal = |why: &str| {
            let shown: String = text.chars().take(NEED_BYTES_MAX).collect();
            Problem::new(
                Code::InvalidRequest,
                format!("The need {shown:?} is not understood: {why}."),
            )
        };
        if text.len() > NEED_BYTES_MAX {
            return Err(refusal("it is too long"));
        }
        let (name, comparison, value) = split(text)
            .ok_or_else(|| refusal("NAME=VALUE is expected, or >=, <=, >, < for numbers"))?;
        if let Some(quantity) = Quantity::SPOKEN
            .iter()
            .copied()
            .find(|quantity| quantity.name() == name)
        {
            let number = if quantity.is_bytes() {
                parse_bytes(value)
            } else {
                parse_count(value)
            };
            let number = number.ok_or_else(|| {
                refusal("a whole number is expected, for bytes with KiB, MiB, GiB, TiB, KB, MB, GB or TB")
            })?;
            return Ok(Self::Number {
                quantity,
                range: comparison.range(number),
            });
        }
        if comparison != Comparison::Exactly {
            return Err(refusal(EXPECTED));
        }
        worded(name, value).ok_or_else(|| refusal(EXPECTED))
    }
}

const EXPECTED: &str = "one of capability=NAME[/VERSION], architecture=, os=, domain=, \
     memory>=, virtual-memory>=, disk>=, cpus>=, hosts>=, total-cpus>=, total-memory>=, total-disk>= is expected";

fn split(text: &str) -> Option<(&str, Comparison, &str)> {
    let at = text.find(['<', '>', '='])?;
    let (name, rest) = text.split_at(at);
    let (sign, comparison) = Comparison::SIGNS
        .iter()
        .find(|(sign, _)| rest.starts_with(sign))?;
    let value = rest[sign.len()..].trim();
    let name = name.trim();
    (!name.is_empty() && !value.is_empty()).then_some((name, *comparison, value))
}

fn worded(name: &str, value: &str) -> Option<Need> {
    match name {
        "capability" => {
            let (name, version) = match value.split_once('/') {
                Some((name, version)) => (name, Some(version)),
                None => (value, None),
            };
            let good = !name.is_empty() && version != Some("");
            good.then(|| Need::Capability {
                name: name.to_owned(),
                version: version.map(str::to_owned),
            })
        }
        "architecture" => match value.parse::<CpuArchitectureName>() {
            Ok(jsdl) if jsdl != CpuArchitectureName::Other => Some(Need::Architecture(jsdl)),
            _ => Platform::from_rust(value).map(Need::Platform),
        },
        "os" => match value.parse::<OperatingSystemName>() {
            Ok(jsdl) if jsdl != OperatingSystemName::Other => Some(Need::OperatingSystem(jsdl)),
            _ => OsFamily::from_rust(value).map(Need::OsFamily),
        },
        "domain" => Some(Need::Domain(value.to_owned())),
        _ => None,
    }
}

/// Reads the needs of a request.
pub fn parse_needs(texts: &[String]) -> Result<Vec<Need>, Problem> {
    if texts.len() > NEEDS_MAX {
        return Err(Problem::new(
            Code::InvalidRequest,
            format!(
                "A request may name {NEEDS_MAX} needs; this one names {}.",
                texts.len()
            ),
        ));
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    if bytes > NEEDS_BYTES_MAX {
        return Err(Problem::new(
            Code::InvalidRequest,
            format!("The needs of a request may have {NEEDS_BYTES_MAX} bytes; these have {bytes}."),
        ));
    }
    texts.iter().map(|text| text.parse()).collect()
}

/// Brings the needs of a manifest into the same form.
pub fn manifest_needs(needs: &Needs) -> Vec<Need> {
    let Needs {
        candidate_hosts,
        exclusive_execution,
        operating_system_name,
        operating_system_version,
        cpu_architecture_name,
        individual_cpu_speed,
        individual_cpu_time,
        individual_cpu_count,
        individual_network_bandwidth,
        individual_physical_memory,
        individual_virtual_memory,
        individual_disk_space,
        total_cpu_time,
        total_cpu_count,
        total_physical_memory,
        total_disk_space,
        total_resource_count,
        capabilities,
        domain,
        accelerators,
        extensions: _,
    } = needs;
    let numbers = [
        (Quantity::CpuSpeed, individual_cpu_speed),
        (Quantity::CpuTime, individual_cpu_time),
        (Quantity::Cpus, individual_cpu_count),
        (Quantity::NetworkBandwidth, individual_network_bandwidth),
        (Quantity::Memory, individual_physical_memory),
        (Quantity::VirtualMemory, individual_virtual_memory),
        (Quantity::Disk, individual_disk_space),
        (Quantity::TotalCpuTime, total_cpu_time),
        (Quantity::TotalCpus, total_cpu_count),
        (Quantity::TotalMemory, total_physical_memory),
        (Quantity::TotalDisk, total_disk_space),
        (Quantity::Hosts, total_resource_count),
    ];
    let mut all = Vec::new();
    all.extend(domain.iter().map(|domain| Need::Domain(domain.to_string())));
    all.extend(cpu_architecture_name.map(Need::Architecture));
    all.extend(operating_system_name.map(Need::OperatingSystem));
    all.extend(
        operating_system_version
            .iter()
            .map(|version| Need::OperatingSystemVersion(version.to_string())),
    );
    all.extend(numbers.into_iter().filter_map(|(quantity, range)| {
        let range = range.clone()?;
        Some(Need::Number { quantity, range })
    }));
    all.extend(
        candidate_hosts.iter().map(|hosts| {
            Need::HostNames(hosts.host_names.iter().map(ToString::to_string).collect())
        }),
    );
    all.extend((*exclusive_execution == Some(true)).then_some(Need::ExclusiveExecution));
    all.extend(capabilities.iter().map(|capability| Need::Companion {
        name: capability.name.to_string(),
        version: capability.version.to_string(),
    }));
    all.extend(
        accelerators
            .iter()
            .cloned()
            .map(Box::new)
            .map(Need::Accelerator),
    );
    all
}

/// Whether a capability of version `offered` does for one that needs `needed`:
/// the very same, or a later one with the same first number.
pub fn version_serves(offered: &str, needed: &str) -> bool {
    if offered == needed {
        return true;
    }
    let numbers = |text: &str| -> Option<Vec<u64>> { text.split('.').map(parse_count).collect() };
    match (numbers(offered), numbers(needed)) {
        (Some(offered), Some(needed)) => {
            let length = offered.len().max(needed.len());
            let at = |numbers: &[u64], index: usize| numbers.get(index).copied().unwrap_or(0);
            at(&offered, 0) == at(&needed, 0)
                && (0..length)
                    .map(|index| at(&offered, index))
                    .ge((0..length).map(|index| at(&needed, index)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn needs_are_read() {
        let table: &[(&str, &str, &str)] = &[
            ("capability=spf/2.1", "capability", "spf/2.1"),
            ("capability=spf", "capability", "spf"),
            ("memory>=4GiB", "memory", "at least 4 GiB"),
            ("memory >= 4 GiB", "memory", "at least 4 GiB"),
            ("cpus>2", "cpus", "above 2"),
            ("cpus=2", "cpus", "exactly 2"),
            ("hosts>=3", "hosts", "at least 3"),
            ("architecture=amd64", "architecture", "amd64"),
            ("architecture=x86_64", "architecture", "x86_64"),
            ("architecture=aarch64", "architecture", "arm64"),
            ("os=linux", "os", "linux"),
            ("os=LINUX", "os", "LINUX"),
            ("domain=lab", "domain", "lab"),
        ];
        for (text, name, words) in table {
            let need: Need = text.parse().unwrap();
            assert_eq!(
                (need.name(), need.to_string().as_str()),
                (*name, *words),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let long = format!("domain={}", "x".repeat(300));
        for bad in [
            "",
            "memory",
            "memory>=",
            ">=4",
            "memory>=many",
            "cpus>=-1",
            "os>=linux",
            "color=red",
            "capability=",
            "capability=/1",
            &long,
        ] {
            let problem = bad.parse::<Need>().unwrap_err();
            assert_eq!(problem.code, Code::InvalidRequest, "{bad}");
        }
        let many = vec!["cpus>=1".to_owned(); NEEDS_MAX + 1];
        assert!(parse_needs(&many).is_err());
    }

    #[test]
    fn manifests_lose_no_need() {
        let needs = Needs {
            individual_physical_memory: Some(RangeValue::at_least(1 << 30)),
            cpu_architecture_name: Some(CpuArchitectureName::X8664),
            exclusive_execution: Some(true),
            domain: Some("lab".parse().unwrap()),
            ..Needs::default()
        };
        let names: Vec<_> = manifest_needs(&needs).iter().map(Need::name).collect();
        assert_eq!(
            names,
            ["domain", "architecture", "memory", "exclusive-execution"]
        );
        assert!(manifest_needs(&Needs::default()).is_empty());
    }

    #[test]
    fn later_versions_serve_within_the_first_number() {
        for (offered, needed) in [
            ("2.1", "2.1"),
            ("2.2", "2.1"),
            ("2.10", "2.9"),
            ("2.1.1", "2.1"),
            ("beta", "beta"),
            ("2", "2.0"),
        ] {
            assert!(version_serves(offered, needed), "{offered} for {needed}");
        }
        for (offered, needed) in [
            ("2.0", "2.1"),
            ("3.0", "2.1"),
            ("1.9", "2"),
            ("beta", "2"),
            ("2.x", "2.1"),
        ] {
            assert!(!version_serves(offered, needed), "{offered} for {needed}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Need>();
        }

        #[test]
        fn a_version_serves_itself(version in "[0-9a-z.]{1,12}") {
            prop_assert!(version_serves(&version, &version));
        }
    }
}
