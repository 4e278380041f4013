//! What a Host is: installed and configured.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::{
    resource::{
        Extensions,
        common::CommonInfo,
        enumeration::{OsFamily, Platform, Sandbox},
    },
    scalar::{Decimal, Text, Token, Uri},
    xml::xml_record,
};

/// What a Host is: as its system reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HostInfo {
    /// What every resource says.
    #[serde(flatten)]
    pub common: CommonInfo,
    /// The Element it belongs to.
    pub element: Uri,
    /// Name or address of the machine.
    pub host_name: Token,
    /// Processor architecture.
    pub architecture: Architecture,
    /// The processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<Processor>,
    /// The memory.
    pub main_memory: MainMemory,
    /// The operating system.
    pub operating_system: OperatingSystem,
    /// Network adapters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_adapters: Vec<NetworkAdapter>,
    /// All values are a guest's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_machine: Option<bool>,
    /// What shuts applications in here; absent: not known, treat it as `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// It cannot be dialled: programs reach it through its Element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relayed: Option<bool>,
    /// Benchmark results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub benchmarks: Vec<Benchmark>,
    /// GPUs and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accelerators: Vec<Accelerator>,
    /// File systems, the work area first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_systems: Vec<FileSystem>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(HostInfo {
    base { common }
    children {
        element = "Element",
        host_name = "HostName",
        architecture = "Architecture",
        processor = "Processor",
        main_memory = "MainMemory",
        operating_system = "OperatingSystem",
        network_adapters = "NetworkAdapter",
        virtual_machine = "VirtualMachine",
        sandbox = "Sandbox",
        relayed = "Relayed",
        benchmarks = "Benchmark",
        accelerators = "Accelerator",
        file_systems = "FileSystem",
    }
    open { extensions }
});

impl HostInfo {
    /// The least that a Host says of itself.
    pub fn new(
        common: CommonInfo,
        element: Uri,
        host_name: Token,
        architecture: Architecture,
        main_memory: MainMemory,
        operating_system: OperatingSystem,
    ) -> Self {
        Self {
            common,
            element,
            host_name,
            architecture,
            processor: None,
            main_memory,
            operating_system,
            network_adapters: Vec::new(),
            virtual_machine: None,
            sandbox: None,
            relayed: None,
            benchmarks: Vec::new(),
            accelerators: Vec::new(),
            file_systems: Vec::new(),
            extensions: Extensions::default(),
        }
    }
}

/// Processor architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Architecture {
    /// Its family.
    pub platform_type: Platform,
    /// CPUs that the system shows.
    #[schema(value_type = u32, minimum = 1)]
    pub smp_size: NonZeroU32,
}

xml_record!(Architecture {
    children {
        platform_type = "PlatformType",
        smp_size = "SMPSize",
    }
});

/// The processors of a Host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Processor {
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Token>,
    /// Which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Token>,
    /// Family, stepping and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Token>,
    /// Instruction set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction_set: Option<Token>,
    /// Nominal MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_speed: Option<u32>,
    /// Sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_cpus: Option<u32>,
    /// Cores in one socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores_per_cpu: Option<u32>,
}

xml_record!(Processor {
    children {
        vendor = "Vendor",
        model = "Model",
        version = "Version",
        instruction_set = "InstructionSet",
        clock_speed = "ClockSpeed",
        physical_cpus = "PhysicalCPUs",
        cores_per_cpu = "CoresPerCPU",
    }
});

/// Installed memory, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MainMemory {
    /// RAM.
    pub ram_size: u64,
    /// RAM and swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<u64>,
}

xml_record!(MainMemory {
    children {
        ram_size = "RAMSize",
        virtual_size = "VirtualSize",
    }
});

/// Operating system of a Host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OperatingSystem {
    /// Its family.
    pub family: OsFamily,
    /// Distribution.
    pub name: Token,
    /// The distribution's release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Token>,
    /// Kernel version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Token>,
}

xml_record!(OperatingSystem {
    children {
        family = "Family",
        name = "Name",
        release = "Release",
        version = "Version",
    }
});

/// A network adapter; reachability is measured, absent if not tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NetworkAdapter {
    /// Its name on the machine.
    pub name: Token,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<Token>,
    /// Largest packet, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Can be dialled from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound_ip: Option<bool>,
    /// Can dial out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound_ip: Option<bool>,
}

xml_record!(NetworkAdapter {
    children {
        name = "Name",
        ip_address = "IPAddress",
        mtu = "MTU",
        inbound_ip = "InboundIP",
        outbound_ip = "OutboundIP",
    }
});

/// A benchmark result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Benchmark {
    /// Which benchmark.
    pub kind: Token,
    /// The result.
    pub value: Decimal,
}

xml_record!(Benchmark {
    children {
        kind = "Type",
        value = "Value",
    }
});

/// A GPU or the like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Accelerator {
    /// `GPU`, `FPGA`, `MIC`.
    pub kind: Token,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Token>,
    /// Which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Token>,
    /// How many of them; absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Memory of one, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

xml_record!(Accelerator {
    children {
        kind = "Type",
        vendor = "Vendor",
        model = "Model",
        count = "Count",
        memory = "Memory",
    }
});

/// A file system that jobs can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FileSystem {
    /// Where it is mounted.
    pub root: Text,
    /// Its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Token>,
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Cannot be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

xml_record!(FileSystem {
    children {
        root = "Root",
        kind = "Type",
        size = "Size",
        read_only = "ReadOnly",
    }
});
