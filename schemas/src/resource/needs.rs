//! What an application needs of the machines it runs on (JSDL's resources).
//! Whether a Host meets them is decided elsewhere, from these values.

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    ae::Capability,
    enumeration::{CpuArchitectureName, OperatingSystemName},
    host::Accelerator,
};
use crate::{
    scalar::{LocalId, Token},
    xml::xml_record,
};

/// What an application needs. All of it has to be met; what is absent is not needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Needs {
    /// Processor architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_architecture_name: Option<CpuArchitectureName>,
    /// Operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_system_name: Option<OperatingSystemName>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_system_version: Option<Token>,
    /// CPUs per Host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub individual_cpu_count: Option<RangeValue>,
    /// Bytes of RAM per Host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub individual_physical_memory: Option<RangeValue>,
    /// Bytes of RAM and swap per Host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub individual_virtual_memory: Option<RangeValue>,
    /// Bytes of disk per Host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub individual_disk_space: Option<RangeValue>,
    /// Clock of a Host's processors, in Hz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub individual_cpu_speed: Option<RangeValue>,
    /// Bit/s per Host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub individual_network_bandwidth: Option<RangeValue>,
    /// CPU seconds per Host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub individual_cpu_time: Option<RangeValue>,
    /// CPU seconds over all Hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_cpu_time: Option<RangeValue>,
    /// CPUs over all Hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_cpu_count: Option<RangeValue>,
    /// Bytes of RAM over all Hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_physical_memory: Option<RangeValue>,
    /// Bytes of disk over all Hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_disk_space: Option<RangeValue>,
    /// Number of Hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_resource_count: Option<RangeValue>,
    /// Only these machines: a last resort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_hosts: Option<CandidateHosts>,
    /// The machine alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive_execution: Option<bool>,
    /// What other applications have to be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// Only in this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<LocalId>,
    /// GPUs and the like; all that is named has to match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accelerators: Vec<Accelerator>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(Needs {
    children {
        cpu_architecture_name = "CPUArchitectureName",
        operating_system_name = "OperatingSystemName",
        operating_system_version = "OperatingSystemVersion",
        individual_cpu_count = "IndividualCPUCount",
        individual_physical_memory = "IndividualPhysicalMemory",
        individual_virtual_memory = "IndividualVirtualMemory",
        individual_disk_space = "IndividualDiskSpace",
        individual_cpu_speed = "IndividualCPUSpeed",
        individual_network_bandwidth = "IndividualNetworkBandwidth",
        individual_cpu_time = "IndividualCPUTime",
        total_cpu_time = "TotalCPUTime",
        total_cpu_count = "TotalCPUCount",
        total_physical_memory = "TotalPhysicalMemory",
        total_disk_space = "TotalDiskSpace",
        total_resource_count = "TotalResourceCount",
        candidate_hosts = "CandidateHosts",
        exclusive_execution = "ExclusiveExecution",
        capabilities = "Capability",
        domain = "Domain",
        accelerators = "Accelerator",
    }
    open { extensions }
});

/// Machines by name; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CandidateHosts {
    /// Any one of these.
    pub host_names: Vec<Token>,
}

xml_record!(CandidateHosts {
    children {
        host_names = "HostName" [at_least_one],
    }
});

/// JSDL's range of numbers: alternatives, of which one has to match. Whole
/// numbers only. Without any alternative it matches nothing and is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RangeValue {
    /// Anything up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_bounded_range: Option<Boundary>,
    /// Anything from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_bounded_range: Option<Boundary>,
    /// Exactly this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exact: Vec<Exact>,
    /// Anything between two bounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Range>,
}

xml_record!(RangeValue {
    children {
        upper_bounded_range = "UpperBoundedRange",
        lower_bounded_range = "LowerBoundedRange",
        exact = "Exact",
        ranges = "Range",
    }
});

impl RangeValue {
    /// Anything from this value.
    pub fn at_least(value: u64) -> Self {
        Self {
            lower_bounded_range: Some(Boundary::inclusive(value)),
            ..Self::default()
        }
    }

    /// Whether one of the alternatives matches.
    pub fn contains(&self, value: u64) -> bool {
        self.upper_bounded_range
            .is_some_and(|bound| bound.allows_below(value))
            || self
                .lower_bounded_range
                .is_some_and(|bound| bound.allows_above(value))
            || self.exact.iter().any(|exact| exact.contains(value))
            || self.ranges.iter().any(|range| range.contains(value))
    }
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Boundary {
    /// Where it is.
    pub value: u64,
    /// Whether the value itself is outside; absent: it is inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive_bound: Option<bool>,
}

xml_record!(Boundary {
    attributes { exclusive_bound = "exclusiveBound" }
    text { value }
});

impl Boundary {
    /// A bound that belongs to its range.
    pub const fn inclusive(value: u64) -> Self {
        Self {
            value,
            exclusive_bound: None,
        }
    }

    const fn is_exclusive(self) -> bool {
        matches!(self.exclusive_bound, Some(true))
    }

    const fn allows_below(self, value: u64) -> bool {
        value < self.value || (value == self.value && !self.is_exclusive())
    }

    const fn allows_above(self, value: u64) -> bool {
        value > self.value || (value == self.value && !self.is_exclusive())
    }
}

/// One value, give or take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Exact {
    /// The value.
    pub value: u64,
    /// How far off is still good; absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<u64>,
}

xml_record!(Exact {
    attributes { epsilon = "epsilon" }
    text { value }
});

impl Exact {
    fn contains(self, value: u64) -> bool {
        self.value.abs_diff(value) <= self.epsilon.unwrap_or(0)
    }
}

/// Everything between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Range {
    /// From here.
    pub lower_bound: Boundary,
    /// To here.
    pub upper_bound: Boundary,
}

xml_record!(Range {
    children {
        lower_bound = "LowerBound",
        upper_bound = "UpperBound",
    }
});

impl Range {
    const fn contains(self, value: u64) -> bool {
        self.lower_bound.allows_above(value) && self.upper_bound.allows_below(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alternative_is_enough() {
        let range = RangeValue {
            upper_bounded_range: Some(Boundary {
                value: 2,
                exclusive_bound: Some(true),
            }),
            lower_bounded_range: Some(Boundary {
                value: 100,
                exclusive_bound: Some(false),
            }),
            exact: vec![Exact {
                value: 10,
                epsilon: Some(2),
            }],
            ranges: vec![Range {
                lower_bound: Boundary {
                    value: 20,
                    exclusive_bound: Some(true),
                },
                upper_bound: Boundary::inclusive(22),
            }],
        };
        let inside = [0, 1, 8, 12, 21, 22, 100, u64::MAX];
        let outside = [2, 7, 13, 20, 23, 99];
        assert!(inside.iter().all(|value| range.contains(*value)));
        assert!(!outside.iter().any(|value| range.contains(*value)));
    }

    #[test]
    fn nothing_is_in_an_empty_range() {
        assert!(!RangeValue::default().contains(0));
        assert!(RangeValue::at_least(3).contains(3));
        assert!(!RangeValue::at_least(3).contains(2));
    }
}
